"""Binary classifiers over tables: preprocessing and estimator in one pipeline, calibrated, with a decision threshold.

`Recipe` is what params.yaml says of a candidate; `Classifier` is what is fitted, kept and served. A classifier holds plain
numbers, strings and scikit-learn pipelines only, so that skops can write it without code.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from pipelines.core.config import Strict
from pipelines.core.errors import ConfigError, did_you_mean
from pipelines.parts.tabular import imbalance
from pipelines.parts.tabular.imbalance import Imbalance

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

    from pipelines.parts.tabular.metrics import Vector


TRUSTED = ("pipelines.parts.tabular.models.Classifier", "numpy.dtype")
"""Types a model file of a `Classifier` holds beyond scikit-learn's own; for `Skops(trusted=TRUSTED)`."""


EDGE = 0.002
"""How far from 0 and 1 the log-odds of a probability are taken."""


class Classifier:
    """A fitted pipeline, calibrated by a sigmoid, and the probability from which it says yes."""

    def __init__(self, pipeline: Pipeline, columns: Sequence[str]) -> None:
        self.pipeline = pipeline
        self.columns = list(columns)
        """What it reads; further columns are ignored."""
        self.slope = 1.0
        self.intercept = 0.0
        self.threshold = 0.5
        self.centre: Vector = np.zeros(0)
        """Mean of the encoded training rows, the reference explanations start from."""

    def raw(self, frame: pd.DataFrame) -> Vector:
        """Probabilities before calibration, of shape (rows,)."""
        if frame.empty:
            return np.zeros(0)
        return np.asarray(self.pipeline.predict_proba(frame[self.columns])[:, 1], dtype=np.float64)

    def probability(self, frame: pd.DataFrame) -> Vector:
        """Calibrated probabilities of the positive class, of shape (rows,)."""
        return self.calibrated(self.raw(frame))

    def calibrated(self, p: Vector) -> Vector:
        """Raw probabilities made honest."""
        return sigmoid(self.slope * logit(p) + self.intercept)

    def decide(self, probability: Vector) -> Vector:
        """Whether each probability is high enough to act, of shape (rows,)."""
        return np.asarray(probability >= self.threshold)


class Recipe(Strict, ABC):
    """A candidate as params.yaml gives it: starting values for the search, or the values when nothing is tuned."""

    imbalance: Imbalance = "none"
    jobs: int = Field(1, ge=1)
    """Threads of one fit."""
    ignore: tuple[str, ...] = ()
    """Columns it does not look at. They stay in the data, for slices and reports."""
    scaled: ClassVar[bool] = False
    """Whether numeric columns are standardised first."""

    @abstractmethod
    def estimator(self, seed: int) -> Any:
        """The unfitted estimator."""

    @abstractmethod
    def space(self, trial: Any) -> dict[str, Any]:
        """Values of the tuned fields, suggested by an Optuna trial."""

    def fit(self, frame: pd.DataFrame, y: Vector, seed: int) -> Pipeline:
        """A pipeline fitted on these rows only: imputing, encoding, (re)weighting or resampling, and the estimator."""
        seen = frame[self.sees(frame)]
        return imbalance.fit(pipeline(seen, self.estimator(seed), self.scaled), seen, y, self.imbalance, seed)

    def sees(self, frame: pd.DataFrame) -> list[str]:
        """The columns of `frame` it looks at. Raises ConfigError for an ignored column that is not there."""
        if unknown := [name for name in self.ignore if name not in frame.columns]:
            known = did_you_mean(unknown[0], map(str, frame.columns))
            raise ConfigError(f"train.candidates, ignore: there is no column {unknown[0]!r}; {known}")
        return [name for name in frame.columns if name not in self.ignore]

    def tuned(self, values: Mapping[str, Any]) -> Recipe:
        """This recipe with some values replaced, checked again."""
        return type(self).model_validate({**self.model_dump(), **values})


class Logistic(Recipe):
    """L2-regularised logistic regression."""

    c: float = Field(0.1, gt=0)
    """Inverse strength of the penalty."""
    scaled: ClassVar[bool] = True

    def estimator(self, seed: int) -> Any:
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(C=self.c, max_iter=2000, random_state=seed)

    def space(self, trial: Any) -> dict[str, Any]:
        return {"c": trial.suggest_float("c", 0.003, 3.0, log=True)}


class Forest(Recipe):
    """Random forest."""

    trees: int = Field(200, gt=0)
    leaf: int = Field(8, gt=0)
    """Fewest rows in a leaf."""
    columns: float = Field(0.2, gt=0, le=1)
    """Share of the columns each split looks at."""

    def estimator(self, seed: int) -> Any:
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(
            self.trees, min_samples_leaf=self.leaf, max_features=self.columns, n_jobs=self.jobs, random_state=seed
        )

    def space(self, trial: Any) -> dict[str, Any]:
        return {
            "leaf": trial.suggest_int("leaf", 3, 30, log=True),
            "columns": trial.suggest_float("columns", 0.05, 0.5, log=True),
        }


class Boosted(Recipe):
    """Gradient-boosted trees (XGBoost, histogram method)."""

    trees: int = Field(300, gt=0)
    depth: int = Field(3, gt=0)
    rate: float = Field(0.04, gt=0, le=1)
    rows: float = Field(0.7, gt=0, le=1)
    """Share of the rows each tree sees."""
    columns: float = Field(0.4, gt=0, le=1)
    """Share of the columns each tree sees."""
    weight: float = Field(8.0, ge=0)
    """Smallest sum of hessians in a leaf."""
    penalty: float = Field(5.0, ge=0)
    """L2 penalty on leaf values."""

    def estimator(self, seed: int) -> Any:
        from xgboost import XGBClassifier

        return XGBClassifier(
            n_estimators=self.trees,
            max_depth=self.depth,
            learning_rate=self.rate,
            subsample=self.rows,
            colsample_bytree=self.columns,
            min_child_weight=self.weight,
            reg_lambda=self.penalty,
            tree_method="hist",
            n_jobs=self.jobs,
            random_state=seed,
        )

    def space(self, trial: Any) -> dict[str, Any]:
        return {
            "trees": trial.suggest_int("trees", 100, 500, step=50),
            "depth": trial.suggest_int("depth", 2, 4),
            "rate": trial.suggest_float("rate", 0.01, 0.1, log=True),
            "columns": trial.suggest_float("columns", 0.2, 0.8),
            "weight": trial.suggest_float("weight", 2.0, 40.0, log=True),
        }


def pipeline(frame: pd.DataFrame, estimator: Any, scaled: bool) -> Pipeline:
    """An unfitted pipeline for the columns of `frame`: `impute`, `encode`, `model`.

    Numbers that are missing become the median; a missing category is a category; unseen categories encode as zeros.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = list(frame.select_dtypes("number").columns)
    categories = [column for column in frame.columns if column not in numbers]
    impute = ColumnTransformer(
        [
            ("numbers", SimpleImputer(strategy="median", keep_empty_features=True), numbers),
            ("categories", SimpleImputer(strategy="constant", fill_value="missing", keep_empty_features=True), categories),
        ],
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    encode = ColumnTransformer(
        [
            ("numbers", StandardScaler() if scaled else "passthrough", numbers),
            ("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False), categories),
        ],
        verbose_feature_names_out=False,
    )
    return Pipeline([("impute", impute), ("encode", encode), ("model", estimator)])


def encoded(fitted: Pipeline, frame: pd.DataFrame) -> Vector:
    """What the estimator of a fitted pipeline sees, of shape (rows, encoded columns)."""
    return np.asarray(fitted[:-1].transform(frame))


def logit(p: Vector) -> Vector:
    """Log-odds of probabilities drawn a little towards one half, so that a forest's 0 and 1 stay finite and keep their order."""
    inner = EDGE + (1 - 2 * EDGE) * p
    return np.asarray(np.log(inner / (1 - inner)))


def sigmoid(x: Vector) -> Vector:
    """Probabilities of log-odds: the inverse of the usual logit, 1 / (1 + exp(-x))."""
    return np.asarray(1 / (1 + np.exp(-x)))
