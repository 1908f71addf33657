"""The ledger: numbered, append-only, safe against races; champion, previous, incumbent and blocked follow from it."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.core.artifacts import Ref
from pipelines.core.backend import FolderBackend
from pipelines.core.errors import GateRefused
from pipelines.core.ledger import Entry, History, Ledger
from pipelines.core.store import Store


def model(digest: str) -> Ref:
    return Ref(name="model", digest=digest, codec="model", size=1)


def promotion(version: int, replaced: int | None = None) -> Entry:
    digests = (f"a{version}", f"b{version}")
    return Entry(
        kind="promotion",
        run=f"run-{version}",
        why="person",
        version=version,
        model=model(digests[0]),
        models=digests,
        replaced=replaced,
    )


def rollback(to: int, gone: int) -> Entry:
    return Entry(kind="rollback", run="cli", why="person", version=to, replaced=gone)


def history(*entries: Entry) -> History:
    return History(entries=entries)


def versions(found: History) -> tuple[int | None, int | None]:
    return found.champion and found.champion.version, found.previous and found.previous.version


def test_without_entries_there_is_nobody() -> None:
    empty = history()
    assert versions(empty) == (None, None)
    assert empty.incumbent("a") is None
    assert empty.baseline is None
    assert empty.blocked == set()


def test_a_rejection_moves_nothing() -> None:
    found = history(promotion(1), Entry(kind="rejection", run="r", why="w", models=("a9",)))
    assert versions(found) == (1, None)


def test_a_promotion_and_its_rollback() -> None:
    found = history(promotion(1), promotion(2, replaced=1))
    assert versions(found) == (2, 1)
    found = history(*found.entries, rollback(to=1, gone=2))
    assert versions(found) == (1, None)
    assert found.blocked == {"a2"}


def test_a_person_may_bring_back_what_was_rolled_back() -> None:
    found = history(promotion(1), promotion(2, 1), rollback(to=1, gone=2), rollback(to=2, gone=1))
    assert found.champion is not None
    assert found.champion.version == 2
    assert found.blocked == {"a1"}


def test_a_repeated_run_is_compared_with_the_one_before_it() -> None:
    found = history(promotion(1), promotion(2, 1))
    again = found.incumbent("a2")
    assert again is not None
    assert again.version == 1
    other = found.incumbent("a3")
    assert other is not None
    assert other.version == 2
    assert history(promotion(1)).incumbent("a1") is None


def test_another_winner_among_the_champions_own_candidates_is_compared_with_the_champion() -> None:
    found = history(promotion(1), promotion(2, 1)).incumbent("b2")
    assert found is not None
    assert found.version == 2


def test_a_version_that_is_promoted_again_goes_back_to_the_one_it_replaced_last() -> None:
    found = history(promotion(1), promotion(2, 1), promotion(1, 2))
    assert versions(found) == (1, 2)
    again = found.incumbent("a1")
    assert again is not None
    assert again.version == 2


def test_a_model_that_is_champion_again_serves_and_has_the_one_it_took_over_from_below_it() -> None:
    """Months that look alike have the same winner, so versions return: A, B, A, B."""
    found = history(promotion(1), promotion(2, 1), promotion(1, 2))
    assert versions(found) == (1, 2)
    assert found.champion == found.entries[2], "the artifacts are those of the newest promotion"
    found = history(*found.entries, promotion(2, 1))
    assert versions(found) == (2, 1)
    assert found.since == found.entries[-1].at
    found = history(*found.entries, rollback(to=1, gone=2))
    assert versions(found) == (1, None), "the one that was left is not gone back to"


def test_a_champion_restored_lies_above_the_one_it_took_over_from() -> None:
    found = history(promotion(1), promotion(2, 1), promotion(3, 2), rollback(2, 3), rollback(1, 2), rollback(3, 1))
    assert versions(found) == (3, 1)
    found = history(promotion(1), promotion(2, 1), promotion(3, 2), rollback(1, 3))
    assert versions(found) == (1, None)


MOVES = st.tuples(st.sampled_from(["promote", "back", "restore", "reject"]), st.integers(1, 4))


@given(st.lists(MOVES, max_size=16))
def test_whichever_versions_return_rollbacks_lead_down_and_end(moves: list[tuple[str, int]]) -> None:
    found = history()
    for move, version in moves:
        champion, previous = versions(found)
        below = found.served
        if move == "promote" and version != champion and f"a{version}" not in found.blocked:
            found = history(*found.entries, promotion(version, champion))
            assert versions(found) == (version, champion), "the last promotion serves, and can be gone back from"
            if version not in below:
                assert history(*found.entries, rollback(champion, version)).served == below if champion else below == ()
        elif move == "back" and champion is not None and previous is not None:
            found = history(*found.entries, rollback(previous, champion))
            assert found.served == below[:-1]
        elif move == "restore" and champion is not None and version != champion and found.version(version):
            found = history(*found.entries, rollback(version, champion))
            assert versions(found)[0] == version
        elif move == "reject":
            found = history(*found.entries, Entry(kind="rejection", run="r", why="w", version=version))
            assert found.served == below
        assert len(set(found.served)) == len(found.served)
        assert set(found.served) <= {e.version for e in found.moves}
        assert found.since == (found.moves[-1].at if found.moves else None)
        assert bool(found.served) == bool(found.moves), "a project that ever promoted keeps a champion"
        assert not found.champion or found.champion.model
        assert not found.champion or found.champion.model.digest not in found.blocked


def test_the_baseline_is_the_champions_newest() -> None:
    def baseline(version: int, digest: str) -> Entry:
        return Entry(kind="baseline", run="r", why="w", version=version, artifacts={"baseline": model(digest)})

    found = history(promotion(1), baseline(1, "old"), baseline(1, "new"), promotion(2, 1))
    assert found.baseline is None
    found = history(*found.entries, rollback(1, 2))
    assert found.baseline is not None
    assert found.baseline.digest == "new"


@given(st.lists(st.sampled_from(["promote", "reject", "rollback"]), max_size=12))
def test_whatever_happens_the_history_hangs_together(moves: list[str]) -> None:
    found, made = history(), 0
    for move in moves:
        champion, previous = versions(found)
        if move == "promote":
            made += 1
            found = history(*found.entries, promotion(made, champion))
            assert versions(found) == (made, champion)
        elif move == "rollback" and champion is not None and previous is not None:
            found = history(*found.entries, rollback(previous, champion))
            assert versions(found)[0] == previous
            assert f"a{champion}" in found.blocked
        elif move == "reject":
            found = history(*found.entries, Entry(kind="rejection", run="r", why="w"))
            assert versions(found) == (champion, previous)
    champion, previous = versions(found)
    assert (champion is None) == (made == 0), "a project that ever promoted keeps a champion"
    assert champion is None or champion != previous
    if found.champion and found.champion.model:
        assert found.champion.model.digest not in found.blocked


def test_entries_are_numbered_and_read_back_in_order(tmp_path: Path) -> None:
    ledger = Ledger(Store(FolderBackend(tmp_path)))
    for version in range(1, 13):
        assert ledger.append("toy", promotion(version, version - 1 or None)).number == version
    assert [entry.version for entry in ledger.history("toy").entries] == list(range(1, 13))
    assert ledger.history("other").entries == ()


def test_a_promotion_holds_only_while_its_opponent_is_champion(tmp_path: Path) -> None:
    ledger = Ledger(Store(FolderBackend(tmp_path)))
    ledger.append("toy", promotion(1), champion=None)
    with pytest.raises(
        GateRefused, match=r"toy: version 1 became champion while this run was compared with version None.*Run evaluate again"
    ):
        ledger.append("toy", promotion(2), champion=None)
    ledger.append("toy", promotion(2, 1), champion=1)
    assert len(ledger.history("toy").entries) == 2


def test_a_secret_in_a_reason_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_PASSWORD", "hunter2hunter2")
    ledger = Ledger(Store(FolderBackend(tmp_path)))
    why = "complaints; I looked with hunter2hunter2 at postgresql://ml:s3cr3t@crm/offers"
    written = ledger.append("toy", Entry(kind="rejection", run="cli", why=why))
    assert written.why == "complaints; I looked with *** at postgresql://ml:***@crm/offers"
    assert ledger.history("toy").entries == (written,)
    assert b"hunter2" not in b"".join(file.read_bytes() for file in tmp_path.rglob("*.json"))


def _append(root: str, worker: int, conditional: bool, results: Any) -> None:
    ledger = Ledger(Store(FolderBackend(Path(root))))
    if not conditional:
        results.put([ledger.append("toy", promotion(worker * 100 + n)).number for n in range(10)])
        return
    try:
        results.put([ledger.append("toy", promotion(worker + 1), champion=None).number])
    except GateRefused:
        results.put([])


@pytest.mark.parametrize(("conditional", "written"), [(False, 40), (True, 1)])
def test_processes_that_race_lose_nothing_and_only_one_promotes(tmp_path: Path, conditional: bool, written: int) -> None:
    context = multiprocessing.get_context("fork")
    results: Any = context.Queue()
    workers = [context.Process(target=_append, args=(str(tmp_path), n, conditional, results)) for n in range(4)]
    for worker in workers:
        worker.start()
    numbers = sorted(number for _ in workers for number in results.get(timeout=60))
    for worker in workers:
        worker.join()
    assert numbers == list(range(1, written + 1))
    assert len(Ledger(Store(FolderBackend(tmp_path))).history("toy").entries) == written
