"""What documents tell MLflow."""

from __future__ import annotations

from pipelines.core.evidence import Channel, Drift, Verdict
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
