"""From a recipe and rows to a calibrated classifier with a threshold. Test rows are never seen here.

Tuning and calibration use folds of the training rows; the threshold and the learning curve use the validation rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.core.contract import Arrays, Fit, Training
from pipelines.parts.tabular import tuning
from pipelines.parts.tabular.models import Classifier, Recipe, encoded, logit

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.parts.tabular.metrics import Vector

FOLDS = 4
CURVE = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Shares of the training rows on the learning curve."""
THRESHOLDS = np.round(np.arange(0.02, 0.981, 0.01), 2)


def fit_classifier(
    recipe: Recipe | Sequence[Recipe],
    rows: tuple[pd.DataFrame, Vector],
    valid: tuple[pd.DataFrame, Vector],
    training: Training,
    arrays: Callable[[Vector, Vector, Vector], tuple[Arrays, Arrays]],
    utility: str,
) -> Fit[Classifier]:
    """Tune, cross-fit, calibrate and fit one classifier, and choose its threshold.

    Several recipes give the mean of their models, each tuned with an equal share of the trials. `arrays` turns labels,
    probabilities and decisions into the truth and predictions `training.score` takes; `utility` is the metric the
    threshold makes largest on `valid`.
    """
    frame, y = rows

    def headline(labels: Vector, p: Vector) -> float:
        return training.score(*arrays(labels, p, p >= 0.5))[training.metric]

    recipes = [recipe] if isinstance(recipe, Recipe) else list(recipe)
    chosen: list[Recipe] = []
    trials: list[dict[str, Any]] = []
    for number, one in enumerate(recipes):
        best, tried = tuned(one, frame, y, share(training, number, len(recipes)), headline)
        chosen.append(best)
        trials += [{"member": type(one).__name__.lower(), **trial} for trial in tried]
    model = Classifier([one.fit(frame, y, training.seed) for one in chosen], list(frame.columns))
    model.centre = [encoded(member, frame).mean(axis=0) for member in model.members]
    model.slope, model.intercept = calibration(cross_fitted(chosen, frame, y, training.seed), y)
    p = model.probability(valid[0])
    model.threshold = best_threshold(lambda t: training.score(*arrays(valid[1], p, p >= t))[utility])
    curve = learning_curve(chosen, rows, valid, training.seed, headline)
    found = {type(one).__name__.lower(): one.model_dump() for one in chosen}
    return Fit(model, {**found, "threshold": model.threshold}, trials, curve)


def tuned(
    recipe: Recipe, frame: pd.DataFrame, y: Vector, training: Training, headline: Callable[[Vector, Vector], float]
) -> tuple[Recipe, list[dict[str, Any]]]:
    """The recipe with the values that did best in cross-validation, and the trials; as it is when there are none."""
    if training.trials == 0:
        return recipe, []

    def scores(values: Mapping[str, Any]) -> Iterator[float]:
        candidate = recipe.tuned(values)
        for kept, held in folds(y, training.seed):
            member = candidate.fit(frame.iloc[kept], y[kept], training.seed)
            yield headline(y[held], member.predict_proba(frame.iloc[held])[:, 1])

    best, trials = tuning.search(scores, recipe.space, recipe.model_dump(), training)
    return recipe.tuned(best), trials


def share(training: Training, number: int, parts: int) -> Training:
    """The budget of one of several searches that together may use what `training` allows."""
    if parts == 1:
        return training
    trials = 0 if training.trials == 0 else max(1, training.trials // parts)
    return replace(training, trials=trials, seconds=training.seconds / parts, study_name=f"{training.study_name}-{number}")


def cross_fitted(recipes: Sequence[Recipe], frame: pd.DataFrame, y: Vector, seed: int) -> Vector:
    """Each row's mean probability from models that were fitted without it, of shape (rows,)."""
    held_out = np.zeros(len(y))
    for kept, held in folds(y, seed + 1):
        members = [one.fit(frame.iloc[kept], y[kept], seed) for one in recipes]
        held_out[held] = np.mean([member.predict_proba(frame.iloc[held])[:, 1] for member in members], axis=0)
    return held_out


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
    recipes: Sequence[Recipe],
    rows: tuple[pd.DataFrame, Vector],
    valid: tuple[pd.DataFrame, Vector],
    seed: int,
    headline: Callable[[Vector, Vector], float],
) -> list[dict[str, float]]:
    """Headline metric on the rows fitted on and on the validation rows, for growing shares of the training rows."""
    order = np.random.default_rng(seed).permutation(len(rows[1]))
    curve = []
    for portion in CURVE:
        part = np.sort(order[: max(20, round(portion * order.size))])
        frame, y = rows[0].iloc[part], rows[1][part]
        model = Classifier([one.fit(frame, y, seed) for one in recipes], list(frame.columns))
        scores = {"train": headline(y, model.raw(frame)), "valid": headline(valid[1], model.raw(valid[0]))}
        curve.append({"rows": float(part.size), **scores})
    return curve
