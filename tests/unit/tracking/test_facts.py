"""What documents tell MLflow."""

from __future__ import annotations

import json

from pipelines.core.evidence import Channel, Comparison, Criterion, Decision, Drift, Estimate, Leaderboard, Score, Verdict
from pipelines.core.graph import Output
from pipelines.tracking.facts import Facts, facts_of


def test_unknown_document_gives_its_numbers_only_where_the_graph_shows_metrics() -> None:
    document = {"loss": 0.5, "epochs": [{"name": "first", "loss": 0.7}], "good": True}
    shown = facts_of(Output("anything", "json", show="metrics"), document, "xgboost")
    assert shown == {"xgboost": Facts(metrics=[("loss", 0.5, 0), ("epochs.first.loss", 0.7, 0)])}
    assert facts_of(Output("anything", "json", show="artifact"), document, None) == {None: Facts()}


def test_drift_is_told_by_channel() -> None:
    channel = Channel(name="contract=Two year", kind="categorical", statistic=0.2, effect=0.3, p_value=0.01, drifted=True)
    drift = Drift(
        champion=3, rows=100, reference_rows=900, judged=True, false_alarm_rate=0.05, method="max-T", channels=(channel,)
    )
    told = facts_of(Output("drift", "json", show="metrics"), drift.model_dump(mode="json"), None)[None]
    assert ("drift.contract_Two year.p_value", 0.01, 0) in told.metrics
    assert told.tags["drift.drifted"] == "contract=Two year"


def test_verdict_becomes_tags_and_note() -> None:
    verdict = Verdict(project="toy", champion=2, window="w", outcome="drift", recommendation="retrain")
    told = facts_of(Output("verdict", "json", show="artifact"), verdict.model_dump(mode="json"), None)[None]
    assert told.tags == {"verdict": "drift", "verdict.window": "w", "verdict.champion": "2"}
    assert told.note == "retrain"


def test_snapshot_without_a_catalog_entry_has_no_such_tag() -> None:
    told = facts_of(Output("snapshot", "json"), {"dataset": None, "source": "path", "origin": "a.csv"}, None)[None]
    assert "data.dataset" not in told.tags
    assert told.tags["data.source"] == "path"


def test_the_incumbent_is_a_figure_to_compare_with_and_never_the_winner() -> None:
    def score(candidate: str, rank: int, value: float) -> Score:
        estimate = Estimate(value=value, low=value - 0.1, high=value + 0.1)
        return Score(candidate=candidate, metrics={"auc": estimate}, rank=rank, valid=0.8, latency_ms=1.0, model_mb=2.0)

    scores = (score("forest", 2, 0.6), score("xgboost", 1, 0.7), score("champion", 0, 0.9))
    board = Leaderboard(metric="auc", greater_is_better=True, rows=50, confidence=0.95, scores=scores)
    told = facts_of(Output("leaderboard", "json", show="metrics"), board.model_dump(mode="json"), None)
    assert set(told) == {None, "forest", "xgboost"}
    assert told[None].tags == {"winner": "xgboost"}
    run = {name: value for name, value, _ in told[None].metrics}
    assert (run["auc"], run["champion_auc"], run["valid_auc"], run["test_rows"]) == (0.7, 0.9, 0.8, 50)
    assert ("rank", 2, 0) in told["forest"].metrics


def test_a_comparison_is_told_with_its_interval() -> None:
    gain = Estimate(value=0.01, low=-0.01, high=0.03)
    decision = Decision(
        project="toy",
        winner="xgboost",
        promote=False,
        headline="auc",
        metric=gain,
        criteria=(Criterion(name="not worse", wanted="≥ 0", found="-0.01", passed=False),),
        comparison=Comparison(incumbent=3, gain=gain, probability_better=0.8),
        incumbent=3,
    )
    told = facts_of(Output("decision", "json", show="artifact"), decision.model_dump(mode="json"), None)[None]
    assert {("gain_low", -0.01, 0), ("probability_better", 0.8, 0)} <= set(told.metrics)
    assert (told.tags["decision"], told.tags["decision.failed"], told.tags["incumbent"]) == ("refused", "not worse", "3")
    assert "| not worse | ≥ 0 | -0.01 | **failed** |" in told.note


FIT = Output("fit", "json", show="metrics")


def test_a_fits_curve_is_drawn_over_epochs_or_rows_and_its_resources_are_named() -> None:
    curve = [{"epoch": n, "loss": 1 / n, "seconds": 2} for n in (1, 2)]
    about = {"w": {"source": "package", "origin": "weights==1", "files": {"w.pth": "ab"}}}
    told = facts_of(FIT, {"candidate": "cnn", "valid": {"accuracy": 0.9}, "curve": curve, "resources": about}, "cnn")["cnn"]
    assert told.metrics == [
        ("valid_accuracy", 0.9, 0),
        ("curve.loss", 1.0, 1),
        ("curve.seconds", 2.0, 1),
        ("curve.loss", 0.5, 2),
        ("curve.seconds", 2.0, 2),
    ]
    assert json.loads(told.tags["resource.w"]) == about["w"]
    by_rows = facts_of(FIT, {"candidate": "cnn", "curve": [{"rows": 500, "valid": 0.8}]}, "cnn")["cnn"]
    assert by_rows.metrics == [("curve.valid", 0.8, 500)]
