"""Each experiment prints its table, on simulated customers."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from pipelines.core.config import Params, load_params
from pipelines.core.contract import Window
from pipelines.core.discovery import SHIPPED
from pipelines.projects.churn import ChurnProject, study
from pipelines.projects.churn.study import Study

ALWAYS = Window(None, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def small(cleaned: pd.DataFrame, params: Params) -> Study:
    return Study.of(cleaned.head(500), params, repeats=1, source="simulator")


def cells(printed: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("| ").split("|")] for line in printed.splitlines() if line.startswith("|")][2:]


def test_cross_validation(small: Study, capsys: pytest.CaptureFixture[str]) -> None:
    study.cv(small)
    rows = cells(capsys.readouterr().out)
    assert [row[0] for row in rows] == ["logistic", "forest", "xgboost", "mean of logistic and xgboost"]
    assert all(0.7 < float(row[1].split()[0]) < 0.95 for row in rows)


def test_resampling_before_the_split_pretends(small: Study, capsys: pytest.CaptureFixture[str]) -> None:
    study.imbalances(small)
    rows = cells(capsys.readouterr().out)
    assert len(rows) == 12
    honest = {row[0]: float(row[2]) for row in rows if row[1] == "SMOTENC inside the folds"}
    pretended = {row[0]: float(row[2].strip("()")) for row in rows if row[1] == "SMOTENC before the split"}
    assert all(pretended[name] > honest[name] + 0.02 for name in honest)


def test_the_leak_is_a_leak(small: Study, capsys: pytest.CaptureFixture[str]) -> None:
    study.leak(small)
    areas = [float(row[4]) for row in cells(capsys.readouterr().out)]
    assert areas[0] > areas[1] + 0.05
    assert areas[2] > areas[3] + 0.1


def test_ablation_compares_every_group(small: Study, capsys: pytest.CaptureFixture[str]) -> None:
    study.ablation(small)
    rows = cells(capsys.readouterr().out)
    assert len(rows) == 2 * 14
    assert {row[1] for row in rows} >= {"source columns only", "+ contract", "all but contract", "as configured"}


def test_the_goal_is_reached_on_the_real_rows(mirror: str | None, project: ChurnProject) -> None:
    """Two of the ten repeats behind the README: logistic regression, everything fitted inside the folds."""
    if mirror is None:
        pytest.skip("no mirror of the real data on this machine")
    cleaned = project.check(project.load(Path(mirror) / "telco_churn", ALWAYS)).data
    real = Study.of(cleaned, load_params(SHIPPED / "churn" / "params.yaml"), repeats=2)
    found = real.scores(real.recipe("logistic"), real.default())
    assert len(real.y) == 7043
    assert found["roc_auc"].mean() >= 0.850
    assert found["pr_auc"].mean() >= 0.671


def test_an_unknown_experiment_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        study.main(["lek"])
    assert stop.value.code == 2
    assert "invalid choice: 'lek'" in capsys.readouterr().err
