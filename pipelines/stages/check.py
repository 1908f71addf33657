"""Compare the newest window with the champion's frozen reference, and the newest labels with what the champion promised.

Our own tests judge (`parts/drift`); Evidently's report lies beside them for people who know it. This is the only module
that imports Evidently, and only while it runs: the import takes seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.config import validated
from pipelines.core.contract import Arrays
from pipelines.core.errors import ConfigError
from pipelines.core.evidence import Channel, Criterion, Drift, Estimate, Leaderboard, Performance
from pipelines.core.execution import Context
from pipelines.core.ledger import Entry
from pipelines.core.settings import quiet_environment
from pipelines.parts.drift import Channels, Compared, Outcomes, Part, Reference, importance, jointly, p_value, quality
from pipelines.parts.drift.family import alike, as_channels
from pipelines.parts.evaluation import resample
from pipelines.parts.reports import drift as page
from pipelines.parts.reports.sketch import Sketch, sketch
from pipelines.stages.baseline import headline, season, watching
from pipelines.stages.decide import earlier, judge, records

SAMPLE = 2_000
"""Rows of either side in Evidently's report."""
LABELLED = 10_000
"""Rows on which the champion's metric is judged: a thousand bootstrap samples of more take longer than they tell."""


def check(context: Context) -> dict[str, Any]:
    """The window's channels with calibrated p-values, and the same as HTML. Without a champion there is nothing to compare."""
    champion, info = context.champion, context.read("window_info")
    folder = context.workdir / "report"
    folder.mkdir()
    pictures: list[Sketch] = []
    links, notes = {}, []
    if champion is None or champion.model is None:
        drift = _without_champion(context)
    else:
        examined = Comparison(context, champion)
        drift = examined.drift
        pictures = [sketch(channel.name, *examined.sides(channel)) for channel in page.shown(drift)]
        if examined.columns:
            context.progress(1, 2, "drawing Evidently's report")
            try:
                links["Evidently"] = evidently_report(examined.reference.channels, examined.window, folder, context.params.seed)
            except Exception as error:  # it judges nothing, so it must not stop the verdict
                notes.append(f"Evidently's report could not be drawn ({type(error).__name__}: {error}).")
    known = records(context.session.store, context.run.project, drift.champion)
    verdict = judge(context.run.project, info["window"], drift, known.values())
    history = earlier(context.session.store, verdict)
    return {"drift": drift, "drift_report": page.render(drift, verdict, info, folder, pictures, history, links, notes)}


@dataclass
class Comparison:
    """Everything that is computed once from a window and a champion's reference."""

    context: Context
    champion: Entry

    @cached_property
    def folder(self) -> Path:
        """The champion's baseline."""
        known = self.context.history.baseline
        if known is None:
            raise ConfigError(
                f"version {self.champion.version} of {self.context.run.project} is champion and has no drift reference, for run "
                f"{self.champion.run} ended before the stage 'baseline' or was overruled; {self._remedy()}"
            )
        return Path(self.context.session.read(known))

    def _remedy(self) -> str:
        """How to get a reference without another champion. In a rehearsal the run that made it is the one to go on with."""
        if rehearsal := self.context.run.rehearsal:
            return f"run {self.context.run.project} as of {self.champion.as_of:%Y-%m-%d} in the rehearsal {rehearsal} again, to its end"
        return "`pipelines doctor` freezes one from what that run has left, and trains nothing"

    @cached_property
    def whole(self) -> Reference:
        """The champion's reference."""
        return Reference.read(self.folder)

    @cached_property
    def reference(self) -> Compared:
        """What the window is compared with: of a season those rows that are from the same part of it."""
        near = self._near(self.whole.times, "window")
        return self.whole if near is None else Part(self.whole, near)

    @cached_property
    def outcomes(self) -> Outcomes | None:
        """Labels and predictions of the reference rows, of a season those near the newest labels; None in references that were
        frozen without.
        """
        whole = Outcomes.read(self.folder)
        near = self._near(whole.times, "outcomes") if whole else None
        return whole if whole is None or near is None else whole.part(near)

    def _near(self, times: Any, rows: str) -> Any:
        """Which of the reference's rows, by their times, are of the same part of the season as rows that this stage reads; None
        where there is no season.
        """
        params, project = self.context.params, self.context.project
        if (cycle := season(params)) is None:
            return None
        if times is None:
            raise ConfigError(
                f"params.yaml has monitor.season: {params.monitor.season:g}, and the reference of version {self.champion.version} of "
                f"{self.context.run.project} does not say when its rows are from; the next promotion freezes one that does. Until then "
                "set monitor.season to 0"
            )
        return cycle.near(times, project.times(self.context.read(rows)))

    @cached_property
    def model(self) -> Any:
        assert self.champion.model is not None
        return self.context.session.read(self.champion.model)

    @cached_property
    def rows(self) -> int:
        """Rows in the window."""
        return self.context.project.count(self.context.read("window"))

    @cached_property
    def info(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.context.read("window_info")
        return found

    @cached_property
    def seen(self) -> Arrays:
        """What monitoring looks at in the window."""
        return self.context.project.watch(self.model, self.context.read("window"))

    @cached_property
    def window(self) -> Channels:
        return self.reference.alike(self.seen)

    @cached_property
    def labelled(self) -> Any:
        """Rows with the newest labels, at most `LABELLED` of them."""
        project, data = self.context.project, self.context.read("outcomes")
        if (rows := project.count(data)) <= LABELLED:
            return data
        kept = np.random.default_rng(self.context.params.seed).choice(rows, LABELLED, replace=False)
        return project.take(data, np.sort(kept).tolist())

    @cached_property
    def truth(self) -> Arrays:
        return self.context.project.truth(self.labelled)

    @cached_property
    def predictions(self) -> Arrays:
        """The champion's, for the rows with the newest labels."""
        return self.context.project.predict(self.model, self.labelled)

    @cached_property
    def few(self) -> str:
        """Why the window is too small to judge; empty when it is not."""
        asked = self.context.params.monitor
        least = asked.rows
        compared = "reference, in this part of the season," if asked.season else "reference"
        for side, rows in (("window", self.rows), (compared, self.reference.rows)):
            if rows < least:
                return f"the {side} has {rows} rows, fewer than the {least} asked for (monitor.rows)"
        return ""

    @cached_property
    def unlabelled(self) -> str:
        """Why labels and performance are not judged; empty when they are."""
        labels, least = self.info["labels"], self.context.params.monitor.rows
        if self.outcomes is None:
            return f"the reference of version {self.champion.version} was frozen without labels; the next promotion freezes them"
        if not labels["rows"]:
            late = self.context.params.labels_after
            which = f"of {labels['window']}" if labels["window"] else f"is as old as the {late} weeks that labels take"
            return f"labels not yet there: no row {which}" + (" has one" if labels["window"] else "")
        if labels["start"] and (until := self._learned_until()) and datetime.fromisoformat(labels["start"]) < until:
            return f"labels not yet there for rows newer than the champion's own, which end on {until:%Y-%m-%d}"
        for side, rows in (("newest labels", labels["rows"]), ("reference's labels", self.outcomes.rows)):
            if rows < least:
                return f"the {side} are {rows}, fewer than the {least} asked for (monitor.rows)"
        return ""

    def _learned_until(self) -> datetime | None:
        """The end of the data that the champion was trained and tested on."""
        ref = self.champion.artifacts.get("snapshot")
        end = self.context.session.read(ref).get("window", {}).get("end") if ref else None
        return datetime.fromisoformat(end) if end else None

    @cached_property
    def columns(self) -> tuple[Channel, ...]:
        """What the window holds and what the champion says of it; p-values of this family alone."""
        return () if self.few else self.reference.compare(self.seen, watching(self.context.params))

    @cached_property
    def labels(self) -> tuple[Channel, ...]:
        """The newest labels and the champion's metric on them; p-values of this family alone."""
        if self.unlabelled or self.outcomes is None:
            return ()
        return self.outcomes.compare(self.truth, self.predictions, headline(self.context), watching(self.context.params))

    @cached_property
    def drift(self) -> Drift:
        asked, families = self.context.params.monitor, bool(self.columns) + bool(self.labels)
        channels = jointly((*self.labels, *self.columns), families, asked.false_alarm_rate)
        matters = importance.read(self.folder)
        channels = tuple(c.model_copy(update={"importance": matters.get(c.name)}) for c in channels)
        rate = 1 - (1 - asked.false_alarm_rate) ** (1 / max(families, 1))
        method = (
            "KS and G-tests and a domain classifier, max-T over all channels by windows drawn from the reference without "
            f"replacement, added up over windows; what counts has an effect of {asked.effect:g} or more"
        )
        if asked.season:
            method += "; compared with the reference's rows of the same part of the season"
        if families > 1:
            method += f"; labels and performance are a family of their own, so that each of the two has a rate of {rate:.2%}"
        return Drift(
            champion=self.champion.version,
            rows=self.rows,
            reference_rows=self.reference.rows,
            judged=not self.few,
            false_alarm_rate=asked.false_alarm_rate,
            method=f"not judged: {self.few}" if self.few else method,
            channels=tuple(sorted(channels, key=lambda channel: channel.place)),
            p_value=self._p_value(channels),
            limit=self.reference.limit(self.info["labels"]["rows"] if self.few else self.rows, watching(self.context.params)),
            quality=(*_arrival(self.context, self.rows), *self._values(channels)),
            performance=self._performance(),
        )

    def _p_value(self, channels: tuple[Channel, ...]) -> float | None:
        """Of the window; a metric has a floor of its own, that of the gates."""
        if not channels:
            return None
        lost = [
            c.p_value for c in channels if c.kind == "performance" and c.effect > max(self.context.params.gates.not_worse_by, 0)
        ]
        others = tuple(c for c in channels if c.kind != "performance")
        return min([p_value(others, self.context.params.monitor.effect), *lost])

    def _values(self, channels: tuple[Channel, ...]) -> list[Criterion]:
        new = quality.new_values(self.whole.channels, self.window, self.context.params.monitor.quality)
        return [*new, *quality.missing_values(channels, self.reference.channels, self.window)]

    def _performance(self) -> Performance:
        asked, labels = self.context.params.evaluate, self.info["labels"]
        about = {"metric": asked.metric, "period": labels["window"] or "", "rows": labels["rows"], "promised": self._promised()}
        if self.unlabelled:
            return Performance(**about, why=self.unlabelled)
        settings = validated(self.context.project.score_params, self.context.params.score, "params.yaml, section 'score'")
        drawn = resample(
            partial(self.context.project.score, params=settings),
            self.truth,
            {"champion": self.predictions},
            resamples=asked.bootstrap,
            seed=self.context.params.seed,
            units=self.context.project.units(self.labelled),
        )
        found = drawn.estimate("champion", asked.metric, asked.confidence)
        return Performance(**about, found=found, why="" if found else f"{asked.metric} is undefined on these rows")

    def _promised(self) -> Estimate | None:
        """The headline metric on the test rows, when the champion was promoted."""
        ref = self.champion.artifacts.get("leaderboard")
        if ref is None:
            return None
        board = Leaderboard.model_validate(self.context.session.read(ref))
        own = [score for score in board.scores if score.candidate == self.champion.candidate]
        return own[0].metrics.get(self.context.params.evaluate.metric) if own else None

    def sides(self, channel: Channel) -> tuple[NDArray[Any], NDArray[Any]]:
        """A channel's values in the reference and in the window; a metric has none."""
        if channel.kind == "label" and self.outcomes is not None:
            labels = self.outcomes.labels
            return labels[channel.name], alike(as_channels(self.truth), labels)[channel.name]
        column = channel.name.removesuffix(" (missing)") if channel.kind == "missing" else channel.name
        sides = self.reference.channels[column], self.window[column]
        return (quality.presence(sides[0]), quality.presence(sides[1])) if channel.kind == "missing" else sides


def _without_champion(context: Context) -> Drift:
    rows = context.project.count(context.read("window"))
    return Drift(
        champion=None,
        rows=rows,
        reference_rows=0,
        judged=False,
        false_alarm_rate=context.params.monitor.false_alarm_rate,
        method="not judged: no champion to compare with",
        channels=(),
        quality=tuple(_arrival(context, rows)),
    )


def _arrival(context: Context, rows: int) -> list[Criterion]:
    """How much has come, and how late."""
    info, asked = context.read("window_info"), context.params.monitor.quality
    found = [quality.volume(rows, info["usual_rows"], asked)]
    if info["newest"]:
        newest, end = (datetime.fromisoformat(info[key]) for key in ("newest", "end"))
        found.append(quality.freshness(newest, end, asked))
    return found


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
    numbers = [name for name in shown if name not in text]
    columns = DataDefinition(
        numerical_columns=[_inert(name) for name in numbers], categorical_columns=[_inert(name) for name in text]
    )

    def sample(channels: Channels) -> Dataset:
        rows = len(next(iter(channels.values())))
        kept = np.sort(np.random.default_rng(seed).choice(rows, min(rows, SAMPLE), replace=False))
        return Dataset.from_pandas(pd.DataFrame({_inert(n): _inert_values(channels[n][kept]) for n in shown}), columns)

    report = Report([DataDriftPreset()]).run(sample(window), sample(reference))
    report.save_html(str(folder / "evidently.html"))
    return "evidently.html"


def _inert(word: str) -> str:
    """A column's name or level for a page of Evidently's: it writes them into scripts as they are, where `</script>` would act."""
    return word.replace("<", "&lt;")


def _inert_values(values: NDArray[Any]) -> NDArray[Any]:
    return values if values.dtype.kind == "f" else np.array([_inert(str(value)) for value in values], dtype=object)
