"""Model versions, tags and aliases of one project in MLflow's registry. One model, one version, however often it is tried."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.core.artifacts import Ref
from pipelines.core.execution import Session
from pipelines.core.files import scratch_folder
from pipelines.core.scrub import scrub
from pipelines.core.settings import Settings
from pipelines.tracking.client import answering, connect, is_error

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

MODEL = "model.sha256"
"""The tag by which a version is found again after a crash."""
ALIASES = ("champion", "challenger", "previous")


class Versions:
    """What MLflow's registry holds of a project. Errors are InfrastructureErrors that name the server."""

    def __init__(self, settings: Settings, project: str) -> None:
        self.settings, self.project = settings, project
        self.client: MlflowClient = connect(settings)

    def register(self, session: Session, run_id: str, model: Ref, example: Any, tags: Mapping[str, str], note: str) -> int:
        """The version of a model, made unless there is one. A process killed anywhere in here leaves nothing twice."""
        with answering(self.settings.tracking):
            if (known := self._of_model(model.digest)) is not None:
                return known
            logged = self._logged_model(session, run_id, model, example)
            self._registered_model(session)
            self.client.create_model_version(
                self.project,
                source=logged.artifact_location,
                run_id=run_id,
                model_id=logged.model_id,
                tags={MODEL: model.digest, **_told(tags)},
                description=scrub(note),
            )
            version = self._of_model(model.digest)
            assert version is not None, "a version just made can be found"
            return version

    def describe(self, version: int, tags: Mapping[str, str], note: str, outdated: Collection[str] = ()) -> None:
        """Say of a version that was there already what is so now; tags that no longer hold, `outdated`, are taken away."""
        with answering(self.settings.tracking):
            known = self.client.get_model_version(self.project, str(version))
            told = _told(tags)
            for key in (set(outdated) & set(known.tags)) - set(told):
                self.client.delete_model_version_tag(self.project, str(version), key)
            for key, value in told.items():
                if known.tags.get(key) != value:
                    self.client.set_model_version_tag(self.project, str(version), key, value)
            if known.description != scrub(note):
                self.client.update_model_version(self.project, str(version), scrub(note))

    def aliases(self) -> dict[str, int]:
        """Our aliases as MLflow has them."""
        from mlflow.exceptions import MlflowException

        with answering(self.settings.tracking):
            try:
                found = self.client.get_registered_model(self.project).aliases
            except MlflowException as error:
                if is_error(error, "RESOURCE_DOES_NOT_EXIST"):
                    return {}
                raise
            return {alias: int(version) for alias, version in found.items() if alias in ALIASES}

    def point(self, wanted: Mapping[str, int]) -> tuple[dict[str, list[int | None]], list[int]]:
        """Make our aliases be `wanted`, no more and no fewer.

        Returns what moved, alias to [from, to], and the wanted versions that MLflow does not have.
        """
        from mlflow.exceptions import MlflowException

        found = self.aliases()
        moved: dict[str, list[int | None]] = {}
        lost: list[int] = []
        with answering(self.settings.tracking):
            for alias in ALIASES:
                before, after = found.get(alias), wanted.get(alias)
                if before == after:
                    continue
                try:
                    if after is None:
                        self.client.delete_registered_model_alias(self.project, alias)
                    else:
                        self.client.set_registered_model_alias(self.project, alias, str(after))
                except MlflowException as error:
                    if after is None or not is_error(error, "RESOURCE_DOES_NOT_EXIST"):
                        raise
                    lost.append(after)
                else:
                    moved[alias] = [before, after]
        return moved, lost

    # ------------------------------------------------------------------------------------------------------------------

    def _of_model(self, digest: str) -> int | None:
        """The version of a model. When two processes made one each at the same moment, the first stays."""
        found = self.client.search_model_versions(f"name = '{self.project}' and tags.`{MODEL}` = '{digest}'")
        first, *others = sorted(found, key=_number) or [None]
        for other in others:
            self.client.delete_model_version(self.project, other.version)
        return None if first is None else _number(first)

    def _logged_model(self, session: Session, run_id: str, model: Ref, example: Any) -> Any:
        """The files in MLflow; an upload that was cut off is done again in the same place."""
        from mlflow.entities import LoggedModelStatus

        from pipelines.tracking import flavour

        experiment = self.client.get_run(run_id).info.experiment_id
        found = self.client.search_logged_models([experiment], filter_string=f"tags.`{MODEL}` = '{model.digest}'")
        logged = found[0] if found else None
        if logged is None:
            logged = self.client.create_logged_model(
                experiment, name=self.project, source_run_id=run_id, tags={MODEL: model.digest}, model_type="pyfunc"
            )
        if logged.status != LoggedModelStatus.READY:
            with scratch_folder("register") as place:
                folder = Path(place) / "model"
                flavour.write(session, session.store.fetch(model, Path(place)), model.digest, example, folder)
                self.client.log_model_artifacts(logged.model_id, str(folder))
            self.client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
        return logged

    def _registered_model(self, session: Session) -> None:
        from mlflow.exceptions import MlflowException

        deployment = session.definition.deployment
        try:
            self.client.create_registered_model(
                self.project, tags={"owner": deployment.owner}, description=f"{deployment.title}. {deployment.description}"
            )
        except MlflowException as error:
            if not is_error(error, "RESOURCE_ALREADY_EXISTS"):
                raise


def _told(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: scrub(value)[:5000] for key, value in tags.items()}


def _number(version: ModelVersion) -> int:
    return int(version.version)
