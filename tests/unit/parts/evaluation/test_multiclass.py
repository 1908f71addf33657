"""Every metric agrees with scikit-learn where it has one, and with its formula written out where not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)

from pipelines.core.errors import DataError
from pipelines.parts.evaluation import multiclass, resample


def drawn(rows: int, classes: int, seed: int, sharpness: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    odds = np.exp(random.normal(scale=sharpness, size=(rows, classes)))
    return random.integers(classes, size=rows), odds / odds.sum(axis=1, keepdims=True)


def cases(*sharpness: float) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    return st.builds(drawn, st.integers(1, 200), st.integers(2, 12), st.integers(0, 10**6), st.sampled_from(sharpness))


CASES = cases(0.1, 2.0, 20.0)
MILD = cases(0.1, 2.0, 3.0)  # scikit-learn cuts probabilities off at 2e-16


@settings(deadline=None)
@given(MILD)
def test_metrics_agree_with_scikit_learn(case: tuple[np.ndarray, np.ndarray]) -> None:
    label, probability = case
    classes = probability.shape[1]
    said, found = probability.argmax(axis=1), multiclass.metrics(label, probability)
    there = np.unique(label)
    precision, recall, f1, _ = precision_recall_fscore_support(label, said, labels=there, average=None, zero_division=0)
    assert tuple(found) == multiclass.KEYS
    assert found["accuracy"] == pytest.approx(accuracy_score(label, said))
    assert found["precision_macro"] == pytest.approx(precision.mean())
    assert found["recall_macro"] == pytest.approx(recall.mean())
    assert found["f1_macro"] == pytest.approx(f1.mean())
    assert found["worst_recall"] == pytest.approx(recall.min())
    assert found["log_loss"] == pytest.approx(log_loss(label, probability, labels=range(classes)), rel=1e-6, abs=1e-9)
    if classes > 3:
        assert found["top3"] == pytest.approx(top_k_accuracy_score(label, probability, k=3, labels=range(classes)))
        brier = brier_score_loss(label, probability, labels=range(classes), scale_by_half=False)
        assert found["brier"] == pytest.approx(brier, abs=1e-9)
    assert (multiclass.confusion(label, probability) == confusion_matrix(label, said, labels=range(classes))).all()


@settings(deadline=None)
@given(CASES)
def test_ece_is_the_weighted_gap_of_fifteen_bins(case: tuple[np.ndarray, np.ndarray]) -> None:
    label, probability = case
    confidence, hit = probability.max(axis=1), probability.argmax(axis=1) == label
    gap = 0.0
    for number in range(15):
        inside = (confidence >= number / 15) & ((confidence < (number + 1) / 15) | (number == 14))
        if inside.any():
            gap += inside.mean() * abs(confidence[inside].mean() - hit[inside].mean())
    assert multiclass.metrics(label, probability)["ece"] == pytest.approx(gap, abs=1e-9)


@settings(deadline=None)
@given(CASES)
def test_float32_probabilities_give_the_same_to_six_digits(case: tuple[np.ndarray, np.ndarray]) -> None:
    label, probability = case
    single = probability.astype(np.float32)
    wide, narrow = multiclass.metrics(label, single.astype(np.float64)), multiclass.metrics(label, single)
    assert narrow == pytest.approx(wide, rel=1e-5, abs=1e-6)


@settings(deadline=None)
@given(CASES)
def test_order_holds_whatever_the_numbers(case: tuple[np.ndarray, np.ndarray]) -> None:
    found = multiclass.metrics(*case)
    assert found["accuracy"] <= found["top3"]
    assert found["worst_recall"] <= found["recall_macro"]
    assert 0 <= found["brier"] <= 2


def test_a_tie_is_no_success() -> None:
    label, even = np.array([0, 1, 2, 3]), np.full((4, 4), 0.25)
    found = multiclass.metrics(label, even)
    assert found["accuracy"] == 0.25
    assert found["top3"] == 0.25
    assert found["ece"] == 0


def test_a_certain_and_wrong_answer_costs_much_and_not_infinitely() -> None:
    found = multiclass.metrics(np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]], dtype=np.float32))
    assert found["log_loss"] == pytest.approx(-np.log(np.finfo(np.float32).tiny) / 2)
    assert np.isfinite(list(found.values())).all()


def test_resamples_without_a_class_stay_finite() -> None:
    label, probability = drawn(6, 4, seed=1)
    label[:] = [0, 0, 1, 1, 2, 3]
    scores = resample(
        lambda truth, predictions: multiclass.metrics(truth["label"], predictions["probability"]),
        {"label": label},
        {"one": {"probability": probability}},
        resamples=50,
        seed=0,
    )
    assert all(np.isfinite(draws).all() for draws in scores.draws["one"].values())


def test_per_class_says_what_has_no_rows() -> None:
    label, probability = np.array([0, 0, 2]), np.eye(3)[[0, 1, 2]]
    found = multiclass.per_class(label, probability)
    assert found["rows"].tolist() == [2, 0, 1]
    assert found["precision"].tolist() == [1, 0, 1]
    np.testing.assert_array_equal(found["recall"], [0.5, np.nan, 1])
    np.testing.assert_array_equal(found["f1"], [2 / 3, np.nan, 1])


def test_reliability_bins_hold_every_row() -> None:
    label, probability = drawn(500, 10, seed=3)
    bins = multiclass.reliability(label, probability, bins=10)
    assert bins["rows"].sum() == 500
    filled = bins["rows"] > 0
    edges = np.arange(10) / 10
    assert ((bins["confidence"] >= edges) & (bins["confidence"] <= edges + 0.1 + 1e-9))[filled].all()
    assert np.isnan(bins["accuracy"][~filled]).all()


def test_no_rows_are_undefined() -> None:
    found = multiclass.metrics(np.zeros(0, dtype=np.int64), np.zeros((0, 10)))
    assert tuple(found) == multiclass.KEYS
    assert np.isnan(list(found.values())).all()


@pytest.mark.parametrize("wrong", [-1, 3])
def test_a_label_that_is_no_class_is_named(wrong: int) -> None:
    with pytest.raises(DataError, match=f"labels from 0 to 2, one for each of the 3 columns .* found .*{wrong}"):
        multiclass.metrics(np.array([0, wrong]), np.full((2, 3), 1 / 3))
