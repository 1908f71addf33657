"""The criteria of a decision: each compares one piece of evidence with what was asked, and says so in words.

A bound holds for the point estimate. Two criteria look at intervals instead, because noise must not decide them:
a slice is refused only when its *whole* interval is below the floor or above the ceiling, and a challenger is refused when the
*lower* end of its paired gain is below what `not_worse_by` allows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from pipelines.core.config import Evaluate, Gates
from pipelines.core.errors import ConfigError, did_you_mean
from pipelines.core.evidence import Comparison, Criterion, Score, Slice

Bound = Literal["floor", "ceiling"]
SLICES: dict[Bound, str] = {"floor": "slice floor: ", "ceiling": "slice ceiling: "}
"""How the criteria of slices begin; the metric follows."""
MEASURED = ("latency_ms", "model_mb")
"""What every candidate has besides the project's metrics."""


def check_names(evaluate: Evaluate, gates: Gates, metrics: Iterable[str]) -> None:
    """Raise one ConfigError that names every metric the parameters ask for and the project does not compute."""
    known = list(metrics)
    asked = {
        "evaluate.metric": ([evaluate.metric], known),
        "gates.floors": (gates.floors, [*known, *MEASURED]),
        "gates.ceilings": (gates.ceilings, [*known, *MEASURED]),
        "gates.slices": (gates.slices, known),
        "gates.slice_ceilings": (gates.slice_ceilings, known),
    }
    wrong = [
        f"{place}: there is no metric {name!r}; {did_you_mean(name, allowed)}"
        for place, (names, allowed) in asked.items()
        for name in names
        if name not in allowed
    ]
    if wrong:
        raise ConfigError(
            "params.yaml asks for metrics that the project does not compute\n" + "\n".join(f"  - {w}" for w in wrong)
        )


def check_slices(gates: Gates, slices: Collection[str]) -> None:
    """Raise ConfigError when bounds for slices are asked for and the project makes no slices."""
    asked = [f"gates.{name}: {', '.join(getattr(gates, name))}" for name in ("slices", "slice_ceilings") if getattr(gates, name)]
    if asked and not slices:
        raise ConfigError(
            f"params.yaml asks for bounds on slices ({'; '.join(asked)}), and the project makes none of the test rows; "
            "let its `slices` name some (for tables: `slice_by`), or leave these gates out"
        )


def bounds(gates: Gates, score: Score) -> list[Criterion]:
    """One criterion for each floor and each ceiling; a metric that is undefined on the test rows is refused."""
    return [
        *(_bound("floor", name, floor, score) for name, floor in gates.floors.items()),
        *(_bound("ceiling", name, ceiling, score) for name, ceiling in gates.ceilings.items()),
    ]


def _bound(kind: Bound, name: str, bound: float, score: Score) -> Criterion:
    estimate = score.metrics.get(name)
    value = getattr(score, name) if name in MEASURED else estimate.value if estimate else None
    passed = value is not None and (value >= bound if kind == "floor" else value <= bound)
    return Criterion(
        name=f"{kind}: {name}",
        wanted=f"{'at least' if kind == 'floor' else 'at most'} {bound:g}",
        found=str(estimate) if estimate else "undefined on the test rows" if value is None else f"{value:.4g}",
        passed=passed,
        evidence={"bound": bound, **(estimate.model_dump() if estimate else {"value": value})},
    )


def enough_rows(gates: Gates, rows: int) -> Criterion:
    """Whether there was enough to train on."""
    return Criterion(
        name="training rows",
        wanted=f"at least {gates.rows:,}",
        found=f"{rows:,}",
        passed=rows >= gates.rows,
        evidence={"bound": gates.rows, "value": rows},
    )


def not_worse(gates: Gates, metric: str, comparison: Comparison) -> Criterion:
    """Whether the challenger is, with confidence, no worse than the champion by more than `not_worse_by`."""
    gain = comparison.gain
    return Criterion(
        name="not worse than champion",
        wanted=f"lower end of the paired gain in {metric} at least {-gates.not_worse_by:g}",
        found=f"gain {gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}] over version {comparison.incumbent}",
        passed=gain.low >= -gates.not_worse_by,
        evidence={"bound": -gates.not_worse_by, **comparison.model_dump()},
    )


def not_worse_than_record(
    gates: Gates, score: Score, *, metric: str, greater_is_better: bool, version: int, record: float | None, why: str
) -> Criterion:
    """The same when the champion cannot score these rows: what it scored when it was promoted is the bar, unpaired.

    `why` says what kept it from scoring. Without a record nothing can be said, and the criterion refuses.
    """
    sign = 1.0 if greater_is_better else -1.0
    value = score.metrics[metric].value if metric in score.metrics else None
    gain = sign * (value - record) if record is not None and value is not None else None
    return Criterion(
        name="not worse than champion",
        wanted=f"{metric} no worse than version {version} scored when it was promoted, by more than {gates.not_worse_by:g}",
        found=(
            f"version {version} cannot score these rows ({why}); "
            + ("and it left no score to compare with" if gain is None else f"it had {record:.4f}, the winner has {value:.4f}")
        ),
        passed=gain is not None and gain >= -gates.not_worse_by,
        evidence={"record": record, "value": value, "why": why, "paired": False},
    )


def slice_bounds(gates: Gates, slices: Sequence[Slice]) -> list[Criterion]:
    """One criterion for each metric with a floor or a ceiling for slices.

    It refuses when the whole interval of any judged slice is on the wrong side: that slice is there with confidence. A slice
    with fewer than `slice_rows` rows, or on which the metric is undefined, is shown and not judged; when none is judged, nothing
    has been shown, and the criterion refuses.
    """
    return [
        *(_slice_bound("floor", metric, floor, gates.slice_rows, slices) for metric, floor in gates.slices.items()),
        *(_slice_bound("ceiling", metric, ceiling, gates.slice_rows, slices) for metric, ceiling in gates.slice_ceilings.items()),
    ]


def _slice_bound(kind: Bound, metric: str, bound: float, rows: int, slices: Sequence[Slice]) -> Criterion:
    floor = kind == "floor"
    judged = {s.name: s.metrics[metric] for s in slices if s.judged and metric in s.metrics}
    beyond = [name for name, estimate in judged.items() if (estimate.high < bound if floor else estimate.low > bound)]
    side = "below" if floor else "above"
    if beyond:
        found = f"{side}: {', '.join(f'{name} {judged[name]}' for name in beyond)}"
    elif judged:
        worst = (min if floor else max)(judged, key=lambda name: judged[name].value)
        found = f"worst of {len(judged)}: {worst} {judged[worst]}"
    else:
        found = f"none of {len(slices)} slices has the {rows:,} test rows to be judged (gates.slice_rows) and a defined {metric}"
    return Criterion(
        name=SLICES[kind] + metric,
        wanted=f"no slice {side} {bound:g} with confidence ({'upper' if floor else 'lower'} end of its interval)",
        found=found,
        passed=bool(judged) and not beyond,
        evidence={"bound": bound, "slices": {name: estimate.model_dump() for name, estimate in judged.items()}},
    )
