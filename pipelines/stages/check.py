"""Compare the newest window with the champion's frozen reference.

Our own tests judge (`parts/drift`); Evidently's report lies beside them for people who know it. This is the only module
that imports Evidently, and only while it runs: the import takes seconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.config import Monitor
from pipelines.core.contract import Arrays
from pipelines.core.errors import DataError
from pipelines.core.evidence import Drift
from pipelines.core.execution import Context
from pipelines.core.ledger import Entry
from pipelines.core.settings import quiet_environment
from pipelines.parts.drift import Channels, Reference
from pipelines.parts.reports import drift as page
from pipelines.stages.baseline import watching

SAMPLE = 2_000
"""Rows of either side in Evidently's report."""


def check(context: Context) -> dict[str, Any]:
    """The window's channels with calibrated p-values, and the same as HTML. Without a champion there is nothing to compare."""
    window, champion, info = context.read("window"), context.champion, context.read("window_info")
    folder = context.workdir / "report"
    folder.mkdir()
    if champion is None or champion.model is None:
        drift = _unjudged(context.params.monitor, None, context.project.count(window), 0, "no champion to compare with")
        return {"drift": drift, "drift_report": page.render(drift, info, folder)}
    reference = _reference(context, champion)
    seen = context.project.watch(context.session.read(champion.model), window)
    drift = _judge(context, champion, reference, seen)
    links, notes = {}, []
    if drift.judged:
        context.progress(1, 2, "drawing Evidently's report")
        try:
            links["Evidently"] = evidently_report(reference.channels, reference.alike(seen), folder, context.params.seed)
        except Exception as error:  # it judges nothing, so it must not stop the verdict
            notes.append(f"Evidently's report could not be drawn ({type(error).__name__}: {error}).")
    return {"drift": drift, "drift_report": page.render(drift, info, folder, links, notes)}


def _reference(context: Context, champion: Entry) -> Reference:
    known = context.history.baseline
    if known is None:
        raise DataError(
            f"version {champion.version} of {context.run.project} is champion and has no drift reference: its run ended before "
            f"the stage 'baseline'; run `pipelines run {context.run.project} --stage baseline` to freeze one"
        )
    return Reference.read(context.session.read(known))


def _judge(context: Context, champion: Entry, reference: Reference, seen: Arrays) -> Drift:
    asked, version = context.params.monitor, champion.version
    rows = context.project.count(context.read("window"))
    for side, found in (("window", rows), ("reference", reference.rows)):
        if found < asked.rows:
            why = f"the {side} has {found} rows, fewer than the {asked.rows} asked for (monitor.rows)"
            return _unjudged(asked, version, rows, reference.rows, why)
    return Drift(
        champion=version,
        rows=rows,
        reference_rows=reference.rows,
        judged=True,
        false_alarm_rate=asked.false_alarm_rate,
        method=(
            f"KS and G-tests, max-T over all channels by {asked.resamples} windows of {reference.calibrated(rows):,} rows drawn "
            f"from the reference without replacement; an alarm also takes a stability index of {asked.effect:g}"
        ),
        channels=reference.compare(seen, watching(context.params)),
    )


def _unjudged(asked: Monitor, champion: int | None, rows: int, reference_rows: int, why: str) -> Drift:
    return Drift(
        champion=champion,
        rows=rows,
        reference_rows=reference_rows,
        judged=False,
        false_alarm_rate=asked.false_alarm_rate,
        method=f"not judged: {why}",
        channels=(),
    )


def evidently_report(reference: Channels, window: Channels, folder: Path, seed: int) -> str:
    """Write Evidently's drift report on at most `SAMPLE` rows of either side into `folder`; return the file's name.

    Both sides have the same channels. Those without a value on either side are left out: it cannot say anything of them.
    """
    quiet_environment()  # it would phone home
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    def present(values: NDArray[Any]) -> bool:
        return bool(np.isfinite(values).any()) if values.dtype.kind == "f" else bool((values != "").any())

    shown = [name for name in reference if present(reference[name]) and present(window[name])]
    text = [name for name in shown if reference[name].dtype.kind != "f"]
    columns = DataDefinition(numerical_columns=[n for n in shown if n not in text], categorical_columns=text)

    def sample(channels: Channels) -> Dataset:
        rows = len(next(iter(channels.values())))
        kept = np.sort(np.random.default_rng(seed).choice(rows, min(rows, SAMPLE), replace=False))
        return Dataset.from_pandas(pd.DataFrame({name: channels[name][kept] for name in shown}), columns)

    report = Report([DataDriftPreset()]).run(sample(window), sample(reference))
    report.save_html(str(folder / "evidently.html"))
    return "evidently.html"
