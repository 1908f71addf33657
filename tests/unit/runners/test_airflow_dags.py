"""The DAGs as they are built, without a server; and what reading a DAG file costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.core.discovery import Definition
from pipelines.core.settings import ROOT, Settings

PARSE = """
import json, sys
import airflow.sdk
from airflow.sdk import DAG, Asset, AssetAlias, CronTriggerTimetable, ExceptionRetryPolicy, Param, TaskGroup, task
began = set(sys.modules)
import runpy
found = runpy.run_path(sys.argv[1])
dags = {value.dag_id: sorted(value.task_dict) for value in found.values() if isinstance(value, DAG)}
own = sorted(set(sys.modules) - began)
print(json.dumps({"dags": dags, "modules": own, "all": sorted(sys.modules)}))
"""


@pytest.fixture
def parsed(toy: Definition, settings: Settings, tmp_path: Path) -> dict[str, object]:
    """What a process that reads the toy's DAG file ends up with."""
    file = tmp_path / "toy_dag.py"
    file.write_text((ROOT / "dags" / "churn.py").read_text().replace("churn", "toy"))
    return _python(PARSE, str(file))


def _python(code: str, *arguments: str) -> dict[str, object]:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_a_dag_file_gives_both_dags_with_the_graphs_names(parsed: dict[str, object]) -> None:
    assert parsed["dags"] == {
        "toy_training": sorted(["ingest", "validate", "features", "train", "evaluate", "promote", "baseline", "close"]),
        "toy_monitoring": ["check", "close", "collect", "decide"],
    }


def test_every_task_that_succeeds_wakes_the_scheduler_before_it_does_anything_else(toy: Definition) -> None:
    code = "from pipelines.runners.airflow import build; import json; print(json.dumps({task.task_id: task.on_success_callback["
    code += "0].__name__ for dag in build('toy') for task in dag.tasks}))"
    found = _python(code)
    assert {"ingest", "train", "collect", "close"} <= set(found)
    assert set(found.values()) == {"_wake_scheduler"}


@pytest.mark.parametrize(
    ("running", "read"),
    [("collect", ["collect"]), ("close", ["check", "close", "collect", "decide"])],  # a stage needs no other task, `close` may
)
def test_a_task_reads_its_own_part_only(toy: Definition, monkeypatch: pytest.MonkeyPatch, running: str, read: list[str]) -> None:
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "toy_monitoring")  # as Airflow does in the process of a task
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", running)
    code = "from pipelines.runners.airflow import build; import json; dags = build('toy'); print(json.dumps({'dags': "
    code += "[dag and dag.dag_id for dag in dags], 'tasks': sorted(dags[1].task_dict), 'params': sorted(dags[1].params)}))"
    found = _python(code)
    assert found["dags"] == [None, "toy_monitoring"]
    assert found["tasks"] == read
    assert found["params"] == ["as_of", "fresh", "overrides", "profile", "rehearsal", "why"]


@pytest.mark.parametrize(("line", "expected"), [("at_once: 1", 1), ("", None)])
def test_candidates_that_use_all_cores_are_trained_one_after_the_other(toy: Definition, line: str, expected: int | None) -> None:
    with (toy.folder / "deployment.yaml").open("a") as file:
        file.write(f"\n{line}\n")
    code = "from pipelines.runners.airflow import build; import json; tasks = build('toy')[0].task_dict; "
    code += "print(json.dumps({name: task.max_active_tis_per_dagrun for name, task in tasks.items()}))"
    found = _python(code)
    assert found.pop("train") == expected
    assert set(found.values()) == {None}
    code = "from pipelines.runners.airflow_task import Run, Session, all_cores; import json, os; "
    code += "session = Session(Run(project='toy', profile='sample')); told = {}\n"
    code += "for name in ('features', 'train-linear'):\n"
    code += "  all_cores(session, session.graph.node(name)); told[name] = os.environ.get('OMP_NUM_THREADS')\n"
    told = _python(code + "print(json.dumps(told))")
    assert told == {"features": "1", "train-linear": None if expected else "1"}


def test_reading_it_imports_no_project_and_no_heavy_library(parsed: dict[str, object]) -> None:
    modules = parsed["modules"]
    assert isinstance(modules, list)
    assert "pipelines.runners.airflow" in modules, "the probe must see what is imported"
    assert not [name for name in modules if name.startswith(("pipelines.projects.", "pipelines.stages", "pipelines.parts"))]
    heavy = {"pandas", "numpy", "sklearn", "mlflow", "xgboost", "optuna", "dvc", "great_expectations", "evidently", "matplotlib"}
    everything = parsed["all"]
    assert isinstance(everything, list)
    assert heavy & {name.partition(".")[0] for name in everything} == set()


def test_the_dag_file_is_short() -> None:
    lines = [line for line in (ROOT / "dags" / "churn.py").read_text().splitlines() if line.strip()]
    assert len(lines) <= 5
