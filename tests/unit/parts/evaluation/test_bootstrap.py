"""Intervals that cover, comparisons that pair, and resamples on which a metric is undefined."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from pipelines.parts.evaluation import classes, compare, resample, take


def mean(truth, predictions):
    return {"mean": float(np.mean(predictions["p"]))}


def ranked(truth, predictions):
    """ROC-AUC by ranks; undefined with one class, by raising as scikit-learn does."""
    y, p = truth["label"], predictions["p"]
    positives = int(y.sum())
    if positives in (0, len(y)):
        raise ValueError("Only one class present in y_true")
    ranks = np.empty(len(p))
    ranks[np.argsort(p, kind="stable")] = np.arange(1, len(p) + 1)
    auc = (ranks[y == 1].sum() - positives * (positives + 1) / 2) / (positives * (len(y) - positives))
    return {"auc": float(auc), "brier": float(np.mean((p - y) ** 2))}


def sample(rows, seed=0, share=0.3):
    random = np.random.default_rng(seed)
    y = (random.random(rows) < share).astype(int)
    noise = random.normal(size=(2, rows))
    return {"label": y}, {name: {"p": 1 / (1 + np.exp(-(y - 0.5 + n)))} for name, n in zip("ab", noise, strict=True)}


def estimate(values, seed, confidence=0.9):
    drawn = resample(mean, {"y": np.zeros(len(values))}, {"m": {"p": values}}, resamples=400, seed=seed)
    return drawn.estimate("m", "mean", confidence)


@pytest.mark.parametrize("rows", [15, 200])
def test_intervals_cover_as_often_as_they_say(rows):
    """The plain percentile interval would cover about 0.85 at 15 rows; the bounds are three standard errors around 0.9."""
    random = np.random.default_rng(5)
    found = [estimate(random.normal(3.0, 2.0, size=rows), seed) for seed in range(500)]
    covered = np.mean([e.low <= 3.0 <= e.high for e in found])
    assert 0.9 - 3 * math.sqrt(0.9 * 0.1 / 500) - 0.005 <= covered <= 0.9 + 3 * math.sqrt(0.9 * 0.1 / 500) + 0.005


def test_intervals_of_rows_that_depend_on_each_other_are_drawn_in_units():
    """Forty customers with ten rows each, which share most of what they are: rows drawn one by one would cover about half."""
    random, score = np.random.default_rng(5), mean
    units, covered = np.repeat(np.arange(40), 10), {True: 0, False: 0}
    for seed in range(200):
        values = random.normal(size=40)[units] + random.normal(scale=0.5, size=400)
        for grouped in covered:
            truth, predictions = {"y": np.zeros(400)}, {"m": {"p": values}}
            drawn = resample(score, truth, predictions, resamples=200, seed=seed, units=units if grouped else None)
            found = drawn.estimate("m", "mean", 0.9)
            covered[grouped] += found.low <= 0 <= found.high
    assert covered[True] / 200 == pytest.approx(0.9, abs=0.06)
    assert covered[False] / 200 < 0.65


def test_each_unit_is_drawn_with_all_of_its_rows():
    units, seen = ["b", "a", "b", "c", "a", "b"], []

    def rows(truth, predictions):
        seen.append(truth["row"].tolist())
        return {"rows": float(len(truth["row"]))}

    drawn = resample(rows, {"row": np.arange(6)}, {"m": {"p": np.zeros(6)}}, resamples=50, seed=1, units=units)
    assert (drawn.rows, drawn.units) == (6, 3)
    for one in seen[1:]:
        assert len({one.count(row) for row in (0, 2, 5)}) == len({one.count(row) for row in (1, 4)}) == 1
        assert one.count(0) + one.count(1) + one.count(3) == 3


def test_units_of_one_row_are_rows():
    truth, models = sample(100)
    drawn = [resample(ranked, truth, models, resamples=50, seed=3, units=units) for units in (None, range(100))]
    assert drawn[0].estimates("a", 0.9) == drawn[1].estimates("a", 0.9)


def test_a_higher_confidence_gives_a_wider_interval():
    values = np.random.default_rng(1).normal(size=100)
    narrow, wide = estimate(values, 1, 0.8), estimate(values, 1, 0.99)
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_the_interval_of_a_biased_metric_lies_about_its_value():
    """The distance between the means of two halves that do not differ: every resample finds a larger one."""
    random = np.random.default_rng(2)
    values = random.normal(size=200)
    values[:100] -= values[:100].mean()
    values[100:] -= values[100:].mean()

    def distance(truth, predictions):
        half, p = truth["half"], predictions["p"]
        return {"distance": abs(float(p[half == 0].mean() - p[half == 1].mean()))}

    drawn = resample(distance, {"half": np.repeat([0, 1], 100)}, {"m": {"p": values}}, resamples=300, seed=1)
    found = drawn.estimate("m", "distance", 0.95)
    assert drawn.draws["m"]["distance"].min() > found.value
    assert found.low < found.value < found.high


def test_a_model_gains_exactly_nothing_over_itself():
    truth, models = sample(300)
    scores = resample(ranked, truth, {"new": models["a"], "old": models["a"]}, resamples=200, seed=1)
    found = compare(scores, "new", "old", "auc", incumbent=4, greater_is_better=True, confidence=0.95)
    assert (found.gain.value, found.gain.low, found.gain.high) == (0.0, 0.0, 0.0)
    assert found.probability_better == 0.5
    assert found.incumbent == 4


def test_the_gain_is_positive_when_better_whatever_the_direction():
    truth, models = sample(400)
    better = {"p": 0.7 * models["a"]["p"] + 0.3 * truth["label"]}
    scores = resample(ranked, truth, {"new": better, "old": models["a"]}, resamples=200, seed=1)
    for metric, greater in (("auc", True), ("brier", False)):
        found = compare(scores, "new", "old", metric, incumbent=1, greater_is_better=greater, confidence=0.95)
        assert 0 < found.gain.low < found.gain.value < found.gain.high
        assert found.probability_better == 1.0


def test_pairing_cancels_what_the_rows_have_in_common():
    truth, models = sample(400)
    close = {"p": models["a"]["p"] + 1e-4 * models["b"]["p"]}
    scores = resample(ranked, truth, {"new": close, "old": models["a"]}, resamples=200, seed=1)
    gain = compare(scores, "new", "old", "auc", incumbent=1, greater_is_better=True, confidence=0.95).gain
    alone = scores.estimate("old", "auc", 0.95)
    assert gain.high - gain.low < 0.05 * (alone.high - alone.low)


def test_neither_other_models_nor_their_order_change_an_interval():
    truth, models = sample(300)
    both = resample(ranked, truth, models, resamples=150, seed=2)
    turned = resample(ranked, truth, dict(reversed(models.items())), resamples=150, seed=2)
    alone = resample(ranked, truth, {"b": models["b"]}, resamples=150, seed=2)
    assert both.estimate("b", "auc", 0.95) == turned.estimate("b", "auc", 0.95) == alone.estimate("b", "auc", 0.95)


def test_the_order_of_the_rows_changes_an_interval_by_resampling_noise_only():
    truth, models = sample(600)
    order = np.random.default_rng(3).permutation(600)
    given = resample(ranked, truth, {"a": models["a"]}, resamples=1000, seed=1).estimate("a", "auc", 0.95)
    moved = resample(ranked, take(truth, order), {"a": take(models["a"], order)}, resamples=1000, seed=1)
    found = moved.estimate("a", "auc", 0.95)
    assert found.value == pytest.approx(given.value, abs=1e-12)
    width = given.high - given.low
    assert abs(found.low - given.low) < 0.15 * width
    assert abs(found.high - given.high) < 0.15 * width


def test_the_same_seed_repeats_and_another_differs():
    truth, models = sample(200)
    first, again, other = (resample(ranked, truth, models, resamples=100, seed=s).estimate("a", "auc", 0.9) for s in (1, 1, 2))
    assert first == again != other


def test_rows_of_a_rare_class_are_drawn_within_classes():
    """With 2 positives in 60 rows, one ordinary resample in eight has none."""
    truth, models = sample(60)
    truth = {"label": (np.arange(60) < 2).astype(int)}
    scores = resample(ranked, truth, models, resamples=200, seed=1)
    assert scores.stratified
    assert np.isfinite(scores.draws["a"]["auc"]).all()


def test_plenty_of_both_classes_are_drawn_freely():
    assert not resample(ranked, *sample(300), resamples=100, seed=1).stratified


def test_a_metric_that_is_undefined_on_the_rows_is_left_out():
    truth = {"label": np.zeros(50, dtype=int)}
    scores = resample(ranked, truth, {"a": {"p": np.linspace(0, 1, 50)}}, resamples=100, seed=1)
    assert scores.estimates("a", 0.95) == {}

    def half(truth, predictions):
        return {"known": 1.0, "unknown": math.nan}

    scores = resample(half, truth, {"a": {"p": np.zeros(50)}, "b": {"p": np.ones(50)}}, resamples=100, seed=1)
    assert set(scores.estimates("a", 0.95)) == {"known"}
    assert compare(scores, "a", "b", "unknown", incumbent=1, greater_is_better=True, confidence=0.95) is None


def test_a_model_that_cannot_be_scored_is_compared_with_none():
    truth, models = sample(50)

    def strict(truth, predictions):
        if not np.isfinite(predictions["p"]).all():
            raise ValueError("Input contains NaN")
        return ranked(truth, predictions)

    scores = resample(strict, truth, {**models, "gap": {"p": np.full(50, np.nan)}}, resamples=100, seed=1)
    for pair in (("a", "gap"), ("gap", "a")):
        assert compare(scores, *pair, "auc", incumbent=1, greater_is_better=True, confidence=0.95) is None


def test_without_classes_undefined_resamples_are_left_out():
    values = np.full(40, np.nan)
    values[:2] = 1.0

    def sparse(truth, predictions):
        return {"mean": float(np.nanmean(predictions["p"]))}

    scores = resample(sparse, {"y": np.linspace(0, 1, 40)}, {"a": {"p": values}}, resamples=200, seed=1)
    assert not scores.stratified
    assert np.isnan(scores.draws["a"]["mean"]).any()
    assert scores.estimate("a", "mean", 0.95).value == 1.0


def test_a_fault_in_the_score_function_is_not_hidden():
    def broken(truth, predictions):
        return {"x": predictions["no such array"]}

    with pytest.raises(KeyError):
        resample(broken, *sample(20), resamples=100, seed=1)


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.array([0, 1] * 10), 2),
        (np.array(["a", "b", "c", "a"] * 5), 3),
        (np.array(["a", "b"] * 5, dtype=object), 2),
        (np.linspace(0, 1, 100), None),
        (np.zeros(20), None),
        (np.zeros((20, 3)), None),
    ],
)
def test_classes_are_few_distinct_values(array, found):
    codes = classes({"first": array})
    assert (None if codes is None else len(set(codes.tolist()))) == found


def test_a_thousand_resamples_of_four_models_cost_little_beside_the_score_function():
    """Goal 2 to 3 s for 1,400 rows on an idle core; what is asserted is the share that is ours, which load does not change."""
    truth, models = sample(1400)
    four = {f"{name}{i}": p for i in range(2) for name, p in models.items()}
    spent = 0.0

    def timed(truth, predictions):
        nonlocal spent
        started = time.process_time()
        found = ranked(truth, predictions)
        spent += time.process_time() - started
        return found

    started = time.process_time()
    resample(timed, truth, four, resamples=1000, seed=1)
    assert time.process_time() - started - spent < 1.0


def test_a_single_row_has_an_interval_of_no_width():
    found = resample(mean, {"y": np.zeros(1)}, {"m": {"p": np.ones(1)}}, resamples=100, seed=1).estimate("m", "mean", 0.95)
    assert (found.low, found.value, found.high) == (1.0, 1.0, 1.0)
