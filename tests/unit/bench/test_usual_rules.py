"""The usual rules, which the calibration counts from histograms, say what scipy's tests and distances say of the rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2_contingency, ks_2samp, wasserstein_distance

from bench.drift_usual import RULES, Counts, Usual, _index
from bench.drift_world import LEVELS, rows

WINDOWS = 8


def index(old, new):
    """The stability index of shares, counted row by row."""
    p, q = old / old.sum(), np.maximum(new / new.sum(), 1e-4)
    return float(np.sum((q - p) * np.log(q / p)))


def of_numbers(old, new):
    old, new = old[np.isfinite(old)], new[np.isfinite(new)]
    edges = np.quantile(old, np.arange(1, 10) / 10)
    bins = [np.bincount(np.searchsorted(edges, side), minlength=10) for side in (old, new)]
    p, moved = ks_2samp(old, new).pvalue, index(*bins)
    return p <= 0.05, p <= 0.05 / 30, moved > 0.1, moved > 0.2, wasserstein_distance(old, new) / old.std() >= 0.1


def of_levels(old, new):
    counts = np.array([[np.sum(side == level) for level in LEVELS] for side in (old, new)])
    seen = counts[:, counts.any(axis=0)]
    p, moved = chi2_contingency(seen).pvalue, index(*counts)
    shares = counts / counts.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        kl = [np.nansum(share * np.log(share / shares.mean(axis=0))) for share in shares]
    return p <= 0.05, p <= 0.05 / 30, moved > 0.1, moved > 0.2, np.sqrt(sum(kl) / 2) >= 0.1


@pytest.mark.parametrize("change", [{}, {"shift": 0.2}, {"swap": True, "burst": 0.1}], ids=["none", "a shift", "swap and burst"])
@pytest.mark.parametrize("size", [200, 1_000])
def test_the_rules_are_those_of_scipy_row_by_row(size, change):
    random = np.random.default_rng(3)
    reference, drawn = rows(random, 5_000), rows(random, WINDOWS * size, **change)
    usual, counts = Usual(reference), Counts.of(drawn, WINDOWS)
    columns, told = usual.columns(counts), usual(counts)
    for place in range(WINDOWS):
        window = {name: values.reshape(WINDOWS, -1)[place] for name, values in drawn.arrays.items()}
        expected = np.array(
            [(of_levels if old.dtype.kind == "U" else of_numbers)(old, window[name]) for name, old in reference.arrays.items()]
        )
        assert np.array_equal(columns[:, :, place], expected)
        together = [*expected.any(axis=0), expected[:, -1].mean() >= 0.5]
        assert dict(zip(RULES, together, strict=True)) == {rule: bool(flags[place]) for rule, flags in told.items()}


def test_large_windows_are_sums_of_small_ones():
    drawn = rows(np.random.default_rng(4), 4_000)
    small, whole = Counts.of(drawn, 4), Counts.of(drawn, 2)
    halves = small.take(np.array([0, 2])) + small.take(np.array([1, 3]))
    assert np.array_equal(halves.numbers, whole.numbers)
    assert np.array_equal(halves.levels, whole.levels)


def test_a_bin_without_rows_counts_as_a_ten_thousandth():
    expected = (1 - 0.5) * np.log(1 / 0.5) + (1e-4 - 0.5) * np.log(1e-4 / 0.5)
    assert _index(np.array([50, 50]), np.array([[100, 0]])) == pytest.approx(expected)
