"""Labels and performance: alarms as rare as stated while nothing changes, and raised by what should raise them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipelines.parts.drift import Metric, Outcomes, Watching, jointly

ACCURACY = Metric("accuracy", lambda truth, said: float(np.mean(truth["label"] == said["label"])), greater_is_better=True)
ERROR = Metric("error", lambda truth, said: float(np.mean(np.abs(truth["y"] - said["y"]))), greater_is_better=False)


def world(random, rows, rate=0.3, right=0.85):
    """Classes of which a model gets a share right."""
    label = (random.random(rows) < rate).astype(int)
    return {"label": label}, {"label": np.where(random.random(rows) < right, label, 1 - label)}


def watching(**changes):
    return Watching(**{"false_alarm_rate": 0.05, "resamples": 300, "effect": 0.0, "rows": 50, "seed": 1} | changes)


def drifted(outcomes, *window, metric=ACCURACY, **changes):
    return {channel.kind for channel in outcomes.compare(*window, metric, watching(**changes)) if channel.drifted}


@pytest.mark.parametrize(("stated", "rows"), [(0.05, 200), (0.2, 100), (0.1, 700)])
def test_false_alarms_are_as_rare_as_stated(stated, rows):
    """20 references with 30 windows each; 700 rows are more than half of the reference. Bounds: 3 binomial standard errors."""
    rang = []
    for each in range(20):
        random = np.random.default_rng([21, each])
        outcomes = Outcomes.freeze(*world(random, 1200), seed=each)
        rang += [bool(drifted(outcomes, *world(random, rows), false_alarm_rate=stated, seed=each)) for _ in range(30)]
    assert abs(np.mean(rang) - stated) < 3 * math.sqrt(stated * (1 - stated) / len(rang))


def test_a_model_that_does_worse_is_named_and_one_that_does_better_is_not():
    random = np.random.default_rng(5)
    outcomes = Outcomes.freeze(*world(random, 2000), seed=1)
    worse = outcomes.compare(*world(random, 400, right=0.7), ACCURACY, watching())
    assert [channel.kind for channel in worse if channel.drifted] == ["performance"]
    assert worse[0].effect == pytest.approx(0.15, abs=0.06)
    assert worse[0].note.startswith("accuracy 0.8")
    assert drifted(outcomes, *world(random, 400, right=0.99)) == set()


def test_a_base_rate_that_moves_is_seen_in_the_labels():
    random = np.random.default_rng(6)
    outcomes = Outcomes.freeze(*world(random, 2000), seed=1)
    found = outcomes.compare(*world(random, 400, rate=0.5), ACCURACY, watching())
    moved = next(channel for channel in found if channel.kind == "label")
    assert moved.drifted
    assert moved.note.startswith("'1' ")


def test_a_loss_that_promotion_accepts_is_no_alarm():
    random = np.random.default_rng(7)
    outcomes = Outcomes.freeze(*world(random, 5000), seed=1)
    window = world(random, 2000, right=0.8)
    accepted = Metric("accuracy", ACCURACY.value, greater_is_better=True, floor=0.1)
    assert drifted(outcomes, *window) == {"performance"}
    assert drifted(outcomes, *window, metric=accepted) == set()


def test_numbers_are_labels_too_and_an_error_that_grows_is_a_loss():
    random = np.random.default_rng(8)
    y = random.normal(size=1500)
    outcomes = Outcomes.freeze({"y": y}, {"y": y + 0.3 * random.normal(size=1500)}, seed=1)
    new = 0.5 + random.normal(size=300)
    found = outcomes.compare({"y": new}, {"y": new + random.normal(size=300)}, ERROR, watching())
    assert {channel.kind for channel in found if channel.drifted} == {"performance", "label"}
    assert next(c for c in found if c.kind == "label").note.startswith("mean ")


def test_a_class_nobody_has_seen_is_named():
    known = {"label": np.array(["a", "b"] * 50)}
    outcomes = Outcomes(known, known)
    window = {"label": np.array(["a"] * 20 + ["z"] * 30)}
    found = next(c for c in outcomes.compare(window, window, ACCURACY, watching()) if c.kind == "label")
    assert found.drifted
    assert found.note.endswith("new: 'z' (60.0%)")


def test_where_the_metric_is_undefined_only_labels_are_judged():
    random = np.random.default_rng(9)
    outcomes = Outcomes.freeze(*world(random, 500), seed=1)
    undefined = Metric("auc", lambda truth, said: math.nan, greater_is_better=True)
    assert [channel.kind for channel in outcomes.compare(*world(random, 100), undefined, watching())] == ["label"]


def test_outcomes_come_back_from_their_folder(tmp_path):
    truth, said = world(np.random.default_rng(1), 60)
    Outcomes.freeze(truth, said, seed=1).write(tmp_path)
    back = Outcomes.read(tmp_path)
    np.testing.assert_array_equal(back.truth["label"], truth["label"])
    np.testing.assert_array_equal(back.predictions["label"], said["label"])
    assert Outcomes.read(tmp_path / "elsewhere") is None


def test_two_families_share_the_rate():
    random = np.random.default_rng(4)
    outcomes = Outcomes.freeze(*world(random, 1000), seed=1)
    alone = outcomes.compare(*world(random, 300), ACCURACY, watching())
    both = jointly(alone, 2, 0.05)
    assert all(b.p_value == pytest.approx(1 - (1 - a.p_value) ** 2) for a, b in zip(alone, both, strict=True))
    assert [c.p_value for c in jointly(alone, 1, 0.05)] == pytest.approx([c.p_value for c in alone])
