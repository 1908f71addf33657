"""Metrics of a binary classifier in plain numpy, quick enough for a bootstrap of a thousand resamples.

`y` is 0/1 (or bool), `p` the probability of 1, `flagged` the decision (bool); all of shape (rows,). Where a metric is not
defined (one class only) it is NaN; precision, recall and F1 are 0 instead, as in scikit-learn with ``zero_division=0``.
Tests compare each with scikit-learn on random inputs, ties included.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[Any]

NAN = float("nan")


def ranking(y: Vector, p: Vector) -> dict[str, float]:
    """ROC-AUC and PR-AUC (average precision), from one sort; tied scores count as one threshold.

    >>> ranking(np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.4, 0.9]))
    {'roc_auc': 0.875, 'pr_auc': 0.8333333333333333}
    """
    order = np.argsort(-p, kind="stable")
    scores, hits = p[order], np.asarray(y, dtype=float)[order]
    positives = hits.sum()
    negatives = hits.size - positives
    if positives == 0 or negatives == 0:
        return {"roc_auc": NAN, "pr_auc": NAN}
    last = np.append(np.flatnonzero(np.diff(scores)), scores.size - 1)
    tp = np.cumsum(hits)[last]
    fp = last + 1 - tp
    gained = np.diff(tp, prepend=0.0)
    area = np.sum(np.diff(fp, prepend=0.0) * (tp - gained / 2))
    return {
        "roc_auc": float(area / (positives * negatives)),
        "pr_auc": float(np.sum(gained * tp / (last + 1)) / positives),
    }


def decisions(y: Vector, flagged: Vector) -> dict[str, float]:
    """Accuracy, precision, recall and F1 of the decisions."""
    truth, said = np.asarray(y, dtype=bool), np.asarray(flagged, dtype=bool)
    tp = int(np.count_nonzero(truth & said))
    fp, fn = int(np.count_nonzero(said)) - tp, int(np.count_nonzero(truth)) - tp
    return {
        "accuracy": 1 - (fp + fn) / truth.size if truth.size else NAN,
        "precision": tp / (tp + fp) if tp + fp else 0.0,
        "recall": tp / (tp + fn) if tp + fn else 0.0,
        "f1": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0,
    }


def probabilities(y: Vector, p: Vector, bins: int = 10) -> dict[str, float]:
    """Brier score and expected calibration error over `bins` equally wide bins (Naeini et al., AAAI 2015)."""
    if not p.size:
        return {"brier": NAN, "ece": NAN}
    gap = p - y
    place = np.minimum((p * bins).astype(np.intp), bins - 1)
    return {
        "brier": float(np.mean(gap * gap)),
        "ece": float(np.abs(np.bincount(place, weights=gap, minlength=bins)).sum() / p.size),
    }


def reliability(y: Vector, p: Vector, bins: int = 10) -> list[dict[str, float]]:
    """Mean prediction, observed rate and rows of equally filled bins, for the calibration curve."""
    groups = [group for group in np.array_split(np.argsort(p, kind="stable"), bins) if group.size]
    return [{"predicted": float(p[g].mean()), "observed": float(y[g].mean()), "rows": float(g.size)} for g in groups]
