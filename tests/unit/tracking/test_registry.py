"""Promotion, refusal, rollback and repair, on the embedded database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_chain import promote

from pipelines.core.errors import ConfigError, DataError, GateRefused, InfrastructureError
from pipelines.core.execution import Session
from pipelines.core.settings import Settings
from pipelines.parts.arrays import Arrays
from pipelines.runners import in_process
from pipelines.tracking import registry
from pipelines.tracking.client import connect
from pipelines.tracking.lineage import lineage
from pipelines.tracking.runs import MlflowTracker
from pipelines.tracking.versions import MODEL, Versions

Sessions = Callable[..., Session]
Chain = Callable[..., dict[str, Any]]


def aliases(settings: Settings) -> dict[str, int]:
    return Versions(settings, "toy").aliases()


def version_numbers(settings: Settings) -> list[int]:
    return sorted(int(version.version) for version in connect(settings).search_model_versions("name = 'toy'"))


def promoted(toy_session: Sessions, chain: Chain, model: float, incumbent: int | None = None, **how: Any) -> dict[str, Any]:
    session = toy_session()
    return promote(session, chain(session, model=model, incumbent=incumbent, **how))


def test_promotion_registers_tags_and_points(toy_session: Sessions, chain: Chain, settings: Settings) -> None:
    told = promoted(toy_session, chain, 1.0)
    assert {key: told[key] for key in ("outcome", "version", "champion", "replaced", "candidate", "entry")} == {
        "outcome": "promoted",
        "version": 1,
        "champion": 1,
        "replaced": None,
        "candidate": "linear",
        "entry": 1,
    }
    assert aliases(settings) == {"champion": 1}
    version = connect(settings).get_model_version("toy", "1")
    assert version.tags[MODEL] == told["model"]
    assert version.tags["data.source"] == "simulator"
    assert version.tags["stage.train-linear.fingerprint"] == "mark-of-train-linear"
    assert version.tags["seed"] == "7"
    assert "accuracy 0.9000 [0.8500, 0.9500]" in version.description
    run = connect(settings).get_run(version.run_id)
    assert run.data.tags["pipelines.run"] == told["run"]


def test_the_same_decision_twice_changes_nothing(toy_session: Sessions, chain: Chain, settings: Settings) -> None:
    first = promoted(toy_session, chain, 1.0)
    before = registry.history("toy", settings)
    assert promoted(toy_session, chain, 1.0) == first
    assert registry.history("toy", settings) == before
    assert version_numbers(settings) == [1]


def test_a_winner_that_serves_already_is_not_promoted_again(toy_session: Sessions, chain: Chain, settings: Settings) -> None:
    first = promoted(toy_session, chain, 1.0)
    second = toy_session(fresh=True)  # evaluated anew: another latency, another decision document
    assert promote(second, chain(second, incumbent=7)) == first
    assert len(registry.history("toy", settings).entries) == 1


def test_nothing_left_to_do_needs_no_mlflow(toy_session: Sessions, chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    first = promoted(toy_session, chain, 1.0)
    monkeypatch.setattr("pipelines.tracking.versions.connect", lambda settings: pytest.fail("MLflow was asked"))
    monkeypatch.setattr("pipelines.tracking.runs.connect", lambda settings: pytest.fail("MLflow was asked"))
    assert promoted(toy_session, chain, 1.0) == first


def test_refusal_is_written_down_once_and_serves_nobody(toy_session: Sessions, chain: Chain, settings: Settings) -> None:
    promoted(toy_session, chain, 1.0)
    told = promoted(toy_session, chain, 2.0, incumbent=1, accept=False)
    assert promoted(toy_session, chain, 2.0, incumbent=1, accept=False) == told
    assert (told["outcome"], told["version"], told["champion"]) == ("refused", 2, 1)
    assert "floor: accuracy: wanted ≥ 0.8, found 0.9000" in told["reason"]
    assert [entry.kind for entry in registry.history("toy", settings).entries] == ["promotion", "rejection"]
    assert aliases(settings) == {"champion": 1, "challenger": 2}
    assert connect(settings).get_model_version("toy", "2").tags["decision"] == "refused"


def test_a_challenger_that_is_accepted_later_keeps_its_version(toy_session: Sessions, chain: Chain, settings: Settings) -> None:
    promoted(toy_session, chain, 1.0)
    promoted(toy_session, chain, 2.0, incumbent=1, accept=False)
    told = promoted(toy_session, chain, 2.0, incumbent=1)
    assert (told["outcome"], told["version"], told["replaced"]) == ("promoted", 2, 1)
    assert version_numbers(settings) == [1, 2]
    assert aliases(settings) == {"champion": 2, "previous": 1}


def test_what_mlflow_says_of_a_version_follows_its_newest_decision(
    toy_session: Sessions, chain: Chain, settings: Settings
) -> None:
    strict = toy_session(overrides={"gates.rows": 2}, runner="airflow", engine={"dag_id": "toy_training"})
    assert promote(strict, chain(strict, accept=False))["outcome"] == "refused"
    client = connect(settings)
    assert client.get_model_version("toy", "1").tags["airflow.dag_id"] == "toy_training"
    client.set_model_version_tag("toy", "1", "reviewed", "by a person")

    lenient = toy_session()
    assert promote(lenient, chain(lenient))["version"] == 1
    version = client.get_model_version_by_alias("toy", "champion")
    entry = registry.find("toy", "champion", settings)
    assert (version.tags["decision"], version.description) == ("accepted", entry.why)
    assert entry.run == lenient.run.id
    assert {key: version.tags[key] for key in entry.lineage} == entry.lineage
    assert "airflow.dag_id" not in version.tags, "it was the refused run's"
    assert version.tags["reviewed"] == "by a person"


def test_a_later_refusal_of_what_serves_leaves_its_version_as_it_was(
    toy_session: Sessions, chain: Chain, settings: Settings
) -> None:
    promoted(toy_session, chain, 1.0)
    before = connect(settings).get_model_version("toy", "1")
    assert promoted(toy_session, chain, 1.0, accept=False)["outcome"] == "refused"
    after = connect(settings).get_model_version_by_alias("toy", "champion")
    assert (after.tags, after.description) == (before.tags, before.description)


def test_rollback_restores_the_one_before_and_blocks_the_other(toy_session: Sessions, chain: Chain, settings: Settings) -> None:
    promoted(toy_session, chain, 1.0)
    promoted(toy_session, chain, 2.0, incumbent=1)
    started = time.monotonic()
    entry = registry.rollback(settings, "toy", why="complaints")
    assert time.monotonic() - started < 3
    assert (entry.version, entry.replaced, entry.why) == (1, 2, "complaints")
    assert aliases(settings) == {"champion": 1}

    again = promoted(toy_session, chain, 2.0, incumbent=1)
    assert again["outcome"] == "refused"
    assert "served as version 2 and was rolled back (complaints)" in again["reason"]
    assert "pipelines rollback toy --to 2" in again["reason"]
    assert promoted(toy_session, chain, 2.0, incumbent=1) == again
    assert aliases(settings) == {"champion": 1}
    assert version_numbers(settings) == [1, 2]

    registry.rollback(settings, "toy", to=2, why="it was right")
    assert aliases(settings)["champion"] == 2


def test_a_model_that_wins_again_is_champion_again_and_can_be_gone_back_from(
    toy_session: Sessions, chain: Chain, settings: Settings
) -> None:
    """The same months in turn: model A, B, A, B."""
    promoted(toy_session, chain, 1.0)
    promoted(toy_session, chain, 2.0, incumbent=1)
    third = promoted(toy_session, chain, 1.0, incumbent=2)
    assert (third["outcome"], third["version"], third["champion"], third["replaced"]) == ("promoted", 1, 1, 2)
    assert aliases(settings) == {"champion": 1, "previous": 2}
    assert lineage("toy", settings=settings)["replaced_by"] is None, "it serves"
    fourth = promoted(toy_session, chain, 2.0, incumbent=1)  # the decision of the second run, to the letter
    assert (fourth["outcome"], fourth["version"], fourth["champion"], fourth["entry"]) == ("promoted", 2, 2, 4)
    assert promoted(toy_session, chain, 2.0, incumbent=1) == fourth
    assert aliases(settings) == {"champion": 2, "previous": 1}
    assert version_numbers(settings) == [1, 2]
    entry = registry.rollback(settings, "toy", why="complaints")
    assert (entry.version, entry.replaced) == (1, 2)
    with pytest.raises(GateRefused, match=r"no champion of toy is left before version 1.*--to VERSION` restores any of 2"):
        registry.rollback(settings, "toy")


@contextmanager
def silenced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody answers meanwhile when aliases are to be moved."""

    def silent(*arguments: Any) -> None:
        raise InfrastructureError("MLflow at http://nowhere does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(Versions, "point", silent)
        yield


@pytest.mark.parametrize("remedy", ["the next run", "doctor"])
def test_a_rollback_while_mlflow_is_down_is_done_and_its_aliases_follow(
    remedy: str, toy_session: Sessions, chain: Chain, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted(toy_session, chain, 1.0)
    promoted(toy_session, chain, 2.0, incumbent=1)
    told: list[str] = []
    with silenced(monkeypatch):
        entry = registry.rollback(settings, "toy", why="complaints", tell=told.append)
    assert (entry.version, entry.replaced) == (1, 2)
    assert registry.find("toy", "champion", settings).version == 1
    [sentence] = told
    assert "does not answer" in sentence
    assert "`pipelines doctor`; there is nothing to repeat" in sentence
    assert aliases(settings) == {"champion": 2, "previous": 1}
    if remedy == "doctor":
        assert registry.repair("toy", settings)["moved"] == {"champion": [2, 1], "previous": [1, None]}
    else:
        promoted(toy_session, chain, 1.0)
    assert aliases(settings) == {"champion": 1}


def test_a_dag_run_rolls_back_once_however_often_its_task_runs(
    toy_session: Sessions, chain: Chain, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for model, incumbent in ((1.0, None), (2.0, 1), (3.0, 2)):
        promoted(toy_session, chain, model, incumbent)
    with silenced(monkeypatch):
        first = registry.rollback(settings, "toy", why="complaints", run="rollback.monday")
    assert registry.rollback(settings, "toy", why="complaints", run="rollback.monday") == first
    assert aliases(settings) == {"champion": 2, "previous": 1}, "cleared, the task brings them along"
    assert registry.rollback(settings, "toy", why="still", run="rollback.tuesday").version == 1


def test_rollback_says_why_it_cannot(toy_session: Sessions, chain: Chain, settings: Settings) -> None:
    with pytest.raises(GateRefused, match=r"no champion yet.*pipelines run toy"):
        registry.rollback(settings, "toy")
    promoted(toy_session, chain, 1.0)
    with pytest.raises(GateRefused, match="first champion of toy"):
        registry.rollback(settings, "toy")
    with pytest.raises(ConfigError, match="version 9 of toy never was champion; those that were: 1"):
        registry.rollback(settings, "toy", to=9)
    with pytest.raises(ConfigError, match="champion of toy already"):
        registry.rollback(settings, "toy", to=1)
    with pytest.raises(ConfigError, match="did you mean 'toy'"):
        registry.rollback(settings, "tooy")


def test_a_decision_against_a_champion_of_yesterday_is_refused(toy_session: Sessions, chain: Chain, settings: Settings) -> None:
    promoted(toy_session, chain, 1.0)
    with pytest.raises(GateRefused, match=r"version 1 became champion.*compared with version None.*evaluate again"):
        promoted(toy_session, chain, 2.0, incumbent=None)
    assert version_numbers(settings) == [1]
    assert len(registry.history("toy", settings).entries) == 1


def test_another_winner_among_the_same_models_is_promoted_there_and_back(toy_session: Sessions, settings: Settings) -> None:
    """What is asked of the same candidates changes, and changes back; each run repeated does nothing."""

    def run(metric: str, greater: bool) -> tuple[dict[str, Any], str]:
        overrides = {"evaluate.metric": metric, "evaluate.greater_is_better": greater, "gates.not_worse_by": 1.0}
        session = toy_session(overrides=overrides)
        done = in_process.run(session, tracker=MlflowTracker(settings))
        told = session.read(done["promote"].outputs["promotion"])
        again = in_process.run(toy_session(overrides=overrides), tracker=MlflowTracker(settings))
        assert {name for name, result in again.items() if not result.reused} <= {"ingest"}
        return {key: told[key] for key in ("outcome", "champion", "replaced")}, told["candidate"]

    assert run("accuracy", True) == ({"outcome": "promoted", "champion": 1, "replaced": None}, "linear")
    assert run("brier", False) == ({"outcome": "promoted", "champion": 2, "replaced": 1}, "centroid")
    assert aliases(settings) == {"champion": 2, "previous": 1}
    assert run("accuracy", True) == ({"outcome": "promoted", "champion": 1, "replaced": 2}, "linear")
    assert aliases(settings) == {"champion": 1, "previous": 2}
    assert version_numbers(settings) == [1, 2]
    assert registry.rollback(settings, "toy").version == 2
    assert run("accuracy", True)[0]["outcome"] == "refused"
    assert aliases(settings)["champion"] == 2


class Killed(BaseException):
    """Stands for the death of the process; nothing of ours catches it."""


POINTS = [
    "pipelines.tracking.runs.MlflowTracker._claim",
    "pipelines.tracking.flavour.write",
    "mlflow.tracking.MlflowClient.log_model_artifacts",
    "mlflow.tracking.MlflowClient.finalize_logged_model",
    "mlflow.tracking.MlflowClient.create_registered_model",
    "mlflow.tracking.MlflowClient.create_model_version",
    "pipelines.core.ledger.Ledger.append",
    "mlflow.tracking.MlflowClient.set_registered_model_alias",
    "pipelines.core.execution.save",
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_and_run_again_makes_one_version(
    point: str, when: str, toy_session: Sessions, chain: Chain, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = toy_session()
    done = chain(session)
    place, _, name = point.rpartition(".")
    owner = __import__(place, fromlist=[""]) if place.islower() else _class(place)
    real = getattr(owner, name)

    def die(*args: Any, **kwargs: Any) -> None:
        if when == "after":
            real(*args, **kwargs)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, die)
        with pytest.raises(Killed):
            promote(session, done)
    told = promote(session, done)
    assert (told["outcome"], told["version"]) == ("promoted", 1)
    assert version_numbers(settings) == [1]
    assert [entry.kind for entry in registry.history("toy", settings).entries] == ["promotion"]
    assert aliases(settings) == {"champion": 1}
    client = connect(settings)
    experiment = client.get_experiment_by_name("toy").experiment_id
    assert len(client.search_logged_models([experiment])) == 1
    MlflowTracker(settings).finish(session, "FINISHED")


def _class(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(__import__(module, fromlist=[""]), name)


def test_repair_undoes_what_was_moved_by_hand(toy_session: Sessions, chain: Chain, settings: Settings) -> None:
    promoted(toy_session, chain, 1.0)
    promoted(toy_session, chain, 2.0, incumbent=1)
    client = connect(settings)
    client.set_registered_model_alias("toy", "champion", "1")
    client.delete_registered_model_alias("toy", "previous")
    client.set_registered_model_alias("toy", "shadow", "1")
    told = registry.repair("toy", settings)
    assert told == {
        "aliases": {"champion": 2, "previous": 1},
        "moved": {"champion": [1, 2], "previous": [None, 1]},
        "lost": [],
    }
    assert registry.repair("toy", settings)["moved"] == {}
    assert client.get_registered_model("toy").aliases["shadow"] == 1


def test_repair_tells_of_versions_mlflow_lost(toy_session: Sessions, chain: Chain, settings: Settings) -> None:
    promoted(toy_session, chain, 1.0)
    promoted(toy_session, chain, 2.0, incumbent=1)
    connect(settings).delete_model_version("toy", "1")
    assert registry.repair("toy", settings)["lost"] == [1]
    assert registry.load("toy", "previous", settings).answers([[1.0, 2.0]])  # the store still has it


def test_load_by_number_and_alias(toy_session: Sessions, chain: Chain, settings: Settings) -> None:
    promoted(toy_session, chain, 1.0)
    promoted(toy_session, chain, 5.0, incumbent=1)
    rows = [[1.0, 0.0]]
    champion, first = (registry.load("toy", version, settings).answers(rows)[0] for version in ("champion", 1))
    assert champion["probability"] > first["probability"]
    assert registry.load("toy", "previous", settings).answers(rows) == [first]
    assert registry.load("toy", "2", settings).answers([]) == []
    with pytest.raises(ConfigError, match="no version 'champoin'; did you mean 'champion'"):
        registry.find("toy", "champoin", settings)
    with pytest.raises(DataError, match="two numbers"):
        registry.load("toy", settings=settings).answers([[1.0]])


def test_a_damaged_model_is_not_loaded(toy_session: Sessions, chain: Chain, settings: Settings) -> None:
    digest = promoted(toy_session, chain, 1.0)["model"]
    stored = Path(settings.store) / "objects" / digest[:2] / digest
    stored.chmod(0o644)
    stored.write_bytes(b"x" + stored.read_bytes()[1:])
    with pytest.raises(DataError, match="damaged"):
        registry.load("toy", settings=settings)


def test_predictions_are_the_models(toy_session: Sessions, chain: Chain, settings: Settings) -> None:
    promoted(toy_session, chain, 1.0)
    [answer] = registry.load("toy", settings=settings).answers(np.array([[1.0, 2.0]]))
    assert answer["probability"] == pytest.approx(1 / (1 + np.exp(-2.0)))


class InAFolder(Arrays):
    """A model of several files, as most are."""

    def write(self, value: Any, path: Path) -> None:
        path.mkdir()
        super().write(value, path / "weights.npz")

    def read(self, path: Path) -> Any:
        return super().read(path / "weights.npz")


def test_a_model_that_was_registered_and_used_leaves_no_copy_behind(
    toy_session: Sessions, chain: Chain, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "machine").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "machine"))
    monkeypatch.setattr(type(toy_session().project), "model_codec", InAFolder())
    promoted(toy_session, chain, 1.0)
    served = registry.load("toy", "champion", settings)
    assert served.answers(np.array([[0.1, 1.0]]))
    del served
    assert [str(path) for path in (tmp_path / "machine").rglob("*") if path.is_file()] == []
