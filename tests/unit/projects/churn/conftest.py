"""Simulated customers, made once: these tests need no data but what they make."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipelines.core.config import Params, load_params, validated
from pipelines.core.contract import Fit, Splits, Training, Window
from pipelines.core.discovery import SHIPPED
from pipelines.projects.churn import ChurnProject
from pipelines.projects.churn.simulator import simulate

ALWAYS = Window(None, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture(scope="session")
def project() -> ChurnProject:
    return ChurnProject()


@pytest.fixture(scope="session")
def params() -> Params:
    return load_params(SHIPPED / "churn" / "params.yaml", "sample")


@pytest.fixture(scope="session")
def load(project: ChurnProject, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., pd.DataFrame]:
    """Raw simulated rows: ``load(rows=500, seed=1, price_rise=0.2)``."""

    def raw(rows: int = 900, seed: int = 1, **drift: float) -> pd.DataFrame:
        folder = tmp_path_factory.mktemp("telco")
        simulate(folder, rows, seed, drift)
        return project.load(folder, ALWAYS)

    return raw


@pytest.fixture(scope="session")
def cleaned(project: ChurnProject, load: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    checked = project.check(load())
    assert not checked.report.failed
    return checked.data


@pytest.fixture(scope="session")
def splits(project: ChurnProject, cleaned: pd.DataFrame, params: Params) -> Splits[pd.DataFrame]:
    own = validated(project.feature_params, params.features, "features")
    return project.features(project.split(cleaned, params.split, 7), own).splits


@pytest.fixture(scope="session")
def score(project: ChurnProject, params: Params) -> Any:
    return partial(project.score, params=validated(project.score_params, params.score, "score"))


@pytest.fixture(scope="session")
def fit(project: ChurnProject, splits: Splits[pd.DataFrame], params: Params, score: Any) -> Callable[[str], Fit[Any]]:
    """One candidate of the sample profile, fitted afresh at each call."""

    def fitted(candidate: str) -> Fit[Any]:
        own = validated(project.candidate_params[candidate], params.train.candidates[candidate], candidate)
        training = Training(7, 0, 60, "roc_auc", True, "", "test", score, workdir=Path())
        return project.fit(candidate, own, splits.train, splits.valid, training)

    return fitted


@pytest.fixture(scope="session")
def fits(fit: Callable[[str], Fit[Any]], params: Params) -> dict[str, Fit[Any]]:
    return {candidate: fit(candidate) for candidate in params.train.candidates}
