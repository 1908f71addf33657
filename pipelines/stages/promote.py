"""Carry out the decision: register the version, move the aliases, write the audit entry."""

from __future__ import annotations

from typing import Any

from pipelines.core.execution import Context
from pipelines.tracking import registry


def promote(context: Context) -> dict[str, Any]:
    """The `promotion` artifact says what became of the winner and who serves; the same when it is run again."""
    return {"promotion": registry.promote(context)}
