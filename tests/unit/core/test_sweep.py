"""Removing old objects while others use them again."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.core import s3, sweep
from pipelines.core.artifacts import Ref
from pipelines.core.store import Store


@pytest.fixture(autouse=True)
def _touch_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 leaves an hour between two touches, which no test waits for."""
    monkeypatch.setattr(s3, "FRESH", 0.0)


def put(store: Store, tmp_path: Path, text: str = "hello") -> Ref:
    (tmp_path / "made").write_text(text)
    return store.put("thing", tmp_path / "made", codec="text", project="p", stage="s", fingerprint="f")


def keys(ref: Ref) -> list[str]:
    return [f"objects/{ref.digest[:2]}/{ref.digest}", f"manifests/{ref.digest}.json"]


def later(store: Store, ref: Ref) -> float:
    """A moment after which the object is old, and which is past."""
    stamp = store.backend.stamp(keys(ref)[0])
    assert stamp is not None
    time.sleep(max(0.0, stamp.at + 1.1 - time.time()))  # S3 tells seconds
    return stamp.at + 1.0


def at_work(store: Store, number: int, seconds: float) -> None:
    """Leave the mark of a batch that is at work for so long."""
    store.replace(sweep.Batch(number, 0).key, json.dumps(time.time() + seconds).encode())


class Between:
    """A backend on which something happens between gc's look at an object and its removal."""

    def __init__(self, store: Store, happens: Callable[[], object]) -> None:
        self.real, self.happens, self.seen = store.backend, happens, threading.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)

    def remove(self, key: str) -> None:
        if not self.seen.is_set() and not key.startswith("sweep/"):
            self.seen.set()
            self.happens()
        self.real.remove(key)


def test_an_old_object_goes_with_its_manifest_and_a_young_one_stays(store: Store, tmp_path: Path) -> None:
    old = put(store, tmp_path, "old")
    before = later(store, old)
    young = put(store, tmp_path, "young")
    assert list(sweep.remove(store.backend, [keys(old), keys(young)], before)) == [0]
    assert store.keys("objects/") == keys(young)[:1]
    assert store.keys("manifests/") == keys(young)[1:]
    assert not store.keep([old])
    assert store.keep([young])
    assert sweep.latest(store.backend) == (1, 0)
    assert store.keys("sweep/") == ["sweep/batch-000000001.json"]


def test_an_object_used_again_is_young(store: Store, tmp_path: Path) -> None:
    for use in (lambda ref: store.keep([ref]), lambda ref: put(store, tmp_path)):
        ref = put(store, tmp_path)
        before = later(store, ref)
        use(ref)
        assert list(sweep.remove(store.backend, [keys(ref)], before)) == []
        assert store.keep([ref])


@pytest.mark.parametrize("way", ["keep", "put"])
def test_used_again_between_the_look_and_the_removal(store: Store, tmp_path: Path, way: str) -> None:
    """The race: it is touched, and removed all the same. Whoever touched it notices, and does not build on it."""
    ref = put(store, tmp_path)
    before = later(store, ref)
    answers: list[object] = []
    use = (lambda: store.keep([ref])) if way == "keep" else (lambda: put(store, tmp_path))
    user = threading.Thread(target=lambda: answers.append(use()))

    def begin() -> None:
        user.start()
        deadline = time.monotonic() + 20
        while (stamp := store.backend.stamp(keys(ref)[0])) is not None and stamp.at < before and time.monotonic() < deadline:
            time.sleep(0.01)  # until it has touched

    removed = list(sweep.remove(Between(store, begin), [keys(ref)], before))  # type: ignore[arg-type]
    user.join(30)
    assert removed == [0]
    if way == "keep":
        assert answers == [False], "it is not there, so the stage is computed"
        assert store.backend.stamp(keys(ref)[0]) is None
    else:
        assert store.fetch(ref).read_text() == "hello", "stored again"


def test_whoever_uses_an_object_waits_for_a_batch_only_while_it_can_be_alive(store: Store, tmp_path: Path) -> None:
    ref = put(store, tmp_path)
    at_work(store, 1, 0.5)
    began = time.time()
    assert store.keep([ref])
    assert time.time() - began > 0.4
    assert store.keep([ref]), "the mark of a killed one is in nobody's way"
    before = later(store, ref)
    assert list(sweep.remove(store.backend, [keys(ref)], before)) == [0], "nor in that of the next"


def test_two_collections_at_once_share_the_work(store: Store, tmp_path: Path) -> None:
    refs = [put(store, tmp_path, str(number)) for number in range(30)]
    before = later(store, refs[-1])
    removed: list[int] = []
    both = [
        threading.Thread(target=lambda: removed.extend(sweep.remove(store.backend, [keys(ref) for ref in refs], before)))
        for _ in range(2)
    ]
    for one in both:
        one.start()
    for one in both:
        one.join(60)
    assert sorted(removed) == list(range(30))
    assert store.keys("objects/") == []


class Passed:
    """A backend on which something happens after a collection's first look at who is at work."""

    def __init__(self, store: Store, happens: Callable[[], object]) -> None:
        self.real, self.happens = store.backend, [happens]

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)

    def keys(self, prefix: str) -> list[str]:
        found = self.real.keys(prefix)
        if prefix.startswith("sweep/") and self.happens:
            self.happens.pop()()
        return found


@pytest.mark.parametrize("ended", [0, 1, 2, 3])
def test_a_collection_that_others_have_passed_waits_for_them(store: Store, tmp_path: Path, ended: int) -> None:
    """It saw that nobody was at work; before it has made its mark, some batches end and one begins."""
    ref = put(store, tmp_path)
    before = later(store, ref)

    def others() -> None:
        for _ in range(ended):
            assert list(sweep.remove(store.backend, [["objects/none"]], before)) == []
        at_work(store, ended + 1, 1.0)

    began = time.time()
    assert list(sweep.remove(Passed(store, others), [keys(ref)], before)) == [0]  # type: ignore[arg-type]
    assert time.time() - began >= 1.0
    assert sweep.latest(store.backend) == (ended + 2, 0)


def test_nobody_waits_for_more_than_the_batch_at_work(store: Store, tmp_path: Path) -> None:
    """While batch follows batch without a gap, a run goes on after the first."""
    ref = put(store, tmp_path)
    at_work(store, 1, 600)
    ended = threading.Event()

    def batches() -> None:
        for number in range(2, 10**6):
            at_work(store, number, 600)
            if ended.wait(0.2):
                return

    beside = threading.Thread(target=batches)
    beside.start()
    try:
        assert store.keep([ref])
    finally:
        ended.set()
        beside.join()
