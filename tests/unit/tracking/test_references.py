"""Whoever is made champion by hand, or by a run that was killed, can be monitored: its reference comes from its own run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.cli import doctor, main
from pipelines.core.discovery import Definition
from pipelines.core.execution import Session
from pipelines.core.settings import Settings
from pipelines.runners import in_process
from pipelines.tracking import registry
from pipelines.tracking.overrule import overrule
from pipelines.tracking.references import freeze
from pipelines.tracking.runs import MlflowTracker

Sessions = Callable[..., Session]
Run = Callable[..., tuple[Session, dict[str, Any]]]


@pytest.fixture
def run(toy_session: Sessions, settings: Settings) -> Run:
    """A run of the toy on record, with whatever is asked of its gates, up to a stage."""

    def make(*stages: str, **overrides: Any) -> tuple[Session, dict[str, Any]]:
        session = toy_session(overrides={"gates.not_worse_by": 1.0, **overrides})
        return session, in_process.run(session, stages, tracker=MlflowTracker(settings))

    return make


def refused(run: Run, seed: int = 8) -> tuple[Session, dict[str, Any]]:
    return run(seed=seed, **{"gates.floors": {"accuracy": 0.9999}})


def monitored(toy_session: Sessions) -> dict[str, Any]:
    session = toy_session("monitoring")
    verdict: dict[str, Any] = session.read(in_process.run(session)["decide"].outputs["verdict"])
    return verdict


def test_a_version_promoted_by_a_person_is_monitored_and_stays_champion(
    run: Run, toy_session: Sessions, settings: Settings
) -> None:
    run()
    before = registry.history("toy", settings).baseline
    session, done = refused(run)
    told: list[str] = []
    overrule(settings, "toy", why="the floor was a joke", tell=told.append)
    assert told == []
    past = registry.history("toy", settings)
    assert past.baseline is not None
    assert past.baseline != before
    with np.load(session.read(past.baseline) / "reference.npz") as arrays:
        test = session.read(done["features"].outputs["test"])
        np.testing.assert_array_equal(arrays["x0"], test["x"][:, 0])
    assert monitored(toy_session)["champion"] == 2
    assert [entry.kind for entry in past.entries] == ["promotion", "baseline", "rejection", "promotion", "baseline"]
    assert past.champion is not None
    assert past.champion.version == 2


def test_the_run_again_finds_the_reference_that_was_frozen(run: Run, settings: Settings) -> None:
    refused(run)
    overrule(settings, "toy")
    past = registry.history("toy", settings)
    _, again = refused(run)
    assert again["baseline"].outputs["baseline"] == past.baseline
    assert registry.history("toy", settings) == past
    assert freeze(settings, "toy") is None, "it has one"


def test_a_run_killed_before_its_last_stage_is_made_good_by_the_doctor(
    run: Run, toy_session: Sessions, settings: Settings
) -> None:
    assert freeze(settings, "toy") is None, "nobody serves"
    run("promote")
    [wrong] = doctor.references(doctor.Case(settings, mend=False))
    assert wrong == ("wrong", "toy: version 1 serves and has no drift reference; `pipelines doctor` freezes one")
    [mended] = doctor.references(doctor.Case(settings, mend=True))
    assert mended == ("mended", "toy: version 1 had no drift reference; one is frozen from its run's test rows")
    assert monitored(toy_session)["champion"] == 1
    assert list(doctor.references(doctor.Case(settings, mend=True))) == [("ok", "every champion has its drift reference")]


@pytest.mark.parametrize("gone", ["records", "rows"])
def test_without_the_rows_of_its_run_the_version_serves_and_a_person_is_told(run: Run, settings: Settings, gone: str) -> None:
    session, done = refused(run)
    store = Path(settings.store)
    if gone == "records":
        shutil.rmtree(store / "runs" / "toy" / session.run.id / "nodes")
    else:  # as retention leaves an old run
        for digest in session.store.manifest(done["features"].outputs["test"].digest).objects:
            (store / "objects" / digest[:2] / digest).unlink()
    told: list[str] = []
    assert overrule(settings, "toy", tell=told.append).version == 1
    assert told[0].startswith("Version 1 of toy serves, and monitoring cannot judge it, for no reference could be frozen")
    [(state, what)] = doctor.references(doctor.Case(settings, mend=True))
    assert state == "wrong"
    assert f"none can be frozen: the store no longer has what run {session.run.id} tested version 1 on" in what
    assert not [said for said in (*told, what) if "pipelines run" in said or "--fresh" in said], "nothing that would train"


def test_the_models_that_lost_are_not_needed(run: Run, settings: Settings) -> None:
    session, done = refused(run)
    lost = next(
        n for n in ("train-linear", "train-centroid") if session.read(done["evaluate"].outputs["decision"])["winner"] not in n
    )
    for digest in session.store.manifest(done[lost].outputs["model"].digest).objects:
        (Path(settings.store) / "objects" / digest[:2] / digest).unlink()
    told: list[str] = []
    overrule(settings, "toy", tell=told.append)
    assert told == []


def test_a_run_that_left_mlflow_out_is_on_record_all_the_same(
    toy: Definition, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = ("run", "toy", "--profile", "sample", "--no-track", "--set", "gates.floors={accuracy: 0.9999}")
    assert main(list(refused)) == 1
    assert main(["promote", "toy"]) == 0
    assert "monitoring cannot judge it" not in capsys.readouterr().err
    assert registry.history("toy", settings).baseline is not None
