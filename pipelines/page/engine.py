"""What the page shows of the engine that runs the projects; whoever serves the page fills it in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Scheduled:
    """What the engine knows of one project. Addresses are empty where there is no such page."""

    next_run: datetime | None = None
    """Of the training chain; None: by hand, or when drift asks for it."""
    paused: bool = False
    running: tuple[str, ...] = ()
    """The chains at work now: training, monitoring."""
    training: str = ""
    """Address of the training DAG's page."""
    monitoring: str = ""
    approvals: tuple[str, ...] = ()
    """Addresses of the pages on which a person is asked whether to promote."""
