"""The domain classifier: sees what no single column shows, and nothing when nothing changed."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.parts.drift import Reference, Watching
from pipelines.parts.drift.joint import area_under_curve, kernel

WATCHING = Watching(false_alarm_rate=0.05, resamples=300, effect=0.05, rows=50, seed=1)


def rows(random, count, columns=30, pair=0.0, among=5):
    x = random.normal(size=(count, columns))
    x[:, :among] = np.sqrt(1 - pair) * x[:, :among] + np.sqrt(pair) * random.normal(size=(count, 1))
    return {f"x{i:02d}": x[:, i] for i in range(columns)}


def joint(channels):
    return next(channel for channel in channels if channel.kind == "joint")


@pytest.fixture(scope="module")
def reference():
    return Reference.freeze(rows(np.random.default_rng(0), 4000), seed=1)


def test_a_change_of_correlation_alone_is_found_and_named(reference):
    random = np.random.default_rng(2)
    found = [reference.compare(rows(random, 1000, pair=0.5, among=2), WATCHING) for _ in range(10)]
    drifted = [[channel.name for channel in channels if channel.drifted] for channels in found]
    assert sum(names == ["all columns together"] for names in drifted) >= 8
    assert "correlation of x00 and x01" in joint(found[0]).note
    assert joint(found[0]).statistic > 0.52


def test_nothing_is_found_where_nothing_changed(reference):
    random = np.random.default_rng(3)
    found = [joint(reference.compare(rows(random, 1000), WATCHING)) for _ in range(30)]
    assert sum(channel.drifted for channel in found) <= 1
    assert abs(np.mean([channel.statistic for channel in found]) - 0.5) < 0.01


def test_windows_beside_many_references_at_once_are_as_each_beside_one(reference):
    random = np.random.default_rng(5)
    channel = next(one for one in reference.family if one.kind == "joint")
    windows, references = (channel.profiles(random.choice(reference.pool, (count, 200))) for count in (7, 3))
    together = channel.surprise(windows, references[:, None])
    assert together == pytest.approx(np.stack([channel.surprise(windows, one) for one in references]), rel=1e-9)


def test_categories_and_missing_values_take_part():
    def tied(random, count, tie):
        number, text = random.normal(size=count), random.choice(["a", "b", "c"], count)
        above = number > 0
        text = np.where(random.random(count) < tie, np.where(above, "a", "b"), text)
        gone = random.random(count) < 0.2
        ordered = np.sort(gone)[np.argsort(np.argsort(number))] if tie else gone
        return {"text": text, "number": number, "other": np.where(ordered, np.nan, random.normal(size=count))}

    def mixed(random, count, tie):
        """Equal shares of every level whether or not they go with the number."""
        found = tied(random, count, tie)
        found["text"] = found["text"] if tie else random.permutation(tied(random, count, 0.5)["text"])
        return found

    random = np.random.default_rng(4)
    reference = Reference.freeze(mixed(random, 4000, 0.0), seed=1)
    channels = reference.compare(mixed(random, 1000, 0.5), WATCHING)
    assert {channel.name for channel in channels if channel.drifted} == {"all columns together"}


def test_hundreds_of_columns_are_seen_through_random_directions():
    random = np.random.default_rng(5)
    reference = Reference.freeze(rows(random, 2000, columns=200), seed=1)
    assert joint(reference.compare(rows(random, 500, columns=200), WATCHING)).drifted is False
    assert joint(reference.compare(rows(random, 500, columns=200, pair=0.5, among=100), WATCHING)).drifted
    channel = next(c for c in reference.family if c.kind == "joint")
    assert channel.describe()["dimensions"] == 48


def test_a_large_window_is_the_sum_of_its_parts(reference):
    channel = next(c for c in reference.family if c.kind == "joint")
    window = rows(np.random.default_rng(6), 120_000, columns=30)
    seen = reference.rows_of(window)
    whole, parts = channel.observed(seen), channel.observed(seen, sets=6)
    np.testing.assert_allclose(whole[0], parts.sum(axis=0), rtol=1e-6, atol=1e-3)


def test_rows_drawn_from_the_reference_give_the_profile_of_these_rows(reference):
    channel = next(c for c in reference.family if c.kind == "joint")
    positions = reference.pool[:100][None]
    given = {name: values[positions[0]] for name, values in reference.channels.items()}
    np.testing.assert_allclose(channel.profiles(positions), channel.observed(reference.rows_of(given)), atol=1e-9)


def test_the_kernel_is_the_inner_product_of_rows_and_their_products():
    u, v = np.random.default_rng(7).normal(size=(2, 5, 3))

    def features(rows):
        i, j = np.triu_indices(3)
        return np.column_stack([rows, rows[:, i] * rows[:, j] / np.where(i == j, np.sqrt(2), 1)])

    np.testing.assert_allclose(kernel(u, v), features(u) @ features(v).T)


def test_two_sides_that_cannot_be_mistaken_have_an_area_of_one():
    random = np.random.default_rng(8)
    assert area_under_curve(random.normal(size=(40, 2)) + 50, random.normal(size=(60, 2))) == 1.0
