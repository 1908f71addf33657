"""The drift summary: one HTML page, our own tests first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.core.evidence import Drift
from pipelines.parts.reports.page import render_page


def render(
    drift: Drift, window: Mapping[str, Any], folder: Path, links: Mapping[str, str] | None = None, notes: Sequence[str] = ()
) -> Path:
    """Write `index.html` into `folder`; `links` are further pages beside it, title to file. Returns `folder`."""
    largest = max((channel.effect for channel in drift.channels), default=0.0)
    page = render_page("drift.html", drift=drift, window=window, links=links or {}, notes=notes, largest=max(largest, 1e-9))
    (folder / "index.html").write_text(page, encoding="utf-8")
    return folder
