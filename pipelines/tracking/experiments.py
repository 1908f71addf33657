"""A project's experiment in MLflow: one for all of its runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.core.discovery import Definition
from pipelines.core.settings import Settings
from pipelines.tracking.client import is_error
from pipelines.tracking.markdown import inert

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


def experiment_of(client: MlflowClient, project: str) -> str | None:
    """Its id; None before the first run."""
    found = client.get_experiment_by_name(project)
    return found.experiment_id if found else None


def opened_experiment(client: MlflowClient, settings: Settings, definition: Definition) -> str:
    """Its id, created or restored if need be.

    Its artifact folder is set here, so that it is the same with and without a server.
    """
    from mlflow.exceptions import MlflowException

    name = definition.name
    known = client.get_experiment_by_name(name)
    if known is None:
        deployment = definition.deployment
        place, note = settings.artifacts.rstrip("/"), inert(f"**{deployment.title}**\n\n{deployment.description}")
        try:
            return str(client.create_experiment(name, f"{place}/{name}", {"mlflow.note.content": note}))
        except MlflowException as error:
            if not is_error(error, "RESOURCE_ALREADY_EXISTS"):
                raise
            known = client.get_experiment_by_name(name)
    if known.lifecycle_stage != "active":
        client.restore_experiment(known.experiment_id)
    return str(known.experiment_id)
