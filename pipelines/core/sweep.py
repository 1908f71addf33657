"""Removing old artifacts from a store while pipelines use it.

An object may go when nothing refers to it and it is old. A run that uses an old object again *touches* it first, and would lose
it all the same if it did so between the look at the object's age and its removal. So objects are removed in short batches, one
at a time, which leave a numbered mark. A batch that begins after the touch sees a young object and leaves it. So whoever has touched
waits for the batch that was about meanwhile, if there was one, and then looks a second time: what is there now will stay.

::

    sweep/batch-000000007.json   the latest batch: until when it can be at work (its process may have been killed), 0 when it ended

The number never goes back: only the latest batch takes marks away, those before its own, and a process that made a mark which
others have meanwhile passed takes its own away. It takes no more of a store than that a record is created once and that what is
written is seen by the next to read and to list.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pipelines.core.backend import Backend

_MARK = "sweep/batch-"
_LONGEST = 60.0
"""Seconds after which a batch is over, whatever became of its process."""
_WORKING = 1.0
"""Seconds after which a batch starts nothing more, so that nobody waits long."""
_PAUSE = 0.02


class Batch(NamedTuple):
    """A batch of removals, by its mark."""

    number: int
    until: float
    """When it is over at the latest, in seconds since the epoch; 0 when it ended."""

    @property
    def key(self) -> str:
        return f"{_MARK}{self.number:09}.json"

    @property
    def at_work(self) -> bool:
        return self.until > time.time()


def undisturbed(backend: Backend, attempt: Callable[[], bool]) -> bool:
    """What `attempt`, which touches objects, says when no batch can take them any more; it is asked once or twice."""
    before = latest(backend)
    quiet = not before.at_work
    if not attempt():
        return False
    now = latest(backend)
    if quiet and now == before:
        return True
    while now.at_work and latest(backend) == now:
        time.sleep(_PAUSE)
    return attempt()


def remove(backend: Backend, keys: Sequence[Sequence[str]], before: float) -> Iterator[int]:
    """Remove keys that were last touched `before` a time (seconds since the epoch). Each item is an object's key and then those
    of records that go with it, and before it.

    Yields the number of an item when it is gone.
    """
    waiting = iter(range(len(keys)))
    number = next(waiting, None)
    while number is not None:
        with _batch(backend) as ends:
            while number is not None and time.time() < ends:
                stamp = backend.stamp(keys[number][0])
                if stamp is not None and stamp.at < before:
                    _remove(backend, keys[number])
                    yield number
                number = next(waiting, None)


def latest(backend: Backend) -> Batch:
    """The batch that began last; number 0 when there has been none."""
    while marks := backend.keys(_MARK):
        content = backend.read(marks[-1])
        if content is not None:  # else a later one took the mark away since the listing
            return Batch(int(marks[-1].removeprefix(_MARK).removesuffix(".json")), float(json.loads(content)))
    return Batch(0, 0.0)


def _remove(backend: Backend, keys: Iterable[str]) -> None:
    first, *others = keys
    for key in (*others, first):
        backend.remove(key)


@contextmanager
def _batch(backend: Backend) -> Iterator[float]:
    """One batch in this store at a time; gives the time until which it may go on."""
    while (mine := _begin(backend)) is None:
        time.sleep(_PAUSE)
    try:
        yield time.time() + _WORKING
    finally:
        backend.replace(mine.key, b"0")


def _begin(backend: Backend) -> Batch | None:
    """The next batch, or None while another is at work or came first."""
    last = latest(backend)
    mine = Batch(last.number + 1, time.time() + _LONGEST)
    if last.at_work or not backend.create(mine.key, json.dumps(mine.until).encode()):
        return None
    *older, newest = backend.keys(_MARK)
    passed = newest != mine.key  # others went on since the look, and took the marks up to theirs away
    for key in (mine.key,) if passed else older:
        backend.remove(key)
    return None if passed else mine
