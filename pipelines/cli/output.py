"""Where a command's words go: its result to stdout, everything else to stderr.

With ``--json`` stdout holds one JSON document and nothing else: whatever libraries print there meanwhile, from Python or
from C, is sent to stderr.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


@dataclass
class Streams:
    """The streams of one command."""

    as_json: bool = False
    stdout: IO[str] = field(default_factory=lambda: sys.stdout)

    @cached_property
    def result(self) -> Console:
        """For what the command was asked for."""
        return _console(self.stdout)

    @cached_property
    def aside(self) -> Console:
        """For progress, notes, warnings and errors."""
        return _console(sys.stderr)


def _console(stream: IO[str]) -> Console:
    """Wide enough for tables where no terminal says how wide it is. Text is shown as it is: much of it comes from people's data,
    where `[a]` is no style and `:x:` no picture."""
    from rich.console import Console

    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 120
    return console


_now = Streams()


def streams() -> Streams:
    """The streams of the command that runs."""
    return _now


def emit(document: Any) -> None:
    """Print the result as JSON."""
    _now.stdout.write(json.dumps(document, indent=2, default=str, ensure_ascii=False) + "\n")


def marked(template: str, *values: object) -> Text:
    """Text with styles: those of `template`, such as `[green]✓[/] {}`; the values are shown as they are.

    >>> marked("[bold]{}[/]: {}", "[/x]", 3).plain
    '[/x]: 3'
    """
    from rich.markup import escape
    from rich.text import Text

    return Text.from_markup(template.format(*(escape(str(value)) for value in values)), emoji=False)


def note(text: str | Text) -> None:
    """A line beside the result."""
    _now.aside.print(text)


@contextlib.contextmanager
def opened(*, as_json: bool) -> Iterator[None]:
    """Arrange the streams for one command and put them back afterwards."""
    global _now
    before, _now = _now, Streams(as_json, sys.stdout)
    try:
        with _stdout_kept_clean(_now) if as_json else contextlib.nullcontext():
            yield
            _now.stdout.flush()
    finally:
        _now = before


@contextlib.contextmanager
def _stdout_kept_clean(streams: Streams) -> Iterator[None]:
    """Send what others write to stdout to stderr, while `streams.stdout` still writes to the real one."""
    real = sys.stdout
    try:
        real.flush()
        kept = os.dup(real.fileno())
    except (OSError, ValueError):  # a stream of a test or a notebook: there is no descriptor to move
        with contextlib.redirect_stdout(sys.stderr):
            yield
        return
    os.dup2(sys.stderr.fileno(), real.fileno())
    try:
        with os.fdopen(os.dup(kept), "w", encoding="utf-8") as stream, contextlib.redirect_stdout(sys.stderr):
            streams.stdout = stream
            yield
    finally:
        os.dup2(kept, real.fileno())
        os.close(kept)
