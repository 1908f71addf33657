"""Broken data, told by plain thresholds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from pipelines.core.config import Quality
from pipelines.core.evidence import Channel
from pipelines.parts.drift import quality

END = datetime(2025, 3, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rows", "usual", "passed"),
    [(270, 270, True), (134, 270, False), (136, 270, True), (541, 270, False), (3, 9, True), (90, None, True), (0, 270, False)],
)
def test_volume(rows, usual, passed):
    assert quality.volume(rows, usual, Quality()).passed is passed


def test_freshness_is_the_age_of_the_newest_row():
    assert quality.freshness(END - timedelta(days=6.5), END, Quality()).passed
    found = quality.freshness(END - timedelta(days=8), END, Quality())
    assert (found.passed, found.found, found.wanted) == (False, "the newest row is 8.0 days old", "at most 7 days old")


def test_new_values_are_told_and_broken_beyond_their_share():
    reference = {"c": np.array(["a", "b", ""] * 30), "x": np.arange(90.0), "score.label": np.array(["0"] * 90)}
    window = {"c": np.array(["a"] * 96 + ["", "y", "z", "z"]), "x": np.full(100, 999.0), "score.label": np.array(["1"] * 100)}
    (found,) = quality.new_values(reference, window, Quality())
    assert (found.name, found.found, found.passed) == ("new values: c", "3.0%: 'z', 'y'", False)
    assert quality.new_values(reference, window, Quality(new_values=0.05))[0].passed
    assert quality.new_values(reference, reference, Quality()) == []


def test_only_missing_rates_that_rose_are_broken():
    channels = [
        Channel(name=f"{name} (missing)", kind="missing", statistic=1, effect=1, p_value=0.01, drifted=drifted)
        for name, drifted in (("rose", True), ("fell", True), ("calm", False))
    ]
    present, half = np.ones(10), np.array([1.0, np.nan] * 5)
    reference, window = {"rose": present, "fell": half, "calm": half}, {"rose": half, "fell": present, "calm": half}
    (found,) = quality.missing_values(channels, reference, window)
    assert (found.name, found.found, found.passed) == ("missing values: rose", "50.0%", False)
