"""Codes: what channels count, for numbers and texts of every shape."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import chi2_contingency, ks_2samp

from pipelines.parts.drift import Reference
from pipelines.parts.drift.coding import CUTS, Levels, Quantiles

numbers = arrays(
    float, st.integers(1, 200), elements=st.one_of(st.just(np.nan), st.integers(-3, 3).map(float), st.floats(-1e6, 1e6))
)
texts = st.lists(st.sampled_from(["", "(missing)", "a", "b", "ü", "longer"]), min_size=1, max_size=60).map(np.array)


@settings(deadline=None)
@given(numbers, numbers)
def test_numbers_keep_their_order_and_nan_comes_last(reference, window):
    coder = Quantiles(reference)
    codes, gone = coder(window), ~np.isfinite(window)
    assert np.array_equal(codes == coder.width - 1, gone)
    assert np.all(np.diff(codes[~gone][np.argsort(window[~gone])]) >= 0)


@settings(deadline=None)
@given(numbers, numbers)
def test_the_distance_is_that_of_kolmogorov_and_smirnov_but_for_the_width_of_a_slot(reference, window):
    assume(np.isfinite(reference).sum() > 1)
    assume(np.isfinite(window).any())
    frozen = Reference({"x": reference})
    rows = frozen.rows_of({"x": window})
    channel = frozen.family[0]
    found = channel.statistic(rows, channel.observed(rows))
    exact = ks_2samp(reference[np.isfinite(reference)], window[np.isfinite(window)], method="asymp").statistic
    assert found <= exact + 1e-12
    assert found >= exact - 1 / CUTS - 1 / np.isfinite(reference).sum() - 1e-12


@settings(deadline=None)
@given(texts, texts)
def test_texts_are_known_levels_others_or_missing(reference, window):
    coder = Levels(reference)
    codes = coder(window)
    assert np.array_equal(codes == coder.width - 1, np.isin(window, ["", "(missing)"]))
    known = codes < coder.width - 2
    assert [coder.label(code) for code in codes[known]] == window[known].tolist()
    assert coder.unknown(window) == sorted(set(window[~known].tolist()) - {"", "(missing)"})


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_profiles_add_up(seed, parts):
    random = np.random.default_rng(seed)
    frozen = Reference.freeze({"x": random.normal(size=90), "c": random.choice(list("ab"), 90), "y": random.normal(size=90)}, 1)
    count = 10 * parts
    rows = frozen.rows_of({"x": random.normal(size=count), "c": random.choice(list("abc"), count), "y": np.full(count, np.nan)})
    for channel in frozen.family:
        np.testing.assert_allclose(channel.observed(rows, parts).sum(axis=0), channel.observed(rows)[0], atol=1e-9)


def test_g_is_the_likelihood_ratio_of_the_table():
    random = np.random.default_rng(1)
    before, after = random.choice(list("abc"), 500), random.choice(list("abc"), 200, p=[0.5, 0.3, 0.2])
    frozen = Reference.freeze({"c": before}, seed=1)
    rows = frozen.rows_of({"c": after})
    channel = frozen.family[0]
    table = [[np.sum(side == level) for level in "abc"] for side in (before, after)]
    wanted = chi2_contingency(table, lambda_="log-likelihood")
    np.testing.assert_allclose(channel.surprise(channel.observed(rows), channel.total), -np.log(wanted.pvalue))
    np.testing.assert_allclose(channel.statistic(rows, channel.observed(rows)), wanted.statistic / 200)
