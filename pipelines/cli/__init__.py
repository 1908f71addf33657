"""The `pipelines` command: one module a noun, each importing what it needs only when its command runs."""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Sequence
from gc import set_threshold  # the name `gc` is a command of ours

GARBAGE = (20_000, 20, 20)
"""When Python looks for garbage. Libraries leave a million objects for good; looking through them again and again, as often as it
does by itself, takes a tenth of a cold chain."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an error is told as a sentence, or as JSON where that was asked for."""
    from pipelines.cli import app, failures, output

    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    if not debug:
        warnings.simplefilter("ignore")  # what libraries think of each other is no business of whoever runs a command
    if argv is None:  # as a process of its own
        set_threshold(*GARBAGE)
        # end like Ctrl-C does, so that runs are closed and locks freed
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        with output.opened(as_json="--json" in arguments):
            try:
                return app.invoke(arguments)
            except (Exception, KeyboardInterrupt, SystemExit) as error:
                return failures.tell(error, debug=debug)
    except BrokenPipeError:  # the reader went away, as `head` does
        sys.stderr.close()
        return 0
