"""Executing one node. Every runner calls `execute` and nothing else, so all runners compute the same.

The steps: gather what the node depends on, look the fingerprint up, and only when it is new import the stage's body, run
it, store what it returns and remember the result.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from pipelines.core.artifacts import Ref, StageResult
from pipelines.core.codecs import Codec, codec, load_object
from pipelines.core.config import Params
from pipelines.core.contract import Project
from pipelines.core.discovery import Definition, find_project
from pipelines.core.errors import ConfigError, DataError, InfrastructureError
from pipelines.core.files import contents, scratch_folder, sha256_of
from pipelines.core.fingerprint import CodeIndex, digest_of, fingerprint, relevant_params, strings_in
from pipelines.core.graph import Graph, Node
from pipelines.core.ledger import Entry, History, Ledger
from pipelines.core.run import Run
from pipelines.core.settings import Settings
from pipelines.core.store import Store

INSTANT = timedelta(microseconds=1)
Progress = Callable[[int, int, str], None]
"""Steps done, steps in all, and a word about the newest."""


class Tracker(Protocol):
    """What an experiment tracker is told. It reads artifacts; stages know nothing of it."""

    def record(self, session: Session, node: Node, result: StageResult) -> None:
        """A node has finished or was reused."""

    def failed(self, session: Session, node: Node, error: BaseException, outputs: Mapping[str, Ref]) -> None:
        """A node has failed; `outputs` is the evidence it left."""


class NoTracker:
    """Tracks nothing: for tests and for looking at one stage."""

    def record(self, session: Session, node: Node, result: StageResult) -> None: ...

    def failed(self, session: Session, node: Node, error: BaseException, outputs: Mapping[str, Ref]) -> None: ...


@dataclass
class Session:
    """One run opened in one process: the definition, the resolved parameters, the places."""

    run: Run
    graph_name: str = "training"
    settings: Settings = field(default_factory=Settings.load)

    @cached_property
    def definition(self) -> Definition:
        """What the project's folder declares. Raises ConfigError for an unknown project."""
        return find_project(self.run.project)

    @cached_property
    def project(self) -> Project[Any, Any]:
        return self.definition.project()

    @cached_property
    def params(self) -> Params:
        return self.definition.params(self.run.profile, self.run.overrides)

    @cached_property
    def graph(self) -> Graph:
        """The chain that is run, unrolled for the candidates."""
        graph: Graph = getattr(self.definition, self.graph_name)
        return graph

    @cached_property
    def store(self) -> Store:
        store = Store.open(self.settings.store, self.settings.home / "cache" / "store")
        return store.rehearsing(self.run.rehearsal) if self.run.rehearsal else store

    @cached_property
    def ledger(self) -> Ledger:
        """Decisions so far; a rehearsal of the past knows nothing of what it decided later in the data's time. A window is
        checked before what is trained at its end.
        """
        if not self.run.rehearsal:
            return Ledger(self.store)
        return Ledger(self.store, until=self.run.as_of - (timedelta(0) if self.graph_name == "training" else INSTANT))

    @cached_property
    def code(self) -> CodeIndex:
        """The source that fingerprints depend on."""
        return CodeIndex(self.settings.home / "cache" / "code.json", self.settings.projects)

    @cached_property
    def resources(self) -> dict[str, str]:
        """Digests of the entries of the data catalog that training may ask for: those whose names stand in the project's code, in
        what it imports or in the parameters of candidates.
        """
        words = self.code.words([f"pipelines.projects.{self.run.project}"]) | strings_in(self.params.train.candidates)
        return {name: sha256_of(file) for name, file in self.definition.entries.items() if name in words}

    @cached_property
    def _scratch(self) -> tempfile.TemporaryDirectory[str]:
        """Folders of artifacts read by this session; deleted with it."""
        return scratch_folder("read")

    def codec(self, name: str) -> Codec[Any]:
        """A platform codec, or the project's own for `data` and `model`."""
        return {"data": lambda: self.project.data_codec, "model": lambda: self.project.model_codec}.get(
            name, lambda: codec(name)
        )()

    def fetch(self, ref: Ref) -> Path:
        """The file or folder a reference stands for, verified; a folder is there as long as the session is."""
        return self.store.fetch(ref, Path(self._scratch.name))

    def read(self, ref: Ref) -> Any:
        """The value a reference stands for. Where that is a folder, it is there as long as the session is."""
        return self.codec(ref.codec).read(self.fetch(ref))


Results = Mapping[str, StageResult]
"""Finished nodes by name."""
Inputs = Mapping[str, Ref | dict[str, Ref]]
"""What a node reads, by artifact; by candidate where each candidate wrote one."""


@dataclass
class Context:
    """What a stage's body sees."""

    session: Session
    node: Node
    inputs: Inputs
    history: History
    progress: Progress
    workdir: Path
    """A folder of its own, deleted afterwards."""
    fingerprint: str
    done: Results = field(default_factory=dict)
    """Results of the nodes before it."""
    lasting: bool = True
    """Whether the result answers the same question the next time. A body that had to make do says False, and runs again."""

    @property
    def run(self) -> Run:
        return self.session.run

    @property
    def params(self) -> Params:
        return self.session.params

    @property
    def project(self) -> Project[Any, Any]:
        return self.session.project

    @property
    def candidate(self) -> str:
        """The candidate this node is for. Raises ConfigError in a stage that runs once for all."""
        if self.node.candidate is None:
            raise ConfigError(f"stage {self.node.name!r} runs once, not per candidate")
        return self.node.candidate

    @property
    def champion(self) -> Entry | None:
        """Who serves, as the ledger was when the stage began."""
        return self.history.champion

    @cached_property
    def ranking(self) -> list[str]:
        """Candidates by the headline metric on the validation rows; see the function."""
        return ranking(self.session, self.refs("fit"))

    @property
    def incumbent(self) -> Entry | None:
        """The champion that the winner is compared with."""
        return self.history.incumbent(self.refs("model")[self.ranking[0]].digest)

    def ref(self, name: str) -> Ref:
        """Reference to an artifact this stage reads."""
        ref = self.inputs[name]
        assert isinstance(ref, Ref), f"{name} is one artifact per candidate; use refs()"
        return ref

    def refs(self, name: str) -> dict[str, Ref]:
        """References to an artifact that each candidate wrote."""
        refs = self.inputs[name]
        assert isinstance(refs, dict), f"{name} is one artifact; use ref()"
        return refs

    def read(self, name: str) -> Any:
        """The value of an artifact this stage reads; a dictionary by candidate where each candidate wrote one."""
        refs = self.inputs[name]
        return {c: self.session.read(ref) for c, ref in refs.items()} if isinstance(refs, dict) else self.session.read(refs)


def execute(
    session: Session, node: Node, done: Results, *, progress: Progress = lambda done, total, message: None
) -> StageResult:
    """Run a node, or answer from the store when nothing it depends on has changed.

    Raises DataError (not to be retried), InfrastructureError (to be retried) or ConfigError.
    """
    started = time.perf_counter()
    inputs = gather(session.graph, node, done)
    history = session.ledger.history(session.run.project)
    mark = _mark(session, node, inputs, history)
    memo = f"memo/{session.run.project}/{node.name}/{mark}.json"
    known = None if session.run.fresh else session.store.read(memo)
    before = StageResult.model_validate_json(known) if known else None
    if before and before.lasting and node.stage.reuse and session.store.keep(before.outputs.values()):
        return before.model_copy(update={"reused": True, "seconds": time.perf_counter() - started})
    with _machine_errors(node), scratch_folder(node.name) as folder:
        context = Context(session, node, inputs, history, progress, Path(folder), mark, done)
        values = _call(context)
        outputs = save(session, node, values, mark)
    seconds = time.perf_counter() - started
    result = StageResult(node=node.name, fingerprint=mark, outputs=outputs, seconds=seconds, lasting=context.lasting)
    if before and before.outputs == outputs and not (node.stage.reuse and (before.lasting or result.lasting)):
        # it acts on the world and found nothing left to do, or it made do as before
        return result.model_copy(update={"reused": True})
    session.store.replace(memo, result.model_dump_json(indent=1).encode())
    return result


def gather(graph: Graph, node: Node, done: Results) -> dict[str, Ref | dict[str, Ref]]:
    """The references a node reads, from the results of the nodes before it."""
    inputs: dict[str, Ref | dict[str, Ref]] = {}
    for name in node.stage.reads:
        writers = graph.nodes_of(graph.writer(name))
        if missing := [writer.name for writer in writers if writer.name not in done]:
            raise ConfigError(
                f"stage {node.name!r} needs {', '.join(missing)} first; run {'it' if len(missing) == 1 else 'them'} before, "
                "or the whole chain with `pipelines run`"
            )
        refs = {writer.candidate: done[writer.name].outputs[name] for writer in writers}
        inputs[name] = refs[None] if None in refs else {str(c): ref for c, ref in refs.items()}
    return inputs


def ranking(session: Session, fits: Mapping[str, Ref]) -> list[str]:
    """Candidates by the headline metric on the validation rows, best first, an undefined one last; ties as in params.yaml.

    The first is the winner. Who that is follows from what the candidates scored and nothing else, so it is known before
    anybody is compared.
    """
    asked = session.params.evaluate
    sign = -1 if asked.greater_is_better else 1
    valid = {
        name: sign * float(session.read(fits[name])["valid"].get(asked.metric, math.nan)) for name in session.graph.candidates
    }
    return sorted(valid, key=lambda name: (math.isnan(valid[name]), valid[name]))


def save(session: Session, node: Node, values: Mapping[str, Any], mark: str) -> dict[str, Ref]:
    """Write a stage's values to the store."""
    declared = {output.name: output for output in node.stage.writes}
    if set(values) - set(declared):
        raise ConfigError(f"stage {node.name!r} returned {sorted(set(values) - set(declared))}, which the graph does not declare")
    refs: dict[str, Ref] = {}
    with scratch_folder(node.name) as folder:
        for name, value in values.items():
            codec = session.codec(declared[name].codec)
            path = Path(folder) / name
            codec.write(value, path)
            columns = getattr(codec, "columns", lambda value: None)(value)
            refs[name] = session.store.put(
                name,
                path,
                codec=declared[name].codec,
                project=session.run.project,
                stage=node.name,
                fingerprint=mark,
                columns=columns,
            )
    return refs


@contextlib.contextmanager
def _machine_errors(node: Node) -> Iterator[None]:
    """What the machine does to a stage is no fault of the data: it may be run again."""
    try:
        yield
    except (OSError, MemoryError) as error:
        raise InfrastructureError(
            f"stage {node.name!r} could not go on: {str(error) or type(error).__name__}; "
            "free what it names and run again, finished stages are not repeated"
        ) from error


def _call(context: Context) -> dict[str, Any]:
    """Run the body, and keep the evidence of a data error."""
    body = load_object(context.node.stage.body)
    try:
        values: dict[str, Any] = body(context)
    except DataError as error:
        error.outputs = save(context.session, context.node, error.outputs, context.fingerprint)
        raise
    missing = {output.name for output in context.node.stage.writes} - set(values)
    if missing:
        raise ConfigError(f"stage {context.node.name!r} did not return {sorted(missing)}, which the graph declares")
    return values


def _mark(session: Session, node: Node, inputs: Inputs, history: History) -> str:
    digests = {
        name: {c: r.digest for c, r in ref.items()} if isinstance(ref, dict) else ref.digest for name, ref in inputs.items()
    }
    modules = [node.stage.body.partition(":")[0], f"pipelines.projects.{session.run.project}"]
    return fingerprint(
        node,
        inputs=digests,
        params=relevant_params(node, session.params),
        code=session.code.digest(modules),
        looks_at={what: _LOOK[what](session, inputs, history) for what in node.stage.looks_at},
    )


def _same(entry: Entry | None) -> Any:
    return entry and [entry.version, entry.model and entry.model.digest]


def _own_files(session: Session) -> dict[str, str]:
    path = session.params.ingest.path
    return contents(Path(path).expanduser()) if path else {}


def _incumbent(session: Session, inputs: Inputs, history: History) -> Any:
    models, fits = inputs["model"], inputs["fit"]
    assert isinstance(models, dict), "each candidate wrote one"
    assert isinstance(fits, dict), "each candidate wrote one"
    return _same(history.incumbent(models[ranking(session, fits)[0]].digest))


def _entry(session: Session) -> str | None:
    """Digest of the entry that `ingest.dataset` names; None where there is none."""
    file = session.definition.entries.get(session.params.ingest.dataset or "")
    return sha256_of(file) if file else None


_LOOK: dict[str, Callable[[Session, Inputs, History], Any]] = {
    "as_of": lambda session, inputs, history: session.run.as_of.isoformat(),
    "own_files": lambda session, inputs, history: _own_files(session),
    "entry": lambda session, inputs, history: _entry(session),
    "resources": lambda session, inputs, history: session.resources,
    "champion": lambda session, inputs, history: [_same(history.champion), history.baseline and history.baseline.digest],
    "incumbent": _incumbent,
}
"""What `looks_at` may name, as the plain value that enters the fingerprint."""

__all__ = ["Context", "NoTracker", "Progress", "Results", "Session", "Tracker", "digest_of", "execute", "gather", "save"]
