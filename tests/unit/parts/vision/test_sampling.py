from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.parts.vision.sampling import balanced, batches, shuffled


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_every_row_comes_once_before_any_comes_again() -> None:
    rows = shuffled(np.zeros(10, dtype=np.int64), 5, 4, rng())
    assert rows.shape == (4, 5)
    for half in (rows[:2], rows[2:]):
        assert sorted(half.reshape(-1)) == list(range(10))


def test_what_does_not_fill_a_batch_differs_from_epoch_to_epoch() -> None:
    left_out = [set(range(7)) - set(shuffled(np.zeros(7, dtype=np.int64), 3, 2, rng(seed)).reshape(-1)) for seed in range(20)]
    assert {len(one) for one in left_out} == {1}
    assert len(set.union(*left_out)) > 3


@given(
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=5).filter(lambda counts: sum(counts) > 0),
    batch=st.integers(1, 16),
    steps=st.integers(1, 8),
    seed=st.integers(0, 99),
)
def test_balanced_draws_every_class_equally_often(counts: list[int], batch: int, steps: int, seed: int) -> None:
    label = np.repeat(np.arange(len(counts)), counts)
    rows = balanced(label, batch, steps, rng(seed))
    assert rows.shape == (steps, batch)
    drawn = np.bincount(label[rows.reshape(-1)], minlength=len(counts))[np.array(counts) > 0]
    assert drawn.max() - drawn.min() <= 1


def test_balanced_uses_all_rows_of_a_rare_class_before_it_repeats_one() -> None:
    label = np.array([0] * 90 + [1] * 10)
    rows = balanced(label, 20, 2, rng()).reshape(-1)
    assert sorted(rows[label[rows] == 1]) == sorted([*range(90, 100)] * 2)
    assert len(set(rows[label[rows] == 0])) == 20


def test_the_same_generator_draws_the_same() -> None:
    label = np.arange(30) % 3
    for sampler in (shuffled, balanced):
        assert np.array_equal(sampler(label, 5, 4, rng(3)), sampler(label, 5, 4, rng(3)))
        assert not np.array_equal(sampler(label, 5, 4, rng(3)), sampler(label, 5, 4, rng(4)))


def test_small_sets_fill_one_batch_and_may_be_passed_several_times() -> None:
    assert batches(1000, 128, 1) == (128, 7)
    assert batches(100, 128, 1) == (100, 1)
    assert batches(100, 32, 20) == (32, 20)
