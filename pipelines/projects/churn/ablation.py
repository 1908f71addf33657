"""What each group of features is worth, by cross-validation of the rows given: training rows only, in the feature report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pipelines.parts.tabular import metrics
from pipelines.parts.tabular.crossval import Folds, compared, held_out, measured
from pipelines.parts.tabular.models import Recipe
from pipelines.projects.churn.features import left_out

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.parts.tabular.metrics import Vector


def worth(recipe: Recipe, frame: pd.DataFrame, y: Vector, groups: Iterable[str], seed: int) -> dict[str, Any]:
    """What each group adds to the source's columns in ROC-AUC, with its 95 % interval, by cross-validation of `frame`."""
    plan = Folds(y, 3, 5, seed)

    def scores(without: Iterable[str]) -> Vector:
        seen = frame.drop(columns=[column for column in without if column in frame.columns])
        return measured(held_out(recipe, seen, plan), plan, metrics.ranking)["roc_auc"]

    every = list(groups)
    base = scores(left_out([]))
    found: dict[str, Any] = {"source columns only": {"roc_auc": float(base.mean())}}
    for group in every:
        gain = compared(scores(left_out([group])), base, plan)
        low, high = gain.interval()
        found[group] = {"gain": gain.value, "low": low, "high": high}
    return found
