"""Bootstrap intervals and paired comparison of models that are scored on the same rows.

Every model is scored on the same resamples, so a difference between two of them is paired: what the rows have in common
cancels. Intervals are percentile intervals (Efron and Tibshirani 1993, chapter 13), widened for small samples as in
Hesterberg 2015 (The American Statistician 69:4, section 3.6, "expanded percentile"): the plain ones are too narrow by
about the factor sqrt((n-1)/n) and by the difference between the normal and Student's distribution. A metric such as the
calibration error is larger on resamples than on the rows themselves; this bias (chapter 10 there: the mean over resamples
less the value) is taken out, so that the interval lies about the value that is reported.

A metric can be undefined on a resample (the ROC-AUC of rows of one class). Such a resample is left out for that metric,
which equals drawing it again. Where more than 1 % would be left out and the truth has classes, all resamples are drawn
within the classes instead, which keeps their shares fixed; see `Resampled.stratified`.

Rows that depend on each other (of one customer, of one week) are drawn together, in whole units: the cluster bootstrap (Davison
and Hinkley 1997, section 3.8), and, where units are spans of time, the one in fixed blocks (Carlstein 1986). Rows drawn one by
one would make such intervals too narrow, by a factor of two or three for daily values that resemble their neighbours.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.contract import Arrays
from pipelines.core.evidence import Comparison, Estimate

Score = Callable[[Arrays, Arrays], dict[str, float]]
"""(truth, predictions) to every metric, as `Project.score` with its parameters filled in."""

_UNDEFINED_AT_MOST = 0.01
_CLASSES_AT_MOST = 20


@dataclass(frozen=True)
class Resampled:
    """Scores of several models on the same rows and on the same resamples of them."""

    rows: int
    units: int
    """How many were drawn each time: rows, or units of them."""
    points: Mapping[str, Mapping[str, float]]
    """Model to metric to its value on the rows themselves; NaN where undefined."""
    draws: Mapping[str, Mapping[str, NDArray[np.float64]]]
    """Model to metric to one value a resample; NaN where undefined."""
    stratified: bool
    """Whether the resamples were drawn within classes."""

    def estimate(self, model: str, metric: str, confidence: float) -> Estimate | None:
        """The metric with its interval; None where it is undefined on these rows."""
        return _estimate(self.points[model][metric], self.draws[model][metric], confidence, self.units)

    def estimates(self, model: str, confidence: float) -> dict[str, Estimate]:
        """Every metric that is defined on these rows, with its interval."""
        found = {metric: self.estimate(model, metric, confidence) for metric in self.points[model]}
        return {metric: estimate for metric, estimate in found.items() if estimate is not None}


def resample(
    score: Score,
    truth: Arrays,
    predictions: Mapping[str, Arrays],
    *,
    resamples: int,
    seed: int,
    units: Sequence[Any] | None = None,
) -> Resampled:
    """Score every model on the rows and on `resamples` bootstrap samples of them.

    `truth` and each model's arrays have the same number of rows, and so has `units`, which says what is drawn together. The same
    seed, number of rows and units give the same samples, whatever the models and their order.
    """
    rows = _rows(truth)
    members = None if units is None else _members(units)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # an undefined metric is expected here, and handled
        points = {model: _scored(score, truth, arrays) for model, arrays in predictions.items()}
        metrics = {model: list(found) for model, found in points.items()}
        samples = _independent(rows, resamples, seed) if members is None else _whole(*members, resamples, seed)
        draws = _draws(score, truth, predictions, metrics, samples)
        strata = classes(truth) if members is None else None
        redo = strata is not None and _undefined(points, draws) > _UNDEFINED_AT_MOST
        if redo and strata is not None:
            draws = _draws(score, truth, predictions, metrics, _within(strata, resamples, seed))
    return Resampled(rows, rows if members is None else len(members[1]), points, draws, redo)


def compare(
    scores: Resampled, challenger: str, champion: str, metric: str, *, incumbent: int, greater_is_better: bool, confidence: float
) -> Comparison | None:
    """Challenger minus champion in `metric`, resample by resample; positive is better, whatever the metric's direction.

    None where the metric is undefined for one of them. Ties count half in the probability of being better.
    """
    sign = 1.0 if greater_is_better else -1.0
    if not all(metric in scores.points[model] for model in (challenger, champion)):
        return None
    point = sign * (scores.points[challenger][metric] - scores.points[champion][metric])
    gains = sign * (scores.draws[challenger][metric] - scores.draws[champion][metric])
    gain = _estimate(point, gains, confidence, scores.units)
    if gain is None:
        return None
    gains = gains[np.isfinite(gains)]
    return Comparison(incumbent=incumbent, gain=gain, probability_better=float(np.mean(gains > 0) + np.mean(gains == 0) / 2))


def take(arrays: Arrays, positions: Any) -> dict[str, NDArray[Any]]:
    """The rows at these positions."""
    return {name: np.asarray(array)[positions] for name, array in arrays.items()}


def classes(truth: Arrays) -> NDArray[np.intp] | None:
    """Class of each row by the first one-dimensional array of the truth with 2 to 20 distinct values; None without one."""
    for array in truth.values():
        values = np.asarray(array)
        if values.ndim == 1:
            levels, codes = np.unique(values.astype(str) if values.dtype == object else values, return_inverse=True)
            if 2 <= levels.size <= min(_CLASSES_AT_MOST, values.size // 2):
                return codes
    return None


def _rows(truth: Arrays) -> int:
    return len(next(iter(truth.values())))


def _independent(rows: int, resamples: int, seed: int) -> Iterator[NDArray[np.intp]]:
    random = np.random.default_rng(seed)
    for _ in range(resamples):
        yield random.integers(rows, size=rows)


def _members(units: Sequence[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Positions of the rows, unit by unit, and how many each unit has."""
    labels = np.asarray(units)
    _, codes, sizes = np.unique(labels.astype(str) if labels.dtype == object else labels, return_inverse=True, return_counts=True)
    return np.argsort(codes, kind="stable"), sizes


def _whole(order: NDArray[np.intp], sizes: NDArray[np.intp], resamples: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """As many units as there are, each with all of its rows."""
    random, starts = np.random.default_rng(seed), np.cumsum(sizes) - sizes
    for _ in range(resamples):
        drawn = random.integers(sizes.size, size=sizes.size)
        ends = np.cumsum(sizes[drawn])
        yield order[np.arange(ends[-1]) + np.repeat(starts[drawn] - (ends - sizes[drawn]), sizes[drawn])]


def _within(strata: NDArray[np.intp], resamples: int, seed: int) -> Iterator[NDArray[np.intp]]:
    random = np.random.default_rng(seed)
    members = [np.flatnonzero(strata == level) for level in np.unique(strata)]
    for _ in range(resamples):
        yield np.concatenate([group[random.integers(group.size, size=group.size)] for group in members])


def _draws(
    score: Score,
    truth: Arrays,
    predictions: Mapping[str, Arrays],
    metrics: Mapping[str, list[str]],
    samples: Iterator[NDArray[np.intp]],
) -> dict[str, dict[str, NDArray[np.float64]]]:
    rows: dict[str, list[list[float]]] = {model: [] for model in predictions}
    for positions in samples:
        drawn = take(truth, positions)
        for model, arrays in predictions.items():
            found = _scored(score, drawn, take(arrays, positions))
            rows[model].append([found.get(metric, math.nan) for metric in metrics[model]])
    columns = {model: np.asarray(values, dtype=float).T for model, values in rows.items()}
    return {model: dict(zip(metrics[model], columns[model], strict=True)) for model in predictions}


def _scored(score: Score, truth: Arrays, predictions: Arrays) -> dict[str, float]:
    """The metrics, or none where the score function refuses these rows."""
    try:
        return score(truth, predictions)
    except (ValueError, ZeroDivisionError):
        return {}


def _undefined(points: Mapping[str, Mapping[str, float]], draws: Mapping[str, Mapping[str, NDArray[np.float64]]]) -> float:
    """Largest share of resamples on which a metric that is defined on the rows themselves is undefined."""
    shares = [
        float(np.mean(~np.isfinite(draws[model][metric])))
        for model, found in points.items()
        for metric, value in found.items()
        if math.isfinite(value)
    ]
    return max(shares, default=0.0)


def _estimate(point: float, draws: NDArray[np.float64], confidence: float, units: int) -> Estimate | None:
    draws = draws[np.isfinite(draws)]
    if not math.isfinite(point) or draws.size == 0:
        return None
    tail = _tail(confidence, units)
    low, high = np.quantile(draws, [tail, 1 - tail]) - (draws.mean() - point)
    return Estimate(value=float(point), low=float(low), high=float(high))


def _tail(confidence: float, units: int) -> float:
    """Share of resamples beyond each end of the interval: Hesterberg's Phi(sqrt(n/(n-1)) t(alpha/2, n-1))."""
    from scipy.special import stdtrit

    if units < 2:
        return 0.0
    return NormalDist().cdf(math.sqrt(units / (units - 1)) * float(stdtrit(units - 1, (1 - confidence) / 2)))
