"""The model card: one HTML page that opens anywhere, with nothing to fetch."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core.artifacts import Ref
from pipelines.core.evidence import Decision, Leaderboard
from pipelines.parts.reports.page import render_page


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
    metrics = list(dict.fromkeys(name for score in facts.leaderboard.scores for name in score.metrics))
    headline = facts.leaderboard.metric
    metrics.sort(key=lambda name: name != headline)
    checks = facts.validation.get("checks", [])
    page = render_page(
        "card.html",
        facts=facts,
        images=images,
        metrics=metrics,
        checks=checks,
        failed=[check for check in checks if check.get("failures")],
    )
    (folder / "index.html").write_text(page, encoding="utf-8")
    return folder


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
