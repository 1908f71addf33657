"""Repeated stratified cross-validation of recipes: what a number is worth before it is believed.

Everything that is fitted is fitted inside the fold. Folds share training rows, so their scores are not independent:
standard errors and intervals use the correction of Nadeau & Bengio (Machine Learning 52, 2003), which multiplies the
variance of J fold scores by ``1/J + n_test/n_train`` instead of ``1/J``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.parts.tabular.fitting import folds
from pipelines.parts.tabular.models import Recipe

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.parts.tabular.metrics import Vector

Measure = Callable[["Vector", "Vector"], Mapping[str, float]]
"""Labels and probabilities of the held-out rows of one fold to metrics."""


@dataclass(frozen=True)
class Folds:
    """The same folds for everything that is compared."""

    y: Vector
    repeats: int = 10
    count: int = 5
    seed: int = 0

    def pairs(self) -> list[tuple[Vector, Vector]]:
        """Positions to fit on and held out, `repeats` × `count` of them."""
        return [pair for repeat in range(self.repeats) for pair in folds(self.y, self.seed + repeat, self.count)]


@dataclass(frozen=True)
class Mean:
    """Mean over folds of a score, or of a paired difference, with its corrected standard error."""

    value: float
    error: float
    folds: int

    @classmethod
    def of(cls, scores: Vector, count: int) -> Mean:
        """From one score a fold, of `count` folds a repeat."""
        scale = 1 / scores.size + 1 / (count - 1)
        return cls(float(scores.mean()), float(np.sqrt(scale * scores.var(ddof=1))), scores.size)

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """From Student's t with folds - 1 degrees of freedom."""
        from scipy.stats import t

        half = float(t.ppf((1 + confidence) / 2, self.folds - 1)) * self.error
        return self.value - half, self.value + half


def held_out(recipe: Recipe, frame: pd.DataFrame, plan: Folds, jobs: int = 1) -> list[Vector]:
    """Per fold the probabilities of its held-out rows."""
    from joblib import Parallel, delayed  # type: ignore[import-untyped]

    work = (delayed(_one)(recipe, frame, plan.y, pair, plan.seed) for pair in plan.pairs())
    found: list[Vector] = Parallel(n_jobs=jobs)(work)
    return found


def measured(probabilities: list[Vector], plan: Folds, measure: Measure) -> dict[str, Vector]:
    """Per metric one score a fold."""
    rows = [measure(plan.y[held], p) for (_, held), p in zip(plan.pairs(), probabilities, strict=True)]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def compared(scores: Vector, other: Vector, plan: Folds) -> Mean:
    """Mean of `scores` minus `other`, fold by fold."""
    return Mean.of(scores - other, plan.count)


def _one(recipe: Recipe, frame: pd.DataFrame, y: Vector, pair: tuple[Vector, Vector], seed: int) -> Any:
    kept, held = pair
    return recipe.fit(frame.iloc[kept], y[kept], seed).predict_proba(frame.iloc[held])[:, 1]
