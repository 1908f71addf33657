"""Metrics of a classifier of several classes in plain numpy, quick enough for a bootstrap of thousands of resamples.

`label` holds the true class of each row, 0 to k-1, shape (rows,); `probability` the probability of each class, shape
(rows, k). The class said is the most probable one, the first of equals. Tests compare each metric with scikit-learn.

A class can be missing from a resample. Its recall is then not defined, and recall, precision, F1 and worst recall leave the
class out: they are means (or the smallest) over the classes that have rows. Without any row every metric is NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import DataError

BINS = 15
"""Equally wide bins of confidence for the calibration error, as in Guo et al. 2017."""

Labels = NDArray[np.integer[Any]]
Probabilities = NDArray[np.floating[Any]]


def metrics(label: Labels, probability: Probabilities) -> dict[str, float]:
    """Every metric of a leaderboard; the keys are stable.

    - `accuracy`, `top3`: share of rows whose class is said, or is among the three most probable; a class that is only as
      probable as the fourth does not count.
    - `precision_macro`, `recall_macro`, `f1_macro`: unweighted means over the classes that have rows; precision is 0 for a
      class never said.
    - `worst_recall`: the smallest recall of any class.
    - `ece`: expected calibration error, the mean distance between confidence and accuracy over `BINS` equally wide bins of
      the confidence in the class said (Naeini et al., AAAI 2015; for several classes Guo et al., ICML 2017, eq. 3).
    - `brier`: mean squared distance between the probabilities and the true class as a vector of 0 and 1, from 0 to 2
      (Brier 1950, Monthly Weather Review 78:1).
    - `log_loss`: mean negative logarithm of the true class's probability, floored at the smallest positive float32.

    Raises DataError when a label is no class.

    >>> found = metrics(np.array([0, 1, 2, 2]), np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8], [0.6, 0.2, 0.2]]))
    >>> found["accuracy"], found["worst_recall"], round(found["brier"], 3)
    (0.75, 0.5, 0.325)
    """
    rows, classes = probability.shape
    if not rows:
        return dict.fromkeys(KEYS, float("nan"))
    _in_range(label, classes)
    said = probability.argmax(axis=1)
    columns = probability.T.astype(np.float64, order="C")  # reductions over classes are several times faster this way
    confidence = columns.max(axis=0)
    true = columns.reshape(-1)[label * rows + np.arange(rows)]
    hit = said == label
    as_probable = (columns >= true).view(np.uint8).sum(axis=0, dtype=np.uint8 if classes < 256 else np.intp)
    squares = float(np.einsum("kn,kn->", columns, columns))
    return {
        "accuracy": float(hit.mean()),
        "top3": float(np.mean(hit | (as_probable <= 3))),
        **_macro(_confusion(label, said, classes)),
        "ece": _ece(hit, confidence),
        "brier": (squares - 2 * float(true.sum())) / rows + 1,
        "log_loss": -float(np.log(np.maximum(true, np.finfo(np.float32).tiny)).mean()),
    }


KEYS = ("accuracy", "top3", "precision_macro", "recall_macro", "f1_macro", "worst_recall", "ece", "brier", "log_loss")
"""Names of the metrics, in the order of `metrics`."""


def confusion(label: Labels, probability: Probabilities) -> NDArray[np.int64]:
    """How many rows of each class (first axis) were said to be of each (second), shape (k, k)."""
    _in_range(label, probability.shape[1])
    return _confusion(label, probability.argmax(axis=1), probability.shape[1])


def per_class(label: Labels, probability: Probabilities) -> dict[str, NDArray[np.float64]]:
    """`precision`, `recall`, `f1` and `rows` of each class, shape (k,); recall and F1 are NaN for a class without rows."""
    return _rates(confusion(label, probability))


def reliability(label: Labels, probability: Probabilities, bins: int = BINS) -> dict[str, NDArray[np.float64]]:
    """Mean `confidence`, `accuracy` and `rows` of each bin of confidence, shape (bins,); NaN where a bin has no row."""
    confidence = probability.max(axis=1).astype(np.float64)
    place = _bin(confidence, bins)
    rows = np.bincount(place, minlength=bins).astype(np.float64)
    hits = np.bincount(place, weights=probability.argmax(axis=1) == label, minlength=bins)
    sums = np.bincount(place, weights=confidence, minlength=bins)
    with np.errstate(invalid="ignore"):
        return {"confidence": sums / rows, "accuracy": hits / rows, "rows": rows}


def _in_range(label: Labels, classes: int) -> None:
    if label.size and (label.min() < 0 or label.max() >= classes):
        raise DataError(
            f"expected labels from 0 to {classes - 1}, one for each of the {classes} columns of probabilities, found "
            f"{label.min()} to {label.max()}; score only rows whose label is known"
        )


def _confusion(label: Labels, said: NDArray[np.intp], classes: int) -> NDArray[np.int64]:
    return np.bincount(label * classes + said, minlength=classes * classes).reshape(classes, classes)


def _rates(counts: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    right, rows, said = np.diagonal(counts), counts.sum(axis=1), counts.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = right / rows
        f1 = np.where(rows > 0, 2 * right / (rows + said), np.nan)
    return {"precision": right / np.maximum(said, 1), "recall": recall, "f1": f1, "rows": rows.astype(np.float64)}


def _macro(counts: NDArray[np.int64]) -> dict[str, float]:
    rates = _rates(counts)
    there = rates["rows"] > 0
    return {
        "precision_macro": float(rates["precision"][there].mean()),
        "recall_macro": float(rates["recall"][there].mean()),
        "f1_macro": float(rates["f1"][there].mean()),
        "worst_recall": float(rates["recall"][there].min()),
    }


def _ece(hit: NDArray[np.bool_], confidence: NDArray[np.float64]) -> float:
    gaps = np.bincount(_bin(confidence, BINS), weights=confidence - hit, minlength=BINS)
    return float(np.abs(gaps).sum() / hit.size)


def _bin(confidence: NDArray[np.float64], bins: int) -> NDArray[np.intp]:
    return np.minimum((confidence * bins).astype(np.intp), bins - 1)
