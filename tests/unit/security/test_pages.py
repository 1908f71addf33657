"""Words from data and from people that would act in a page: in every page they are text."""

from __future__ import annotations

import tempfile
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.core.artifacts import Ref
from pipelines.core.contract import Splits
from pipelines.core.evidence import Channel, Criterion, Decision, Drift, Estimate, Leaderboard, Score, Slice, Verdict
from pipelines.parts.reports import card, drift
from pipelines.parts.tabular.checks import check_table
from pipelines.parts.tabular.exploration import explore
from pipelines.parts.tabular.schema import Column, Schema

EVIL = '</script><img src=x onerror="alert(1)"><script>alert(2)</script>'
"""Breaks out of a script, an attribute and a paragraph."""
LEVEL = "<svg onload=alert(3)>"


class Harm(HTMLParser):
    """What of the planted words became part of the page itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._script = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if named.get("src") == "x" or any(name.startswith("on") and "alert(" in (value or "") for name, value in attrs):
            self.found.append(tag)
        self._script = "" if tag == "script" else self._script

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self._script += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "script" and self._script.strip() == "alert(2)":
            self.found.append(tag)


def harm(page: Path) -> list[str]:
    """Elements of ours in a page; the page must speak of them, or the test would see nothing."""
    text = page.read_text()
    assert "alert" in text, f"{page.name} does not show what was planted"
    parser = Harm()
    parser.feed(text)
    return parser.found


@pytest.fixture(autouse=True)
def _temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_the_harm_is_seen_where_nothing_is_escaped(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(f"<script>var x = '{EVIL}'</script><p>{LEVEL}</p>")
    assert harm(tmp_path / "page.html") == ["img", "script", "script", "svg"]


SCHEMA = Schema(
    columns=(Column(EVIL, "category", EVIL, levels=(LEVEL, "b")), Column("left", "category", EVIL, levels=("no", EVIL))),
    target="left",
    rows=1,
)


def rows(bad: str = "b") -> pd.DataFrame:
    return pd.DataFrame({EVIL: [LEVEL, "b", bad] * 4, "left": ["no", EVIL, "no"] * 4}, dtype=object)


@pytest.mark.parametrize("page", ["index.html", "expectations.html"])
def test_the_validation_report(page: str) -> None:
    checked = check_table(rows(bad=EVIL), SCHEMA)
    assert checked.report.failed
    assert harm(checked.docs / page) == []


def test_the_exploration(tmp_path: Path) -> None:
    table = rows().astype("category")
    explore(Splits(table, table, table), SCHEMA, tmp_path)
    assert harm(tmp_path / "index.html") == []


CHANNEL = Channel(name=EVIL, kind="numeric", statistic=0.1, effect=0.3, p_value=0.01, drifted=True, note=LEVEL)


def test_the_drift_page(tmp_path: Path) -> None:
    found = Drift(champion=1, rows=9, reference_rows=9, judged=True, false_alarm_rate=0.05, method=EVIL, channels=(CHANNEL,))
    verdict = Verdict(project="toy", champion=1, window=EVIL, outcome="drift", channels=(EVIL,), recommendation=EVIL)
    told = {"window": EVIL, "source": EVIL}
    drift.render(found, verdict, told, tmp_path, history=[verdict], links={"Evidently": "evidently.html"}, notes=[EVIL])
    assert harm(tmp_path / "index.html") == []


def test_evidentlys_page(tmp_path: Path) -> None:
    from pipelines.stages.check import evidently_report

    rng = np.random.default_rng(0)
    side = {EVIL: rng.normal(size=50), f"{EVIL}2": np.array([LEVEL, EVIL] * 25)}
    assert harm(tmp_path / evidently_report(side, side, tmp_path, 1)) == []


def test_the_model_card(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    estimate = Estimate(value=0.9, low=0.8, high=1.0)
    criterion = Criterion(name=EVIL, wanted=LEVEL, found=EVIL, passed=False, evidence={"bound": 0.5})
    facts = card.Facts(
        title=EVIL,
        description=EVIL,
        readme={"intended use": EVIL, "limits": LEVEL},
        leaderboard=Leaderboard(
            metric=EVIL,
            greater_is_better=True,
            rows=9,
            confidence=0.95,
            scores=(Score(candidate=EVIL, metrics={EVIL: estimate}, rank=1, valid=0.9, latency_ms=1, model_mb=1),),
        ),
        decision=Decision(
            project="hostile",
            winner=EVIL,
            promote=False,
            headline=EVIL,
            metric=estimate,
            criteria=(criterion,),
            comparison=None,
            incumbent=None,
            slices=(Slice(name=LEVEL, rows=9, metrics={EVIL: estimate}, judged=True),),
            rows={"train": 9, "valid": 9, "test": 9},
        ),
        snapshot={"source": EVIL, "origin": EVIL, "dataset": EVIL, "files": {EVIL: "ab"}},
        validation={
            "rows": 9,
            "quarantined": 1,
            "checks": [{"column": EVIL, "rule": LEVEL, "failures": 1, "tool": EVIL, "level": "row", "examples": [EVIL]}],
        },
        fit={"params": {EVIL: LEVEL}},
        artifacts={EVIL: Ref(name=EVIL, digest="ab", codec="text", size=1)},
        fingerprint="ab",
        seed=1,
        profile=EVIL,
    )
    card.render(facts, tmp_path / "figures", tmp_path)
    assert harm(tmp_path / "index.html") == []
