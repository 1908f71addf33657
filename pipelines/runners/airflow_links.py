"""Links from a task to what it made people to read, in the tracked run."""

from __future__ import annotations

from typing import Any

import attrs
from airflow.sdk import BaseOperatorLink

from pipelines.core.graph import Stage

PAGES = {
    "data_docs": "Validation report",
    "exploration": "Exploration",
    "card": "Model card",
    "promotion": "MLflow run",
    "drift_report": "Drift report",
    "verdict": "MLflow run",
}
"""What the button is called that leads to an artifact. The last stages of a chain lead to the whole run."""


@attrs.define(slots=False)
class Page(BaseOperatorLink):  # type: ignore[misc]
    """A button on the task's page in Airflow. Its address is worked out by the task itself, when it has ended."""

    project: str
    graph: str
    output: str

    @property
    def name(self) -> str:
        return PAGES[self.output]

    @property
    def xcom_key(self) -> str:
        return f"link_{self.output}"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Address of the page; empty where no server shows it."""
        from pipelines.core.execution import Session
        from pipelines.core.run import Run
        from pipelines.tracking.runs import MlflowTracker

        session = Session(Run(project=self.project, id=f"{ti_key.dag_id}.{ti_key.run_id}", runner="airflow"), self.graph)
        run = MlflowTracker(session.settings).url(session)
        if run is None or self.name == "MLflow run":
            return run or ""
        return f"{run}/artifacts/{self.output}/index.html"


def links(project: str, graph: str, stage: Stage) -> list[Page]:
    """The buttons of a stage's task."""
    return [Page(project, graph, output.name) for output in stage.writes if output.name in PAGES]
