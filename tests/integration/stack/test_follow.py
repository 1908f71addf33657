"""Following a run, with a stand-in that answers as Airflow does."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, cast

import pytest
from rich.console import Console

from pipelines.core.discovery import Definition
from pipelines.core.settings import Settings
from pipelines.stack import follow
from pipelines.stack.follow import Followed

if TYPE_CHECKING:
    from pipelines.stack.client import Airflow

pytestmark = pytest.mark.integration


class Answers:
    """A run that is queued behind another at first, then begins, then ends."""

    def __init__(self) -> None:
        self.states = iter(["queued", "queued", "running", "success"])

    def get(self, path: str, **query: Any) -> Any:
        if path.endswith("/taskInstances"):
            return {"task_instances": []}
        if path.endswith("/dagRuns"):
            assert query["state"] == "running"
            return {"dag_runs": [{"dag_run_id": "the-one-before"}]}
        return {"state": next(self.states)}


@pytest.mark.parametrize("terminal", [False, True])
def test_a_run_behind_another_says_for_which_it_waits(settings: Settings, toy: Definition, terminal: bool) -> None:
    out = io.StringIO()
    followed = Followed(dag="toy_training", run="mine", url="", state="queued", run_id="toy_training.mine")
    console = Console(file=out, width=200, force_terminal=terminal)
    follow._follow(cast("Airflow", Answers()), settings, followed, toy.training, console)
    assert followed.state == "success"
    said = "waiting for the-one-before to end: toy_training runs one at a time"
    assert said in out.getvalue()
    assert terminal or out.getvalue().count(said) == 1


@pytest.mark.parametrize(
    ("index", "rendered", "name"), [(0, None, "linear"), (1, "1", "centroid"), (1, "later", "later"), (7, "7", "7")]
)
def test_a_mapped_task_has_its_candidates_name_from_the_start(
    toy: Definition, index: int, rendered: str | None, name: str
) -> None:
    assert follow._candidate({"map_index": index, "rendered_map_index": rendered}, toy.training) == name


class Patient:
    """A run whose first task takes ten minutes and whose second takes none, on a clock of its own."""

    def __init__(self) -> None:
        self.now, self.pauses = 0.0, list[float]()

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses.append(seconds)

    def get(self, path: str, **query: Any) -> Any:
        if not path.endswith("/taskInstances"):
            return {"state": "success" if self.now > 610 else "running"}
        shared = {"map_index": -1, "rendered_map_index": None, "duration": 0.0, "try_number": 1}
        states = {"ingest": "skipped" if self.now > 600 else "running", "validate": "running" if self.now > 600 else None}
        return {"task_instances": [{"task_id": name, "state": state, **shared} for name, state in states.items()]}


def test_a_long_task_is_looked_at_less_often_and_the_next_at_once(
    settings: Settings, toy: Definition, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Patient()
    monkeypatch.setattr(follow, "time", clock)
    monkeypatch.setattr(follow, "look_after", lambda settings: None)
    followed = Followed(dag="toy_training", run="mine", url="", state="queued", run_id="toy_training.mine")
    follow._follow(cast("Airflow", clock), settings, followed, toy.training, Console(file=io.StringIO()))
    news = next(number for number, pause in enumerate(clock.pauses) if number and pause < clock.pauses[number - 1])
    assert clock.pauses[:news] == sorted(clock.pauses[:news]), "rarer and rarer"
    assert (clock.pauses[0], max(clock.pauses), clock.pauses[news]) == (0.25, 2.0, 0.25)
    assert len(clock.pauses) < 400, "2,440 without"
