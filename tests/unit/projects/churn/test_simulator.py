"""Simulated customers: the published schema, effects a model finds, drift by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.core.errors import ConfigError
from pipelines.parts.tabular import metrics
from pipelines.parts.tabular.crossval import Folds, held_out, measured
from pipelines.parts.tabular.models import Logistic
from pipelines.projects.churn import ChurnProject
from pipelines.projects.churn.simulator import DRIFTS, RATE, simulate

Load = Callable[..., pd.DataFrame]


def test_the_same_seed_writes_the_same_file_and_another_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        simulate(tmp_path / name, 50, seed, {})
    a, b, c = ((tmp_path / name / "telco_churn.csv").read_bytes() for name in "abc")
    assert a == b != c


def test_columns_are_the_real_ones(mirror: str | None, project: ChurnProject, load: Load) -> None:
    rows = load(50)
    assert tuple(rows.columns) == project.schema.names
    if mirror:
        real = pd.read_csv(next(Path(mirror).glob("telco_churn/*.csv")), dtype=str)
        assert list(rows.columns) == list(real.columns)
        for column in real.columns[(real.nunique() < 10).to_numpy()]:
            assert set(rows[column]) <= set(real[column]), column


def test_an_honest_model_finds_about_what_it_finds_in_the_real_rows(project: ChurnProject, load: Load) -> None:
    frame, y = project.inputs(project.check(load(6000)).data)
    plan = Folds(y, 1, 3)
    found = measured(held_out(Logistic(), frame, plan), plan, metrics.ranking)["roc_auc"].mean()
    assert 0.83 < found < 0.87
    assert y.mean() == pytest.approx(RATE, abs=0.02)


def rate(rows: pd.DataFrame) -> float:
    return float((rows["Churn"] == "Yes").mean())


SEEN = {
    "price_rise": (0.2, lambda rows: rows["MonthlyCharges"].astype(float).mean(), 10.0),
    "contract_shift": (0.5, lambda rows: (rows["Contract"] == "Month-to-month").mean(), 0.15),
    "newcomers": (0.3, lambda rows: (rows["tenure"].astype(int) <= 3).mean(), 0.2),
    "missing_charges": (0.2, lambda rows: (rows["TotalCharges"].str.strip() == "").mean(), 0.17),
    "fibre_trouble": (0.5, rate, 0.1),
}


@pytest.mark.parametrize("name", SEEN)
def test_each_drift_moves_what_it_says(load: Load, name: str) -> None:
    assert set(SEEN) == set(DRIFTS) - {"after"}
    strength, measure, least = SEEN[name]
    before, after = load(3000), load(3000, **{name: strength})
    assert measure(after) - measure(before) > least
    untouched = ["gender", "Partner", "InternetService", "PaperlessBilling"][: 4 if name != "contract_shift" else 3]
    for column in untouched:
        np.testing.assert_array_equal(before[column], after[column])


def test_a_drift_may_spare_the_first_rows(load: Load) -> None:
    before, after, mixed = load(100), load(100, price_rise=0.2), load(100, price_rise=0.2, after=0.6)
    pd.testing.assert_frame_equal(mixed, pd.concat([before[:60], after[60:]]))


def test_an_unknown_drift_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no drift 'price_ris'; did you mean 'price_rise'"):
        simulate(tmp_path, 10, 1, {"price_ris": 0.1})
