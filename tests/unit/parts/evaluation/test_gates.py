"""Every criterion can refuse, and refuses for its own reason only."""

from __future__ import annotations

import pytest

from pipelines.core.config import Evaluate, Gates
from pipelines.core.errors import ConfigError
from pipelines.core.evidence import Comparison, Estimate, Score, Slice
from pipelines.parts.evaluation import gates

AUC = Estimate(value=0.84, low=0.82, high=0.86)
SCORE = Score(candidate="a", metrics={"auc": AUC}, rank=1, valid=0.85, latency_ms=4.0, model_mb=1.5)


def gain(low: float) -> Comparison:
    return Comparison(incumbent=3, gain=Estimate(value=0.01, low=low, high=0.03), probability_better=0.9)


def group(high: float, *, rows: int = 100, judged: bool = True, metric: str = "auc") -> Slice:
    return Slice(name="who=them", rows=rows, judged=judged, metrics={metric: Estimate(value=high - 0.1, low=0.1, high=high)})


@pytest.mark.parametrize(
    ("asked", "passed", "found"),
    [
        ({"floors": {"auc": 0.84}}, True, "0.8400 [0.8200, 0.8600]"),
        ({"floors": {"auc": 0.8401}}, False, "0.8400 [0.8200, 0.8600]"),
        ({"ceilings": {"auc": 0.84}}, True, "0.8400 [0.8200, 0.8600]"),
        ({"ceilings": {"auc": 0.8399}}, False, "0.8400 [0.8200, 0.8600]"),
        ({"ceilings": {"latency_ms": 4.0}}, True, "4"),
        ({"ceilings": {"latency_ms": 3.9}}, False, "4"),
        ({"ceilings": {"model_mb": 1.5}}, True, "1.5"),
        ({"ceilings": {"model_mb": 1.4}}, False, "1.5"),
        ({"floors": {"f1": 0.0}}, False, "undefined on the test rows"),
        ({"ceilings": {"f1": 1.0}}, False, "undefined on the test rows"),
    ],
)
def test_floors_and_ceilings_hold_for_the_point_estimate(asked, passed, found):
    (criterion,) = gates.bounds(Gates.model_validate(asked), SCORE)
    assert (criterion.passed, criterion.found) == (passed, found)


@pytest.mark.parametrize(("rows", "passed"), [(1000, True), (999, False)])
def test_rows(rows, passed):
    criterion = gates.enough_rows(Gates(rows=1000), rows)
    assert (criterion.name, criterion.wanted, criterion.passed) == ("training rows", "at least 1,000", passed)


@pytest.mark.parametrize(
    ("allowed", "low", "passed"), [(0.0, 0.0, True), (0.0, -0.001, False), (0.005, -0.005, True), (0.005, -0.0051, False)]
)
def test_the_lower_end_of_the_paired_gain_decides(allowed, low, passed):
    criterion = gates.not_worse(Gates(not_worse_by=allowed), "auc", gain(low))
    assert criterion.passed is passed
    assert "over version 3" in criterion.found


@pytest.mark.parametrize(
    ("greater", "record", "passed"),
    [
        (True, 0.84, True),
        (True, 0.849, True),
        (True, 0.8501, False),
        (False, 0.831, True),
        (False, 0.8299, False),
        (True, None, False),
    ],
)
def test_without_predictions_the_champions_record_is_the_bar(greater, record, passed):
    criterion = gates.not_worse_than_record(
        Gates(not_worse_by=0.01),
        SCORE,
        metric="auc",
        greater_is_better=greater,
        version=3,
        record=record,
        why="ValueError: columns",
    )
    assert criterion.passed is passed
    assert "version 3 cannot score these rows (ValueError: columns)" in criterion.found
    assert criterion.evidence["paired"] is False


def error(low: float, *, rows: int = 100, judged: bool = True) -> Slice:
    return Slice(name=f"from={low}", rows=rows, judged=judged, metrics={"mae": Estimate(value=low + 1, low=low, high=low + 9)})


def test_a_slice_is_refused_when_its_whole_interval_is_below_the_floor():
    asked = Gates(slices={"auc": 0.7})
    (below,) = gates.slice_bounds(asked, [group(0.9), group(0.699)])
    assert (below.name, below.passed) == ("slice floor: auc", False)
    assert below.found.startswith("below: who=them 0.5990")


def test_a_slice_is_refused_when_its_whole_interval_is_above_the_ceiling():
    asked = Gates(slice_ceilings={"mae": 10})
    (above,) = gates.slice_bounds(asked, [error(5), error(10.1)])
    assert (above.name, above.passed) == ("slice ceiling: mae", False)
    assert above.wanted == "no slice above 10 with confidence (lower end of its interval)"
    assert above.found.startswith("above: from=10.1 11.1000 [10.1000")


@pytest.mark.parametrize(
    ("asked", "slices", "found"),
    [
        ({"slices": {"auc": 0.7}}, [group(0.7), group(0.2, rows=10, judged=False)], "worst of 1: who=them 0.6000"),
        ({"slices": {"auc": 0.7}}, [group(0.7), group(0.2, metric="f1")], "worst of 1: who=them 0.6000"),
        ({"slice_ceilings": {"mae": 10}}, [error(10), error(3), error(90, judged=False)], "worst of 2: from=10 11.0000"),
    ],
)
def test_noise_small_slices_and_undefined_metrics_refuse_nothing(asked, slices, found):
    (criterion,) = gates.slice_bounds(Gates.model_validate(asked), slices)
    assert criterion.passed
    assert criterion.found.startswith(found)


@pytest.mark.parametrize("slices", [[group(0.9, rows=10, judged=False)], [group(0.9, metric="f1")], []])
def test_a_bound_for_slices_of_which_none_is_judged_refuses(slices):
    (criterion,) = gates.slice_bounds(Gates(slices={"auc": 0.7}), slices)
    assert not criterion.passed
    assert criterion.found == (
        f"none of {len(slices)} slices has the 50 test rows to be judged (gates.slice_rows) and a defined auc"
    )


def test_bounds_for_slices_of_a_project_without_any_are_a_config_error():
    asked = Gates(slices={"auc": 0.7}, slice_ceilings={"mae": 3, "brier": 1})
    with pytest.raises(ConfigError, match=r"gates.slices: auc; gates.slice_ceilings: mae, brier\).*let its `slices` name some"):
        gates.check_slices(asked, [])
    gates.check_slices(asked, ["who=them"])
    gates.check_slices(Gates(), [])


def test_no_gates_no_criteria():
    assert gates.bounds(Gates(), SCORE) == gates.slice_bounds(Gates(), [group(0.1)]) == []


def test_unknown_metrics_are_told_all_at_once_with_suggestions():
    asked = Gates(floors={"roc_uac": 0.8}, ceilings={"latency": 5, "model_mb": 5}, slices={"latency_ms": 0.5})
    asked = asked.model_copy(update={"slice_ceilings": {"briar": 1}})
    with pytest.raises(ConfigError) as error:
        gates.check_names(Evaluate(metric="roc_auk"), asked, ["roc_auc", "brier"])
    told = str(error.value)
    assert "evaluate.metric: there is no metric 'roc_auk'; did you mean 'roc_auc'?" in told
    assert "gates.floors: there is no metric 'roc_uac'; did you mean 'roc_auc'?" in told
    assert "gates.ceilings: there is no metric 'latency'; did you mean 'latency_ms'?" in told
    assert "gates.slices: there is no metric 'latency_ms'" in told
    assert "gates.slice_ceilings: there is no metric 'briar'; did you mean 'brier'?" in told
    assert told.count("there is no metric") == 5  # model_mb is one


def test_known_metrics_are_accepted():
    gates.check_names(
        Evaluate(metric="auc"), Gates(floors={"auc": 0.8}, ceilings={"latency_ms": 5}, slices={"auc": 0.5}), ["auc"]
    )
