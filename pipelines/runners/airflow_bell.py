"""A bell that tasks ring when they have ended, for a scheduler that would sleep.

A pipe, made before the tasks' processes are forked, which inherit it. Where there is none, as under another executor, nobody is
woken, and the scheduler sees at its next look what has ended.
"""

from __future__ import annotations

import contextlib
import os
import select

_ends: list[int] = []
"""To read from and to write to."""


def hang() -> None:
    """Make the bell of this process and of those it forks from now on."""
    if not _ends:
        _ends.extend(os.pipe())
        for end in _ends:
            os.set_blocking(end, False)


def ring() -> None:
    """Wake who listens."""
    with contextlib.suppress(OSError):  # it is full of rings that nobody has heard yet
        if _ends:
            os.write(_ends[1], b".")


def listen(seconds: float) -> bool:
    """Wait for a ring, so long at most; whether there was one. Rings that came before, unheard, count as one."""
    reader, _ = _ends
    if not select.select([reader], [], [], seconds)[0]:
        return False
    os.read(reader, 1 << 16)
    return True
