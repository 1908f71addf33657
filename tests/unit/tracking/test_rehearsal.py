"""A rehearsal decides for itself: what serves is neither asked nor touched, and a year goes the same way twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from pipelines.alerts.alert import of_run
from pipelines.core.errors import ConfigError
from pipelines.core.execution import Session
from pipelines.core.ledger import History, Ledger
from pipelines.core.run import Run
from pipelines.core.settings import Settings
from pipelines.runners import in_process
from pipelines.tracking.runs import MlflowTracker
from pipelines.tracking.versions import Versions

Sessions = Callable[..., Session]
JANUARY, MARCH = datetime(2025, 1, 20, tzinfo=UTC), datetime(2025, 3, 24, tzinfo=UTC)


def train(toy_session: Sessions, **how: Any) -> dict[str, Any]:
    """Run the whole chain; what became of the winner."""
    session = toy_session(**how)
    results = in_process.run(session, tracker=MlflowTracker(session.settings))
    MlflowTracker(session.settings).finish(session, "FINISHED")
    told: dict[str, Any] = session.read(results["promote"].outputs["promotion"])
    return told


def known(toy_session: Sessions, as_of: datetime, rehearsal: str = "") -> History:
    return toy_session(as_of=as_of, rehearsal=rehearsal).ledger.history("toy")


def test_a_rehearsal_has_a_champion_of_its_own(toy_session: Sessions, settings: Settings) -> None:
    assert train(toy_session, as_of=MARCH)["champion"] == 1
    serving = known(toy_session, MARCH)
    told = train(toy_session, as_of=JANUARY, rehearsal="weekly")
    assert (told["outcome"], told["version"], told["replaced"]) == ("promoted", 1, None)
    assert known(toy_session, MARCH) == serving
    assert len(known(toy_session, MARCH, "weekly").entries) == len(serving.entries)
    assert Versions(settings, "toy").aliases() == Versions(settings, "toy-weekly").aliases() == {"champion": 1}


def test_the_past_knows_nothing_of_what_came_after(toy_session: Sessions) -> None:
    later = train(toy_session, as_of=MARCH, rehearsal="weekly", id="march")
    assert known(toy_session, JANUARY, "weekly").champion is None
    assert train(toy_session, as_of=JANUARY, rehearsal="weekly", id="january")["replaced"] is None
    now = known(toy_session, MARCH, "weekly").champion
    assert now is not None
    assert now.version == later["version"], "in the time of the data March comes after January, whatever was run first"
    before = known(toy_session, MARCH, "weekly")
    assert train(toy_session, as_of=JANUARY, rehearsal="weekly", id="january") == train(
        toy_session, as_of=JANUARY, rehearsal="weekly", id="january"
    )
    assert known(toy_session, MARCH, "weekly") == before, "the same year again adds nothing"


def test_what_was_trained_is_shared(toy_session: Sessions) -> None:
    train(toy_session, as_of=MARCH)
    session = toy_session(as_of=MARCH, rehearsal="weekly")
    results = in_process.run(session, tracker=MlflowTracker(session.settings))
    assert [name for name, result in results.items() if not result.reused] == ["promote", "baseline"]


def test_it_alerts_nobody(toy_session: Sessions) -> None:
    session = toy_session(as_of=MARCH, rehearsal="weekly", overrides={"gates.floors": {"accuracy": 1.0}})
    in_process.run(session, tracker=MlflowTracker(session.settings))
    assert known(toy_session, MARCH, "weekly").entries[0].kind == "rejection"
    assert of_run(session, "success") == []


def test_records_of_results_are_not_its_own(toy_session: Sessions) -> None:
    store = toy_session().store
    rehearsed = store.rehearsing("weekly")
    store.create("memo/toy/a.json", b"1")
    rehearsed.create("ledger/toy/000001.json", b"{}")
    assert rehearsed.read("memo/toy/a.json") == b"1"
    assert store.read("ledger/toy/000001.json") is None
    assert store.keys("rehearsals/") == ["rehearsals/weekly/ledger/toy/000001.json"]
    rehearsed.remove("ledger/toy/000001.json")
    assert Ledger(rehearsed).history("toy").entries == ()


@pytest.mark.parametrize("name", ["../x", "Weekly", "a b", "x" * 42])
def test_its_name_is_plain(name: str) -> None:
    with pytest.raises(ConfigError, match=r"rehearsal is .*; expected lower-case letters"):
        Run(project="toy", rehearsal=name)
