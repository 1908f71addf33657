"""What a DAG file costs beyond importing Airflow, for one project and for two hundred."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.measure import Timing
from pipelines.core.settings import ROOT

PROJECTS = 200


def measure(repeats: int) -> list[Timing]:
    """Parse times of two hundred copies of churn's definition, each file in turn, in a process that has imported Airflow."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for number in range(PROJECTS):
            name = f"copy{number:03d}"
            (home / "projects" / name).mkdir(parents=True)
            for file in ("params.yaml", "deployment.yaml"):
                shutil.copy(ROOT / "pipelines" / "projects" / "churn" / file, home / "projects" / name)
            (home / "projects" / name / "__init__.py").write_text("raise RuntimeError('a DAG file imports no project')\n")
            (home / "dags").mkdir(exist_ok=True)
            (home / "dags" / f"{name}.py").write_text((ROOT / "dags" / "churn.py").read_text().replace("churn", name))
        environment = {**os.environ, "PIPELINES_PROJECTS": str(home / "projects"), "AIRFLOW_HOME": str(home / "airflow")}
        runs = [
            json.loads(
                subprocess.run(
                    [sys.executable, "-m", "bench.dags", str(home / "dags")],
                    env=environment,
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout.splitlines()[-1]
            )
            for _ in range(repeats)
        ]
    return [
        Timing("first DAG file, beyond Airflow's import", [run[0] for run in runs]),
        Timing(f"each of {PROJECTS} DAG files", [sum(run) for run in runs], per=PROJECTS),
        Timing(f"all {PROJECTS} DAG files", [sum(run) for run in runs]),
    ]


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
