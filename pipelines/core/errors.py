"""Every error a person can meet, in one tree.

::

    PipelineError
    ├── ConfigError            the caller asked for something that cannot be   exit 2, never retried
    ├── DataError              the data are not what was declared              exit 3, never retried
    ├── InfrastructureError    disk, network, server                           exit 4, retried with backoff
    └── GateRefused            everything worked and the answer is no          exit 1, never retried

A message says what was expected, what was found, where, and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, ClassVar


class PipelineError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line returns."""

    exit_code: ClassVar[int] = 1
    retry: ClassVar[bool] = False


class ConfigError(PipelineError):
    """Wrong use: an unknown name, a typo, a value out of range."""

    exit_code = 2


class DataError(PipelineError):
    """The data break what was declared of them. Running again cannot help.

    `outputs` carries what the stage had produced when it stopped (a validation report, the quarantined rows), so that
    the evidence is stored and shown although the stage failed.
    """

    exit_code = 3

    def __init__(self, message: str, outputs: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.outputs: dict[str, Any] = dict(outputs or {})


class InfrastructureError(PipelineError):
    """Disk, network or a server failed. The same call may work later."""

    exit_code = 4
    retry = True


class GateRefused(PipelineError):
    """A gate, a check or a comparison answered no."""

    exit_code = 1


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The close matches of `word` as a clause to append to a message, or all that is known when nothing is close.

    >>> did_you_mean("chrun", ["churn", "fashion"])
    "did you mean 'churn'?"
    >>> did_you_mean("zzz", ["churn", "fashion"])
    "known: 'churn', 'fashion'"
    """
    names = sorted(set(known))
    close = get_close_matches(word, names, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(repr(name) for name in close) + "?"
    return "known: " + (", ".join(repr(name) for name in names) or "none")
