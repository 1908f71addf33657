"""The body of train: what a project's `fit` is given, what is kept of it, and what a killed process leaves."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.contract import Training
from pipelines.core.discovery import Definition
from pipelines.core.errors import ConfigError
from pipelines.core.execution import Session, execute
from pipelines.data import sources
from pipelines.data.catalog import Entry
from pipelines.runners import in_process


@pytest.fixture
def spied(toy_session: Callable[..., Session]) -> Callable[..., tuple[Session, list[Training]]]:
    """A session of the toy whose `fit` notes what it is given and then does `during`."""

    def opened(during: Callable[[Training], Any] = lambda training: None, **run: Any) -> tuple[Session, list[Training]]:
        session = toy_session(**run)
        given: list[Training] = []
        fit = session.project.fit

        def spy(candidate: str, params: Any, train: Any, valid: Any, training: Training) -> Any:
            given.append(training)
            during(training)
            return fit(candidate, params, train, valid, training)

        session.project.fit = spy  # type: ignore[method-assign]
        return session, given

    return opened


def train(session: Session, **kwargs: Any) -> Any:
    done = in_process.run(session, ["features"])
    return execute(session, session.graph.node("train-linear"), done, **kwargs)


def test_fit_is_given_what_params_say_and_its_scores_are_kept(spied: Any) -> None:
    told: list[str] = []
    session, given = spied(
        lambda training: training.progress(1, 2, "half way"), overrides={"train.trials": 3, "train.seconds": 9, "seed": 5}
    )
    result = train(session, progress=lambda done, total, message: told.append(message))
    [training] = given
    assert (training.trials, training.seconds, training.seed, training.metric) == (3, 9, 5, "accuracy")
    assert told == ["half way"]
    fit = session.read(result.outputs["fit"])
    assert set(fit) == {"candidate", "params", "trials", "curve", "valid", "resources"}
    assert fit["candidate"] == "linear"
    assert fit["valid"]["accuracy"] > 0.8


def test_published_files_are_handed_to_fit_and_named_beside_the_scores(
    spied: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"weights"
    sha256 = hashlib.sha256(content).hexdigest()
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "w.pth").write_bytes(content)
    monkeypatch.setenv("PIPELINES_MIRROR", str(tmp_path / "mirror"))
    file = {"name": "weights.pth", "sha256": sha256, "bytes": len(content), "mirror": "w.pth"}
    made = Entry.model_validate({"title": "W", "task": "weights", "licence": "CC0", "files": [file]})
    monkeypatch.setattr(sources, "entry", lambda *_: made)
    found: list[bytes] = []
    session, _ = spied(lambda training: found.extend((training.resource("w") / "weights.pth").read_bytes() for _ in range(2)))
    fit = session.read(train(session).outputs["fit"])
    assert found == [content, content]
    origin = str(tmp_path / "mirror" / "w.pth")
    assert fit["resources"] == {"w": {"source": "mirror", "origin": origin, "files": {"weights.pth": sha256}}}


def test_an_unknown_resource(spied: Any) -> None:
    session, _ = spied(lambda training: training.resource("efficientnet_lite"))
    with pytest.raises(ConfigError, match=r"there is no 'efficientnet_lite' in the data catalog .* 'efficientnet_lite0'"):
        train(session)


def test_a_model_is_reused_until_the_entry_of_its_published_files_changes(
    spied: Any, toy: Definition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another entry is no reason to train; other weights are one."""
    monkeypatch.setenv("PIPELINES_MIRROR", str(tmp_path))

    def publish(name: str, content: bytes) -> None:
        (tmp_path / f"{name}.pth").write_bytes(content)
        file = f"{{name: w.pth, sha256: {hashlib.sha256(content).hexdigest()}, bytes: {len(content)}, mirror: {name}.pth}}"
        (toy.folder / "catalog").mkdir(exist_ok=True)
        (toy.folder / "catalog" / f"{name}.yaml").write_text(f"title: W\ntask: weights\nlicence: MIT\nfiles: [{file}]\n")

    found: list[bytes] = []
    studies: list[Training] = []

    def trained() -> bool:
        session, given = spied(lambda training: found.append((training.resource("weights") / "w.pth").read_bytes()))
        assert train(session).reused == (not given)
        studies.extend(given)
        return bool(given)

    source = toy.folder / "__init__.py"
    source.write_text(source.read_text() + "\nWEIGHTS = 'weights'\n")
    publish("weights", b"one")
    assert (trained(), trained()) == (True, False)
    publish("unrelated", b"other")
    assert not trained()
    publish("weights", b"two")
    assert (trained(), trained()) == (True, False)
    assert found == [b"one", b"two"]
    assert len({training.study_name for training in studies}) == 2, "no search goes on with other weights"


def test_a_resource_named_nowhere_is_not_given_out(spied: Any) -> None:
    """Its entry could change without the model being made again."""
    session, _ = spied(lambda training: training.resource("_".join(["efficientnet", "lite0"])))
    with pytest.raises(
        ConfigError, match=r"'linear' asks for the resource 'efficientnet_lite0', a name that stands .*; write it out"
    ):
        train(session)
    named = {"train.candidates.centroid": {"weights": "efficientnet_lite0"}}
    assert list(spied(overrides=named)[0].resources) == ["efficientnet_lite0"]


def test_the_study_is_named_after_the_inputs_and_removed_afterwards(spied: Any) -> None:
    session, given = spied(lambda training: (training.workdir / "checkpoint").write_text("half"))
    result = train(session)
    [training] = given
    assert training.study == f"journal://{training.workdir / 'study.journal'}"
    assert training.workdir == session.settings.home / "studies" / result.fingerprint
    assert training.study_name == f"linear-{result.fingerprint[:16]}"
    assert not training.workdir.exists()


def test_a_killed_process_finds_its_checkpoints_again(spied: Any) -> None:
    def die(training: Training) -> None:
        (training.workdir / "checkpoint").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(spied(die)[0])
    found: list[str] = []
    train(spied(lambda training: found.append((training.workdir / "checkpoint").read_text()))[0])
    assert found == ["half"]


@pytest.mark.parametrize("storage", ["", "sqlite:///studies.db"])
def test_two_processes_with_the_same_inputs_do_not_share_a_study(
    spied: Any, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINES_STUDY", storage)
    given: list[Training] = []

    def meanwhile(training: Training) -> None:
        given.append(training)
        with (training.workdir / "lock").open("w") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if len(given) == 1:
            session, _ = spied(given.append, fresh=False)
            train(session)

    session, _ = spied(meanwhile)
    train(session)
    first, second = given
    assert first.workdir != second.workdir
    assert first.study_name != second.study_name


def test_a_folder_that_its_last_user_has_just_removed_is_not_worked_in(spied: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A third process would make it anew, with a lock of its own, and two would work there."""
    flock = fcntl.flock

    def late(stream: Any, how: int) -> None:
        if "studies" in str(getattr(stream, "name", "")):
            shutil.rmtree(Path(stream.name).parent)
        flock(stream, how)

    session, given = spied()
    with monkeypatch.context() as once:
        once.setattr(fcntl, "flock", late)
        train(session)
    assert session.settings.home not in given[0].workdir.parents


def test_an_outside_storage_is_used_and_a_fresh_run_starts_anew_in_it(spied: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINES_STUDY", "sqlite:///studies.db")
    session, given = spied()
    train(session)
    fresh, again = spied(fresh=True)
    train(fresh)
    assert given[0].study == again[0].study == "sqlite:///studies.db"
    assert again[0].study_name == f"{given[0].study_name}-{fresh.run.id}"


def test_a_typo_in_a_candidates_parameters(spied: Any) -> None:
    session, _ = spied(overrides={"train.candidates.linear": {"rigde": 1}})
    with pytest.raises(ConfigError, match=r"train\.candidates\.linear.*\n.*rigde: unknown key; did you mean 'ridge'\?"):
        train(session)


def test_a_metric_that_the_project_does_not_compute_is_wrong_use(spied: Any) -> None:
    """Also where fitting itself asks for it, as tuning and learning curves do."""
    message = r"(?s)metrics that the project does not compute.*evaluate.metric: there is no metric 'bogus'; known: 'accuracy', "

    def tune(training: Training) -> None:
        with pytest.raises(ConfigError, match=message):
            training.score({"y": [1]}, {"probability": [0.5]})

    session, _ = spied(tune, overrides={"evaluate.metric": "bogus"})
    with pytest.raises(ConfigError, match=message):
        train(session)
