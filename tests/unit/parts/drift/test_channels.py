"""The G-test of pairs of counts: the statistic and its tail."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_ndtr
from scipy.stats import chi2_contingency

from pipelines.parts.drift import Reference, Watching
from pipelines.parts.drift.channels import SUMMED, g_test


@pytest.mark.parametrize("levels", [2, 3, 4, 7, SUMMED + 1, SUMMED + 2, SUMMED + 9])
def test_g_and_its_surprise_are_those_of_the_likelihood_ratio_test(levels):
    random = np.random.default_rng(levels)
    windows = random.multinomial(2_000, random.dirichlet(np.full(levels, 9.0)), size=3).astype(float)
    rest = random.multinomial(3_000, np.full(levels, 1 / levels), size=2).astype(float)
    g, surprise = g_test(windows, rest[:, None])
    assert g.shape == surprise.shape == (2, 3)
    for i, j in np.ndindex(2, 3):
        peer = chi2_contingency(np.stack([windows[j], rest[i]]), correction=False, lambda_="log-likelihood")
        assert g[i, j] == pytest.approx(peer.statistic)
        assert surprise[i, j] == pytest.approx(-np.log(peer.pvalue))


def test_levels_that_neither_side_has_are_no_degree_of_freedom():
    found = g_test(np.array([[30.0, 20.0, 0.0], [30.0, 15.0, 5.0]]), np.array([25.0, 25.0, 0.0]))
    for row, freedom in enumerate((1, 2)):
        kept = freedom + 1
        counts = np.array([[30.0, 20.0, 0.0], [30.0, 15.0, 5.0]])[row, :kept], np.array([25.0, 25.0, 0.0])[:kept]
        peer = chi2_contingency(np.stack(counts), correction=False, lambda_="log-likelihood")
        assert peer.dof == freedom
        assert found[1][row] == pytest.approx(-np.log(peer.pvalue))


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 8, 9])
def test_the_more_surprising_of_two_stays_so_where_probabilities_are_too_small_for_a_float(freedom):
    levels = freedom + 1
    counts = np.full((4, levels), 1_000.0)
    counts[:, 0] = [5_000, 20_000, 20_100, 1e6]
    g, surprise = g_test(counts, np.full(levels, 1_000.0) * 20)
    assert (np.diff(surprise) > 0).all()
    assert surprise[-1] > 1_000
    known = {1: -np.log(2) - log_ndtr(-np.sqrt(g)), 2: g / 2, 4: g / 2 - np.log1p(g / 2)}  # two tails of the normal; 26.4.5
    if freedom in known:
        assert surprise == pytest.approx(known[freedom], rel=1e-12)


def test_counts_that_are_equal_surprise_nobody():
    for found in g_test(np.array([[10.0, 20.0]]), np.array([10.0, 20.0])):
        assert found == pytest.approx([0], abs=1e-6)


def test_a_column_without_any_value_on_either_side_has_not_moved():
    reference = Reference.freeze({"x": np.array([""] * 300), "y": np.arange(300.0)}, seed=0)
    window = {"x": np.array([""] * 50), "y": 6 * np.arange(50.0)}
    found = {channel.name: channel for channel in reference.compare(window, Watching(0.05, 100, 0.1, 50, 0))}
    assert (found["x"].effect, found["x"].p_value, found["x"].note) == (0.0, 1.0, "no value in the reference")
