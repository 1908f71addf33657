"""A small table with everything a schema can say, and a project on it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.core.contract import Fit
from pipelines.parts.tabular.codecs import Skops
from pipelines.parts.tabular.project import TabularProject
from pipelines.parts.tabular.schema import Column, Rule, Schema

PLANS = ("basic", "plus", "pro")

SCHEMA = Schema(
    columns=(
        Column("id", "text", optional=True),
        Column("age", "integer", "years", low=18, high=100, mean=(25, 70)),
        Column("spend", "number", "USD a month", low=0, high=1_000, nullable=True, missing=0.2),
        Column("plan", "category", "what was booked", levels=PLANS),
        Column("since", "time", "first contract"),
        Column("left", "category", "the label", levels=("no", "yes")),
    ),
    target="left",
    ids=("id",),
    rules=(
        Rule(
            "the basic plan costs at most 50",
            ("plan", "spend"),
            lambda rows: (rows["plan"] != "basic") | rows["spend"].isna() | (rows["spend"] <= 50),
            broken={"plan": "basic", "spend": 60},
        ),
    ),
    rows=50,
    balance=(0.1, 0.6),
    extra="stop",
)


def make_rows(rows: int = 200, seed: int = 3) -> pd.DataFrame:
    """Rows as a CSV file has them: every cell text, some `spend` blank."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 90, rows)
    spend = rng.uniform(5, 50, rows).round(2).astype(str)
    spend[rng.random(rows) < 0.1] = " "
    return pd.DataFrame(
        {
            "id": [f"c{number:04d}" for number in range(rows)],
            "age": age.astype(str),
            "spend": spend,
            "plan": rng.choice(PLANS, rows),
            "since": [f"2024-{1 + number % 12:02d}-{1 + number % 28:02d}" for number in range(rows)],
            "left": np.where(rng.random(rows) < np.where(age < 40, 0.6, 0.2), "yes", "no"),
        },
        dtype=object,
    )


class Leavers(TabularProject[Any]):
    """A logistic regression on age and spend."""

    name = "leavers"
    schema = SCHEMA
    slice_by = ("plan",)
    model_codec = Skops()

    def engineer(self, rows: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"per_year": rows["spend"].fillna(0) / rows["age"]}, index=rows.index)

    def feature_docs(self) -> dict[str, str]:
        return {"per_year": "spend by age"}

    def fit(self, candidate: str, params: Any, train: Any, valid: Any, training: Any) -> Fit[Any]:
        from sklearn.linear_model import LogisticRegression

        return Fit(LogisticRegression().fit(train[["age", "per_year"]], self.truth(train)["label"]))

    def predict(self, model: Any, data: pd.DataFrame) -> dict[str, Any]:
        if not len(data):
            return {"probability": np.empty(0)}
        return {"probability": model.predict_proba(data[["age", "per_year"]])[:, 1]}

    def score(self, truth: Any, predictions: Any, params: Any) -> dict[str, float]:
        return {"accuracy": float(np.mean((predictions["probability"] > 0.5) == truth["label"]))}

    def figures(self, evidence: Any, folder: Any) -> None:
        raise AssertionError("nothing here draws")


@pytest.fixture(autouse=True)
def _temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data docs and other temporary folders go with the test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def schema() -> Schema:
    return SCHEMA


@pytest.fixture
def raw() -> pd.DataFrame:
    """200 good rows."""
    return make_rows()


@pytest.fixture
def project() -> Leavers:
    return Leavers()
