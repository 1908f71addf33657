"""Alarms: as rare as stated when nothing changed, and raised by what should raise them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from pipelines.parts.drift import Reference, Watching

FLOOR = 0.05
JOINT = "all columns together"


def world(random, rows, numbers=20, levels=10, shift=0.0, shifted=3, swap=False, burst=0.0, new=0.0):
    """Dependent numbers, one of them with missing values, and categories with rare levels."""
    common = random.normal(size=(rows, 1))
    x = 0.5 * common + math.sqrt(0.75) * random.normal(size=(rows, numbers))
    x[:, :shifted] += shift
    x[:, numbers - 1][random.random(rows) < 0.02 + burst] = np.nan
    arrays = {f"x{i}": x[:, i] for i in range(numbers)}
    for i in range(levels):
        shares = [0.3, 0.5, 0.15, 0.04, 0.01] if swap and i == 0 else [0.5, 0.3, 0.15, 0.04, 0.01]
        arrays[f"c{i}"] = random.choice(list("abcde"), rows, p=shares)
    if new:
        arrays["c1"] = np.where(random.random(rows) < new, "never seen", arrays["c1"])
    return arrays


def watching(**changes):
    return Watching(**{"false_alarm_rate": 0.05, "resamples": 500, "effect": FLOOR, "rows": 50, "seed": 1} | changes)


@pytest.fixture(scope="module")
def reference():
    return Reference.freeze(world(np.random.default_rng(0), 3000), seed=1)


def alarms(reference, windows, rows=200, asked=None, seed=7, **change):
    """Names of the drifted channels, window by window."""
    random = np.random.default_rng(seed)
    found = (reference.compare(world(random, rows, **change), asked or watching()) for _ in range(windows))
    return [[channel.name for channel in channels if channel.drifted] for channels in found]


@pytest.mark.parametrize(("stated", "rows"), [(0.05, 200), (0.2, 120)])
def test_false_alarms_are_as_rare_as_stated(stated, rows):
    """20 references with 30 windows each, no effect floor. The bounds are 3 binomial standard errors of 600 windows."""
    rang = []
    for each in range(20):
        random = np.random.default_rng([11, each])
        frozen = Reference.freeze(world(random, 1500, numbers=8, levels=4), seed=each)
        asked = watching(false_alarm_rate=stated, effect=0.0, resamples=400, seed=each)
        rang += [any(c.drifted for c in frozen.compare(world(random, rows, numbers=8, levels=4), asked)) for _ in range(30)]
    assert abs(np.mean(rang) - stated) < 3 * math.sqrt(stated * (1 - stated) / len(rang))


def test_false_alarms_stay_rare_where_the_window_is_larger_than_half_the_reference():
    rang = []
    for each in range(20):
        random = np.random.default_rng([12, each])
        frozen = Reference.freeze(world(random, 300, numbers=8, levels=4), seed=each)
        asked = watching(effect=0.0, resamples=400, seed=each)
        rang += [any(c.drifted for c in frozen.compare(world(random, 400, numbers=8, levels=4), asked)) for _ in range(10)]
    assert np.mean(rang) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)


@pytest.mark.parametrize("size", [70, 320, 700])
def test_between_two_sizes_of_the_grid_the_null_is_as_if_drawn(reference, size):
    asked = watching(resamples=1500)
    grid = reference.sizes(asked.rows)
    assert size not in grid
    drawn = Reference(reference.channels).null(size, asked)
    fresh = Reference(reference.channels)
    for level in (0.8, 0.9, 0.95):
        interpolated = fresh.p_values(np.quantile(drawn, [level]), size, asked)[0]
        assert interpolated == pytest.approx(1 - level, abs=4 * math.sqrt(level * (1 - level) / 1500))


def test_p_values_are_as_small_as_they_say_far_out(reference):
    """Beyond the tenth largest of the drawn windows they follow a tail; 4,000 other windows say whether it holds."""
    others = Reference(reference.channels).null(200, watching(seed=2, resamples=4000))
    p_values = Reference(reference.channels).p_values(others, 200, watching())
    assert 0.004 < np.mean(p_values <= 0.01) < 0.018
    assert np.mean(p_values <= 0.001) < 0.004


def test_a_shift_of_a_third_of_a_deviation_in_three_of_thirty_columns_is_seen(reference):
    found = alarms(reference, 60, shift=0.3)
    assert np.mean([bool(names) for names in found]) > 0.8
    assert {name for names in found for name in names} >= {"x0", "x1", "x2"}


def test_two_categories_that_swap_are_seen(reference):
    found = alarms(reference, 30, swap=True)
    assert np.mean(["c0" in names for names in found]) > 0.85


def test_a_burst_of_missing_values_is_seen_in_the_missing_rate(reference):
    found = alarms(reference, 30, burst=0.1)
    assert np.mean(["x19 (missing)" in names for names in found]) > 0.85
    assert not any("x19" in names for names in found)


def test_a_new_category_is_seen_and_named(reference):
    channels = reference.compare(world(np.random.default_rng(3), 200, new=0.08), watching())
    assert channels[0].name == "c1"
    assert channels[0].drifted
    assert "new: 'never seen'" in channels[0].note


def test_an_effect_too_small_to_matter_raises_no_alarm_however_many_rows(reference):
    window = world(np.random.default_rng(4), 50_000, shift=0.05)
    strict, floored = (reference.compare(window, watching(effect=effect)) for effect in (0.0, FLOOR))
    assert any(channel.drifted for channel in strict)
    assert not any(channel.drifted for channel in floored)


def test_the_effect_has_no_bias_without_drift(reference):
    random = np.random.default_rng(5)
    effects = [c.effect for _ in range(20) for c in reference.compare(world(random, 200), watching()) if c.kind == "numeric"]
    assert np.mean(effects) < 0.015  # the plain index would be 0.048 on average


def test_p_values_hold_for_the_family_and_come_most_surprising_first(reference):
    channels = reference.compare(world(np.random.default_rng(6), 200, shift=1.0), watching())
    values = [channel.p_value for channel in channels]
    assert values == sorted(values)
    assert values[0] == 1e-6
    assert {channel.name for channel in channels if channel.drifted} == {"x0", "x1", "x2", JOINT}


def test_a_reference_is_read_back_as_it_was_written(reference, tmp_path):
    reference.write(tmp_path, watching())
    again = Reference.read(tmp_path)
    window = world(np.random.default_rng(8), 150)
    assert again.compare(window, watching()) == reference.compare(window, watching())
    text = (tmp_path / "statistics.json").read_text()
    assert '"window_rows": 200' in text
    assert '"edges"' in text


def test_writing_twice_gives_equal_bytes(tmp_path):
    for name in ("one", "two"):
        Reference.freeze(world(np.random.default_rng(0), 400), seed=1).write(tmp_path / name, watching())
    for file in ("reference.npz", "statistics.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_large_reference_is_thinned_by_its_seed():
    arrays = {"x": np.arange(1000.0)}
    first, again, other = (Reference.freeze(arrays, seed, rows=100).channels["x"] for seed in (1, 1, 2))
    assert first.size == 100
    assert first.tolist() == again.tolist() != other.tolist()


def test_rows_in_another_order_are_the_same_window(reference):
    window = world(np.random.default_rng(9), 200)
    order = np.random.default_rng(1).permutation(200)
    assert reference.compare({n: a[order] for n, a in window.items()}, watching()) == reference.compare(window, watching())


@pytest.mark.parametrize("missing", [None, np.nan, "", "(missing)", pd.NA, pd.NaT])
def test_what_counts_as_missing(missing):
    frozen = Reference.freeze({"c": np.array(["a", "b"] * 200)}, seed=1)
    window = np.array(["a", "b"] * 100, dtype=object)
    window[:60] = missing
    channels = {c.name: c for c in frozen.compare({"c": window}, watching())}
    assert channels["c (missing)"].drifted
    assert "30.0%" in channels["c (missing)"].note
    assert not channels["c"].drifted


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (np.zeros(300), np.ones(100), "categorical"),
        (np.array([0, 1] * 150), np.zeros(100, dtype=int), "categorical"),
        (np.array([True, False] * 150), np.zeros(100, dtype=bool), "categorical"),
        (np.linspace(0, 1, 300), np.full(100, 0.5), "numeric"),
        (np.repeat([0.0, *np.linspace(1, 2, 150)], [150, *[1] * 150]), np.full(100, -1.0), "numeric"),
        (np.array(["only"] * 300), np.array(["other"] * 100), "categorical"),
    ],
)
def test_columns_of_every_shape_are_judged(before, after, kind):
    channel = Reference.freeze({"x": before}, seed=1).compare({"x": after}, watching())[0]
    assert (channel.kind, channel.name, channel.drifted) == (kind, "x", True)
    assert math.isfinite(channel.effect)


def test_the_models_answers_are_channels_of_their_own_kind_without_missing_rates():
    random = np.random.default_rng(1)
    answers = {"score.probability": random.random(300), "score.label": random.integers(0, 2, 300)}
    kinds = {c.name: c.kind for c in Reference.freeze(answers, seed=1).family}
    assert kinds == {"score.probability": "score", "score.label": "prediction"}


def test_an_array_of_several_columns_is_several_channels():
    random = np.random.default_rng(1)
    frozen = Reference.freeze({"score": random.random((300, 3))}, seed=1)
    assert [channel.name for channel in frozen.family] == ["score[0]", "score[1]", "score[2]"]
    window = random.random((100, 3))
    window[:, 1] += 1
    assert [c.name for c in frozen.compare({"score": window}, watching()) if c.drifted] == ["score[1]"]


def test_a_column_that_is_gone_or_of_another_type_counts_as_missing():
    frozen = Reference.freeze({"x": np.linspace(0, 1, 300), "y": np.linspace(0, 1, 300)}, seed=1)
    channels = frozen.compare({"x": np.array(["text"] * 100)}, watching())
    assert {channel.name for channel in channels if channel.drifted} == {"x (missing)", "y (missing)", JOINT}


def test_a_column_without_any_value_is_no_drift_when_it_stays_so():
    frozen = Reference.freeze({"x": np.full(300, np.nan), "y": np.array([""] * 300)}, seed=1)
    assert not any(c.drifted for c in frozen.compare({"x": np.full(100, np.nan), "y": np.array([""] * 100)}, watching()))


@pytest.mark.parametrize("rows", [2, 3, 11, 40])
def test_a_reference_of_a_few_rows_can_be_frozen_and_compared(rows, tmp_path):
    random = np.random.default_rng(rows)
    few = {"x": random.normal(size=rows), "y": random.normal(size=rows), "c": random.choice(["a", "b"], rows)}
    Reference.freeze(few, seed=1).write(tmp_path, watching(resamples=100))
    frozen = Reference.read(tmp_path)
    channels = frozen.compare(few, watching())
    assert not any(channel.drifted for channel in channels)
    assert frozen.limit(rows, watching()) > 0
