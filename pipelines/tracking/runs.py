"""MLflow as the experiment tracker: one run per pipeline run, one nested run per candidate, whatever the runner.

The tracker is told of finished nodes and reads their artifacts; what is logged follows from the graph's `show` and from
the evidence documents (`facts.py`). Processes that take part in one pipeline run agree on its MLflow run by an exclusive
record in the store: whoever writes `runs/<project>/<run>/mlflow.json` first has opened it, the others delete their own.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pipelines.core.artifacts import Ref, StageResult
from pipelines.core.errors import InfrastructureError
from pipelines.core.execution import Session
from pipelines.core.fingerprint import digest_of
from pipelines.core.graph import Node
from pipelines.core.run import Run, git_state
from pipelines.core.settings import Settings
from pipelines.core.store import Store
from pipelines.tracking import records
from pipelines.tracking.client import answering, connect, is_error, ping
from pipelines.tracking.facts import Facts, facts_of, flattened, metric_name
from pipelines.tracking.leases import lease, why_gone
from pipelines.tracking.provenance import PER_TASK, RUN, provenance
from pipelines.tracking.scrub import scrub, without_password

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput
    from mlflow.tracking import MlflowClient

Status = Literal["FINISHED", "FAILED", "KILLED"]

_STORE = "pipelines.store"
"""Where the run's claim is; several installations may share a server."""
_ERROR_TAGS = {"error.stage", "error.class", "error.message"}
_LONGEST_TAG, _LONGEST_PARAM = 5000, 6000
"""MLflow's limits, in characters (tags: 8000 in some stores, 5000 in all)."""
_BATCH = 100
"""MLflow's limit of parameters and of tags in one call."""


class MlflowTracker:
    """Implements `pipelines.core.execution.Tracker` with MLflow.

    The MLflow run is opened by the first stage that really executes; stages reused before it are recorded then. So a run in
    which everything is reused opens none and leaves MLflow as it was. A runner whose tasks are processes of their own calls
    `open` in its first task.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._waiting: dict[str, list[tuple[Node, StageResult]]] = {}
        self._known: dict[str, str] = {}
        self._here = without_password(settings.store)

    @cached_property
    def client(self) -> MlflowClient:
        return connect(self.settings)

    # what the runner calls ----------------------------------------------------------------------------------------------

    def open(self, session: Session) -> str:
        """Id of the MLflow run of this pipeline run, opened when there is none yet; dead runs of the project are closed."""
        with self._talking():
            key = _claim_key(session.run.project, session.run.id)
            run_id = self._known.get(key) or self._claimed(session.store, key)
            if run_id is None:
                experiment = self._experiment(session)
                self._sweep(session.store, experiment, session.run)
                run_id = self._claim(session.store, key, lambda: self._create(session, experiment))
            elif key not in self._known:
                self._revive(run_id)
            self._known[key] = run_id
        self._record_waiting(session, run_id)
        return run_id

    def record(self, session: Session, node: Node, result: StageResult) -> None:
        """Log a finished or reused node."""
        if result.reused and self._opened(session) is None:
            self._waiting.setdefault(session.run.id, []).append((node, result))
            return
        self._log(session, self.open(session), node, result)

    def failed(self, session: Session, node: Node, error: BaseException, outputs: Mapping[str, Ref]) -> None:
        """Log what went wrong, with the evidence the stage left. The run stays open: a retry may mend it.

        When MLflow cannot be told, `error` gets a note that says so; it is the one to be seen.
        """
        try:
            self._log_failure(session, node, error, StageResult(node=node.name, fingerprint="", outputs=dict(outputs)))
        except InfrastructureError as silence:
            error.add_note(f"This failure is not in MLflow: {silence}")

    def finish(self, session: Session, status: Status) -> None:
        """Close the run; nothing to close is fine. Stages still waiting to be recorded were all reused: they stay unsaid.

        Closing a run that has failed says nothing new when MLflow is down: the next run's sweep closes it.
        """
        self._waiting.pop(session.run.id, None)
        run_id = self._opened(session)
        if run_id is None:
            return
        with contextlib.nullcontext() if status == "FINISHED" else contextlib.suppress(InfrastructureError), self._talking():
            if status == "FINISHED":
                for tag in _ERROR_TAGS & set(self.client.get_run(run_id).data.tags):
                    self.client.delete_tag(run_id, tag)
            self.client.set_terminated(run_id, status)

    def sweep(self, project: str, store: Store | None = None) -> list[str]:
        """Close runs of a project that nobody will finish any more; return their MLflow ids."""
        with self._talking():
            experiment = self.client.get_experiment_by_name(project)
            store = store or Store.open(self.settings.store, self.settings.home / "cache" / "store")
            return self._sweep(store, experiment.experiment_id, None) if experiment else []

    def url(self, session: Session) -> str | None:
        """Page of the run in MLflow's UI; None when no run was opened or there is no server to show it."""
        run_id = self._opened(session)
        if run_id is None or urlsplit(self.settings.tracking).scheme not in ("http", "https"):
            return None
        with self._talking():
            experiment = self.client.get_run(run_id).info.experiment_id
        return f"{without_password(self.settings.tracking).rstrip('/')}/#/experiments/{experiment}/runs/{run_id}"

    # opening ------------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _talking(self) -> Iterator[None]:
        ping(self.settings.tracking)
        _ = self.client
        with answering(self.settings.tracking):
            yield

    def _opened(self, session: Session) -> str | None:
        key = _claim_key(session.run.project, session.run.id)
        return self._known.get(key) or self._claimed(session.store, key)

    def _claimed(self, store: Store, key: str) -> str | None:
        record = store.read_json(key)
        return None if record is None else str(record["run_id"])

    def _claim(self, store: Store, key: str, create: Callable[[], str]) -> str:
        """Create a run and claim it; the loser of a race deletes its own and takes the winner's."""
        mine = create()
        if store.create(key, json.dumps({"run_id": mine, "tracking": without_password(self.settings.tracking)}).encode()):
            return mine
        self.client.delete_run(mine)
        theirs = self._claimed(store, key)
        assert theirs is not None, "claims are never deleted"
        return theirs

    def _experiment(self, session: Session) -> str:
        """Id of the project's experiment. Its artifact folder is set here, so that it is the same with and without a server."""
        from mlflow.exceptions import MlflowException

        name = session.run.project
        known = self.client.get_experiment_by_name(name)
        if known is None:
            deployment = session.definition.deployment
            try:
                experiment_id: str = self.client.create_experiment(
                    name,
                    artifact_location=f"{self.settings.artifacts.rstrip('/')}/{name}",
                    tags={"mlflow.note.content": f"**{deployment.title}**\n\n{deployment.description}"},
                )
                return experiment_id
            except MlflowException as error:
                if not is_error(error, "RESOURCE_ALREADY_EXISTS"):
                    raise
                known = self.client.get_experiment_by_name(name)
        if known.lifecycle_stage != "active":
            self.client.restore_experiment(known.experiment_id)
        return str(known.experiment_id)

    def _create(self, session: Session, experiment: str) -> str:
        """A run that already says everything about its origin, so that a claimed run is never half described."""
        import getpass

        tags = provenance(session) | lease(session.run) | {_STORE: self._here}
        tags |= {"mlflow.source.type": "JOB", "mlflow.source.name": f"pipelines {session.graph_name} {session.run.project}"}
        tags |= {"mlflow.source.git.commit": tags["git.commit"], "mlflow.user": getpass.getuser()}
        run_id: str = self.client.create_run(experiment, tags=_tags(tags), run_name=session.run.id).info.run_id
        self._write(run_id, Facts(params=flattened(session.params.model_dump(mode="json"))))
        if diff := git_state()["diff"]:
            self.client.log_text(run_id, scrub(diff), "uncommitted.diff")
        return run_id

    def _child(self, session: Session, parent: str, candidate: str) -> str:
        """The nested run of a candidate."""
        key = _claim_key(session.run.project, session.run.id, candidate)
        if key not in self._known:

            def create() -> str:
                experiment = self.client.get_run(parent).info.experiment_id
                tags = {"mlflow.parentRunId": parent, "candidate": candidate, _STORE: self._here}
                tags |= provenance(session) | lease(session.run)
                made: str = self.client.create_run(experiment, tags=_tags(tags), run_name=candidate).info.run_id
                chosen = session.params.train.candidates.get(candidate, {})
                self._write(made, Facts(params={"seed": session.params.seed, **flattened(chosen)}))
                return made

            self._known[key] = self._claimed(session.store, key) or self._claim(session.store, key, create)
        return self._known[key]

    def _revive(self, run_id: str) -> None:
        """A run that was closed and goes on (a retried task, a run swept too early) is running again."""
        if self.client.get_run(run_id).info.status != "RUNNING":
            self.client.update_run(run_id, status="RUNNING")

    def _sweep(self, store: Store, experiment: str, successor: Run | None) -> list[str]:
        closed = []
        for run in self.client.search_runs([experiment], "attributes.status = 'RUNNING'", max_results=1000):
            tags, run_id = run.data.tags, run.info.run_id
            if successor and tags.get(RUN) == successor.id:
                continue
            reason = why_gone(tags, successor)
            if reason is None:
                continue
            claim = _claim_key(tags["pipelines.project"], tags[RUN], tags.get("candidate"))
            if tags.get(_STORE) == self._here and self._claimed(store, claim) != run_id:
                self.client.delete_run(run_id)  # its process died between creating and claiming it
            else:
                ended = {"error.class": "Killed", "error.message": f"closed by a later run: {reason}"}
                self._write(run_id, Facts(tags=ended))
                self.client.set_terminated(run_id, "FAILED")
            closed.append(run_id)
        return closed

    # logging ------------------------------------------------------------------------------------------------------------

    def _record_waiting(self, session: Session, run_id: str) -> None:
        for node, result in self._waiting.pop(session.run.id, []):
            self._log(session, run_id, node, result)

    def _log(self, session: Session, run_id: str, node: Node, result: StageResult) -> None:
        """Everything about one node, in few calls."""
        records.remember(session, result)
        own = Facts(tags={f"stage.{node.name}.fingerprint": result.fingerprint, **lease(session.run)})
        own.tags[f"stage.{node.name}.reused"] = str(result.reused).lower()
        own.tags |= {f"stage.{node.name}.{key}": session.run.engine[key] for key in PER_TASK & set(session.run.engine)}
        own.metrics.append((metric_name(f"seconds.{node.name}"), result.seconds, 0))
        if raw := result.outputs.get("raw"):
            own.tags["data.sha256"] = raw.digest
        with self._talking():
            told = self._facts(session, node, result)
            for candidate, facts in told.items():
                if candidate is not None:
                    self._write(self._child(session, run_id, candidate), facts)
            own.add(told.get(None, Facts()))
            self._write(run_id, own)
            target = self._child(session, run_id, node.candidate) if node.candidate else run_id
            self._log_files(session, target, node, result)
            if node.candidate:
                self.client.set_terminated(target, "FINISHED")

    def _log_failure(self, session: Session, node: Node, error: BaseException, evidence: StageResult) -> None:
        run_id = self.open(session)
        message = str(error) or type(error).__name__
        told = Facts(tags={"error.stage": node.name, "error.class": type(error).__name__, "error.message": message})
        with self._talking():
            for facts in self._facts(session, node, evidence).values():
                told.add(facts)
            self._write(run_id, Facts(tags=lease(session.run)))
            target = self._child(session, run_id, node.candidate) if node.candidate else run_id
            for one in {run_id, target}:
                self._write(one, told)
            self._log_files(session, target, node, evidence)
            if node.candidate:
                self.client.set_terminated(target, "FAILED")

    def _facts(self, session: Session, node: Node, result: StageResult) -> dict[str | None, Facts]:
        """What the node's JSON outputs say, by candidate."""
        told: dict[str | None, Facts] = {}
        for output in node.stage.writes:
            ref = result.outputs.get(output.name)
            if ref is None or ref.codec != "json" or output.show == "none":
                continue
            for candidate, facts in facts_of(output, session.read(ref), node.candidate).items():
                told.setdefault(candidate, Facts()).add(facts)
        return told

    def _log_files(self, session: Session, run_id: str, node: Node, result: StageResult) -> None:
        """The node's shown outputs as files, under the names the graph gives them."""
        shown = [output.name for output in node.stage.writes if output.show != "none" and output.name in result.outputs]
        if not shown:
            return
        with tempfile.TemporaryDirectory(prefix="pipelines-show-") as folder:
            for name in shown:
                export(session, result.outputs[name], Path(folder) / name)
            self.client.log_artifacts(run_id, folder)

    def _write(self, run_id: str, facts: Facts) -> None:
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        tags = facts.tags | ({"mlflow.note.content": facts.note} if facts.note else {})
        params = {key: scrub(str(value))[:_LONGEST_PARAM] for key, value in facts.params.items()}
        if params:  # MLflow refuses to change one; a repeated stage may have chosen others
            there = self.client.get_run(run_id).data.params
            tags |= {f"now.{key}": value for key, value in params.items() if there.get(key, value) != value}
            params = {key: value for key, value in params.items() if key not in there}
        rows = (
            [Metric(name, value, now, step) for name, value, step in facts.metrics],
            [Param(key, value) for key, value in params.items()],
            [RunTag(key, value) for key, value in _tags(tags).items()],
        )
        for start in range(0, max(len(each) for each in rows), _BATCH):
            self.client.log_batch(run_id, *(each[start : start + _BATCH] for each in rows))
        if facts.dataset is not None:
            self.client.log_inputs(run_id, [_input(facts.dataset)])


def _input(snapshot: Mapping[str, Any]) -> DatasetInput:
    """The data set of a run, by name, digest and origin; nothing is loaded."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    digest = (snapshot.get("pointer") or {}).get("md5") or digest_of(snapshot.get("files"))
    source, origin = str(snapshot.get("source")), scrub(str(snapshot.get("origin")))
    profile = json.dumps({"rows": snapshot.get("rows_arrived"), "window": snapshot.get("window")}, default=str)
    name = str(snapshot.get("dataset") or "data")
    data = Dataset(name, str(digest)[:36], source, json.dumps({"uri": origin}), profile=profile)
    return DatasetInput(data, [InputTag("mlflow.data.context", "training")])


def export(session: Session, ref: Ref, target: Path) -> None:
    """Copy an artifact to a path with a name people can read: JSON and text get their ending."""
    import shutil

    path = session.store.fetch(ref)
    if path.is_dir():
        shutil.move(path, target)
    else:
        ending = {"json": ".json", "text": ".txt"}.get(ref.codec, "")
        shutil.copyfile(path, target.with_name(target.name + ending))


def _claim_key(project: str, run: str, candidate: str | None = None) -> str:
    return f"runs/{project}/{run}/mlflow{'-' + candidate if candidate else ''}.json"


def _tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: scrub(str(value))[:_LONGEST_TAG] for key, value in tags.items()}
