"""The renderer on documents of every outcome; it sees nothing but the document."""

from __future__ import annotations

import io
import re
from typing import Any

from rich.console import Console

from pipelines.cli import panels


def shown(**parts: Any) -> str:
    nothing: dict[str, Any] = dict.fromkeys(
        [
            "data",
            "validation",
            "features",
            "leaderboard",
            "decision",
            "promotion",
            "window",
            "drift",
            "verdict",
            "baseline",
            "champion",
        ]
    )
    head = {
        "project": "toy",
        "title": "Toy",
        "run": "run-1",
        "chain": "training",
        "profile": "sample",
        "as_of": "2026-01-31T00:00:00+00:00",
        "overrides": {},
        "seconds": 1.25,
        "stages": [{"stage": "ingest", "reused": False}],
        "links": {},
    }
    console = Console(file=io.StringIO(), width=160)
    panels.show({**head, **nothing, **parts}, console)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


SNAPSHOT = {
    "dataset": "telco",
    "source": "simulator",
    "origin": "a:b",
    "files": {"t.csv": "ab" * 32},
    "notes": ["n"],
    "tried": ["url: no"],
}
CHAMPION = {"version": 3, "candidate": "linear", "since": "2026-01-30T10:11:12+00:00", "run": "run-0"}
DECISION = {
    "winner": "linear",
    "promote": False,
    "headline": "accuracy",
    "criteria": [
        {"name": "floor: accuracy", "wanted": "at least 0.9", "found": "0.8000 [0.7, 0.9]", "passed": False},
        {"name": "rows", "wanted": "at least 1", "found": "5", "passed": True},
    ],
    "comparison": {"incumbent": 3, "gain": {"value": -0.01, "low": -0.02, "high": 0.001}, "probability_better": 0.12},
}


def test_a_simulator_is_labelled_where_nobody_can_miss_it() -> None:
    text = shown(data=SNAPSHOT)
    assert "SIMULATOR: NOT REAL DATA  telco from simulator: a:b" in text
    assert "did not answer: url: no" in text
    assert "REAL" not in shown(data={**SNAPSHOT, "source": "url"})
    text = shown(data={**SNAPSHOT, "source": "stand-in"})
    assert "STAND-IN: REAL, BUT ANOTHER DATA SET  telco from stand-in: a:b" in text


def test_a_refusal_names_what_failed_and_who_keeps_serving() -> None:
    text = shown(decision=DECISION, champion=CHAMPION)
    assert "linear failed: floor: accuracy; version 3 keeps serving" in text
    assert "against version 3: accuracy better by -0.0100 (-.020–.001); better in 12% of resamples" in text


def test_a_winner_of_the_gates_that_was_not_promoted_is_refused_with_the_reason_and_what_to_do() -> None:
    passed = {**DECISION, "promote": True, "criteria": [DECISION["criteria"][1]]}
    reason = (
        "refused: this model served as version 4 and was rolled back (complaints); `pipelines rollback toy --to 4` restores it"
    )
    promotion = {"outcome": "refused", "version": 4, "replaced": None, "reason": reason}
    text = re.sub(
        r"\s+",
        " ",
        shown(decision=passed, promotion=promotion, champion=CHAMPION, stages=[{"stage": "promote", "reused": True}]),
    )
    assert "Refused linear passed the gate and was not promoted: this model served as version 4 and was rolled back" in text
    assert "`pipelines rollback toy --to 4` restores it; version 3 keeps serving" in text
    assert "nothing has changed" not in text


def test_a_refusal_that_a_person_has_overruled_is_none() -> None:
    promotion = {"outcome": "promoted", "replaced": 2, "reason": "promoted by a person: I looked"}
    assert "promoted: version 3 (linear) is the champion" in shown(decision=DECISION, promotion=promotion, champion=CHAMPION)


def test_a_promotion_says_what_it_replaced_and_a_repetition_that_nothing_changed() -> None:
    promotion = {"outcome": "promoted", "replaced": 2}
    text = shown(decision={**DECISION, "promote": True}, promotion=promotion, champion=CHAMPION)
    assert "promoted: version 3 (linear) is the champion" in text
    assert "since 2026-01-30 10:11 UTC, in place of version 2" in text
    again = shown(
        decision={**DECISION, "promote": True},
        promotion=promotion,
        champion=CHAMPION,
        stages=[{"stage": "ingest", "reused": True}],
    )
    assert "nothing has changed: version 3 (linear) is the champion" in again


def test_failed_checks_stand_in_the_summary() -> None:
    check = {"tool": "pandera", "column": "x", "rule": "is finite", "level": "row", "failures": 3, "examples": ["row 1: nan"]}
    text = shown(validation={"rows": 1000, "quarantined": 3, "checks": [check]})
    assert "1,000 rows; 0 of 1 checks passed (pandera); 3 rows set aside" in text
    assert "column 'x': is finite: 3 rows (e.g. row 1: nan)" in text


def test_drift_shows_what_moved_first() -> None:
    def channel(name: str, p: float, drifted: bool) -> dict[str, Any]:
        return {"name": name, "kind": "numeric", "statistic": 1.0, "effect": 0.2, "p_value": p, "drifted": drifted, "note": ""}

    drift = {
        "rows": 200,
        "reference_rows": 5000,
        "method": "max-T",
        "false_alarm_rate": 0.05,
        "channels": [channel("calm", 0.9, False), channel("moved", 0.001, True)],
    }
    verdict = {"outcome": "drift", "recommendation": "look at moved"}
    window = {"window": "a..b", "rows": 200, "source": "simulator", "replayed": True}
    text = shown(drift=drift, verdict=verdict, window=window, chain="monitoring")
    assert text.index("moved  ") < text.index("calm")
    assert "200 rows against 5,000; max-T; false alarms 5%" in text
    assert "a..b: 200 rows from simulator, replayed (NOT REAL DATA)" in text
    assert "Toy · monitoring · sample" in text


def test_a_drift_reference_is_frozen_by_a_promotion_only() -> None:
    assert "drift reference frozen, abababababababab…" in shown(
        baseline="ab" * 32, promotion={"outcome": "promoted"}, champion=CHAMPION
    )
    assert "drift reference as before" in shown(baseline="ab" * 32, promotion={"outcome": "rejected"}, champion=CHAMPION)
    assert "Baseline" not in shown(promotion={"outcome": "rejected"})


def test_addresses_are_printed_whole() -> None:
    place = "/a/very/long/" + "folder/" * 40 + "index.html"
    assert place in shown(links={"card": place, "mlflow": "http://127.0.0.1:5000/#/x"})


def test_features_are_counted_and_what_groups_are_worth_is_shown() -> None:
    ablation = {"source columns only": {"roc_auc": 0.841}, "contract": {"gain": 0.00499, "low": 0.001, "high": 0.01}}
    report = {"columns": {"a": {"type": "int64", "doc": ""}, "b": {}}, "rows": {"train": 2763, "test": 921}, "ablation": ablation}
    text = shown(features=report)
    assert re.search(r"Features +2 columns; 2,763 train rows; 921 test rows", text)
    assert re.search(r"ablation +roc_auc +gain +low +high", text)
    assert re.search(r"contract +0\.0050 +0\.0010 +0\.0100", text)
