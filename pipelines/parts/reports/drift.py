"""The drift summary: one HTML page, our own tests first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.core.evidence import Drift
from pipelines.parts.reports.page import render_page

LARGE = 0.25
"""Bars are drawn to this effect at least, customarily a large one, so that a small one looks small."""


def render(
    drift: Drift, window: Mapping[str, Any], folder: Path, links: Mapping[str, str] | None = None, notes: Sequence[str] = ()
) -> Path:
    """Write `index.html` into `folder`; `links` are further pages beside it, title to file. Returns `folder`."""
    whole = [channel for channel in drift.channels if channel.kind == "missing" and channel.statistic == 0]
    page = render_page(
        "drift.html",
        drift=drift,
        window=window,
        links=links or {},
        notes=notes,
        shown=[channel for channel in drift.channels if channel not in whole],
        whole=[channel.name.removesuffix(" (missing)") for channel in whole],
        largest=max([channel.effect for channel in drift.channels] + [LARGE]),
    )
    (folder / "index.html").write_text(page, encoding="utf-8")
    return folder
