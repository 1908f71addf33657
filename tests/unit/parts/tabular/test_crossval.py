"""Repeated cross-validation: folds that cover, errors that are corrected, results that repeat."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipelines.parts.tabular import metrics
from pipelines.parts.tabular.crossval import Folds, Mean, compared, held_out, measured
from pipelines.parts.tabular.models import Logistic

RNG = np.random.default_rng(0)
Y = (RNG.random(120) < 0.3).astype(int)
FRAME = pd.DataFrame({"signal": Y + RNG.normal(size=120), "noise": RNG.normal(size=120)})


def test_each_repeat_holds_every_row_out_once_and_differs() -> None:
    pairs = Folds(Y, repeats=2, count=4).pairs()
    first, second = (np.concatenate([held for _, held in half]) for half in (pairs[:4], pairs[4:]))
    assert sorted(first) == sorted(second) == list(range(120))
    assert not np.array_equal(first, second)
    assert all(not set(kept) & set(held) for kept, held in pairs)


def test_the_standard_error_is_nadeau_and_bengios() -> None:
    scores = np.array([0.8, 0.9, 0.85, 0.95])
    found = Mean.of(scores, 2)
    assert found.value == pytest.approx(0.875)
    assert found.error == pytest.approx(np.sqrt((1 / 4 + 1) * scores.var(ddof=1)))
    low, high = found.interval()
    assert (low + high) / 2 == pytest.approx(found.value)


def test_a_signal_is_told_from_noise_and_twice_the_same() -> None:
    plan = Folds(Y, repeats=2)
    scores = [measured(held_out(Logistic(), FRAME[[c]], plan), plan, metrics.ranking)["roc_auc"] for c in ("signal", "noise")]
    assert compared(scores[0], scores[1], plan).interval()[0] > 0
    again = measured(held_out(Logistic(), FRAME[["signal"]], plan, jobs=2), plan, metrics.ranking)["roc_auc"]
    np.testing.assert_array_equal(again, scores[0])
