"""What a person is told when a command fails: one sentence, an exit code, and no traceback unless asked for."""

from __future__ import annotations

import sys
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from pipelines.cli.output import emit, streams
from pipelines.core.scrub import scrub

FAULT_OF_OURS = 70
"""Exit code of an error nobody foresaw: a fault of the software (EX_SOFTWARE of sysexits.h)."""
INTERRUPTED = 130
"""Exit code after Ctrl-C."""

_CLOSED = (0, 1, None)
"""How rich exits when the reader of its output went away, as `head` does."""


def tell(error: BaseException, *, debug: bool = False) -> int:
    """Tell of an error on stderr, and as JSON on stdout where JSON was asked for; return the exit code."""
    from pipelines.core.errors import PipelineError

    if isinstance(error, PipelineError):
        message = "\n".join([str(error), *getattr(error, "__notes__", [])])
        return _told(message, type(error).__name__, error.exit_code, error if debug else None)
    if isinstance(error, SystemExit) and error.code in _CLOSED:
        return 1
    if isinstance(error, KeyboardInterrupt | SystemExit):
        code = error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else INTERRUPTED
        return _told("stopped; finished stages are kept, the same command goes on from there", "Interrupted", code, None)
    place = _keep_traceback(error)
    message = f"unexpected {type(error).__name__}: {error}\nThis is a fault of ours. The traceback is in {place}"
    return _told(message, type(error).__name__, FAULT_OF_OURS, error if debug else None)


def usage(error: Exception) -> int:
    """Tell of a wrong option or argument; `error` is typer's usage error."""
    context = getattr(error, "ctx", None)
    hint = f"\nTry `{context.command_path} --help`." if context is not None else ""
    return _told(f"{getattr(error, 'format_message', lambda: str(error))()}{hint}", "UsageError", 2, None)


def _told(message: str, kind: str, code: int, shown: BaseException | None) -> int:
    from rich.text import Text

    message = scrub(message)
    if shown is not None:
        sys.stderr.write(scrub("".join(traceback.format_exception(shown))))
    first, _, rest = message.partition("\n")
    streams().aside.print(Text.assemble(("✗ ", "bold red"), (first, "red"), f"\n{rest}" if rest else ""), soft_wrap=True)
    if streams().as_json:
        emit({"error": {"type": kind, "message": message, "exit_code": code}})
    return code


def _keep_traceback(error: BaseException) -> Path:
    from pipelines.core.settings import Settings

    name = f"traceback-{datetime.now(UTC):%Y%m%dT%H%M%S%f}.txt"
    text = scrub("".join(traceback.format_exception(error)))
    for folder in (Settings.load().home / "logs", Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        except OSError:
            continue
        return folder / name
    sys.stderr.write(text)
    return Path("what stands above (no folder could be written)")
