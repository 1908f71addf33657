"""Metrics against scikit-learn on random inputs, ties and rare classes included."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from pipelines.parts.tabular import metrics

rows = st.lists(st.tuples(st.booleans(), st.integers(0, 12)), min_size=2, max_size=60)


@settings(max_examples=60, deadline=None)
@given(rows)
def test_every_metric_equals_scikit_learns(pairs: list[tuple[bool, int]]) -> None:
    y, p = np.array([a for a, _ in pairs], dtype=int), np.array([b / 12 for _, b in pairs])
    flagged = p >= 0.5
    found = {**metrics.ranking(y, p), **metrics.decisions(y, flagged), **metrics.probabilities(y, p)}
    if 0 < y.sum() < y.size:
        assert found["roc_auc"] == pytest.approx(roc_auc_score(y, p))
        assert found["pr_auc"] == pytest.approx(average_precision_score(y, p))
    else:
        assert math.isnan(found["roc_auc"])
        assert math.isnan(found["pr_auc"])
    assert found["accuracy"] == pytest.approx(accuracy_score(y, flagged))
    assert found["precision"] == pytest.approx(precision_score(y, flagged, zero_division=0))
    assert found["recall"] == pytest.approx(recall_score(y, flagged, zero_division=0))
    assert found["f1"] == pytest.approx(f1_score(y, flagged, zero_division=0))
    assert found["brier"] == pytest.approx(brier_score_loss(y, p, pos_label=1))


def test_calibration_error_is_the_gap_weighted_by_rows() -> None:
    y = np.array([0, 0, 0, 1, 1, 1, 1, 0])
    p = np.array([0.1, 0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.9])
    assert metrics.probabilities(y, p)["ece"] == pytest.approx(0.15)


def test_certainty_that_is_right_has_no_calibration_error() -> None:
    y = np.array([0, 1])
    assert metrics.probabilities(y, y.astype(float)) == {"brier": 0.0, "ece": 0.0}


def test_no_rows_have_no_metrics_and_raise_nothing() -> None:
    none = np.zeros(0)
    found = {**metrics.ranking(none, none), **metrics.decisions(none, none), **metrics.probabilities(none, none)}
    assert {name for name, value in found.items() if math.isnan(value)} == {"roc_auc", "pr_auc", "accuracy", "brier", "ece"}


def test_reliability_bins_hold_every_row_once() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(103)
    groups = metrics.reliability(rng.random(103) < p, p)
    assert sum(group["rows"] for group in groups) == 103
    assert [g["predicted"] for g in groups] == sorted(g["predicted"] for g in groups)
