"""A project whose data come round again: `monitor.season` on the toy, whose x1 is given the course of a month."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from pipelines.core.errors import ConfigError
from tests.unit.stages.world import World

MONTH = 28 * 86_400.0


class Seasonal(World):
    """The toy with a season of four weeks, and windows from a part of it."""

    def __init__(self, toy_session, trained, monkeypatch, times):
        asked = {"monitor.season": 28.0, "monitor.rows": 20, "split.test": 0.4}
        super().__init__(lambda *graph: toy_session(*graph, overrides=asked), trained, monkeypatch)
        for session in (self.session, self.monitoring):
            monkeypatch.setattr(type(session.project), "times", times)

    def rows(self):
        """Test rows of the champion, all of the season."""
        return len(self.session.read(self.done["features"].outputs["test"])["x"])

    @staticmethod
    def without_season(session, monkeypatch):
        monkeypatch.setitem(session.run.overrides, "monitor.season", 0.0)
        session.__dict__.pop("params", None)

    def week(self, shift=0.0, rows=400):
        """Rows of the season's second week."""
        x = np.random.default_rng(3).normal(size=(20 * rows, 2))
        place = course(self, {"x": x}) / MONTH
        return {"x": x[(place >= 0.25) & (place < 0.5)][:rows] + np.array([shift, 0.0])}


def course(self, data):
    """x1 rises with the month, and has as much chance of its own, which its last digits stand for."""
    x = data["x"][:, 1]
    return MONTH * ndtr((x + ndtri(1e4 * x % 1)) / np.sqrt(2))


@pytest.fixture
def seasonal(toy_session, trained, monkeypatch):
    return lambda times=course: Seasonal(toy_session, trained, monkeypatch, times)


def test_a_week_of_a_month_is_no_drift_beside_the_same_weeks(seasonal):
    world = seasonal().champion()
    found = world.check_window(world.week())
    assert not any(channel.drifted for channel in found["drift"].channels), found["drift"].channels
    assert found["verdict"].outcome == "no drift"
    assert "of the same part of the season" in found["drift"].method
    assert found["drift"].reference_rows < 0.6 * world.rows()


def test_beside_the_whole_month_the_same_week_is_drift(seasonal, monkeypatch):
    world = seasonal().champion()
    world.without_season(world.monitoring, monkeypatch)
    found = world.check_window(world.week())
    assert {channel.name for channel in found["drift"].channels if channel.drifted} >= {"x1"}
    assert found["drift"].reference_rows == world.rows()


def test_a_part_with_few_reference_rows_is_too_small_to_judge_and_says_so(seasonal, monkeypatch):
    world = seasonal().champion()
    whole = world.rows()
    monkeypatch.setitem(world.monitoring.run.overrides, "monitor.rows", whole)
    world.monitoring.__dict__.pop("params", None)
    window = world.week()
    labelled = {**window, "y": (window["x"][:, 0] > 0).astype(int)}
    found = world.check_window(window, outcomes=labelled)
    assert found["verdict"].outcome == "too small to judge"
    expected = rf"reference, in this part of the season, has \d+ rows, fewer than the {whole} asked for \(monitor.rows\)"
    assert re.search(expected, found["drift"].method)
    about = found["drift"].performance.why
    assert re.search(rf"the reference's labels are \d+, fewer than the {whole}", about), "labels are those of the season, too"


def test_a_change_beside_the_season_is_drift(seasonal):
    world = seasonal().champion()
    found = world.check_window(world.week(shift=1.5))
    assert {channel.name for channel in found["drift"].channels if channel.drifted} >= {"x0"}


def test_a_reference_frozen_without_times_is_named_with_a_remedy(seasonal, monkeypatch):
    world = seasonal()
    world.without_season(world.session, monkeypatch)
    monkeypatch.setattr(type(world.session.project), "times", lambda self, data: None)
    world.champion()
    monkeypatch.setattr(type(world.monitoring.project), "times", course)
    with pytest.raises(ConfigError, match=r"reference of version 1 of toy does not say when .* the next promotion freezes one"):
        world.check_window(world.week())


def test_a_season_without_times_is_refused_with_a_remedy(seasonal):
    world = seasonal(lambda self, data: None)
    world.crown()
    with pytest.raises(ConfigError, match=r"monitor.season: 28, and the rows of toy carry no time .* or set 0"):
        world.baseline()
