"""What a retraining policy is worth: the same windows rehearsed under each, champion quality and cost side by side.

At the end of each window, in the time of the data: the champion that served is measured on the window's labels, the window is
checked for drift, and then, if the policy says so, a model is trained on all that has arrived and judged by the usual gates.
Each policy is a rehearsal with a champion of its own; what one has computed the others reuse, and so does the same year again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.alarms import Alarms
from pipelines.core.config import validated
from pipelines.core.errors import ConfigError
from pipelines.core.evidence import Document, Estimate
from pipelines.core.execution import Session, Tracker
from pipelines.core.ledger import Entry
from pipelines.core.run import Run
from pipelines.core.settings import Settings
from pipelines.runners import in_process

RESAMPLES = 2_000


class Week(Document):
    """One window under one policy."""

    as_of: datetime
    """Its end."""
    version: int | None
    """Who served."""
    metric: float | None
    """The headline metric of whoever served, on the window's labelled rows; None where there is nobody, or no label."""
    rows: int
    """Labelled rows."""
    outcome: str
    """The verdict of monitoring."""
    trained: bool
    promoted: bool


class Year(Document):
    """All windows under one policy."""

    policy: str
    weeks: tuple[Week, ...]
    trainings: int
    promotions: int
    alarms: int
    mean: Estimate
    """Mean of the metric over the windows, with a 95 % interval by moving-block bootstrap over the windows."""
    gain: Estimate | None
    """Over the first policy, window by window."""


Due = Callable[[Session], bool]
"""Whether a policy trains now, given the session of that training."""


def _on_drift(session: Session) -> bool:
    alarms = Alarms(session.store, session.run.project)
    return bool(alarms.open() or alarms.of(session.run.id))


POLICIES: dict[str, Due] = {"never": lambda session: False, "always": lambda session: True, "drift": _on_drift}
"""Train at the start and never again; at the end of every window; on a drift alarm that cooldown and budget let through."""


@dataclass(frozen=True)
class Asked:
    """What is to be rehearsed."""

    project: str
    dates: Sequence[datetime]
    """Ends of the windows, ascending; on the first a model is trained, from the second on it is measured."""
    profile: str = "full"
    overrides: dict[str, Any] | None = None

    def session(self, policy: str, as_of: datetime, graph: str) -> Session:
        """One run of a rehearsal. Its id says all that it is, so the same run again is the same."""
        run = Run(
            project=self.project,
            id=f"policy-{policy}.{graph}.{as_of:%Y%m%d}",
            as_of=as_of,
            profile=self.profile,
            overrides=self.overrides or {},
            started_by="drift" if policy == "drift" else "schedule",
            why=f"policy {policy}",
            rehearsal=f"policy_{policy}",
        )
        return Session(run, graph, Settings.load())


def rehearse(
    asked: Asked,
    policies: Sequence[str],
    tracker: Callable[[Session], Tracker],
    close: Callable[[Session], None],
    progress: Callable[[int, int, str], None],
) -> tuple[Year, ...]:
    """Every policy over all dates; `close` ends a tracked run. Raises ConfigError for an unknown policy or too few dates."""
    if unknown := sorted(set(policies) - set(POLICIES)):
        raise ConfigError(f"no policy {unknown[0]!r}; there are {', '.join(POLICIES)}")
    if len(asked.dates) < 2:
        raise ConfigError("the span holds fewer than two windows: one to train at its end, one to measure on; take a longer one")
    found: dict[str, list[Week]] = {name: [] for name in policies}
    steps = len(policies) * len(asked.dates)
    for number, as_of in enumerate(asked.dates):
        for name, weeks in found.items():
            progress(number * len(policies) + list(found).index(name), steps, f"{as_of:%Y-%m-%d} {name}")
            weeks.append(_week(asked, name, as_of, first=number == 0, tracker=tracker, close=close))
    progress(steps, steps, "")
    block = _block(asked)
    measured = {name: np.array([_value(week) for week in weeks[1:]]) for name, weeks in found.items()}
    return tuple(_year(name, weeks, measured, policies[0], block) for name, weeks in found.items())


def _week(
    asked: Asked,
    policy: str,
    as_of: datetime,
    *,
    first: bool,
    tracker: Callable[[Session], Tracker],
    close: Callable[[Session], None],
) -> Week:
    watching = asked.session(policy, as_of, "monitoring")
    checked = in_process.run(watching)
    champion = watching.ledger.history(asked.project).champion
    metric, rows = _measured(watching, champion, watching.read(checked["collect"].outputs["window"]))
    training = asked.session(policy, as_of, "training")
    trained = first or champion is None or POLICIES[policy](training)
    told = _train(training, tracker(training), close) if trained else {}
    return Week(
        as_of=as_of,
        version=champion.version if champion else None,
        metric=metric,
        rows=rows,
        outcome=watching.read(checked["decide"].outputs["verdict"])["outcome"],
        trained=trained,
        promoted=told.get("outcome") == "promoted" and told["run"] == training.run.id,
    )


def _train(session: Session, tracker: Tracker, close: Callable[[Session], None]) -> dict[str, Any]:
    """The training chain, which answers the alarms that are open; what became of the winner."""
    done = in_process.run(session, tracker=tracker)
    close(session)
    told: dict[str, Any] = session.read(done["promote"].outputs["promotion"])
    return told


def _measured(session: Session, champion: Entry | None, window: Any) -> tuple[float | None, int]:
    """The champion's headline metric on the labelled rows of a window, and how many they are."""
    if champion is None or champion.model is None:
        return None, 0
    project, params = session.project, session.params
    rows = project.labelled(window)
    if project.count(rows) == 0:
        return None, 0
    settings = validated(project.score_params, params.score, "params.yaml, section 'score'")
    scores = project.score(project.truth(rows), project.predict(session.read(champion.model), rows), settings)
    return scores[params.evaluate.metric], project.count(rows)


def _value(week: Week) -> float:
    return float("nan") if week.metric is None else week.metric


def _block(asked: Asked) -> int:
    """Windows that share rows: neighbours within so many are drawn together."""
    weeks = asked.session("never", asked.dates[0], "training").params.window
    step = (asked.dates[1] - asked.dates[0]).days / 7
    return max(1, round(weeks / step))


def _year(name: str, weeks: list[Week], measured: dict[str, NDArray[np.float64]], first: str, block: int) -> Year:
    own = measured[name]
    return Year(
        policy=name,
        weeks=tuple(weeks),
        trainings=sum(week.trained for week in weeks),
        promotions=sum(week.promoted for week in weeks),
        alarms=sum(week.outcome == "drift" for week in weeks),
        mean=mean_of(own, block),
        gain=None if name == first else mean_of(own - measured[first], block),
    )


def mean_of(values: NDArray[np.float64], block: int, seed: int = 7) -> Estimate:
    """Mean of a series with a 95 % interval by moving-block bootstrap (Kuensch 1989): blocks of so many neighbours are drawn.

    Undefined values are left out; without any left all is undefined.

    >>> mean_of(np.full(20, 0.8), 4)
    Estimate(value=0.8, low=0.8, high=0.8)
    """
    values = values[np.isfinite(values)]
    if not values.size:
        return Estimate(value=float("nan"), low=float("nan"), high=float("nan"))
    block = min(block, values.size)
    random = np.random.default_rng(seed)
    starts = random.integers(0, values.size - block + 1, (RESAMPLES, -(-values.size // block)))
    drawn = (starts[..., None] + np.arange(block)).reshape(RESAMPLES, -1)[:, : values.size]
    low, high = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975])
    return Estimate(value=round(float(values.mean()), 10), low=round(float(low), 10), high=round(float(high), 10))
