"""From a recipe and rows to a calibrated classifier with a threshold. Test rows are never seen here.

Tuning and calibration use folds of the training rows; the threshold and the learning curve use the validation rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.core.contract import Arrays, Fit, Training
from pipelines.core.errors import DataError
from pipelines.parts.tabular import tuning
from pipelines.parts.tabular.models import Classifier, Recipe, encoded, logit

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.parts.tabular.metrics import Vector

FOLDS = 4
CURVE = (0.2, 0.4, 0.7)
"""Shares of the training rows on the learning curve, before all of them."""
THRESHOLDS = np.round(np.arange(0.02, 0.981, 0.01), 2)


def fit_classifier(
    recipe: Recipe,
    rows: tuple[pd.DataFrame, Vector],
    valid: tuple[pd.DataFrame, Vector],
    training: Training,
    arrays: Callable[[Vector, Vector, Vector], tuple[Arrays, Arrays]],
    utility: str,
) -> Fit[Classifier]:
    """Tune, cross-fit, calibrate and fit one classifier, and choose its threshold.

    `arrays` turns labels, probabilities and decisions into the truth and predictions `training.score` takes; `utility` is
    the metric the threshold makes largest on `valid`. Raises DataError when a class has fewer than two training rows.
    """
    frame, y = rows
    _has_both_classes(y)

    def headline(labels: Vector, p: Vector) -> float:
        return training.score(*arrays(labels, p, p >= 0.5))[training.metric]

    best, trials = tuned(recipe, frame, y, training, headline)
    model = Classifier(best.fit(frame, y, training.seed), best.sees(frame))
    model.centre = encoded(model.pipeline, frame).mean(axis=0)
    model.slope, model.intercept = calibration(cross_fitted(best, frame, y, training.seed), y)
    p = model.probability(valid[0])
    model.threshold = best_threshold(lambda t: training.score(*arrays(valid[1], p, p >= t))[utility])
    curve = learning_curve(best, model, rows, valid, training.seed, headline)
    return Fit(model, {**best.model_dump(mode="json"), "threshold": model.threshold}, trials, curve)


def _has_both_classes(y: Vector) -> None:
    """Calibration and tuning fit on one part of the training rows and look at another, so each needs a row of each class."""
    no, yes = np.bincount(np.asarray(y, dtype=int), minlength=2)
    if min(no, yes) < 2:
        raise DataError(
            f"{len(y):,} training rows hold {no} of the one class and {yes} of the other; expected at least two of each. Give more "
            "rows (ingest, split.rows), or a larger share of them for training (split.valid, split.test)"
        )


def tuned(
    recipe: Recipe, frame: pd.DataFrame, y: Vector, training: Training, headline: Callable[[Vector, Vector], float]
) -> tuple[Recipe, list[dict[str, Any]]]:
    """The recipe with the values that did best in cross-validation, and the trials; as it is when there are none."""
    if training.trials == 0:
        return recipe, []

    def scores(values: Mapping[str, Any]) -> Iterator[float]:
        candidate = recipe.tuned(values)
        for kept, held in folds(y, training.seed):
            fitted = candidate.fit(frame.iloc[kept], y[kept], training.seed)
            yield headline(y[held], fitted.predict_proba(frame.iloc[held])[:, 1])

    best, trials = tuning.search(scores, recipe.space, recipe.model_dump(), training)
    return recipe.tuned(best), trials


def cross_fitted(recipe: Recipe, frame: pd.DataFrame, y: Vector, seed: int) -> Vector:
    """Each row's probability from a model that was fitted without it, of shape (rows,)."""
    probabilities = np.zeros(len(y))
    for kept, held in folds(y, seed + 1):
        fitted = recipe.fit(frame.iloc[kept], y[kept], seed)
        probabilities[held] = fitted.predict_proba(frame.iloc[held])[:, 1]
    return probabilities


def folds(y: Vector, seed: int, count: int = FOLDS) -> Iterator[tuple[Vector, Vector]]:
    """Stratified folds as positions to fit on and positions held out; fewer where a class is too small for `count`."""
    from sklearn.model_selection import StratifiedKFold

    smallest = int(np.bincount(np.asarray(y, dtype=int), minlength=2).min())
    splitter = StratifiedKFold(max(2, min(count, smallest)), shuffle=True, random_state=seed)
    return iter(splitter.split(np.zeros(len(y)), y))


def calibration(p: Vector, y: Vector) -> tuple[float, float]:
    """Slope and intercept of the sigmoid on the log-odds that makes held-out probabilities `p` honest (Platt, 1999)."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1e6, max_iter=1000).fit(logit(p).reshape(-1, 1), y)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


def best_threshold(utility: Callable[[float], float]) -> float:
    """The middle of the thresholds of largest utility: on a plateau its edges are chance."""
    values = np.array([utility(float(t)) for t in THRESHOLDS])
    return float(np.median(THRESHOLDS[values >= np.nanmax(values) - 1e-12]))


def learning_curve(
    recipe: Recipe,
    model: Classifier,
    rows: tuple[pd.DataFrame, Vector],
    valid: tuple[pd.DataFrame, Vector],
    seed: int,
    headline: Callable[[Vector, Vector], float],
) -> list[dict[str, float]]:
    """Headline metric on the rows fitted on and on the validation rows, for growing shares of the training rows.

    `model` is the one fitted on all of them: the last step.
    """
    order = np.random.default_rng(seed).permutation(len(rows[1]))
    curve = []
    for portion in (*CURVE, 1.0):
        part = np.sort(order[: max(20, round(portion * order.size))])
        frame, y = rows[0].iloc[part], rows[1][part]
        step = model if portion == 1 else Classifier(recipe.fit(frame, y, seed), model.columns)
        scores = {"train": headline(y, step.raw(frame)), "valid": headline(valid[1], step.raw(valid[0]))}
        curve.append({"rows": float(part.size), **scores})
    return curve
