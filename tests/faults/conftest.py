"""Killing a run where it hurts, and what must be true once it was run again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.core.discovery import Definition
from pipelines.core.execution import Session
from pipelines.core.run import Run
from pipelines.core.settings import ROOT, Settings

PROGRAM = Path(__file__).with_name("victim.py")


@dataclass(frozen=True)
class Installation:
    """A project in an installation of its own, run by child processes."""

    project: str

    def start(self, **asked: str) -> subprocess.Popen[str]:
        """Run the chain in a process; `victim.py` says what can be asked of it."""
        environment = {**os.environ, **{f"VICTIM_{name.upper()}": value for name, value in asked.items()}}
        command = [sys.executable, str(PROGRAM), self.project]
        return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, **asked: str) -> tuple[int, str]:
        """Exit code and what was printed; -9 for a killed process."""
        process = self.start(**asked)
        out, errors = process.communicate(timeout=300)
        return process.returncode, out + errors

    def doctor(self, *options: str) -> list[dict[str, str]]:
        """What `pipelines doctor` found."""
        command = [sys.executable, "-m", "pipelines", "doctor", "--json", *options]
        said = subprocess.run(command, env=os.environ, cwd=ROOT, capture_output=True, text=True, timeout=300)
        found: list[dict[str, str]] = json.loads(said.stdout)
        return found

    @property
    def session(self) -> Session:
        return Session(Run(project=self.project, profile="sample"), "training", Settings.load())

    def outputs(self, said: str) -> dict[str, str]:
        """Digest of each artifact that holds nothing of clock or machine, by `node.output`, from what a whole run printed."""
        results = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
        return {
            f"{node.name}.{output.name}": results[node.name][output.name]
            for node in self.session.graph.nodes
            for output in node.stage.writes
            if output.codec in ("data", "model", "arrays") or output.name == "raw"
        }

    def mlflow_runs(self) -> list[str]:
        """State of every MLflow run."""
        from mlflow import MlflowClient

        client = MlflowClient(self.session.settings.tracking)
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        return [run.info.status for run in client.search_runs(experiments)]

    def versions(self) -> list[int]:
        """Versions in MLflow's registry."""
        from mlflow import MlflowClient

        client = MlflowClient(self.session.settings.tracking)
        return sorted(int(version.version) for version in client.search_model_versions(f"name='{self.project}'"))

    def promotions(self) -> int:
        entries = self.session.ledger.history(self.project).entries
        return sum(entry.kind == "promotion" for entry in entries)

    def litter(self) -> list[Path]:
        """Files that a write left half done under a name that is read."""
        store = Path(self.session.settings.store)
        return [path for path in store.rglob("*.json") if not path.read_text().strip().endswith(("}", "]"))]


@pytest.fixture
def installation(toy: Definition) -> Installation:
    return Installation(toy.name)
