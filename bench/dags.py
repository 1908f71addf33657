"""What a DAG file costs beyond importing Airflow, for one project and for two hundred."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from bench.measure import Timing
from pipelines.core.settings import ROOT, Settings
from pipelines.stack.environment import Ports, full_environment
from pipelines.stack.secrets import load_or_create

PROJECTS = 200


def measure(repeats: int) -> tuple[list[Timing], list[str]]:
    """Two hundred copies of churn's definition: each file in turn in one process, and all by Airflow's own DAG processor.

    Raises RuntimeError when the processor reports an import error or has missed a DAG.
    """
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        environment = _projects(home)
        runs = [
            json.loads(_run([sys.executable, "-m", "bench.dags", str(home / "dags")], environment).splitlines()[-1])
            for _ in range(repeats)
        ]
        cycles = [_cycle(home, environment, number) for number in range(repeats)]
    timings = [
        Timing("first DAG file, beyond Airflow's import", [run[0] for run in runs]),
        Timing(f"each of {PROJECTS} DAG files", [sum(run) for run in runs], per=PROJECTS),
        Timing(f"all {PROJECTS} DAG files", [sum(run) for run in runs]),
        Timing(f"one cycle of the DAG processor over {PROJECTS} DAG files", cycles),
    ]
    return timings, [
        "The processor starts a process for each file, two at a time, and writes to Airflow's database; it comes round every "
        f"30 s at the most. After a cycle all {2 * PROJECTS} DAGs were there and no import error."
    ]


def _projects(home: Path) -> dict[str, str]:
    """Write the projects and their DAG files; the environment in which they are found, with an Airflow of its own."""
    (home / "dags").mkdir()
    for number in range(PROJECTS):
        name = f"copy{number:03d}"
        (home / "projects" / name).mkdir(parents=True)
        for file in ("params.yaml", "deployment.yaml"):
            shutil.copy(ROOT / "pipelines" / "projects" / "churn" / file, home / "projects" / name)
        (home / "projects" / name / "__init__.py").write_text("raise RuntimeError('a DAG file imports no project')\n")
        (home / "dags" / f"{name}.py").write_text((ROOT / "dags" / "churn.py").read_text().replace("churn", name))
    settings, ports = Settings.load({**os.environ, "PIPELINES_HOME": str(home)}), Ports()
    return full_environment(settings, ports, load_or_create(home)) | {
        "PIPELINES_PROJECTS": str(home / "projects"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
    }


def _cycle(home: Path, environment: dict[str, str], number: int) -> float:
    """Seconds from the start of the processor to its last DAG, in a database that knew none."""
    database = home / f"airflow-{number}.db"
    environment = environment | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{database}"}
    _run([sys.executable, "-m", "airflow", "db", "migrate"], environment)
    began = datetime.now(UTC)
    said = _run([sys.executable, "-m", "airflow", "dag-processor", "--num-runs", "1"], environment)
    with contextlib.closing(sqlite3.connect(database)) as found:
        [(dags, last)] = found.execute("select count(*), max(last_parsed_time) from dag")
        faults = found.execute("select filename, stacktrace from import_error").fetchall()
    if faults or dags != 2 * PROJECTS:
        raise RuntimeError(f"expected {2 * PROJECTS} DAGs and no import error, found {dags} and {faults[:1]}; {said[-1500:]}")
    return (datetime.fromisoformat(last).replace(tzinfo=UTC) - began).total_seconds()


def _run(command: list[str], environment: dict[str, str]) -> str:
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def _parse(folder: Path) -> list[float]:
    import runpy
    import time

    import airflow.sdk  # noqa: F401 - what every DAG file pays, whoever wrote it

    seconds = []
    for file in sorted(folder.glob("*.py")):
        started = time.perf_counter()
        runpy.run_path(str(file))
        seconds.append(time.perf_counter() - started)
    return seconds


if __name__ == "__main__":
    print(json.dumps(_parse(Path(sys.argv[1]))))
