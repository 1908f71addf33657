"""The pages say what there is, wherever it is missing say so, and no name on them does anything."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.core.deployment import load_deployment
from pipelines.core.evidence import Estimate
from pipelines.core.ledger import Entry, Ledger
from pipelines.core.settings import Settings
from pipelines.page import html
from pipelines.page.engine import Scheduled
from pipelines.page.plots import plot
from pipelines.page.reading import Reader, Story
from tests.unit.page.conftest import NOW, SETTING, Elements

NAME = "region_001"
HOSTILE = "\"><script>alert(1)</script><img src=x onerror='alert(2)'>{{ 7*7 }}"


def test_every_project_has_a_row_with_its_champion_and_decision(shown: Callable[..., str], reader: Reader) -> None:
    page = shown()
    for one in reader.glances():
        assert one.title in page
        assert f"/models/projects/{one.name}" in Elements(page).values("a", "href")
        assert not one.last or one.last.why in page
    assert "Customer churn" in page
    assert "5 of 5 projects" in page


def test_what_the_engine_knows_is_shown_and_linked(shown: Callable[..., str]) -> None:
    engine = Scheduled(
        next_run=NOW + timedelta(hours=5),
        running=("training",),
        training=f"/dags/{NAME}_training",
        approvals=(f"/dags/{NAME}_training/runs/r/tasks/approve",),
    )
    page = shown({NAME: engine})
    assert "in 5 hours" in page
    links = Elements(page).values("a", "href")
    assert links.count(engine.training) == 2  # the DAG, and that it runs
    assert engine.approvals[0] in links
    assert "paused" in shown({NAME: replace(engine, paused=True)})


def test_search_and_attention_leave_the_rest_out(shown: Callable[..., str], reader: Reader) -> None:
    Ledger(reader.store).append("region_002", Entry(kind="rejection", run="r", why="unlike any other"))
    assert "1 of 5 projects" in shown(words="region 2 SUPPLY")
    assert "unlike any other" in shown(words="team-2")
    assert "No project matches" in shown(words="nowhere")
    reader.store.create(f"ledger/{NAME}/000011.json", b"")
    urgent = shown(only="attention")
    assert "000011.json in the store is damaged" in urgent
    assert "Customer churn" not in urgent


def test_nothing_at_all_says_how_to_begin() -> None:
    assert "pipelines new" in html.overview(SETTING, [], {})


def test_mlflow_down_is_said_and_its_links_are_gone(reader: Reader) -> None:
    glances = [replace(one, mlflow="http://127.0.0.1:5000/#/x") for one in reader.glances()]
    assert "http://127.0.0.1:5000/#/x" in Elements(html.overview(SETTING, glances, {})).values("a", "href")
    silent = html.overview(replace(SETTING, silent="connection refused"), glances, {})
    assert "MLflow does not answer" in silent
    assert "http://127.0.0.1:5000/#/x" not in Elements(silent).values("a", "href")
    assert glances[-1].title in silent


def test_a_project_page_has_every_decision_verdict_and_alarm(reader: Reader) -> None:
    story = reader.story(NAME)
    page = html.project(SETTING, story, Scheduled(training=f"/dags/{NAME}_training"))
    for said in [*(entry.why for entry in story.entries), *(verdict.window for verdict in story.verdicts)]:
        assert said in page
    assert "approved by ada" in page
    assert len([1 for tag, attrs in Elements(page).tags if tag == "circle"]) == len(story.entries)
    assert len([1 for tag, attrs in Elements(page).tags if tag == "rect"]) == len(story.verdicts)
    card = f"/models/projects/{NAME}/card/{story.entries[0].version}"
    assert card in Elements(page).values("a", "href")


def test_who_decided_is_the_person_who_did(reader: Reader) -> None:
    def promotion(version: int, by: str = "") -> Entry:
        return Entry(kind="promotion", run=f"run-{version}", why="w", version=version, by=by)

    ledger = Ledger(reader.store)
    rollback = Entry(kind="rollback", run="rollback.manual", why="w", version=1, replaced=2, by="ada, in Airflow")
    older = rollback.model_copy(update={"by": "", "run": "cli"})
    for entry in (promotion(1), promotion(2, "grace, on the command line"), rollback, older):
        ledger.append("churn", entry)
    page = html.project(SETTING, reader.story("churn"), Scheduled())
    assert re.findall(r'data-label="Who">([^<]*)<', page) == [
        "a person",
        "ada, in Airflow",
        "grace, on the command line",
        "the gates",
    ]


def test_a_project_without_a_past_says_how_to_make_one(reader: Reader) -> None:
    page = html.project(SETTING, reader.story("churn"), Scheduled())
    assert "pipelines run churn" in page
    assert "not on Airflow" in page


@pytest.mark.parametrize("make", ["overview", "project", "refusal"])
def test_hostile_names_are_text(reader: Reader, operated: Settings, make: str) -> None:
    story = hostile(reader.story(NAME), operated.projects[0] / NAME / "deployment.yaml")
    setting = replace(SETTING, silent=HOSTILE)
    engine = Scheduled(training="/dags/a")
    page = {
        "overview": lambda: html.overview(setting, [story.glance], {story.glance.name: engine}, HOSTILE, fault=HOSTILE),
        "project": lambda: html.project(setting, story, engine),
        "refusal": lambda: html.refusal(setting, 404, HOSTILE),
    }[make]()
    harmless(page)
    assert "&lt;script&gt;alert(1)" in page
    assert "{{ 7*7 }}" in page


def hostile(story: Story, deployment: Path) -> Story:
    """The same past, every word of which was written by somebody who means harm."""
    wicked = load_deployment(deployment).model_copy(
        update={"title": HOSTILE, "owner": HOSTILE, "system": HOSTILE, "description": HOSTILE, "tags": (HOSTILE,)}
    )
    entries = tuple(
        entry.model_copy(
            update={
                "why": HOSTILE,
                "candidate": HOSTILE,
                "run": HOSTILE,
                "by": HOSTILE,
                "metrics": {HOSTILE: {"value": 0.5, "low": 0.4, "high": 0.6}},
                "lineage": {"data.dataset": HOSTILE, "data.source": HOSTILE, "data.sha256": HOSTILE},
            }
        )
        for entry in story.entries
    )
    verdicts = tuple(one.model_copy(update={"window": HOSTILE, "channels": (HOSTILE,)}) for one in story.verdicts)
    events = tuple(one.model_copy(update={"alarms": (HOSTILE,), "why": HOSTILE, "run": HOSTILE}) for one in story.events)
    glance = replace(
        story.glance,
        name=HOSTILE,
        deployment=wicked,
        champion=entries[0],
        last=entries[-1],
        headline=HOSTILE,
        verdict=verdicts[-1],
        alarm_run=HOSTILE,
        faults=(HOSTILE,),
    )
    return Story(glance, entries, events, verdicts)


def harmless(page: str) -> None:
    """One script, ours; no image, no handler, no address but of this site."""
    found = Elements(page)
    assert found.values("script", "src") == ["/models/static/models.js"]
    assert sum(tag == "script" for tag, _ in found.tags) == 1
    assert not [tag for tag, _ in found.tags if tag in ("img", "iframe", "style", "object")]
    assert not [name for _, attrs in found.tags for name in attrs if name.startswith("on") or name == "style"]
    assert all(address.startswith(("/", "#")) for address in found.values("a", "href"))


@given(st.text())
def test_any_words_searched_for_are_text(words: str) -> None:
    page = html.overview(SETTING, [], {}, words)
    harmless(page)
    assert Elements(page).values("input", "value")[0].split() == words.split() or "\r" in words or "\0" in words


def test_tables_are_tables_to_those_who_cannot_see_them(shown: Callable[..., str], reader: Reader) -> None:
    for page in (shown(), html.project(SETTING, reader.story(NAME), Scheduled())):
        found = Elements(page)
        assert found.tags[[tag for tag, _ in found.tags].index("a")][1]["href"] == "#content"
        assert "content" in found.values("main", "id")
        assert page.count("<table") == page.count("<caption>")
        assert set(found.values("th", "scope")) == {"col", "row"}
        assert all(attrs.get("role") for tag, attrs in found.tags if tag in ("table", "tr", "td", "th"))
        assert all(attrs.get("aria-label") for tag, attrs in found.tags if tag == "svg")
        assert [tag for tag, _ in found.tags].count("h1") == 1


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0, 1e3)), min_size=1, max_size=70))
def test_a_plot_stays_within_its_edges(points: list[tuple[float, float]]) -> None:
    drawn = plot([Estimate(value=value, low=value - half, high=value + half) for value, half in points], 100, 30)
    for mark in drawn.marks:
        assert 0 <= mark.x <= 100
        assert 0 <= mark.high <= mark.y <= mark.low <= 30
    assert [mark.x for mark in drawn.marks] == sorted(mark.x for mark in drawn.marks)
