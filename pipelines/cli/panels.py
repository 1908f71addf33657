"""A run's result for people, from the document that `result.document` makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.cli.output import streams


def show(document: Mapping[str, Any]) -> None:
    """Print a run's result on stdout."""
    streams().result.print(document)
