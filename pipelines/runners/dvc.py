"""DVC: the graph rendered as the plain stages of one `dvc.yaml`, and what each of them runs.

`dvc repro churn-evaluate` works because every node is a stage of its own that reads and writes small JSON files with
references under `data/<project>/`; the artifacts themselves stay in the store. DVC decides what to run from those files,
the parameters and the code; a stage that it runs although nothing relevant changed is answered from the store.

Three things are no change to DVC: a later day (`dvc repro -f -s churn-ingest` moves `as_of` to today), a source that can be
reached again, where rows had to be simulated (the same command asks it), and a champion that another runner promoted
(`dvc repro -f -s churn-evaluate` compares with it).

`pipelines render` writes `dvc.yaml` anew; a test compares the committed one with a fresh rendering.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

import yaml

from pipelines import metrics
from pipelines.core.artifacts import Ref, StageResult
from pipelines.core.codecs import Json
from pipelines.core.config import read_yaml
from pipelines.core.discovery import Definition, find_project
from pipelines.core.errors import ConfigError, DataError
from pipelines.core.execution import Progress, Session, Tracker, execute
from pipelines.core.files import disk_errors, write_atomically
from pipelines.core.fingerprint import CodeIndex
from pipelines.core.graph import Node
from pipelines.core.run import Run, new_id, today
from pipelines.core.settings import ROOT, Settings
from pipelines.core.store import Store
from pipelines.runners.dvc_plots import arrange
from pipelines.tracking import open_runs

HEADER = """\
# Rendered from the graph in pipelines/core/graph.py; do not edit. `pipelines render` writes it anew.
# `dvc repro churn-evaluate`, `dvc dag`, `dvc metrics show`, `dvc params diff`, `dvc plots show`
"""
_PYTHON = 'PATH=".venv/bin:$PATH" python -m pipelines'
"""How a stage starts: with the checkout's own environment where there is one, and the checkout's own code."""


# rendering --------------------------------------------------------------------------------------------------------------


class _Plain(yaml.SafeDumper):
    """YAML without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_PLAIN = {"cache": False, "persist": True}
"""Results are small and stay where they are. `persist` also keeps DVC's run cache out, which would
restore a promotion's result without promoting."""


def render(projects: Mapping[str, Definition], profile: str = "full") -> str:
    """The text of `dvc.yaml` for these projects with one profile's parameters."""
    code = CodeIndex(Path(os.devnull), {definition.folder.parent for definition in projects.values()})
    stages = {
        _stage_name(definition.name, node): _stage(definition, node, profile, code)
        for definition in projects.values()
        for node in definition.training.nodes
    }
    return HEADER + yaml.dump({"stages": stages}, Dumper=_Plain, sort_keys=False, width=130)


def _stage_name(project: str, node: Node) -> str:
    return f"{project}-{node.name}"


def _stage(definition: Definition, node: Node, profile: str, code: CodeIndex) -> dict[str, Any]:
    project = definition.name
    upstream = [str(_results(project, parent)) for parent in definition.training.upstream(node)]
    command = f"{_PYTHON} stage {project} {node.name}" + ("" if profile == "full" else f" --profile {profile}")
    tree = read_yaml(definition.params_file)
    _refuse_dates(tree, str(definition.params_file))
    keys = params_keys(tree, node, profile)
    stage: dict[str, Any] = {
        "desc": node.stage.doc,
        "cmd": command,
        "deps": [*upstream, *_own_files(definition, node, profile), *_code(definition, node, code), "requirements.lock"],
        "params": [{_shown(definition.params_file): keys}],
        "outs": [{str(_results(project, node)): _PLAIN}],
    }
    if any(output.name == _NUMBERS for output in node.stage.writes):
        stage["metrics"] = [{str(_metrics(project)): _PLAIN}]
        stage["outs"].append({str(_plots(project)): _PLAIN})
    return stage


def params_keys(tree: Mapping[str, Any], node: Node, profile: str) -> list[str]:
    """The dotted keys of params.yaml a node depends on, its profile's included; of the candidates, only its own.

    Keys the file does not have are left out: their defaults are code.
    """
    merged = tree.get("profiles", {}).get(profile) or {}
    found = []
    for prefix, part in (("", tree), (f"profiles.{profile}.", merged)):
        for section in node.stage.params:
            if section in part:
                found += [prefix + key for key in _section_keys(section, part[section], node.candidate)]
    return found


def _refuse_dates(value: Any, place: str) -> None:
    """DVC cannot digest a bare YAML date and says so only when it runs; say it here, with the remedy."""
    if isinstance(value, date):
        raise ConfigError(f'{place}: {value} is a bare date, which DVC cannot digest; put it in quotes: "{value}"')
    parts = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        _refuse_dates(part, f"{place}: {key}" if not isinstance(key, int) else place)


def _section_keys(section: str, value: Any, candidate: str | None) -> Iterator[str]:
    if candidate is None or not isinstance(value, Mapping) or "candidates" not in value:
        yield section
        return
    yield from (f"{section}.{key}" for key in value if key != "candidates")
    if candidate in value["candidates"]:
        yield f"{section}.candidates.{candidate}"


def _code(definition: Definition, node: Node, code: CodeIndex) -> list[str]:
    """What holds the source a node can reach: whole layers, single parts and stages, single files of the project.

    A project's folder as a whole would bring in its params.yaml, which DVC follows key by key.
    """
    modules = [node.stage.body.partition(":")[0], f"pipelines.projects.{definition.name}"]
    places = set()
    for module, path in code.files(modules).items():
        if path.name == "__init__.py" and path.stat().st_size == 0:
            continue  # the empty __init__.py of a package around what is named here
        layer = [*module.split("."), ""][1]
        depth = {"": None, "projects": None, "parts": 3, "stages": 3}.get(layer, 2)
        shown = _shown(path)
        places.add(shown if depth is None else "/".join(shown.split("/")[:depth]))
    if (own := definition.catalog[0]).is_dir():
        places.add(_shown(own))
    return sorted(places)


def _own_files(definition: Definition, node: Node, profile: str) -> list[str]:
    """The file or folder of one's own that a node looks at in place of the catalog."""
    path = definition.params(profile).ingest.path if "own_files" in node.stage.looks_at else None
    return [_shown(Path(path).expanduser())] if path else []


def _shown(path: Path) -> str:
    """A path as `dvc.yaml` names it: from the checkout where it lies inside, else in full."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


# where a stage keeps its results, relative to the folder of `dvc.yaml` ---------------------------------------------------

_NUMBERS = "plots"
"""The artifact with metrics.json and the CSV files for `dvc metrics` and `dvc plots`."""


_FINGERPRINT = ".fingerprint"
"""Ending of the file with the fingerprint of a stage's results, beside them."""


def _results(project: str, node: Node) -> Path:
    return Path("data", project, f"{node.name}.json")


def referenced(settings: Settings) -> Iterator[Ref]:
    """What DVC's workspaces here refer to: it starts no stage that it finds unchanged, and those after it read these."""
    for place in {path.absolute() for path in (Path("data"), ROOT / "data", settings.data)}:
        for path in place.glob("*/*.json"):
            record = Json[Any]().read(path)
            yield from map(Ref.model_validate, (record.get("outputs") or {}).values() if isinstance(record, dict) else ())


def _metrics(project: str) -> Path:
    return Path("data", project, "metrics.json")


def _plots(project: str) -> Path:
    return Path("data", project, "plots")


class RunTracker(Tracker, Protocol):
    """A tracker that also closes runs."""

    def finish(self, session: Session, status: Literal["FINISHED", "FAILED", "KILLED"]) -> None:
        """The run has ended, for now: a later process of it may go on."""


# running ----------------------------------------------------------------------------------------------------------------


def run_node(
    project: str,
    name: str,
    *,
    profile: str = "full",
    run_id: str | None = None,
    fresh: bool = False,
    tracker: RunTracker | None = None,
    progress: Progress = lambda done, total, message: None,
) -> StageResult:
    """Execute one node in the folder of `dvc.yaml`, from the results of the nodes before it, and write its own.

    All processes of one `dvc repro` take part in one run. Nodes after the first read as of the date the first one read.
    Raises ConfigError outside that folder, or when an earlier node has not run.
    """
    if not Path("dvc.yaml").is_file():
        raise ConfigError(f"there is no dvc.yaml in {Path.cwd()}; run this, or better `dvc repro`, where it is")
    definition = find_project(project)
    node = definition.training.node(name)
    settings = Settings.load()
    done, as_of = _before(definition, node, Store.open(settings.store, settings.home / "cache" / "store"))
    run = Run(
        project=project,
        id=run_id or shared_run_id(),
        as_of=as_of,
        profile=profile,
        runner="dvc",
        fresh=fresh,
        engine={"task_id": _stage_name(project, node)},
    )
    session = Session(run, settings=settings)
    told = tracker or _mlflow(session.settings)
    _introduce(session, done, told)
    try:
        with open_runs.at_work(session):
            result = execute(session, node, done, progress=progress)
        told.record(session, node, result)
    except BaseException as error:
        told.failed(session, node, error, error.outputs if isinstance(error, DataError) else {})
        told.finish(session, "FAILED")
        metrics.tell_run(session, "failed")
        raise
    told.finish(session, "FINISHED")
    metrics.tell_run(session, "success")
    _write(session, node, result)
    return result


def shared_run_id() -> str:
    """One id for all processes under one `dvc` command, from its process id and start; a new id where there is none."""
    import psutil

    for process in psutil.Process().parents():
        try:
            command, started = process.cmdline(), process.create_time()
        except psutil.Error:
            continue
        if any(Path(word).name == "dvc" for word in command[:3]):
            return f"dvc-{datetime.fromtimestamp(started, UTC):%Y%m%dT%H%M%S}-{process.pid}"
    return new_id("dvc")


def _mlflow(settings: Settings) -> RunTracker:
    from pipelines.tracking.runs import MlflowTracker

    return MlflowTracker(settings)


def _before(definition: Definition, node: Node, store: Store) -> tuple[dict[str, StageResult], datetime]:
    """What the nodes before this one have written, and the date the first of them read as of."""
    done: dict[str, StageResult] = {}
    as_of = today()
    for parent in definition.training.ancestors([node.name]):
        path = _results(definition.name, parent)
        if parent == node or not path.is_file():
            continue
        record = Json[Any]().read(path)
        outputs = {name: Ref.model_validate(ref) for name, ref in record["outputs"].items()}
        mark = _fingerprint(path, store, next(iter(outputs.values())))
        done[parent.name] = StageResult(node=parent.name, fingerprint=mark, outputs=outputs, reused=True)
        if "as_of" in record:
            as_of = datetime.fromisoformat(record["as_of"])
    return done, as_of


def _fingerprint(results: Path, store: Store, ref: Ref) -> str:
    """Of the execution that wrote these results; where that is not noted, of the one that made the first artifact."""
    note = results.with_suffix(_FINGERPRINT)
    return note.read_text(encoding="utf-8") if note.is_file() else store.manifest(ref.digest).fingerprint


def _introduce(session: Session, done: Mapping[str, StageResult], tracker: RunTracker) -> None:
    """Tell the tracker what this run builds on, once: DVC does not start the stages it finds unchanged."""
    if session.store.read(f"runs/{session.run.project}/{session.run.id}/run.json") is not None:
        return
    for name, result in done.items():
        tracker.record(session, session.graph.node(name), result)


def _write(session: Session, node: Node, result: StageResult) -> None:
    """References, and nothing that differs between two runs of the same inputs, so that DVC sees when nothing changed. The
    fingerprint, which other code changes though the same comes out, stands beside them, where DVC does not look.
    """
    record: dict[str, Any] = {"outputs": {name: ref.model_dump() for name, ref in result.outputs.items()}}
    if not node.stage.reads:
        record["as_of"] = session.run.as_of.isoformat()
    project = session.run.project
    if numbers := result.outputs.get(_NUMBERS):
        _write_numbers(project, session.read(numbers))
    results = _results(project, node)
    write_atomically(results.with_suffix(_FINGERPRINT), result.fingerprint.encode())
    write_atomically(results, (json.dumps(record, indent=1, sort_keys=True) + "\n").encode())


def _write_numbers(project: str, folder: Path) -> None:
    """What `dvc metrics` and `dvc plots` show: metrics.json, one CSV a line, and the `dvc.yaml` that says what is plotted."""
    with disk_errors(f"writing {_plots(project)}"):
        shutil.rmtree(_plots(project), ignore_errors=True)
        layout = yaml.safe_dump({"plots": arrange(folder, _plots(project))}, sort_keys=False)
    write_atomically(_metrics(project), (folder / "metrics.json").read_bytes())
    write_atomically(_plots(project).with_name("dvc.yaml"), layout.encode())
