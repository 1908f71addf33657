"""The reports that a project's history refers to, from the store: nothing else of the store can be asked for."""

from __future__ import annotations

from pathlib import Path

from pipelines.core.alarms import Alarms
from pipelines.core.artifacts import Ref
from pipelines.core.errors import ConfigError
from pipelines.core.files import scratch_folder
from pipelines.core.ledger import Ledger
from pipelines.core.store import Store
from pipelines.tracking import records


def card(store: Store, project: str, version: int) -> str:
    """The model card of a version that was promoted or refused. Raises ConfigError when there is none, DataError when it is lost."""
    entries = Ledger(store).history(project).entries
    found = [entry.artifacts["card"] for entry in entries if entry.version == version and "card" in entry.artifacts]
    if not found:
        raise ConfigError(f"{project} has no model card of version {version}")
    return _page(store, found[-1])


def drift(store: Store, project: str, run: str) -> str:
    """The drift report of a run that raised an alarm. Raises ConfigError when there is none, DataError when it is lost."""
    known = any(event.run == run and event.verdict for event in Alarms(store, project).events())
    found = records.results(store, project, run, ["check"]) if known else {}
    if "check" not in found or "drift_report" not in found["check"].outputs:
        raise ConfigError(f"{project} has no drift report of run {run}")
    return _page(store, found["check"].outputs["drift_report"])


def _page(store: Store, report: Ref) -> str:
    with scratch_folder("page") as folder:
        return (store.fetch(report, Path(folder)) / "index.html").read_text(encoding="utf-8")
