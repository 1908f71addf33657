"""What people read: nothing that is filled in can act, and what does not matter takes no room."""

from __future__ import annotations

import pytest

from pipelines.core.evidence import Channel, Drift
from pipelines.parts.reports import card, drift


def channel(name: str, kind: str = "numeric", **changes) -> Channel:
    values = {"statistic": 0.1, "effect": 0.3, "p_value": 0.01, "drifted": True, "note": "mean 1 → 2"} | changes
    return Channel.model_validate({"name": name, "kind": kind, **values})


def found(*channels: Channel, **changes) -> Drift:
    about = {"champion": 3, "rows": 200, "reference_rows": 1400, "judged": True, "false_alarm_rate": 0.05, "method": "KS"}
    return Drift.model_validate({**about, "channels": channels, **changes})


def page(tmp_path, document: Drift, **more) -> str:
    return (drift.render(document, {"window": "week 1", "source": "mirror"}, tmp_path, **more) / "index.html").read_text()


def test_a_drifted_channel_is_named_with_its_change(tmp_path):
    text = page(tmp_path, found(channel("price"), channel("age", drifted=False, p_value=0.8)))
    assert "1 of 2 channels drifted" in text
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
