"""What people read: nothing that is filled in can act, and what does not matter takes no room."""

from __future__ import annotations

import re

import numpy as np
import pytest

from pipelines.core.evidence import Channel, Criterion, Drift, Estimate, Performance, Verdict
from pipelines.parts.reports import card, drift
from pipelines.parts.reports.sketch import sketch
from pipelines.stages.decide import judge


def channel(name: str, kind: str = "numeric", **changes) -> Channel:
    values = {"statistic": 0.1, "effect": 0.3, "p_value": 0.01, "drifted": True, "note": "mean 1 → 2"} | changes
    return Channel.model_validate({"name": name, "kind": kind, **values})


def found(*channels: Channel, **changes) -> Drift:
    about = {"champion": 3, "rows": 200, "reference_rows": 1400, "judged": True, "false_alarm_rate": 0.05, "method": "KS"}
    about |= {"p_value": min([each.p_value for each in channels if each.drifted], default=1.0), "limit": 2.0}
    return Drift.model_validate({**about, "channels": channels, **changes})


def page(tmp_path, document: Drift, **more) -> str:
    verdict = more.pop("verdict", judge("toy", "week 1", document))
    return (
        drift.render(document, verdict, {"window": "week 1", "source": "mirror"}, tmp_path, **more) / "index.html"
    ).read_text()


def test_a_drifted_channel_is_named_with_its_change(tmp_path):
    text = page(tmp_path, found(channel("price"), channel("age", drifted=False, p_value=0.8)))
    assert "look first at <strong>price</strong> (mean 1 → 2)" in text
    assert "mean 1 → 2" in text


def test_columns_without_missing_values_share_one_line(tmp_path):
    quiet = [channel(f"{name} (missing)", "missing", statistic=0.0, effect=0.0, drifted=False) for name in ("price", "age")]
    text = page(tmp_path, found(channel("price"), *quiet))
    assert "No missing value on either side: price, age." in text
    assert "price (missing)" not in text


def test_names_in_the_drift_page_are_text(tmp_path):
    text = page(tmp_path, found(channel("<script>x</script>", note="<b>")), notes=["<i>"])
    assert "<script" not in text
    assert "<b>" not in text
    assert "<i>" not in text


HOSTILE = "<script>alert(1)</script>"


def test_names_and_levels_in_the_drawings_are_text(tmp_path):
    drawn = [
        sketch(HOSTILE, np.array([HOSTILE, "b"] * 9), np.array(["b", "<img src=x onerror=alert(1)>"])),
        sketch("</svg>" + HOSTILE, np.arange(9.0), np.arange(5.0)),
    ]
    quality = [Criterion(name=f"new values: {HOSTILE}", wanted="none", found=f"'{HOSTILE}'", passed=False)]
    verdict = Verdict(project=HOSTILE, champion=1, window=HOSTILE, outcome="drift", recommendation=HOSTILE)
    text = page(tmp_path, found(channel(HOSTILE), quality=quality), pictures=drawn, verdict=verdict, history=[verdict])
    assert "<script" not in text
    assert "<img" not in text
    assert text.count("</svg>") == 1


def test_the_page_needs_nothing_from_elsewhere(tmp_path):
    text = page(tmp_path, found(channel("x")), pictures=[sketch("x", np.arange(9.0), np.arange(5.0))])
    assert re.findall(r"""(?:src|href)=["']?[^"'>]+|url\([^)]*\)|@import""", text) == []


def test_promised_and_found_are_drawn_beside_each_other(tmp_path):
    promised, now = (Estimate(value=v, low=v - 0.02, high=v + 0.02) for v in (0.86, 0.71))
    about = Performance(metric="roc_auc", period="week 0", rows=270, promised=promised, found=now)
    text = page(tmp_path, found(channel("x"), performance=about))
    assert "0.8600 [0.8400, 0.8800]" in text
    assert "0.7100 [0.6900, 0.7300]" in text
    assert "on 270 labels of week 0" in text


def test_curves_share_bins_and_scale():
    drawn = sketch("x", np.array([0.0] * 50 + [10.0] * 50), np.array([0.0] * 10 + [np.nan] * 5))
    assert (drawn.low, drawn.high) == (0.0, 10.0)
    assert drawn.window.startswith("M0 80V0.0H10.0V80.0"), "all of the window's values: the peak"
    assert drawn.reference.startswith("M0 80V40.0H10.0V80.0")


@pytest.mark.parametrize("window", [np.full(3, np.nan), np.full(3, 2.0), np.empty(0)])
def test_curves_are_drawn_of_anything(window):
    for reference in (np.full(4, 2.0), np.arange(9.0), np.full(2, np.nan)):
        drawn = sketch("x", reference, window)
        assert drawn.low < drawn.high
        assert "nan" not in drawn.window + drawn.reference


def test_bars_name_new_levels_and_pool_the_small():
    drawn = sketch("c", np.array([f"l{i}" for i in range(9)] * 5 + ["big"] * 50), np.array(["big", "new"]))
    assert [bar.label for bar in drawn.bars][:2] == ["big", "new"]
    assert [bar.new for bar in drawn.bars][:3] == [False, True, False]
    assert drawn.bars[-1].label == "5 others"
    assert sum(bar.reference for bar in drawn.bars) == pytest.approx(1.0)


def test_a_window_that_is_not_judged_says_why(tmp_path):
    text = page(tmp_path, found(judged=False, method="not judged: the window has 3 rows", champion=None))
    assert "the window has 3 rows" in text
    assert "<table" not in text


def test_further_pages_are_linked(tmp_path):
    assert '<a href="evidently.html">' in page(tmp_path, found(channel("a")), links={"Evidently": "evidently.html"})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("# Churn\n\nWho leaves,\nand why.\n\n## Data\n\nMore.", {"intended use": "Who leaves, and why."}),
        (
            "# Churn\n\n![a](b.png)\n\nWho leaves.\n\n## Limits\n\nOne month.\n\nOne country.",
            {"intended use": "Who leaves.", "limits": "One month."},
        ),
        ("", {}),
    ],
)
def test_the_readme_tells_use_and_limits(tmp_path, text, told):
    (tmp_path / "README.md").write_text(text)
    assert card.readme(tmp_path) == told


def test_a_project_without_readme_has_a_card_all_the_same(tmp_path):
    assert card.readme(tmp_path) == {}
