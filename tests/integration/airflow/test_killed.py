"""A task's process is killed in mid-stage; Airflow tries again, and everything ends as if nothing had happened."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from pipelines.core.execution import Session
from pipelines.core.run import Run
from pipelines.stack.follow import Followed
from tests.integration.airflow.conftest import Installation

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

SLOW = '''
"""The toy, which the first time it is fitted writes down its process id and does not come back."""

import os
import time
from pathlib import Path

from pipelines.projects.toy import Toy


class Slow(Toy):
    name = "slow"

    def fit(self, candidate, params, train, valid, training):
        note = Path(os.environ["PIPELINES_HOME"]) / "slow-pid"
        if candidate == "linear" and not note.exists():
            note.with_suffix(".new").write_text(str(os.getpid()))
            note.with_suffix(".new").rename(note)
            time.sleep(600)
        return super().fit(candidate, params, train, valid, training)


PROJECT = Slow
'''


def test_a_task_killed_in_mid_stage_is_tried_again_and_ends_right(
    installation: Installation, new_project: Callable[..., Path], tmp_path: Path
) -> None:
    new_project("slow", SLOW)
    note = installation.settings.home / "slow-pid"
    ended: list[Followed] = []
    following = threading.Thread(target=lambda: ended.append(installation.run("slow")), daemon=True)
    following.start()
    victim = _pid(note)
    assert "airflow" in " ".join(psutil.Process(victim).cmdline()), "the task's own process is meant, no other"
    os.kill(victim, signal.SIGKILL)
    following.join(300)
    run = ended[0]
    assert (run.state, run.exit_code, run.failures) == ("success", 0, [])
    killed = next(i for i in range(2) if installation.task(run, "train", i)["rendered_map_index"] == "linear")
    assert installation.task(run, "train", killed)["try_number"] == 2
    assert installation.task(run, "train", 1 - killed)["try_number"] == 1

    client = MlflowClient(installation.stack.mlflow_url)
    assert [version.version for version in client.search_model_versions("name='slow'")] == ["1"]
    runs = client.search_runs([one.experiment_id for one in client.search_experiments(filter_string="name LIKE 'slow%'")])
    assert runs
    assert {one.info.status for one in runs} == {"FINISHED"}

    session = Session(Run(project="slow", id=run.run_id), settings=installation.settings)
    kinds = [entry.kind for entry in session.ledger.history("slow").entries]
    assert kinds.count("promotion") == 1, kinds
    for result in run.results.values():
        for reference in result.outputs.values():
            session.store.fetch(reference, under=tmp_path)  # raises when what is stored is not what its digest says
    again = installation.run("slow")
    assert {node for node, result in again.results.items() if not result.reused} == set()


def _pid(note: Path) -> int:
    end = time.monotonic() + 120
    while not note.exists():
        assert time.monotonic() < end, "the slow stage was not reached"
        time.sleep(0.1)
    return int(note.read_text())
