"""Stop bad data before anything is computed from it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pipelines.core.errors import DataError
from pipelines.core.execution import Context
from pipelines.core.validation import Report
from pipelines.data import replay


def validate(context: Context) -> dict[str, Any]:
    """Judge the snapshot as of the run's date; raise DataError with every failure, the report kept as evidence.

    A broken table-level rule stops the run. Rows that break row-level rules are set aside, up to the share that
    `validation.quarantine` allows; beyond it they stop the run, too.
    """
    params = context.params
    window = replay.window(params.replay, replay.labelled(params.replay, context.run.as_of, params.labels_after), params.seed)
    data = context.project.load(context.read("raw"), window)
    checked = context.project.check(data)
    docs = shutil.move(checked.docs, context.workdir / "data_docs")  # removed with the rest of this stage's files
    outputs = {"validation": checked.report, "data_docs": Path(docs)}
    if faults := faults_of(checked.report, params.validation.quarantine):
        raise DataError(_message(context, checked.report, faults), outputs=outputs)
    return {"cleaned": checked.data, **outputs}


def faults_of(report: Report, limit: float) -> list[str]:
    """What stops the run, a sentence each: broken table rules, and row rules when too many rows break them."""
    table = [check.sentence() for check in report.failed if check.level == "table"]
    share = report.quarantined / report.rows if report.rows else 0.0
    rows = [check.sentence() for check in report.failed if check.level == "row"] if share > limit else []
    if rows:
        rows.insert(
            0, f"{report.quarantined:,} rows ({share:.1%}) break row rules, more than the {limit:.1%} that may be set aside"
        )
    return table + rows


def _message(context: Context, report: Report, faults: list[str]) -> str:
    listed = "\n".join(f"  - {fault}" for fault in faults)
    return (
        f"{context.run.project}: the data of {report.rows:,} rows do not pass validation:\n{listed}\n"
        "Nothing was trained and the champion keeps serving. The data docs of this run show every check."
    )
