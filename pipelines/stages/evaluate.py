"""Score all candidates and the incumbent on the same test rows, and decide, criterion by criterion.

The winner is whoever was best on the *validation* rows; the test rows only judge it. Nothing here knows what a row is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from pipelines.core import evidence
from pipelines.core.artifacts import Ref
from pipelines.core.config import validated
from pipelines.core.contract import Arrays, Evidence
from pipelines.core.errors import ConfigError, DataError, InfrastructureError
from pipelines.core.execution import Context
from pipelines.core.ledger import Entry
from pipelines.parts.evaluation import gates, latency_ms, resample, take
from pipelines.parts.evaluation.bootstrap import Resampled, Score, compare
from pipelines.parts.reports import card, plots

CHAMPION = "champion"
"""The incumbent's name among the candidates."""


@dataclass(frozen=True)
class Opponent:
    """The incumbent on this run's rows, or why it could not be put there."""

    entry: Entry
    model: Any = None
    predictions: Arrays | None = None
    valid: float = float("nan")
    latency: float = float("nan")
    why: str = ""


def evaluate(context: Context) -> dict[str, Any]:
    """Body of the stage; see `Trial` for the parts."""
    trial = Trial(context)
    gates.check_names(context.params.evaluate, context.params.gates, trial.metrics)
    gates.check_slices(context.params.gates, trial.groups)
    context.progress(1, 5, "resampling the test rows")
    leaderboard, slices = trial.leaderboard, trial.slices
    context.progress(2, 5, "exporting the winner")
    exports, shown = trial.export()
    context.progress(3, 5, "judging")
    decision = trial.decide(leaderboard, slices, shown)
    context.progress(4, 5, "drawing")
    figures, numbers = trial.draw(leaderboard)
    page = card.render(trial.facts(leaderboard, decision), figures, context.workdir / "card")
    arrays = {"truth": trial.truth, **trial.predictions}
    return {
        "leaderboard": leaderboard,
        "decision": decision,
        "predictions": {f"{owner}.{name}": array for owner, named in arrays.items() for name, array in named.items()},
        "figures": figures,
        "plots": numbers,
        "exports": exports,
        "card": page,
    }


class Trial:
    """Everything that is computed once from the test rows."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.project, self.params = context.project, context.params
        self.test = context.read("test")
        self.truth: Arrays = self.project.truth(self.test)
        self.units = self.project.units(self.test)
        self.models: dict[str, Any] = context.read("model")
        self.fits: dict[str, Any] = context.read("fit")
        settings = validated(self.project.score_params, self.params.score, "params.yaml, section 'score'")
        self.score: Score = partial(self.project.score, params=settings)

    @cached_property
    def valid(self) -> Any:
        """The validation rows."""
        return self.context.read("valid")

    @cached_property
    def candidates(self) -> dict[str, Arrays]:
        """Predictions on the test rows, by candidate."""
        return {name: self.project.predict(model, self.test) for name, model in self.models.items()}

    @cached_property
    def metrics(self) -> list[str]:
        """Names of the metrics the project computes."""
        return list(self.score(self.truth, self.candidates[next(iter(self.candidates))]))

    @cached_property
    def opponent(self) -> Opponent | None:
        """The incumbent. One whose predictions cannot be had or scored on these rows is reported, not fatal.

        Raises DataError when its file is missing or damaged: that says nothing about the model.
        """
        entry = self.context.incumbent
        if entry is None or entry.model is None:
            return None
        file = self._file(entry, entry.model)
        try:
            model = self.project.model_codec.read(file)
            predictions = self.project.predict(model, self.test)
            self.score(self.truth, predictions)  # on a resample a failure leaves the resample out, here it leaves nothing
            valid = self.score(self.project.truth(self.valid), self.project.predict(model, self.valid))
            headline = valid[self.params.evaluate.metric]
            return Opponent(entry, model, predictions, headline, self._latency(model))
        except (InfrastructureError, OSError, MemoryError):
            raise  # may work when tried again, so says nothing about the champion
        except Exception as error:
            return Opponent(entry, why=f"{type(error).__name__}: {error}")

    def _file(self, entry: Entry, model: Ref) -> Path:
        """The bytes that were promoted."""
        try:
            return self.context.session.fetch(model)
        except DataError as error:
            project = self.context.run.project
            raise DataError(
                f"version {entry.version} of {project}, which the winner has to meet, cannot be had: {error}. A fresh run makes it "
                f"again from the data and the code of run {entry.run} only; else bring the file back from a backup of the store, "
                f"or let an older version serve (`pipelines rollback {project}`), and run again"
            ) from error

    @cached_property
    def predictions(self) -> dict[str, Arrays]:
        """Predictions on the test rows, by candidate, the incumbent's under `champion` when it has any."""
        opponent = self.opponent
        return self.candidates | ({CHAMPION: opponent.predictions} if opponent and opponent.predictions is not None else {})

    @cached_property
    def resampled(self) -> Resampled:
        return self._resample(self.truth, self.predictions, self.units)

    def _resample(self, truth: Arrays, predictions: Mapping[str, Arrays], units: Sequence[Any] | None) -> Resampled:
        asked = self.params
        return resample(self.score, truth, predictions, resamples=asked.evaluate.bootstrap, seed=asked.seed, units=units)

    def _valid(self, candidate: str) -> float:
        return float(self.fits[candidate]["valid"][self.params.evaluate.metric])

    def _latency(self, model: Any) -> float:
        one = self.project.take(self.test, [0])
        return latency_ms(lambda: self.project.predict(model, one))

    @cached_property
    def leaderboard(self) -> evidence.Leaderboard:
        """The candidates by rank, then the incumbent with rank 0: it is no candidate."""
        ranks = {name: rank for rank, name in enumerate(self.context.ranking, start=1)}
        sizes = {name: ref.size for name, ref in self.context.refs("model").items()}
        scores = [
            self._score(name, ranks[name], self._valid(name), self._latency(self.models[name]), sizes[name]) for name in ranks
        ]
        if (opponent := self.opponent) and opponent.predictions is not None and opponent.entry.model is not None:
            scores.append(self._score(CHAMPION, 0, opponent.valid, opponent.latency, opponent.entry.model.size))
        asked = self.params.evaluate
        return evidence.Leaderboard(
            metric=asked.metric,
            greater_is_better=asked.greater_is_better,
            rows=self.resampled.rows,
            confidence=asked.confidence,
            scores=tuple(scores),
        )

    def _score(self, name: str, rank: int, valid: float, latency: float, size: int) -> evidence.Score:
        return evidence.Score(
            candidate=name,
            metrics=self.resampled.estimates(name, self.params.evaluate.confidence),
            rank=rank,
            valid=valid,
            latency_ms=latency,
            model_mb=size / 1e6,
        )

    @cached_property
    def groups(self) -> Mapping[str, Sequence[int]]:
        """Slice to the positions of its test rows."""
        return self.project.slices(self.test)

    @cached_property
    def slices(self) -> list[evidence.Slice]:
        """The winner on each slice of the test rows."""
        found = []
        for name, positions in self.groups.items():
            rows = len(positions)
            metrics = {}
            if rows:
                winner = {"winner": take(self.predictions[self.context.ranking[0]], positions)}
                units = None if self.units is None else [self.units[position] for position in positions]
                drawn = self._resample(take(self.truth, positions), winner, units)
                metrics = drawn.estimates("winner", self.params.evaluate.confidence)
            judged = rows >= self.params.gates.slice_rows
            found.append(evidence.Slice(name=name, rows=rows, metrics=metrics, judged=judged))
        return found

    def decide(
        self, leaderboard: evidence.Leaderboard, slices: list[evidence.Slice], shown: Sequence[evidence.Criterion]
    ) -> evidence.Decision:
        """All criteria for the winner, with what its exports have `shown`; promotion needs every one."""
        winner, headline = leaderboard.scores[0], self.params.evaluate.metric
        if headline not in winner.metrics:
            raise ConfigError(
                f"evaluate.metric {headline!r} is undefined on the {leaderboard.rows} test rows for {winner.candidate!r}; "
                "give it more test rows (split.test) or another metric"
            )
        parts = {"train": self.context.read("train"), "valid": self.valid, "test": self.test}
        rows = {name: self.project.count(data) for name, data in parts.items()}
        comparison = self._comparison(winner.candidate)
        criteria = [
            gates.enough_rows(self.params.gates, rows["train"]),
            *gates.bounds(self.params.gates, winner),
            *gates.slice_bounds(self.params.gates, slices),
            *self._against_incumbent(winner, comparison),
            *shown,
        ]
        incumbent = self.context.incumbent
        return evidence.Decision(
            project=self.context.run.project,
            winner=winner.candidate,
            promote=all(criterion.passed for criterion in criteria),
            headline=headline,
            metric=winner.metrics[headline],
            criteria=tuple(criteria),
            comparison=comparison,
            incumbent=incumbent.version if incumbent else None,
            slices=tuple(slices),
            rows=rows,
            source=source(self.context.read("snapshot")),
        )

    def _comparison(self, winner: str) -> evidence.Comparison | None:
        opponent, asked = self.opponent, self.params.evaluate
        if opponent is None or opponent.predictions is None:
            return None
        return compare(
            self.resampled,
            winner,
            CHAMPION,
            asked.metric,
            incumbent=opponent.entry.version or 0,
            greater_is_better=asked.greater_is_better,
            confidence=asked.confidence,
        )

    def _against_incumbent(self, winner: evidence.Score, comparison: evidence.Comparison | None) -> list[evidence.Criterion]:
        opponent, asked = self.opponent, self.params.evaluate
        if opponent is None:
            return []
        if comparison is not None:
            return [gates.not_worse(self.params.gates, asked.metric, comparison)]
        return [
            gates.not_worse_than_record(
                self.params.gates,
                winner,
                metric=asked.metric,
                greater_is_better=asked.greater_is_better,
                version=opponent.entry.version or 0,
                record=self._record(opponent.entry),
                why=opponent.why or "the metric is undefined for it",
            )
        ]

    def _record(self, entry: Entry) -> float | None:
        """What the champion scored in the headline metric when it was promoted."""
        ref = entry.artifacts.get("leaderboard")
        if ref is None:
            return None
        board = evidence.Leaderboard.model_validate(self.context.session.read(ref))
        return (
            next(
                (
                    s.metrics[board.metric].value
                    for s in board.scores
                    if s.candidate == entry.candidate and board.metric in s.metrics
                ),
                None,
            )
            if board.metric == self.params.evaluate.metric
            else None
        )

    @cached_property
    def exhibits(self) -> Evidence[Any, Any]:
        """What the project draws from and exports."""
        return Evidence(
            data=self.test,
            truth=self.truth,
            predictions=self.predictions,
            models=self.models,
            winner=self.context.ranking[0],
            curves={name: fit.get("curve", []) for name, fit in self.fits.items()},
            seed=self.params.seed,
            score=self.score,
        )

    def export(self) -> tuple[Path, Sequence[evidence.Criterion]]:
        """The winner in the forms it is deployed in, and what these have shown."""
        folder = self.context.workdir / "exports"
        folder.mkdir()
        return folder, self.project.export(self.exhibits, folder)

    def draw(self, leaderboard: evidence.Leaderboard) -> tuple[Path, Path]:
        """The project's figures as PNG, and the numbers for `dvc plots` in a folder of their own."""
        figures, numbers = self.context.workdir / "figures", self.context.workdir / "plots"
        figures.mkdir()
        self.project.figures(self.exhibits, figures)
        (figures / "plots").rename(numbers) if (figures / "plots").is_dir() else numbers.mkdir()
        plots.write(leaderboard, numbers)
        return figures, numbers

    def facts(self, leaderboard: evidence.Leaderboard, decision: evidence.Decision) -> card.Facts:
        """What the model card says."""
        definition = self.context.session.definition
        return card.Facts(
            title=definition.deployment.title,
            description=definition.deployment.description,
            readme=card.readme(definition.folder),
            leaderboard=leaderboard,
            decision=decision,
            snapshot=self.context.read("snapshot"),
            validation=self.context.read("validation"),
            fit=self.fits[decision.winner],
            artifacts={name: self.context.ref(name) for name in ("train", "valid", "test")}
            | {"model": self.context.refs("model")[decision.winner]},
            fingerprint=self.context.fingerprint,
            seed=self.params.seed,
            profile=self.context.run.profile,
        )


def source(snapshot: Mapping[str, Any]) -> str:
    """Where the data came from, in a line; a simulator or stand-in is called one.

    >>> source({"source": "simulator", "origin": "pipelines.projects.churn.simulator:simulate"})
    'simulator (not real data): pipelines.projects.churn.simulator:simulate'
    """
    kind = str(snapshot.get("source", "unknown"))
    label = f"{kind} ({evidence.CAUTION[kind]})" if kind in evidence.CAUTION else kind
    return f"{label}: {snapshot.get('origin', '')}".rstrip(": ")
