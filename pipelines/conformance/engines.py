"""Running a project's training chain in each of the engines, to compare what they give."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core.artifacts import Ref, StageResult
from pipelines.core.discovery import Definition
from pipelines.core.errors import ConfigError, GateRefused
from pipelines.core.execution import Session
from pipelines.core.run import Run
from pipelines.core.settings import ROOT, Settings
from pipelines.tracking.records import results


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
    printed_results = [StageResult.model_validate(one) for one in json.loads(printed.splitlines()[-1])]
    return Chain(_session(definition, environment, run), {result.node: result for result in printed_results})


def dvc(definition: Definition, environment: Mapping[str, str], run: Mapping[str, Any]) -> Chain:
    """`dvc repro` in a workspace of its own, with a `dvc.yaml` that holds this project only."""
    from pipelines.runners.dvc import render

    _refuse_overrides("dvc", run)
    folder = Path(environment["PIPELINES_DATA"]).parent / "workspace"
    if not folder.exists():
        folder.mkdir(parents=True)
        for name in ("pipelines", "requirements.lock"):
            (folder / name).symlink_to(ROOT / name)
        child([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], environment, folder)
        shutil.copyfile(ROOT / ".dvcignore", folder / ".dvcignore")  # what others compile meanwhile is no change
    (folder / "dvc.yaml").write_text(render({definition.name: definition}, run.get("profile", "full")), encoding="utf-8")
    written = folder / "data" / definition.name
    before = {path: path.stat().st_mtime_ns for path in written.glob("*.json")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    child([sys.executable, "-m", "dvc", "repro"], {**environment, "PATH": path}, folder)
    found = {}
    for node in definition.training.nodes:
        record = written / f"{node.name}.json"
        outputs = json.loads(record.read_text(encoding="utf-8"))["outputs"]
        skipped = before.get(record) == record.stat().st_mtime_ns
        found[node.name] = StageResult(node=node.name, fingerprint="", outputs=outputs, reused=skipped)
    return Chain(_session(definition, environment, run), found)


def airflow(definition: Definition, environment: Mapping[str, str], run: Mapping[str, Any]) -> Chain:
    """The training DAG by `dag.test()`: Airflow's own task runner in one process, without servers."""
    home = Path(environment["AIRFLOW_HOME"])
    file = home / "dags" / f"{definition.name}.py"
    own = {
        **environment,
        "AIRFLOW__CORE__DAGS_FOLDER": str(file.parent),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(home / "plugins"),
    }
    if not file.exists():
        file.parent.mkdir(parents=True)
        file.write_text(_DAG_FILE.format(name=definition.name), encoding="utf-8")
        child([sys.executable, "-m", "airflow", "db", "migrate"], own, home)
    session = _session(definition, environment, run)
    before = _runs(session)
    child([sys.executable, str(file), json.dumps(dict(run))], own, home)
    [new] = _runs(session) - before
    return Chain(session, results(session.store, definition.name, new))


_DAG_FILE = """
import json
import sys

from pipelines.runners.airflow import build

training, monitoring = build("{name}")

if __name__ == "__main__":
    state = training.test(run_conf=json.loads(sys.argv[1])).state
    sys.exit(0 if state == "success" else f"the DAG run ended as {{state}}")
"""


def _runs(session: Session) -> set[str]:
    """Ids of the runs the store knows of."""
    return {key.split("/")[2] for key in session.store.keys(f"runs/{session.run.project}/")}


def _refuse_overrides(runner: str, run: Mapping[str, Any]) -> None:
    if run.get("overrides"):
        raise ConfigError(f"{runner} takes its parameters from params.yaml, not {dict(run['overrides'])}")


ENGINES: dict[str, Engine] = {
    "in_process": in_process,
    "another_process": another_process,
    "dvc": dvc,
    "airflow": airflow,
}
RUNNERS = ("in_process", "dvc", "airflow")
"""What a person may ask for."""


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
