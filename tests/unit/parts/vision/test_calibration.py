"""Temperature scaling undoes planted over-confidence and can only help."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipelines.core.errors import DataError
from pipelines.parts.evaluation.multiclass import metrics
from pipelines.parts.vision.calibration import HIGHEST, LOWEST, log_loss, temperature


def softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def honest(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax is the very probability with which the labels were drawn."""
    random = np.random.default_rng(seed)
    logits = random.normal(scale=2, size=(rows, 10))
    drawn = (softmax(logits).cumsum(axis=1) > random.random((rows, 1))).argmax(axis=1)
    return logits, drawn


@pytest.mark.parametrize("planted", [0.5, 1.0, 3.0])
def test_planted_over_and_under_confidence_is_found(planted: float) -> None:
    logits, label = honest(20_000)
    assert temperature(logits * planted, label) == pytest.approx(planted, rel=0.03)


def test_calibration_error_of_an_overconfident_network_vanishes_and_accuracy_stays() -> None:
    logits, label = honest(20_000)
    before, after = softmax(logits * 3), softmax(logits * 3 / temperature(logits * 3, label))
    assert metrics(label, before)["ece"] > 0.2
    assert metrics(label, after)["ece"] < 0.01
    assert metrics(label, after)["accuracy"] == metrics(label, before)["accuracy"]


@given(
    arrays.arrays(np.float32, (12, 4), elements=st.floats(-50, 50, width=32)),
    arrays.arrays(np.int64, 12, elements=st.integers(0, 3)),
)
def test_it_never_makes_the_log_loss_worse(logits: np.ndarray, label: np.ndarray) -> None:
    found = temperature(logits, label)
    assert LOWEST <= found <= HIGHEST
    wide = logits.astype(np.float64)
    assert log_loss(wide / found, label) <= log_loss(wide, label) + 1e-12


def test_log_loss_of_huge_logits_is_finite() -> None:
    assert log_loss(np.array([[1000.0, 0.0]]), np.array([1])) == pytest.approx(1000)


def test_what_is_not_finite_is_refused() -> None:
    logits, label = honest(10)
    logits[3, 2] = np.nan
    with pytest.raises(DataError, match="finite logits of validation rows, found 1 that are not"):
        temperature(logits, label)
    with pytest.raises(DataError, match="found no rows"):
        temperature(logits[:0], label[:0])
