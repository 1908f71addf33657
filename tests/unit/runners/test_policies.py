"""Policies rehearsed on a year in which the line turns in spring: never trains once, drift trains when it must."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipelines.cli import main
from pipelines.core.discovery import Definition
from pipelines.core.execution import Session
from pipelines.core.settings import Settings
from pipelines.runners.policies import mean_of
from tests.conftest import write_toy_data

Sessions = Callable[..., Session]
SPAN = ("--from", "2025-02-03", "--to", "2025-05-12", "--every", "3", "--profile", "sample")
LABELLED = "\nToy.labelled = lambda self, data: data\nPROJECT = Toy\n"


@pytest.fixture
def turning(toy: Definition, tmp_path: Path) -> Definition:
    """The toy: what its first rows say lies in x0, what the last quarter says in x1, where the first hardly differ."""
    write_toy_data(tmp_path / "toy.csv", 4000)
    table = np.loadtxt(tmp_path / "toy.csv", delimiter=",")
    for rows, telling in ((table[:3000], 0), (table[3000:], 1)):
        rows[:, 2] = rows[:, telling] > 0
        rows[:, 1 - telling] *= 0.05
    np.savetxt(tmp_path / "toy.csv", table, delimiter=",", fmt=["%.6f", "%.6f", "%d"])
    params = toy.folder / "params.yaml"
    params.write_text(params.read_text().replace("backlog: 0.5", "backlog: 0.5\n  order: file\nwindow: 2"))
    module = toy.folder / "__init__.py"
    module.write_text(module.read_text().replace("\nPROJECT = Toy\n", LABELLED))
    deployment = toy.folder / "deployment.yaml"
    deployment.write_text(deployment.read_text() + "\nretraining: {cooldown: PT0S, per_week: 10}\n")
    return toy


@pytest.mark.slow
def test_a_year_under_each_policy(
    turning: Definition, settings: Settings, toy_session: Sessions, capsys: pytest.CaptureFixture[str]
) -> None:
    def rehearsed() -> dict[str, dict]:  # type: ignore[type-arg]
        assert main(["policies", "toy", *SPAN, "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert Path(document["plot"]).read_bytes().startswith(b"\x89PNG")
        return {year["policy"]: year for year in document["policies"]}

    years = rehearsed()
    never, always, drift = (years[name] for name in ("never", "always", "drift"))
    assert (never["trainings"], always["trainings"]) == (1, 5)
    assert 1 < drift["trainings"] < 5
    assert never["mean"]["value"] < drift["mean"]["value"]
    assert drift["gain"]["value"] > 0
    versions = [week["version"] for week in drift["weeks"]]
    assert versions == sorted(versions, key=lambda version: version or 0), "who serves a window was promoted before it"
    assert never["weeks"][0]["metric"] is None
    assert toy_session().ledger.history("toy").champion is None, "what serves is not touched"
    assert rehearsed() == years, "the same year again goes as it went"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--policy", "sometimes"], "no policy 'sometimes'; there are never, always, drift"),
        (["--from", "2025-05-05", "--to", "2025-05-06"], "the span holds fewer than two windows"),
    ],
)
def test_what_cannot_be_rehearsed(
    toy: Definition, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["policies", "toy", "--profile", "sample", *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_the_interval_of_a_mean_allows_for_windows_that_share_rows() -> None:
    series = np.repeat(np.random.default_rng(1).normal(size=200), 4)  # each value four times over
    naive, honest = mean_of(series, 1), mean_of(series, 8)
    assert honest.high - honest.low > 1.6 * (naive.high - naive.low)
    assert np.isnan(mean_of(np.array([np.nan]), 4).value)
