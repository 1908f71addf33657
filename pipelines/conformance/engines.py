"""Running a project's training chain in each of the engines, to compare what they give."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core.artifacts import Ref, StageResult
from pipelines.core.discovery import Definition
from pipelines.core.errors import GateRefused
from pipelines.core.execution import Session
from pipelines.core.run import Run
from pipelines.core.settings import ROOT, Settings


@dataclass(frozen=True)
class Chain:
    """A chain that has run: what each node wrote, and where."""

    session: Session
    results: Mapping[str, StageResult]

    def ref(self, node: str, output: str) -> Ref:
        return self.results[node].outputs[output]

    def read(self, node: str, output: str) -> Any:
        return self.session.read(self.ref(node, output))

    @property
    def executed(self) -> set[str]:
        """Nodes that were not answered from the store."""
        return {name for name, result in self.results.items() if not result.reused}


Engine = Callable[[Definition, Mapping[str, str], Mapping[str, Any]], Chain]
"""Runs the chain of a definition in the installation an environment names, for these fields of `Run`."""


def in_process(definition: Definition, environment: Mapping[str, str], run: Mapping[str, Any]) -> Chain:
    from pipelines.runners import in_process as runner
    from pipelines.tracking.runs import MlflowTracker

    session = _session(definition, environment, run)
    return Chain(session, runner.run(session, tracker=MlflowTracker(session.settings)))


def another_process(definition: Definition, environment: Mapping[str, str], run: Mapping[str, Any]) -> Chain:
    """As `in_process`, in a process of its own with another hash seed."""
    asked = json.dumps({"project": definition.name, **run})
    printed = child([sys.executable, "-m", "pipelines.conformance.engines", asked], {**environment, "PYTHONHASHSEED": "4242"})
    results = [StageResult.model_validate(one) for one in json.loads(printed.splitlines()[-1])]
    return Chain(_session(definition, environment, run), {result.node: result for result in results})


ENGINES: dict[str, Engine] = {"in_process": in_process, "another_process": another_process}


def child(command: list[str], environment: Mapping[str, str], folder: Path = ROOT, seconds: float = 900) -> str:
    """What a command prints. Raises GateRefused with the end of its output when it fails."""
    done = subprocess.run(
        command, env={**os.environ, **environment}, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False
    )
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-25:])
        raise GateRefused(f"`{' '.join(command[:4])} …` ended with code {done.returncode}:\n{said}")
    return done.stdout


def _session(definition: Definition, environment: Mapping[str, str], run: Mapping[str, Any]) -> Session:
    session = Session(Run(project=definition.name, **run), "training", Settings.load(environment))
    session.definition = definition
    return session


def main(asked: str) -> None:
    """Run the chain for these fields of `Run` and print the results as JSON on the last line."""
    from pipelines.core.discovery import find_project

    run = json.loads(asked)
    chain = in_process(find_project(run.pop("project")), os.environ, run)
    print(json.dumps([result.model_dump(mode="json") for result in chain.results.values()]))


if __name__ == "__main__":
    main(sys.argv[1])
