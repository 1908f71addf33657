"""MLflow as the experiment tracker: one run per pipeline run, one nested run per candidate, whatever the runner.

The tracker is told of finished nodes and reads their artifacts; what is logged follows from the graph's `show` and from
the evidence documents (`facts.py`). Processes that take part in one pipeline run agree on its MLflow run by an exclusive
record in the store (`open_runs.py`): whoever writes it first has opened the run, the others delete their own.

Every stage of every runner pays for what is asked of MLflow here, so it is asked little: one batch per run that a stage has
something to say of. Files go straight to where the run's artifacts are.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipelines.core.artifacts import Ref, StageResult
from pipelines.core.errors import InfrastructureError
from pipelines.core.execution import Session
from pipelines.core.files import scratch_folder
from pipelines.core.fingerprint import digest_of
from pipelines.core.graph import Node
from pipelines.core.run import Run
from pipelines.core.scrub import scrub, without_password
from pipelines.core.settings import Settings
from pipelines.core.store import Store
from pipelines.tracking import artifacts, open_runs, records
from pipelines.tracking.client import answering, connect, ping
from pipelines.tracking.experiments import experiment_of, opened_experiment
from pipelines.tracking.facts import Facts, facts_of, flattened, metric_name
from pipelines.tracking.leases import lease, why_gone
from pipelines.tracking.open_runs import Claim, claim_key, claimed
from pipelines.tracking.provenance import PER_TASK, RUN, provenance, uncommitted

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput
    from mlflow.entities import Run as MlflowRun
    from mlflow.tracking import MlflowClient

Status = Literal["FINISHED", "FAILED", "KILLED"]

_STORE = "pipelines.store"
"""Where the run's claim is; several installations may share a server."""
_ERROR_TAGS = {"error.stage", "error.class", "error.message"}
_LONGEST_TAG, _LONGEST_PARAM = 5000, 6000
"""MLflow's limits, in characters (tags: 8000 in some stores, 5000 in all)."""
_BATCH, _METRICS = 100, 800
"""Of parameters and of tags MLflow takes 100 in one call, of all three together 1000."""


class MlflowTracker:
    """Implements `pipelines.core.execution.Tracker` with MLflow.

    The MLflow run is opened by the first stage that really executes; stages reused before it are recorded then. So a run in
    which everything is reused opens none and leaves MLflow as it was. A runner whose tasks are processes of their own calls
    `open` in its first task.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._waiting: dict[str, list[tuple[Node, StageResult]]] = {}
        self._known: dict[str, Claim] = {}
        self._reopened: set[str] = set()
        self._params: dict[str, dict[str, str]] = {}
        self._here = without_password(settings.store)

    @cached_property
    def client(self) -> MlflowClient:
        return connect(self.settings)

    # what the runner calls ----------------------------------------------------------------------------------------------

    def open(self, session: Session) -> str:
        """Id of the MLflow run of this pipeline run, opened when there is none yet; dead runs of the project are closed."""
        return self._open(session).run_id

    def record(self, session: Session, node: Node, result: StageResult) -> None:
        """Log a finished or reused node."""
        if result.reused and self._opened(session) is None:
            self._waiting.setdefault(session.run.id, []).append((node, result))
            return
        self._log(session, self._open(session), node, result)

    def failed(self, session: Session, node: Node, error: BaseException, outputs: Mapping[str, Ref]) -> None:
        """Log what went wrong, with the evidence the stage left. The run stays open: a retry may mend it.

        When MLflow cannot be told, `error` gets a note that says so; it is the one to be seen.
        """
        try:
            self._log_failure(session, node, error, StageResult(node=node.name, fingerprint="", outputs=dict(outputs)))
        except InfrastructureError as silence:
            error.add_note(f"This failure is not in MLflow: {silence}")

    def finish(self, session: Session, status: Status) -> None:
        """Close the run, as FAILED when a node has failed and not succeeded since; nothing to close is fine.

        Stages still waiting to be recorded were all reused: they stay unsaid. Closing a run that has failed says nothing new
        when MLflow is down: the next run's sweep closes it.
        """
        self._waiting.pop(session.run.id, None)
        run = self._opened(session)
        if run is None:
            self._sweep_if_any_died(session)
            return
        status = "FAILED" if status == "FINISHED" and open_runs.errors(session) else status
        with contextlib.nullcontext() if status == "FINISHED" else contextlib.suppress(InfrastructureError), self._talking():
            self.client.set_terminated(run.run_id, status)
            open_runs.release(session.store, session.run.project, session.run.id)

    def unheard(self, session: Session) -> list[tuple[Node, StageResult]]:
        """Stages whose result the store has and MLflow has not heard of in full: their process died before it had told all."""
        if (run := self._opened(session)) is None:
            return []
        with self._talking():
            tags = self.client.get_run(run.run_id).data.tags
        results = records.results(session.store, session.run.project, session.run.id)
        found = ((node, results[node.name]) for node in session.graph.nodes if node.name in results)
        return [(node, result) for node, result in found if tags.get(_mark(node)) != result.fingerprint]

    def reopened(self, session: Session) -> bool:
        """Whether the run had been closed before it was opened here."""
        return session.run.id in self._reopened

    def settle(self, session: Session) -> None:
        """Close a run that was closed before and went on, for the task that closes it may not come a second time.

        So it is when a person clears the failed tasks of a DAG run: the one that closes had succeeded.
        """
        if self.reopened(session):
            self.finish(session, "FINISHED")

    def sweep(self, project: str, store: Store | None = None) -> list[str]:
        """Close runs of a project that nobody will finish any more; return their MLflow ids."""
        with self._talking():
            return self._sweep(store or self._store(), project, experiment_of(self.client, project), None)

    def dead(self, project: str) -> list[str]:
        """The MLflow ids that `sweep` would return, with nothing touched."""
        with self._talking():
            return [run.info.run_id for run, _ in self._dead(self._store(), project, experiment_of(self.client, project), None)]

    def _store(self) -> Store:
        return Store.open(self.settings.store, self.settings.home / "cache" / "store")

    def url(self, session: Session) -> str | None:
        """Page of the run in MLflow's UI; None when no run was opened or there is no server to show it."""
        run = self._opened(session)
        return None if run is None else open_runs.page(self.settings.tracking, run) or None

    # opening ------------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _talking(self) -> Iterator[None]:
        ping(self.settings.tracking)
        _ = self.client
        with answering(self.settings.tracking):
            yield

    def _opened(self, session: Session) -> Claim | None:
        key = claim_key(session.run.project, session.run.id)
        return self._known.get(key) or claimed(session.store, key)

    def _open(self, session: Session) -> Claim:
        key = claim_key(session.run.project, session.run.id)
        if key not in self._known:
            with self._talking():
                self._known[key] = self._enter(session, key)
        for node, result in self._waiting.pop(session.run.id, []):
            self._log(session, self._known[key], node, result)
        return self._known[key]

    def _enter(self, session: Session, key: str) -> Claim:
        """Open the run, or take part in it. One that was closed and goes on (a retried task) is running again."""
        known = claimed(session.store, key)
        if known is None:
            open_runs.hold(session)  # before there is a run, so that none can be left behind unseen
            experiment = opened_experiment(self.client, self.settings, session.definition)
            self._sweep(session.store, session.run.project, experiment, session.run)
            return self._claim(session.store, key, lambda: self._create(session, experiment))
        closed = not open_runs.held(session)
        if open_runs.hold(session, again=closed):
            self._reopened.add(session.run.id)
        if closed:
            self.client.update_run(known.run_id, status="RUNNING")
            self._write(known.run_id, Facts(tags=self._mended(session, known)))
        return known

    def _claim(self, store: Store, key: str, create: Callable[[], Claim]) -> Claim:
        """Create a run and claim it; the loser of a race deletes its own and takes the winner's."""
        mine = create()
        if open_runs.claim(store, key, mine):
            return mine
        self.client.delete_run(mine.run_id)
        theirs = claimed(store, key)
        assert theirs is not None, "claims are never deleted"
        return theirs

    def _create(self, session: Session, experiment: str) -> Claim:
        """A run that already says everything about its origin, so that a claimed run is never half described."""
        import getpass

        origin = provenance(session)
        more = {"mlflow.source.type": "JOB", "mlflow.source.name": f"pipelines {session.graph_name} {session.run.project}"}
        more |= {"mlflow.source.git.commit": origin["git.commit"], "mlflow.user": getpass.getuser()}
        made = self._make(session, experiment, session.run.id, origin, more)
        self._write(made.run_id, Facts(params=flattened(session.params.model_dump(mode="json"))))
        if diffs := uncommitted(session):
            with scratch_folder("show") as folder:
                for diff, text in diffs.items():
                    Path(folder, diff).write_text(text, encoding="utf-8")
                artifacts.put(self.settings, made, folder)
        return made

    def _child(self, session: Session, parent: Claim, candidate: str) -> Claim:
        """The nested run of a candidate."""
        key = claim_key(session.run.project, session.run.id, candidate)
        if key not in self._known:
            tags = {"mlflow.parentRunId": parent.run_id, "candidate": candidate}
            self._known[key] = claimed(session.store, key) or self._claim(
                session.store, key, lambda: self._make(session, parent.experiment, candidate, parent.origin, tags)
            )
        return self._known[key]

    def _make(self, session: Session, experiment: str, name: str, origin: dict[str, str], tags: Mapping[str, str]) -> Claim:
        told = {**origin, **tags, **lease(session.run), _STORE: self._here}
        made = self.client.create_run(experiment, tags=_tags(told), run_name=name).info
        self._params[made.run_id] = {}
        return Claim(made.run_id, experiment, made.artifact_uri, origin, without_password(self.settings.tracking))

    # closing what others left -------------------------------------------------------------------------------------------

    def _sweep_if_any_died(self, session: Session) -> None:
        """A run that had nothing to say looks after the dead all the same, and asks MLflow only when the store knows of one.

        What cannot be done now is left to the next run: this one has not needed MLflow for anything.
        """
        if open_runs.gone(session.store, session.run.project):
            with contextlib.suppress(InfrastructureError):
                self.sweep(session.run.project, session.store)

    def _sweep(self, store: Store, project: str, experiment: str | None, successor: Run | None) -> list[str]:
        gone = open_runs.gone(store, project, successor)  # before MLflow is asked, which then knows at least these
        closed = []
        for run, reason in self._dead(store, project, experiment, successor):
            tags, run_id = run.data.tags, run.info.run_id
            ours = claimed(store, claim_key(tags["pipelines.project"], tags[RUN], tags.get("candidate")))
            if tags.get(_STORE) == self._here and (ours is None or ours.run_id != run_id):
                self.client.delete_run(run_id)  # its process died between creating and claiming it
            else:
                ended = {"error.class": "Killed", "error.message": f"closed by a later run: {reason}"}
                self._write(run_id, Facts(tags=ended))
                self.client.set_terminated(run_id, "FAILED")
            closed.append(run_id)
        for dead in gone:
            open_runs.release(store, project, dead)
        return closed

    def _dead(self, store: Store, project: str, experiment: str | None, successor: Run | None) -> Iterator[tuple[MlflowRun, str]]:
        """Open runs in MLflow that nobody will finish, each with the reason."""
        found = self.client.search_runs([experiment], "attributes.status = 'RUNNING'", max_results=1000) if experiment else []
        for run in found:
            tags = run.data.tags
            if successor and tags.get(RUN) == successor.id:
                continue
            here = tags.get(_STORE) == self._here and RUN in tags
            holder = open_runs.holder(store, project, tags[RUN]) if here else None
            # the store has the lease as it was renewed, MLflow as a stage ended
            if reason := why_gone(holder or tags, successor):
                yield run, reason

    # logging ------------------------------------------------------------------------------------------------------------

    def _log(self, session: Session, run: Claim, node: Node, result: StageResult) -> None:
        """Everything about one node, in few calls; its fingerprint last, which says that all has been told."""
        records.remember(session, result)
        own = Facts(tags={_mark(node): result.fingerprint, **lease(session.run)})
        own.tags[f"stage.{node.name}.reused"] = str(result.reused).lower()
        own.tags |= {f"stage.{node.name}.{key}": session.run.engine[key] for key in PER_TASK & set(session.run.engine)}
        own.metrics.append((metric_name(f"seconds.{node.name}"), result.seconds, 0))
        if raw := result.outputs.get("raw"):
            own.tags["data.sha256"] = raw.digest
        with self._talking():
            told = self._facts(session, node, result)
            own.add(told.pop(None, Facts()))
            for candidate, facts in told.items():
                self._write(self._child(session, run, str(candidate)).run_id, facts)
            target = self._child(session, run, node.candidate) if node.candidate else run
            artifacts.log(self.settings, target, session, node, result)
            mended = open_runs.forget_error(session, node.name)
            if node.candidate:
                if mended or self.reopened(session):
                    self._forget_errors(target)
                self.client.set_terminated(target.run_id, "FINISHED")
            if mended:
                own.tags |= self._mended(session, run)
            self._write(run.run_id, own)

    def _mended(self, session: Session, run: Claim) -> dict[str, str]:
        """What the run's error tags must say now that a node that failed has succeeded, or that a run which was taken for dead
        goes on; with no other failure, they go.
        """
        if left := open_runs.errors(session):
            return left[0]
        self._forget_errors(run)
        return {}

    def _forget_errors(self, run: Claim) -> None:
        for tag in _ERROR_TAGS & set(self.client.get_run(run.run_id).data.tags):
            self.client.delete_tag(run.run_id, tag)

    def _log_failure(self, session: Session, node: Node, error: BaseException, evidence: StageResult) -> None:
        tags = {"error.stage": node.name, "error.class": type(error).__name__}
        tags |= _tags({"error.message": str(error) or type(error).__name__})
        open_runs.remember_error(session, node.name, tags)
        run = self._open(session)
        with self._talking():
            told = self._facts(session, node, evidence)
            own = Facts(tags=tags | lease(session.run))
            own.add(told.pop(None, Facts()))
            for candidate, facts in told.items():
                facts.tags |= tags if candidate == node.candidate else {}
                self._write(self._child(session, run, str(candidate)).run_id, facts)
            self._write(run.run_id, own)
            target = self._child(session, run, node.candidate) if node.candidate else run
            artifacts.log(self.settings, target, session, node, evidence)
            if node.candidate:
                self.client.set_terminated(target.run_id, "FAILED")

    def _facts(self, session: Session, node: Node, result: StageResult) -> dict[str | None, Facts]:
        """What the node's JSON outputs say, by candidate; a candidate's own node also says what it was asked."""
        told: dict[str | None, Facts] = {}
        if node.candidate:
            asked = session.params.train.candidates.get(node.candidate, {})
            told[node.candidate] = Facts(params={"seed": session.params.seed, **flattened(asked)})
        for output in node.stage.writes:
            ref = result.outputs.get(output.name)
            if ref is None or ref.codec != "json" or output.show == "none":
                continue
            for candidate, facts in facts_of(output, session.read(ref), node.candidate).items():
                told.setdefault(candidate, Facts()).add(facts)
        return told

    def _write(self, run_id: str, facts: Facts) -> None:
        """Tell a run. MLflow refuses to change a parameter; what a repeated stage chose otherwise becomes a tag."""
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        tags = facts.tags | ({"mlflow.note.content": facts.note} if facts.note else {})
        params = {key: scrub(str(value))[:_LONGEST_PARAM] for key, value in facts.params.items()}
        if params:
            if run_id not in self._params:
                self._params[run_id] = dict(self.client.get_run(run_id).data.params)
            there = self._params[run_id]
            tags |= {f"now.{key}": value for key, value in params.items() if there.get(key, value) != value}
            params = {key: value for key, value in params.items() if key not in there}
        if facts.dataset is not None:
            self.client.log_inputs(run_id, [_input(facts.dataset)])
        metrics = [Metric(name, value, now, step) for name, value, step in facts.metrics]
        rows = ([Param(key, value) for key, value in params.items()], [RunTag(k, v) for k, v in _tags(tags).items()])
        batches = max(-(-len(metrics) // _METRICS), *(-(-len(each) // _BATCH) for each in rows))
        for n in reversed(range(batches)):  # the first tag says that all has been told
            few = (each[n * _BATCH : (n + 1) * _BATCH] for each in rows)
            self.client.log_batch(run_id, metrics[n * _METRICS : (n + 1) * _METRICS], *few)
        if params:
            self._params[run_id] |= params


def _input(snapshot: Mapping[str, Any]) -> DatasetInput:
    """The data set of a run, by name, digest and origin; nothing is loaded."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    digest = (snapshot.get("pointer") or {}).get("md5") or digest_of(snapshot.get("files"))
    source, origin = str(snapshot.get("source")), scrub(str(snapshot.get("origin")))
    profile = json.dumps({"rows": snapshot.get("rows_arrived"), "window": snapshot.get("window")}, default=str)
    name = str(snapshot.get("dataset") or "data")
    data = Dataset(name, str(digest)[:36], source, json.dumps({"uri": origin}), profile=profile)
    return DatasetInput(data, [InputTag("mlflow.data.context", "training")])


def _mark(node: Node) -> str:
    """The tag that holds the fingerprint of a node MLflow knows all about."""
    return f"stage.{node.name}.fingerprint"


def _tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: scrub(str(value))[:_LONGEST_TAG] for key, value in tags.items()}
