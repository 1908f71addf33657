"""Why a classifier says what it says: Shapley values, added up per concept, in points of probability, in words.

Shapley values are exact: for linear models ``coefficient × (value − mean)`` (Lundberg & Lee, NeurIPS 2017, features taken as
independent), for boosted trees XGBoost's own TreeSHAP, for forests the TreeSHAP of the `shap` package. Values
in log-odds are rescaled, row by row, to the change in probability they explain. So they add up over columns, and to the
calibrated probability.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.parts.tabular.models import Classifier, encoded, sigmoid

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

    from pipelines.parts.tabular.metrics import Vector


@dataclass(frozen=True)
class Explanation:
    """``base + values.sum(axis=1)`` is the probability of each row."""

    columns: tuple[str, ...]
    values: Vector
    """Of shape (rows, columns): points of probability, as fractions."""
    base: float
    """Probability for the average training row."""

    def by(self, concepts: Mapping[str, str]) -> Explanation:
        """The same with columns added up by concept. Columns without one keep their name."""
        names = tuple(dict.fromkeys(concepts.get(column, column) for column in self.columns))
        places = np.array([names.index(concepts.get(column, column)) for column in self.columns])
        summed = np.zeros((len(self.values), len(names)))
        np.add.at(summed.T, places, self.values.T)
        return Explanation(names, summed, self.base)

    def importance(self) -> list[tuple[str, float]]:
        """Columns with the mean size of their effect, largest first."""
        sizes = np.abs(self.values).mean(axis=0)
        return sorted(zip(self.columns, sizes.tolist(), strict=True), key=lambda pair: -pair[1])


def explain(model: Classifier, frame: pd.DataFrame) -> Explanation:
    """Each column's share in each row's calibrated probability, for one row or more.

    Raises TypeError for an estimator that is neither a linear model nor XGBoost nor a forest.
    """
    x, estimator = encoded(model.pipeline, frame[model.columns]), model.pipeline.steps[-1][1]
    values, start, link = _shapley_of(estimator)(estimator, x, model.centre)
    owners = np.array([model.columns.index(name) for name in _owners(model.pipeline)], dtype=np.intp)
    summed = np.zeros((len(x), len(model.columns)))
    np.add.at(summed.T, owners, values.T)
    base, reached = (model.calibrated(link(np.asarray(z))) for z in (start, start + summed.sum(axis=1)))
    return Explanation(tuple(model.columns), _rescaled(summed, reached - base), float(base))


def sentences(
    explanation: Explanation, phrase: Callable[[int, str], str], most: int = 3, smallest: float = 0.01
) -> list[list[str]]:
    """Per row the strongest reasons in words, such as "month-to-month contract raises the risk by 12 points".

    `phrase` says what a concept is in a row (its position); reasons below `smallest` are not worth a word.
    """
    found: list[list[str]] = []
    for row, values in enumerate(explanation.values):
        strongest = [int(i) for i in np.argsort(-np.abs(values), kind="stable")[:most] if abs(values[i]) >= smallest]
        found.append([_sentence(phrase(row, explanation.columns[i]), values[i]) for i in strongest])
    return found


def _sentence(what: str, value: float) -> str:
    points = max(1, round(abs(value) * 100))
    return f"{what} {'raises' if value > 0 else 'lowers'} the risk by {points} point{'s' if points > 1 else ''}"


def _shapley_of(estimator: Any) -> Callable[[Any, Vector, Vector], tuple[Vector, float, Any]]:
    """Encoded rows and their centre to values, the value they start from, and the link from their sum to a probability."""
    for attribute, shapley in _SHAPLEY.items():
        if hasattr(estimator, attribute):
            return shapley
    raise TypeError(f"no Shapley values for {type(estimator).__name__}; expected a linear model, XGBoost or a forest")


def _linear(estimator: Any, x: Vector, centre: Vector) -> tuple[Vector, float, Any]:
    weights = estimator.coef_[0]
    return (x - centre) * weights, float(estimator.intercept_[0] + centre @ weights), sigmoid


def _boosted(estimator: Any, x: Vector, centre: Vector) -> tuple[Vector, float, Any]:
    from xgboost import DMatrix

    both = estimator.get_booster().predict(DMatrix(np.vstack([x, centre])), pred_contribs=True)
    return np.asarray(both[:-1, :-1], dtype=np.float64), float(both[0, -1]), sigmoid


def _forest(estimator: Any, x: Vector, _: Vector) -> tuple[Vector, float, Any]:
    import shap

    explainer = shap.TreeExplainer(estimator)
    values = explainer.shap_values(x, check_additivity=False)[:, :, 1]
    return np.asarray(values), float(explainer.expected_value[1]), np.asarray


_SHAPLEY: dict[str, Callable[[Any, Vector, Vector], tuple[Vector, float, Any]]] = {
    "coef_": _linear,
    "estimators_": _forest,
    "get_booster": _boosted,
}
"""By the attribute that tells the kind of a fitted estimator."""


def _owners(fitted: Pipeline) -> list[str]:
    """The source column of each encoded column."""
    owners: list[str] = []
    for name, step, columns in fitted.named_steps["encode"].transformers_:
        levels = getattr(step, "categories_", None) if name == "categories" else None
        counts = [len(level) for level in levels] if levels is not None else [1] * len(columns)
        owners += [column for column, count in zip(columns, counts, strict=True) for _ in range(count)]
    return owners


def _rescaled(values: Vector, wanted: Vector) -> Vector:
    """Rows of `values` stretched so that each adds up to `wanted`; a row that adds up to nothing stays nothing."""
    total = values.sum(axis=1)
    tiny = np.abs(total) < 1e-12
    return np.asarray(values * np.where(tiny, 0.0, wanted / np.where(tiny, 1.0, total))[:, None])
