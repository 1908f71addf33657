"""baseline, check and decide on the toy project: what is frozen, what is judged, what is kept."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from pipelines.core.alarms import Alarms, name_of
from pipelines.core.errors import ConfigError
from pipelines.core.evidence import Drift, Verdict
from pipelines.core.execution import save
from pipelines.core.ledger import Entry
from pipelines.parts.drift import Reference
from pipelines.parts.drift.joint import Joint
from pipelines.stages import check as check_stage
from pipelines.stages.decide import concluded, earlier, judge, records
from tests.unit.stages.world import World

JOINT = "all columns together"


@pytest.fixture
def world(toy_session, trained, monkeypatch):
    """A trained toy whose `linear` is about to be, or is, champion; and windows of any rows to check."""
    return World(toy_session, trained, monkeypatch)


def test_a_promoted_version_gets_its_test_rows_as_reference(world):
    world.crown()
    result = world.baseline()
    folder = world.session.read(result.outputs["baseline"])
    with np.load(folder / "reference.npz") as arrays:
        assert set(arrays.files) == {"x0", "x1", "score"}
        test = world.session.read(world.done["features"].outputs["test"])
        np.testing.assert_array_equal(arrays["x0"], test["x"][:, 0])
    assert world.session.ledger.history("toy").baseline == result.outputs["baseline"]


def test_the_baseline_entered_again_changes_nothing(world):
    world.crown()
    first = world.baseline()
    world.session.run.__dict__["fresh"] = True
    again = world.baseline()
    assert not again.reused
    assert again.outputs == first.outputs
    assert len(world.entries()) == 1


def test_where_nothing_is_promoted_the_champion_keeps_its_reference(world):
    world.crown()
    first = world.baseline()
    kept = world.baseline("refused", 2)
    assert kept.outputs == first.outputs
    assert len(world.entries()) == 1


def test_the_baseline_says_how_much_each_column_matters(world):
    world.crown()
    folder = world.session.read(world.baseline().outputs["baseline"])
    found = json.loads((folder / "importance.json").read_text())
    assert found["metric"] == "accuracy"
    matters = found["loss_when_shuffled"]
    assert matters["x0"] > matters["x1"] > 0.02
    assert set(matters) == {"x0", "x1"}, "nobody can shuffle the score"


def test_without_any_champion_the_baseline_says_so(world):
    folder = world.session.read(world.baseline("refused", None).outputs["baseline"])
    assert "nothing was promoted" in (folder / "statistics.json").read_text()
    assert world.entries() == []


def test_a_window_like_the_reference_raises_no_alarm(world):
    found = world.champion().check()
    assert found["drift"].judged
    assert {c.name for c in found["drift"].channels} == {"x0", "x1", "score", "x0 (missing)", "x1 (missing)", JOINT}
    assert found["verdict"].outcome == "no drift"
    assert found["verdict"].recommendation == "keep the champion"
    assert "No drift" in found["page"]
    assert (found["report"] / "evidently.html").is_file()


def test_a_shifted_window_is_drift_and_names_the_channels(world):
    found = world.champion().check(shift=1.0)
    assert found["verdict"].outcome == "drift"
    assert {"x0", "score"} <= set(found["verdict"].channels)
    assert "x1" not in found["verdict"].channels
    assert "the model's answers have shifted (score)" in found["verdict"].recommendation


def test_few_rows_are_too_few_to_judge(world):
    found = world.champion().check(rows=10, shift=5.0)
    assert found["verdict"].outcome == "too small to judge"
    assert "the window has 10 rows, fewer than the 50 asked for" in found["drift"].method


def test_no_rows_at_all_are_too_few_to_judge(world):
    assert world.champion().check(rows=0)["verdict"].outcome == "too small to judge"


def test_without_a_champion_there_is_nothing_to_compare(world):
    found = world.check()
    assert found["verdict"].outcome == "no champion"
    assert found["drift"].champion is None
    assert "pipelines run toy" in found["verdict"].recommendation


def test_a_champion_without_reference_is_an_error_with_a_remedy(world):
    world.crown()
    with pytest.raises(ConfigError, match=r"version 1 of toy is champion and has no drift reference.*`pipelines doctor`") as told:
        world.check()
    assert "pipelines run" not in str(told.value), "that would train, and replace the champion"


def test_a_verdict_is_stored_once_however_often_it_is_reached(world):
    world.champion().check()
    keys = world.session.store.keys("verdicts/toy/")
    world.check()
    assert world.session.store.keys("verdicts/toy/") == keys
    assert len(keys) == 1
    assert keys[0].startswith("verdicts/toy/2025-03-03..2025-03-10/v0001-")
    assert Verdict.model_validate_json(world.session.store.read(keys[0]) or b"").outcome == "no drift"


def test_of_several_verdicts_on_a_window_the_report_of_a_later_one_has_the_last(world):
    store, champion = world.champion().session.store, 1
    about = {"project": "toy", "champion": champion, "window": "2025-02-24..2025-03-03"}
    for digest, outcome, hour in (("ffff", "data quality", 6), ("0000", "no drift", 9)):
        told = Verdict(**about, outcome=outcome, at=datetime(2025, 3, 3, hour, tzinfo=UTC))
        store.create(f"verdicts/toy/{told.window}/v0001-{digest}.json", told.model_dump_json().encode())
    now = Verdict(project="toy", champion=champion, window="2025-03-03..2025-03-10", outcome="no drift")
    assert [one.outcome for one in earlier(store, now)] == ["no drift"]


def test_the_record_says_when_a_window_was_judged_last_the_stage_does_not(world):
    def kept() -> Verdict:
        (key,) = store.keys("verdicts/toy/")
        return Verdict.model_validate_json(store.read(key) or b"")

    store = world.champion().session.store
    first, before = world.check()["verdict"], kept()
    assert first == world.check()["verdict"], "the same whenever it is reached"
    assert (first.at, before.at is None) == (None, False)
    assert before.at < kept().at


def test_another_window_leaves_another_verdict(world):
    world.champion().check()
    world.check(shift=1.0)
    assert len(world.session.store.keys("verdicts/toy/")) == 2


def test_a_champion_that_does_worse_is_drift(world):
    found = world.champion().check_window(world.calm(), world.labelled(right=0.7))
    assert found["drift"].drifted[0].kind == "performance"
    assert found["verdict"].recommendation.startswith("the champion does worse than it did (accuracy 0.9")
    performance = found["drift"].performance
    assert (performance.rows, performance.why) == (300, "")
    assert performance.found.low < 0.7 < performance.found.high
    assert "on 300 labels of 2025-02-24..2025-03-03" in found["page"]


def test_a_champion_that_does_as_promised_is_no_drift(world):
    found = world.champion().check_window(world.calm(), world.labelled(right=0.93))
    assert found["verdict"].outcome == "no drift"
    assert {c.kind for c in found["drift"].channels} >= {"performance", "label", "numeric", "score"}


@pytest.mark.parametrize(
    ("rows", "told"),
    [(0, "labels not yet there: no row of 2025-02-24..2025-03-03 has one"), (20, "the newest labels are 20, fewer than the 50")],
)
def test_labels_that_are_not_there_are_said_not_to_be(world, rows, told):
    found = world.champion().check_window(world.calm(), world.labelled(right=0.5, rows=rows))
    assert found["drift"].performance.why.startswith(told)
    assert told[1:] in found["page"]
    assert "performance" not in {c.kind for c in found["drift"].channels}


def test_labels_the_champion_has_learned_from_judge_nothing(world):
    node, snapshot = world.session.graph.node("ingest"), {"window": {"end": "2025-03-01T00:00:00+00:00"}}
    ref = save(world.session, node, {"snapshot": snapshot}, "by hand")["snapshot"]
    model = world.done["train-linear"].outputs["model"]
    entry = Entry(kind="promotion", run="r", why="test", version=1, model=model, artifacts={"snapshot": ref})
    world.session.ledger.append("toy", entry)
    world.baseline()
    found = world.check_window(world.calm(), world.labelled(right=0.5))
    assert "rows newer than the champion's own, which end on 2025-03-01" in found["drift"].performance.why
    assert found["verdict"].outcome == "no drift"


def test_broken_data_are_no_drift_and_raise_no_alarm(world):
    shifted = {"x": world.calm()["x"] + 2}
    found = world.champion().check_window(shifted, usual_rows=1000.0)
    assert found["drift"].drifted
    assert found["verdict"].outcome == "data quality"
    assert found["verdict"].recommendation == "look at the source, not at the model: volume 200 rows, 20% of the usual 1,000"
    assert world.session.store.keys("alarms/toy/") == []


def test_old_rows_are_broken_data(world):
    found = world.champion().check_window(world.calm(), newest="2025-02-28T00:00:00+00:00")
    assert found["verdict"].recommendation.endswith("freshness the newest row is 10.0 days old")


def test_moved_columns_are_told_in_the_order_in_which_they_matter(world):
    found = world.champion().check_window({"x": world.calm()["x"] + 1.5})
    columns = [channel for channel in found["drift"].drifted if channel.kind == "numeric"]
    assert [channel.name for channel in columns] == ["x0", "x1"]
    assert columns[0].importance > columns[1].importance
    assert "look first at <strong>x0</strong>" in found["page"]


def test_the_page_shows_the_verdicts_of_earlier_windows(world):
    assert "Verdicts so far" not in world.champion().check()["page"]
    page = world.check_window(world.calm(), window="2025-03-10..2025-03-17")["page"]
    assert "Verdicts so far" in page
    assert 'aria-label="2025-03-03..2025-03-10: no drift"' in page


def test_evidently_failing_stops_no_verdict(world, monkeypatch):
    def broken(*arguments: Any) -> str:
        raise ValueError("no such metric")

    monkeypatch.setattr(check_stage, "evidently_report", broken)
    found = world.champion().check(shift=1.0)
    assert found["verdict"].outcome == "drift"
    assert "Evidently&#39;s report could not be drawn (ValueError: no such metric)" in found["page"]
    assert not (found["report"] / "evidently.html").exists()


@pytest.mark.slow
def test_evidently_draws_numbers_text_flags_and_columns_without_values(tmp_path):
    random = np.random.default_rng(1)
    arrays = {
        "x": random.normal(size=300),
        "c": random.choice(["a", "b", ""], 300),
        "flag": random.integers(0, 2, 300),
        "empty": np.full(300, np.nan),
        "score.label": random.integers(0, 2, 300),
    }
    reference = Reference.freeze(arrays, seed=1)
    window = reference.alike({name: values[:100] for name, values in arrays.items() if name != "flag"})
    check_stage.evidently_report(reference.channels, window, tmp_path, seed=1)
    page = (tmp_path / "evidently.html").read_text()
    assert "score.label" in page
    assert "<script" in page


def test_inputs_that_shift_alone_call_for_a_look_at_their_source():
    about = {"statistic": 0.2, "effect": 0.3, "p_value": 0.01, "drifted": True}
    channels = [{"name": f"x{i}", "kind": "numeric", **about} for i in range(7)]
    report = {
        "champion": 1,
        "rows": 99,
        "reference_rows": 99,
        "judged": True,
        "false_alarm_rate": 0.05,
        "method": "",
        "p_value": 0.01,
        "limit": 2.0,
    }
    verdict = judge("toy", "2025-01-06..2025-01-13", Drift.model_validate({**report, "channels": channels}))
    assert verdict.outcome == "drift"
    assert verdict.recommendation.startswith("inputs have shifted (x0, x1, x2, x3, x4 and 2 more), the model's answers have not")


def weeks(p_values: list[float]) -> list[Verdict]:
    """Verdicts on the weeks of a year that had these p-values, each concluded alone."""
    start = date(2025, 1, 6)
    found = []
    for week, p_value in enumerate(p_values):
        about = {"champion": 1, "rows": 99, "reference_rows": 99, "judged": True, "false_alarm_rate": 0.05, "method": ""}
        drift = Drift.model_validate({**about, "channels": [], "p_value": p_value, "limit": 2.0})
        begin, end = start + timedelta(days=7 * week), start + timedelta(days=7 * week + 7)
        found.append(judge("toy", f"{begin}..{end}", drift))
    return found


def test_weeks_that_are_little_surprising_each_become_an_alarm_together():
    verdicts = weeks([0.1, 0.1, 0.1, 0.9])
    assert {verdict.outcome for verdict in verdicts} == {"no drift"}
    outcomes = [concluded(verdict, verdicts).outcome for verdict in verdicts]
    assert outcomes == ["no drift", "watch", "drift", "no drift"]
    assert "have lasted over several windows" in concluded(verdicts[2], verdicts).recommendation


def test_judging_a_window_again_cannot_produce_an_alarm():
    (mild,), (harsh,) = weeks([0.5]), weeks([1e-6])
    assert concluded(harsh, []).outcome == "drift"
    assert concluded(harsh, [mild]).outcome == "no drift"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1, 0, 2)])
def test_windows_backfilled_in_any_order_end_with_the_same_verdicts_and_alarms(world, order):
    world.champion()
    labels = [f"2025-01-{6 + 7 * week:02d}..2025-01-{13 + 7 * week:02d}" for week in range(3)]
    for week in order:
        x = np.random.default_rng(week).normal(size=(200, 2)) + np.array([0.27, 0.0])
        world.check_window({"x": x}, label=labels[week])
    store = world.session.store
    kept = [Verdict.model_validate_json(store.read(name) or b"") for name in store.keys("verdicts/toy/")]
    assert [verdict.window for verdict in kept] == labels
    assert [verdict.windows for verdict in kept] == [1, 2, 3]
    assert kept == [concluded(verdict, kept) for verdict in kept]
    alarms = {name for event in Alarms(store, "toy").events() for name in event.alarms}
    assert alarms >= {name_of(verdict) for verdict in kept if verdict.outcome == "drift"}


def test_verdicts_on_another_champion_add_nothing(world):
    world.champion().check(shift=1.0)
    assert set(records(world.session.store, "toy", 1))
    assert records(world.session.store, "toy", 2) == {}


def test_a_window_whose_null_is_stored_draws_nothing(world, monkeypatch):
    world.champion()

    def drawn(*arguments: Any) -> Any:
        raise AssertionError("a window was drawn from the reference")

    monkeypatch.setattr(Joint, "profiles", drawn)
    assert world.check(rows=130)["drift"].judged
