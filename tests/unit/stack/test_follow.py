"""How a run on Airflow is told where nothing can be redrawn."""

from __future__ import annotations

import io

from rich.console import Console

from pipelines.stack.follow import Failure, Followed, Task, _lines


def test_what_tasks_and_people_say_is_shown_as_it_stands() -> None:
    told = io.StringIO()
    followed = Followed("toy_training", "r1", "http://127.0.0.1:1", "running", "toy_training.r1")
    followed.failures.append(Failure("train-linear", "[/Odd]", 3, "no"))
    tasks = [Task("train-linear", "train", 0, "failed", 1.0, 1), Task("train-[b]", "train", 1, "success", 2.0, 2)]
    _lines(followed, tasks, {}, Console(file=told, width=100))
    assert [line.split() for line in told.getvalue().splitlines()] == [
        ["failed", "train-linear", "1.0", "s", "[/Odd]"],
        ["success", "train-[b]", "2.0", "s", "try", "2"],
    ]
