"""The model card: one HTML page that opens anywhere, with nothing to fetch."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core.artifacts import Ref
from pipelines.core.evidence import CAUTION, Decision, Leaderboard
from pipelines.parts.evaluation.gates import SLICES, Bound
from pipelines.parts.reports.page import render_page


@dataclass(frozen=True)
class Panel:
    """One metric over the slices, and the axis on which its intervals are drawn."""

    metric: str
    kind: Bound
    bound: float | None
    """Floor or ceiling; None when none is asked for."""
    low: float
    high: float


@dataclass(frozen=True)
class Facts:
    """Everything the card says, beside the figures."""

    title: str
    description: str
    readme: Mapping[str, str]
    """`intended use` and `limits`, as far as the project's README tells them."""
    leaderboard: Leaderboard
    decision: Decision
    snapshot: Mapping[str, Any]
    validation: Mapping[str, Any]
    fit: Mapping[str, Any]
    """The winner's."""
    artifacts: Mapping[str, Ref]
    fingerprint: str
    seed: int
    profile: str


def render(facts: Facts, figures: Path, folder: Path) -> Path:
    """Write `index.html` into `folder`, with the PNG figures of another folder inside it; return `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    images = {path.stem: base64.b64encode(path.read_bytes()).decode() for path in sorted(figures.rglob("*.png"))}
    board = facts.leaderboard
    metrics = dict.fromkeys(name for score in board.scores for name in score.metrics)
    checks = facts.validation.get("checks", [])
    page = render_page(
        "card.html",
        facts=facts,
        caution=CAUTION.get(str(facts.snapshot.get("source"))),
        images=images,
        candidates=sum(score.rank > 0 for score in board.scores),
        metrics=sorted(metrics, key=lambda name: name != board.metric),
        panels=panels(facts.decision),
        checks=checks,
        failed=[check for check in checks if check.get("failures")],
    )
    (folder / "index.html").write_text(page, encoding="utf-8")
    return folder


def panels(decision: Decision) -> list[Panel]:
    """What is shown of the slices: each metric with a bound, else the headline metric."""
    asked: list[tuple[str, Bound, float | None]] = [
        (criterion.name.removeprefix(start), kind, criterion.evidence["bound"])
        for kind, start in SLICES.items()
        for criterion in decision.criteria
        if criterion.name.startswith(start)
    ]
    found = []
    for metric, kind, bound in asked or [(decision.headline, "floor", None)]:
        drawn = [s for s in decision.slices if metric in s.metrics]
        estimates = [s.metrics[metric] for s in drawn if s.judged] or [s.metrics[metric] for s in drawn]
        marks = [end for e in estimates for end in (e.low, e.high)] + ([bound] if bound is not None else [])
        if marks:
            found.append(Panel(metric, kind, bound, min(marks), max(marks)))
    return found


def readme(folder: Path) -> dict[str, str]:
    """First paragraph of a project's README under `intended use`, that of its section Limits under `limits`."""
    path = folder / "README.md"
    if not path.is_file():
        return {}
    blocks = [block.strip() for block in path.read_text(encoding="utf-8").split("\n\n")]
    found: dict[str, str] = {}
    heading = ""
    for block in blocks:
        if block.startswith("#"):
            heading, _, block = block.partition("\n")
            heading = heading.lstrip("# ").lower()
        text = " ".join(block.split())
        if text and not text.startswith(("|", "!", "```", "-", "<")):
            found.setdefault("limits" if heading.startswith("limit") else "intended use", text)
    return found
