"""What the page says of each project is what the store holds now, and one that is broken harms no other."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.alarms import Alarms, name_of
from pipelines.core.deployment import Retraining
from pipelines.core.errors import ConfigError
from pipelines.core.evidence import Estimate, Verdict
from pipelines.core.ledger import Entry, History, Ledger
from pipelines.core.run import Run
from pipelines.core.settings import Settings
from pipelines.page.reading import Glance, Reader, turns_of
from pipelines.tracking import open_runs

NAME = "region_001"


def glance(reader: Reader, name: str = NAME) -> Glance:
    return next(one for one in reader.glances() if one.name == name)


def test_a_glance_is_what_the_ledger_says(reader: Reader) -> None:
    past = Ledger(reader.store).history(NAME)
    one = glance(reader)
    assert one.champion == past.champion
    assert one.last == past.entries[-1]
    assert [turn.version for turn in one.turns] == [entry.version for entry in past.entries if entry.kind == "promotion"]
    assert (one.headline, one.faults, one.title) == ("roc_auc", (), "Demand of region 1")
    assert one.turns[-1].metric == Estimate.model_validate(past.champion.metrics["roc_auc"] if past.champion else {})


def test_a_decision_an_alarm_a_verdict_and_new_words_are_seen_at_once(reader: Reader, operated: Settings) -> None:
    before = glance(reader)
    ledger = Ledger(reader.store)
    ledger.append(NAME, Entry(kind="rejection", run="late", why="just now"))
    assert (glance(reader).last or before.champion) != before.last

    assert before.champion
    verdict = Verdict(
        project=NAME, champion=before.champion.version, window="2026-03-02..2026-03-09", outcome="drift", channels=("price",)
    )
    key = f"verdicts/{NAME}/{verdict.window}/v0001-x.json"
    reader.store.create(key, verdict.model_dump_json().encode())
    assert glance(reader).verdict == verdict
    mended = verdict.model_copy(update={"outcome": "no drift"})
    reader.store.replace(key, mended.model_dump_json().encode())
    assert glance(reader).verdict == mended

    Alarms(reader.store, NAME).sound(verdict, Run(project=NAME, id="watch"), Retraining())
    assert name_of(verdict) in glance(reader).waiting
    assert glance(reader).alarm_run == "watch"

    yaml = operated.projects[0] / NAME / "deployment.yaml"
    yaml.write_text(yaml.read_text().replace("Demand of region 1", "Orders, region one"))
    assert glance(reader).title == "Orders, region one"


def test_a_version_that_is_promoted_again_has_a_turn_more_with_what_it_scored_then() -> None:
    def promotion(version: int, score: float) -> Entry:
        metric = {"value": score, "low": score, "high": score}
        return Entry(kind="promotion", run="r", why="w", version=version, metrics={"roc_auc": metric})

    past = (promotion(1, 0.7), promotion(2, 0.8), Entry(kind="rollback", run="r", why="w", version=1), promotion(1, 0.9))
    turns = [(turn.version, turn.metric and turn.metric.value) for turn in turns_of(History(entries=past))]
    assert turns == [(1, 0.7), (2, 0.8), (1, 0.7), (1, 0.9)]


WEEK = "2026-03-02..2026-03-09"


def judged(reader: Reader, version: int, digest: str, outcome: Any, hour: int) -> None:
    verdict = Verdict(project=NAME, champion=version, window=WEEK, outcome=outcome, at=datetime(2026, 3, 9, hour, tzinfo=UTC))
    reader.store.replace(f"verdicts/{NAME}/{WEEK}/v{version:04d}-{digest}.json", verdict.model_dump_json().encode())


def both(reader: Reader) -> list[tuple[int | None, str] | None]:
    """The newest verdict in the overview and on the project's own page."""
    found = glance(reader).verdict, reader.story(NAME).glance.verdict
    return [one and (one.champion, one.outcome) for one in found]


def test_the_newest_verdict_is_the_last_one_reached(reader: Reader) -> None:
    version = serving(reader)
    judged(reader, version, "ffff", "data quality", hour=6)
    judged(reader, version, "0000", "no drift", hour=9)  # mended, and judged again
    assert both(reader) == [(version, "no drift")] * 2


def test_the_newest_verdict_is_on_the_champion_that_serves(reader: Reader) -> None:
    version = serving(reader)
    judged(reader, version + 1, "ffff", "drift", hour=9)  # it was rolled back since
    assert both(reader) == [None, None]
    judged(reader, version, "0000", "no drift", hour=8)
    assert both(reader) == [(version, "no drift")] * 2


def serving(reader: Reader) -> int:
    champion = glance(reader).champion
    assert champion
    assert champion.version
    return champion.version


def test_what_has_not_changed_is_not_read_again(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    before = reader.glances()
    read: list[str] = []
    content = reader.store.read

    def watched(key: str) -> bytes | None:
        read.append(key)
        return content(key)

    monkeypatch.setattr(reader.store, "read", watched)
    assert reader.glances() == before
    assert {key.split("/")[0] for key in read} == {"verdicts"}
    assert len(read) == 3


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (f"ledger/{NAME}/000002.json", "000002.json in the store is damaged"),
        (f"alarms/{NAME}/000001.json", "000001.json in the store is damaged"),
    ],
)
def test_a_damaged_record_is_named_and_harms_no_other_project(reader: Reader, record: str, said: str) -> None:
    reader.store.replace(record, b"{broken")
    found = {one.name: one for one in reader.glances()}
    assert any(said in fault for fault in found[NAME].faults)
    assert found["region_000"].champion
    assert not found["region_000"].faults


def test_a_damaged_verdict_is_named(reader: Reader) -> None:
    (key,) = reader.store.newest("verdicts/")[NAME]
    reader.store.replace(key, b"[]")
    assert glance(reader).verdict is None
    assert key in glance(reader).faults[0]
    assert glance(reader).champion
    assert key in reader.story(NAME).glance.faults[0]


def test_what_was_mended_in_place_is_whole_again(reader: Reader) -> None:
    key = f"ledger/{NAME}/000002.json"
    good = reader.store.read(key)
    reader.store.replace(key, b"")
    assert glance(reader).faults
    reader.store.replace(key, good or b"")
    assert glance(reader).faults == ()
    assert glance(reader).champion


def test_a_deployment_that_cannot_be_read_is_named_and_the_past_still_shown(reader: Reader, operated: Settings) -> None:
    (operated.projects[0] / NAME / "deployment.yaml").write_text("owner: [unfinished")
    one = glance(reader)
    assert "deployment.yaml" in one.faults[0]
    assert (one.title, bool(one.champion)) == (NAME, True)


def test_a_secret_in_a_fault_is_masked(reader: Reader, operated: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "correct-horse-battery")
    (operated.projects[0] / NAME / "deployment.yaml").write_text("owner: x\ncorrect-horse-battery: 1\n")
    assert "correct-horse" not in " ".join(glance(reader).faults)
    assert glance(reader).faults


def test_a_rollback_is_a_turn_of_its_own() -> None:
    def entry(number: int, kind: Any, version: int, replaced: int | None) -> Entry:
        metrics = {"auc": {"value": version / 10, "low": 0, "high": 1}}
        return Entry(number=number, kind=kind, run="r", why="", version=version, replaced=replaced, metrics=metrics)

    past = History(entries=(entry(1, "promotion", 1, None), entry(2, "promotion", 2, 1), entry(3, "rollback", 1, 2)))
    turns = list(turns_of(past))
    assert [turn.version for turn in turns] == [1, 2, 1]
    assert [turn.metric.value for turn in turns if turn.metric] == [0.1, 0.2, 0.1]


def test_the_champions_run_in_mlflow_is_linked_where_a_server_shows_it(operated: Settings) -> None:
    served = operated.model_copy(update={"tracking": "http://ml:secret@127.0.0.1:5000"})
    reader = Reader(served)
    champion = glance(reader).champion
    assert champion
    claim = open_runs.Claim("abc", "7", "/artifacts", {}, "here")
    assert open_runs.claim(reader.store, open_runs.claim_key(NAME, champion.run), claim)
    assert glance(Reader(served)).mlflow == "http://ml:***@127.0.0.1:5000/#/experiments/7/runs/abc"
    assert glance(Reader(operated)).mlflow == ""


def test_a_story_has_all_of_the_past(reader: Reader) -> None:
    story = reader.story(NAME)
    assert len(story.entries) == 10
    assert [verdict.window for verdict in story.verdicts] == sorted(verdict.window for verdict in story.verdicts)
    assert story.events == Alarms(reader.store, NAME).events()
    with pytest.raises(ConfigError, match="did you mean 'region_001'"):
        reader.story("region_01")


def test_nothing_in_the_store_yet_is_no_fault(settings: Settings) -> None:
    assert {one.name: (one.champion, one.faults) for one in Reader(settings).glances()}["churn"] == (None, ())


def test_two_projects_of_one_name_are_refused(operated: Settings, tmp_path: Path) -> None:
    twin = tmp_path / "more" / NAME
    twin.mkdir(parents=True)
    (twin / "params.yaml").touch()
    twins = operated.model_copy(update={"projects": (*operated.projects, tmp_path / "more")})
    with pytest.raises(ConfigError, match="two projects are called"):
        Reader(twins).glances()
