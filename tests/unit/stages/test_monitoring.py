"""baseline, check and decide on the toy project: what is frozen, what is judged, what is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipelines.core.artifacts import StageResult
from pipelines.core.errors import DataError
from pipelines.core.evidence import Drift, Verdict
from pipelines.core.execution import execute, save
from pipelines.core.ledger import Entry
from pipelines.parts.drift import Reference
from pipelines.stages import check as check_stage
from pipelines.stages.decide import judge


@pytest.fixture
def world(toy_session, trained, monkeypatch):
    """A trained toy whose `linear` is about to be, or is, champion; and windows of any rows to check."""
    return World(toy_session, trained, monkeypatch)


class World:
    def __init__(self, toy_session: Any, trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.session, self.monitoring = toy_session(), toy_session("monitoring")
        self.done = trained(self.session)
        self.note("evaluate", {"decision": self.decision()})
        monkeypatch.setattr(check_stage, "evidently_report", self.no_evidently)

    @staticmethod
    def no_evidently(reference: Any, window: Any, folder: Any, seed: int) -> str:
        (folder / "evidently.html").write_text("<p>stand-in</p>")
        return "evidently.html"

    def note(self, name: str, values: dict[str, Any]) -> None:
        node = self.session.graph.node(name)
        self.done[name] = StageResult(node=name, fingerprint="by hand", outputs=save(self.session, node, values, "by hand"))

    def decision(self) -> dict[str, Any]:
        metric = {"value": 0.9, "low": 0.8, "high": 0.95}
        return {
            "project": "toy",
            "winner": "linear",
            "promote": True,
            "headline": "accuracy",
            "metric": metric,
            "criteria": [],
            "comparison": None,
            "incumbent": None,
        }

    def crown(self, version: int = 1) -> None:
        model = self.done["train-linear"].outputs["model"]
        self.session.ledger.append("toy", Entry(kind="promotion", run="r", why="test", version=version, model=model))

    def baseline(self, outcome: str = "promoted", version: int | None = 1) -> StageResult:
        told = {"outcome": outcome, "version": version, "champion": 1, "reason": "as the test says"}
        self.note("promote", {"promotion": told})
        return execute(self.session, self.session.graph.node("baseline"), self.done)

    def champion(self) -> World:
        self.crown()
        self.baseline()
        return self

    def check(self, rows: int = 200, shift: float = 0.0, seed: int = 3) -> dict[str, Any]:
        x = np.random.default_rng(seed).normal(size=(rows, 2)) + np.array([shift, 0.0])
        return self.check_window({"x": x})

    def check_window(self, window: dict[str, Any]) -> dict[str, Any]:
        graph, info = self.monitoring.graph, {"window": "2025-03-03..2025-03-10", "rows": len(window["x"]), "source": "path"}
        refs = save(self.monitoring, graph.node("collect"), {"window": window, "window_info": info}, "by hand")
        done = {"collect": StageResult(node="collect", fingerprint="by hand", outputs=refs)}
        done["check"] = execute(self.monitoring, graph.node("check"), done)
        done["decide"] = execute(self.monitoring, graph.node("decide"), done)
        found = {name: self.monitoring.read(ref) for result in done.values() for name, ref in result.outputs.items()}
        return {
            "drift": Drift.model_validate(found["drift"]),
            "verdict": Verdict.model_validate(found["verdict"]),
            "page": (found["drift_report"] / "index.html").read_text(),
            "report": found["drift_report"],
        }

    def entries(self) -> list[Entry]:
        return [e for e in self.session.ledger.history("toy").entries if e.kind == "baseline"]


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


def test_without_any_champion_the_baseline_says_so(world):
    folder = world.session.read(world.baseline("refused", None).outputs["baseline"])
    assert "nothing was promoted" in (folder / "statistics.json").read_text()
    assert world.entries() == []


def test_a_window_like_the_reference_raises_no_alarm(world):
    found = world.champion().check()
    assert found["drift"].judged
    assert {c.name for c in found["drift"].channels} == {"x0", "x1", "score", "x0 (missing)", "x1 (missing)"}
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
    with pytest.raises(DataError, match=r"version 1 of toy is champion and has no drift reference.*--stage baseline"):
        world.check()


def test_a_verdict_is_stored_once_however_often_it_is_reached(world):
    world.champion().check()
    keys = world.session.store.keys("verdicts/toy/")
    world.check()
    assert world.session.store.keys("verdicts/toy/") == keys
    assert len(keys) == 1
    assert keys[0].startswith("verdicts/toy/2025-03-03..2025-03-10/v0001-")
    assert Verdict.model_validate_json(world.session.store.read(keys[0]) or b"").outcome == "no drift"


def test_another_window_leaves_another_verdict(world):
    world.champion().check()
    world.check(shift=1.0)
    assert len(world.session.store.keys("verdicts/toy/")) == 2


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
    report = {"champion": 1, "rows": 99, "reference_rows": 99, "judged": True, "false_alarm_rate": 0.05, "method": ""}
    verdict = judge("toy", "week 1", Drift.model_validate({**report, "channels": channels}))
    assert verdict.outcome == "drift"
    assert verdict.recommendation.startswith("inputs have shifted (x0, x1, x2, x3, x4 and 2 more), the model's answers have not")
