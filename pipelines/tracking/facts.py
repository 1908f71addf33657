"""What an artifact says that is worth searching and plotting: metrics with intervals, tags, parameters, the data set.

Each document of `pipelines.core.evidence` has a reader here; of any other JSON the numbers are taken as they are. A reader
imports its document's model itself: most tasks that run in a process of their own read none of these.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipelines.core.graph import Output
from pipelines.tracking.markdown import inert

if TYPE_CHECKING:
    from pipelines.core.evidence import Estimate

Metric = tuple[str, float, int]
"""Name, value, step."""


@dataclass
class Facts:
    """What one run is told."""

    metrics: list[Metric] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    """Markdown, the description of the run."""
    dataset: dict[str, Any] | None = None
    """The snapshot a run was made from."""

    def add(self, other: Facts) -> None:
        """Take over what `other` says."""
        self.metrics += other.metrics
        self.tags |= other.tags
        self.params |= other.params
        self.note = other.note or self.note
        self.dataset = other.dataset or self.dataset


ByRun = dict[str | None, Facts]
"""Facts by candidate, for its nested run; None is the run itself."""


def facts_of(output: Output, document: Any, candidate: str | None) -> ByRun:
    """What an output's document says. `candidate` is whose node wrote it."""
    if read := _READERS.get(output.name):
        return read(document)
    return {candidate: Facts(metrics=[(name, value, 0) for name, value in numbers(document)] if output.show == "metrics" else [])}


def estimates(metrics: Mapping[str, Estimate], prefix: str = "") -> list[Metric]:
    """`roc_auc`, `roc_auc_low`, `roc_auc_high` for each metric."""
    return [
        (f"{prefix}{name}{suffix}", value, 0)
        for name, estimate in metrics.items()
        for suffix, value in (("", estimate.value), ("_low", estimate.low), ("_high", estimate.high))
    ]


def numbers(document: Any, prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a JSON document under dotted names; entries of lists that have a name go by it.

    >>> dict(numbers({"a": {"b": 1}, "rows": [{"name": "x", "p": 0.5}], "ok": True, "t": "no"}))
    {'a.b': 1.0, 'rows.x.p': 0.5}
    """
    if isinstance(document, bool):
        return
    if isinstance(document, (int, float)):
        yield metric_name(prefix), float(document)
    elif isinstance(document, Mapping):
        for key, value in document.items():
            yield from numbers(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(document, list):
        for value in document:
            if isinstance(value, Mapping) and "name" in value:
                yield from numbers(value, f"{prefix}.{value['name']}" if prefix else str(value["name"]))


def flattened(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections as dotted keys.

    >>> flattened({"train": {"trials": 5, "candidates": {}}, "seed": 7})
    {'train.trials': 5, 'train.candidates': {}, 'seed': 7}
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        flat |= flattened(value, f"{name}.") if isinstance(value, Mapping) and value else {name: value}
    return flat


def metric_name(name: str) -> str:
    """A name MLflow accepts.

    >>> metric_name("drift.contract=Two year.effect")
    'drift.contract_Two year.effect'
    """
    return re.sub(r"[^\w. :/-]", "_", name, flags=re.ASCII)


def _snapshot(document: dict[str, Any]) -> ByRun:
    pointer, window = document.get("pointer") or {}, document.get("window") or {}
    tags = {
        "data.dataset": document.get("dataset"),
        "data.source": document.get("source"),
        "data.origin": document.get("origin"),
        "data.pointer": json.dumps(pointer, sort_keys=True),
        "data.files": json.dumps(document.get("files", {}), sort_keys=True),
        "data.window": json.dumps(window, sort_keys=True, default=str),
    }
    return {None: Facts(tags={key: str(value) for key, value in tags.items() if value is not None}, dataset=document)}


def _fit(document: dict[str, Any]) -> ByRun:
    metrics: list[Metric] = [(f"valid_{name}", value, 0) for name, value in document.get("valid", {}).items()]
    metrics += _curve(document.get("curve", []))
    metrics += [
        ("trial_value", float(trial["value"]), step)
        for step, trial in enumerate(document.get("trials", []))
        if isinstance(trial.get("value"), (int, float))
    ]
    tags = {f"resource.{name}": json.dumps(about, sort_keys=True) for name, about in document.get("resources", {}).items()}
    return {document["candidate"]: Facts(metrics=metrics, tags=tags, params=flattened(document.get("params", {}), "chosen."))}


_STEPS = ("epoch", "rows")
"""What the horizontal axis of a curve may be, in the order in which it is looked for."""


def _curve(points: list[dict[str, Any]]) -> list[Metric]:
    """`curve.<name>` for each number of each point, at the point's epoch or number of rows, else at its place in the list.

    >>> _curve([{"epoch": 3, "loss": 0.5}, {"loss": 0.25}])
    [('curve.loss', 0.5, 3), ('curve.loss', 0.25, 1)]
    """
    return [
        (metric_name(f"curve.{name}"), float(value), step)
        for place, point in enumerate(points)
        for step in [next((int(point[axis]) for axis in _STEPS if axis in point), place)]
        for name, value in point.items()
        if name not in _STEPS and isinstance(value, (int, float))
    ]


def _leaderboard(document: dict[str, Any]) -> ByRun:
    from pipelines.core.evidence import Leaderboard

    board = Leaderboard.model_validate(document)
    told: ByRun = {None: Facts(metrics=[("test_rows", board.rows, 0)])}
    for score in board.scores:
        metrics = estimates(score.metrics)
        if score.candidate == "champion":  # the incumbent has a run of its own, so here it is a figure to compare with
            told[None].metrics += estimates(score.metrics, "champion_")
            continue
        own = Facts(metrics=[*metrics, ("latency_ms", score.latency_ms, 0), ("model_mb", score.model_mb, 0)])
        own.metrics.append(("rank", score.rank, 0))
        own.metrics.append((f"valid_{board.metric}", score.valid, 0))
        told[score.candidate] = own
    winner = next((s.candidate for s in sorted(board.scores, key=lambda s: s.rank) if s.candidate != "champion"), None)
    if winner is not None:
        told[None].metrics += [metric for metric in told[winner].metrics if metric[0] != "rank"]
        told[None].tags["winner"] = winner
    return told


def _decision(document: dict[str, Any]) -> ByRun:
    from pipelines.core.evidence import Decision

    decision = Decision.model_validate(document)
    verdict = "accepted" if decision.promote else "refused"
    lines = [
        f"**{verdict}**: `{decision.winner}`, {decision.headline} {decision.metric}",
        f"data: {decision.source}" if decision.source else "",
        "",
        "| criterion | wanted | found | |",
        "| --- | --- | --- | --- |",
        *(f"| {c.name} | {c.wanted} | {c.found} | {'passed' if c.passed else '**failed**'} |" for c in decision.criteria),
    ]
    metrics: list[Metric] = [(f"rows_{split}", count, 0) for split, count in decision.rows.items()]
    if decision.comparison:
        metrics += estimates({"gain": decision.comparison.gain})
        metrics.append(("probability_better", decision.comparison.probability_better, 0))
    tags = {"decision": verdict, "winner": decision.winner, "incumbent": str(decision.incumbent)}
    tags["decision.failed"] = ", ".join(c.name for c in decision.criteria if not c.passed)
    return {None: Facts(metrics=metrics, tags=tags, note=inert("\n".join(lines)))}


def _promotion(document: dict[str, Any]) -> ByRun:
    kept = ("outcome", "version", "champion", "replaced", "reason")
    return {None: Facts(tags={f"promotion.{key}": str(document.get(key)) for key in kept})}


def _drift(document: dict[str, Any]) -> ByRun:
    from pipelines.core.evidence import Drift

    drift = Drift.model_validate(document)
    metrics: list[Metric] = [("drift.rows", drift.rows, 0), ("drift.channels", len(drift.drifted), 0)]
    metrics += [
        (metric_name(f"drift.{channel.name}.{name}"), getattr(channel, name), 0)
        for channel in drift.channels
        for name in ("statistic", "effect", "p_value")
    ]
    return {None: Facts(metrics=metrics, tags={"drift.drifted": ", ".join(channel.name for channel in drift.drifted)})}


def _verdict(document: dict[str, Any]) -> ByRun:
    from pipelines.core.evidence import Verdict

    verdict = Verdict.model_validate(document)
    tags = {"verdict": verdict.outcome, "verdict.window": verdict.window, "verdict.champion": str(verdict.champion)}
    return {None: Facts(tags=tags, note=inert(verdict.recommendation))}


_READERS: dict[str, Callable[[dict[str, Any]], ByRun]] = {
    "snapshot": _snapshot,
    "fit": _fit,
    "leaderboard": _leaderboard,
    "decision": _decision,
    "promotion": _promotion,
    "drift": _drift,
    "verdict": _verdict,
}
"""Readers by the name the graph gives the artifact."""
