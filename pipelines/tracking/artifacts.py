"""The files of a run in MLflow: logged when a stage has ended, removed when they are not kept any longer."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from pipelines.core.artifacts import Ref, StageResult
from pipelines.core.execution import Session
from pipelines.core.files import scratch_folder
from pipelines.core.graph import Node
from pipelines.core.settings import Settings
from pipelines.core.store import Store
from pipelines.tracking.client import answering, connect, is_error
from pipelines.tracking.open_runs import Claim, claimed

REMOVED = "pipelines.files"
"""The tag that says why a run has no files any more."""


def log(settings: Settings, claim: Claim, session: Session, node: Node, result: StageResult) -> None:
    """Log a node's shown outputs under the names that the graph gives them."""
    shown = [output.name for output in node.stage.writes if output.show != "none" and output.name in result.outputs]
    if not shown:
        return
    with scratch_folder("show") as folder:
        for name in shown:
            _export(session, result.outputs[name], Path(folder) / name)
        put(settings, claim, folder)


def put(settings: Settings, claim: Claim, folder: str) -> None:
    """Copy a folder's files to where the run's artifacts are."""
    _files(settings, claim).log_artifacts(folder)


def size(settings: Settings, store: Store, project: str, run: str) -> int:
    """Bytes of all files of a pipeline run and of its candidates' nested runs."""
    with answering(settings.tracking):
        return sum(_size(_files(settings, claim), "") for claim in _claims(store, project, run))


def remove(settings: Settings, store: Store, project: str, run: str) -> bool:
    """Remove the files; parameters, metrics and tags stay in MLflow, and a tag says what happened. Whether there were any."""
    from mlflow.exceptions import MlflowException

    claims = list(_claims(store, project, run))
    with answering(settings.tracking):
        found = [claim for claim in claims if _size(_files(settings, claim), "")]
        for claim in found:
            try:
                told = f"removed by `pipelines gc` on {datetime.now(UTC):%Y-%m-%d}"
                connect(settings).set_tag(claim.run_id, REMOVED, told)
            except MlflowException as error:  # somebody has deleted the run
                if not is_error(error, "RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    raise
            _files(settings, claim).delete_artifacts()
    return bool(found)


def _claims(store: Store, project: str, run: str) -> Iterator[Claim]:
    for key in store.keys(f"runs/{project}/{run}/mlflow"):
        if PurePosixPath(key).parent.name == run and (claim := claimed(store, key)):
            yield claim


def _files(settings: Settings, claim: Claim) -> Any:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(claim.artifacts, settings.tracking)


def _size(files: Any, folder: str) -> int:
    found = files.list_artifacts(folder or None)
    return sum(_size(files, one.path) if one.is_dir else one.file_size or 0 for one in found)


def _export(session: Session, ref: Ref, target: Path) -> None:
    """Copy an artifact to a path with a name people can read: JSON and text get their ending."""
    path = session.store.fetch(ref, target.parent)
    if path.is_dir():
        shutil.move(path, target)
    else:
        ending = {"json": ".json", "text": ".txt"}.get(ref.codec, "")
        shutil.copyfile(path, target.with_name(target.name + ending))
