"""Removing old artifacts from a store while pipelines use it.

An object may go when nothing refers to it and it is old. A run that uses an old object again *touches* it first, and would lose
it all the same if it did so between the look at the object's age and its removal. So objects are removed in short batches, one
at a time, which leave a mark while they last and a count when they end. A batch that begins after the touch sees a young object
and leaves it. So whoever has touched waits for the batch that was about meanwhile, if there was one, and then looks a second
time: what is there now will stay.

::

    sweep/batch.json   there is a batch at work, until a time at most (its process may have been killed)
    sweep/count.json   how many batches have ended; written before the mark goes

It takes no more of a store than that a record is created once and that what is written is seen by the next to read.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.core.backend import Backend

BATCH, COUNT = "sweep/batch.json", "sweep/count.json"
_LONGEST = 60.0
"""Seconds after which a batch is over, whatever became of its process."""
_WORKING = 1.0
"""Seconds after which a batch starts nothing more, so that nobody waits long."""
_PAUSE = 0.02


def undisturbed(backend: Backend, attempt: Callable[[], bool]) -> bool:
    """What `attempt`, which touches objects, says when no batch can take them any more; it is asked once or twice."""
    before = _count(backend)
    if not attempt():
        return False
    if not _at_work(backend) and _count(backend) == before:  # in this order: the count changes first
        return True
    now = _count(backend)
    while _at_work(backend) and _count(backend) == now:
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


def _remove(backend: Backend, keys: Iterable[str]) -> None:
    first, *others = keys
    for key in (*others, first):
        backend.remove(key)


@contextmanager
def _batch(backend: Backend) -> Iterator[float]:
    """One batch in this store at a time; gives the time until which it may go on."""
    while not backend.create(BATCH, json.dumps(time.time() + _LONGEST).encode()):
        if not _at_work(backend):
            backend.remove(BATCH)  # of a process that was killed
        time.sleep(_PAUSE)
    try:
        yield time.time() + _WORKING
    finally:
        backend.replace(COUNT, json.dumps(_count(backend) + 1).encode())
        backend.remove(BATCH)


def _at_work(backend: Backend) -> bool:
    return float(_read(backend, BATCH)) > time.time()


def _count(backend: Backend) -> int:
    return int(_read(backend, COUNT))


def _read(backend: Backend, key: str) -> float:
    try:
        return float(json.loads(backend.download(key).read_bytes()))
    except (KeyError, FileNotFoundError):  # a folder's record may go between the look and the reading
        return 0
