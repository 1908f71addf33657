"""Promotion in human hands: what the person sees, and that the answer decides, is kept and is asked for once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from toy_chain import promote

from pipelines.core.approvals import Answer
from pipelines.core.discovery import Definition
from pipelines.core.evidence import Criterion, Decision
from pipelines.core.execution import Session
from pipelines.core.settings import Settings
from pipelines.tracking import records, registry
from pipelines.tracking.client import connect
from pipelines.tracking.overrule import overrule
from pipelines.tracking.review import answered, review

Sessions = Callable[..., Session]
Chain = Callable[..., dict[str, Any]]
YES = Answer(approved=True, by="ada", why="looks right")
NO = Answer(approved=False, by="ada", why="the week of the strike is in it")


@pytest.fixture
def asking(toy: Definition) -> None:
    """The toy wants its promotions approved."""
    with (toy.folder / "deployment.yaml").open("a") as stream:
        stream.write("approval: required\n")


@pytest.fixture
def decided(toy_session: Sessions, chain: Chain, asking: None) -> Callable[..., tuple[Session, dict[str, Any]]]:
    """A run up to its decision, on record as a runner leaves it."""

    def make(**how: Any) -> tuple[Session, dict[str, Any]]:
        session = toy_session()
        done = chain(session, **how)
        for result in done.values():
            records.remember(session, result)
        return session, done

    return make


def test_the_reviewer_sees_the_evidence(decided: Any) -> None:
    session, _ = decided()
    text = review(session)
    assert text is not None
    assert "**linear**: accuracy 0.9000 [0.8500, 0.9500], data from simulator." in text
    assert "There is no champion yet." in text
    assert "| ✓ | floor: accuracy | ≥ 0.8 | 0.9000 |" in text
    assert "| accuracy | 0.9000 [0.8500, 0.9500] |" in text
    assert "| files, sha256 |  | toy.csv ab |" in text


def test_without_an_answer_nothing_is_promoted(decided: Any, settings: Settings) -> None:
    told = promote(*decided())
    assert told["outcome"] == "refused"
    assert "refused: awaits approval; approve it in Airflow's DAG toy_training, or `pipelines promote toy" in told["reason"]
    assert overrule(settings, "toy", why="I have looked at it").kind == "promotion"


def test_a_yes_promotes_and_stays_with_the_version(decided: Any, settings: Settings) -> None:
    session, done = decided()
    answered(session, YES)
    assert promote(session, done)["outcome"] == "promoted"
    (entry,) = registry.history("toy", settings).entries
    assert entry.approval == YES
    tags = connect(settings).get_model_version("toy", "1").tags
    assert (tags["approval"], tags["approval.by"], tags["approval.why"]) == ("approved", "ada", "looks right")


def test_a_no_is_a_rejection_with_its_reason(decided: Any, settings: Settings) -> None:
    session, done = decided()
    answered(session, NO)
    told = promote(session, done)
    assert told["outcome"] == "refused"
    assert "rejected by ada" in told["reason"]
    assert "the week of the strike is in it" in told["reason"]
    assert registry.history("toy", settings).champion is None


def test_the_first_answer_stands(decided: Any) -> None:
    session, _ = decided()
    assert answered(session, NO) == NO
    assert answered(session, YES) == NO


def test_a_secret_in_an_answer_is_not_kept(decided: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_PASSWORD", "hunter2hunter2")
    session, done = decided()
    answered(session, Answer(approved=True, by="ada", why="as hunter2hunter2 shows"))
    promote(session, done)
    (entry,) = registry.history("toy", settings).entries
    assert entry.approval
    assert entry.approval.why == "as *** shows"


def test_a_yes_after_a_run_that_could_not_ask(decided: Any, settings: Settings) -> None:
    assert promote(*decided())["outcome"] == "refused"
    session, done = decided()
    assert review(session) is not None
    answered(session, YES)
    told = promote(session, done)
    assert (told["outcome"], told["version"]) == ("promoted", 1)
    assert connect(settings).get_model_version("toy", "1").tags["decision"] == "accepted"


def test_nobody_is_asked_in_vain(decided: Any, settings: Settings) -> None:
    assert review(decided(accept=False, model=5.0)[0]) is None  # the gates refused
    session, done = decided()
    answered(session, NO)
    assert review(session) is None  # somebody has answered
    session, done = decided(model=2.0)
    answered(session, YES)
    promote(session, done)
    assert review(decided(model=2.0)[0]) is None  # it serves
    session, done = decided(model=3.0, incumbent=registry.history("toy", settings).champion.version)
    answered(session, YES)
    promote(session, done)
    registry.rollback(settings, "toy", why="complaints")
    assert review(decided(model=3.0, incumbent=2)[0]) is None  # it was rolled back


def test_against_a_champion_the_reviewer_sees_both(decided: Any) -> None:
    session, done = decided()
    answered(session, YES)
    promote(session, done)
    text = review(decided(model=2.0, incumbent=1)[0])
    assert text is not None
    assert "| metric | linear | champion |" in text
    assert "| source | simulator | simulator |" in text


def test_cells_cannot_break_the_table() -> None:
    from pipelines.tracking.review import _table

    assert _table(["a"], [["x | y\nz"]]).splitlines()[-1] == "| x \\| y z |"


def test_names_from_data_are_words_in_what_the_reviewer_sees(decided: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    evil = "<img src=x onerror=alert(1)> ![seen](http://elsewhere/pixel.png) a|b"
    given = Decision.model_validate
    criterion = Criterion(name=evil, wanted=evil, found=evil, passed=True)
    monkeypatch.setattr(Decision, "model_validate", lambda told: given({**told, "criteria": [criterion], "source": evil}))
    text = review(decided()[0])
    assert text is not None
    assert "alert(1)" in text
    assert "<" not in text
    assert "](" not in text
    assert "a\\|b" in text
