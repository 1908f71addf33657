"""Churn's sample profile in one process: cold, reused, and what the platform itself costs."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from functools import wraps
from pathlib import Path
from typing import Any

from bench.measure import Timing, timed
from pipelines.core.contract import Project
from pipelines.core.settings import Settings

LIBRARIES = "pandas, sklearn.ensemble, xgboost, imblearn.pipeline, optuna, shap, pandera.pandas, great_expectations, mlflow.pyfunc, matplotlib.pyplot"
IMPORTS = [sys.executable, "-c", f"import {LIBRARIES}; from pipelines.parts.tabular.codecs import skops_io; skops_io()"]
RUN = [sys.executable, "-m", "pipelines", "run", "churn", "--profile", "sample"]


def measure(repeats: int) -> tuple[list[Timing], list[str]]:
    """Whole processes, then the share of the platform measured inside one."""
    cold = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as home:
            _with_data(Path(home))
            cold += timed(RUN, 1, _environment(home))
    with tempfile.TemporaryDirectory() as home:
        _with_data(Path(home))
        timed(RUN, 1, _environment(home))
        reused = timed(RUN, repeats, _environment(home))
        inside = [
            json.loads(
                subprocess.run(
                    [sys.executable, "-m", "bench.in_process"], env=_environment(home), check=True, capture_output=True, text=True
                ).stdout.splitlines()[-1]
            )
            for _ in range(repeats)
        ]
    timings = [
        Timing("importing the libraries of the chain and nothing else", timed(IMPORTS, repeats, dict(os.environ))),
        Timing("whole chain, cold process", cold),
        Timing("whole chain, everything reused, cold process", reused),
        Timing("platform's share of a fresh chain, imports done", [one["platform"] for one in inside]),
        Timing("of which: drawing what no drift looks like", [one["drawing"] for one in inside]),
        Timing("a reused stage", [one["reused"] for one in inside], per=inside[0]["nodes"]),
    ]
    return timings, []


def _environment(home: str) -> dict[str, str]:
    return {**os.environ, "PIPELINES_HOME": home, "PIPELINES_DATA": f"{home}/data"}


def _with_data(home: Path) -> None:
    """The downloaded file is there already: what is measured is the platform, not the network."""
    downloads = Settings.load().home / "cache" / "downloads"
    subprocess.run([sys.executable, "-m", "pipelines", "data", "fetch", "churn"], check=True, capture_output=True)
    (home / "cache").mkdir(parents=True)
    (home / "cache" / "downloads").symlink_to(downloads)


def _inside() -> dict[str, float]:
    """Seconds of a warm fresh chain spent outside the project's own methods, those of it that draw the drift reference's nulls and
    limits, and of a chain that is reused.
    """
    from pipelines.core.execution import Session
    from pipelines.core.run import Run
    from pipelines.parts.drift import Reference
    from pipelines.runners import in_process
    from pipelines.tracking.runs import MlflowTracker

    def chain(fresh: bool) -> tuple[float, float]:
        session = Session(Run(project="churn", profile="sample", fresh=fresh))
        spent = _timed(session.project, [name for name, _ in inspect.getmembers(Project, inspect.isfunction)])
        started = time.perf_counter()
        in_process.run(session, tracker=MlflowTracker(session.settings))
        return time.perf_counter() - started, sum(spent)

    chain(fresh=True)  # pays the imports
    drawn = _timed(Reference, ["write"])
    total, project = chain(fresh=True)
    reused, _ = chain(fresh=False)
    nodes = len(Session(Run(project="churn", profile="sample")).graph.nodes)
    return {"platform": total - project, "drawing": sum(drawn), "project": project, "reused": reused, "nodes": nodes}


def _timed(owner: Any, names: Iterable[str]) -> list[float]:
    """Wrap methods, so that the outermost call of them adds its seconds to the list returned."""
    spent: list[float] = []
    depth = 0

    def wrapped(method: Any) -> Any:
        @wraps(method)
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal depth
            started, depth = time.perf_counter(), depth + 1
            try:
                return method(*arguments, **named)
            finally:
                depth -= 1
                if not depth:
                    spent.append(time.perf_counter() - started)

        return call

    for name in names:
        setattr(owner, name, wrapped(getattr(owner, name)))
    return spent


if __name__ == "__main__":
    print(json.dumps(_inside()))
