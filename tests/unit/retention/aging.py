"""Runs, and time that passes over what they left."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from pipelines.core.execution import Session
from pipelines.runners import in_process
from pipelines.tracking.runs import MlflowTracker

TOY = Path(__file__).parents[2] / "projects" / "toy"


def write_points(path: Path) -> None:
    """The toy's data: points on either side of a line."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(600, 2))
    y = (x @ [1.0, 0.5] + 0.2 * rng.normal(size=600) > 0).astype(int)
    np.savetxt(path, np.column_stack([x, y]), delimiter=",", fmt=["%.6f", "%.6f", "%d"])


def run(session: Session) -> Session:
    tracker = MlflowTracker(session.settings)
    in_process.run(session, tracker=tracker)
    tracker.finish(session, "FINISHED")
    return session


def age(place: Path, days: float) -> None:
    """Let every file be so many days older."""
    for path in [*place.rglob("*"), place]:
        status = path.lstat()
        os.utime(path, (status.st_atime, status.st_mtime - days * 86400), follow_symlinks=False)


def listing(*places: Path) -> dict[Path, int]:
    """Bytes of each file, links to the same bytes counted once."""
    found: dict[tuple[int, int], tuple[Path, int]] = {}
    for path in sorted(file for place in places for file in place.rglob("*") if file.is_file()):
        status = path.lstat()
        found.setdefault((status.st_dev, status.st_ino), (path, status.st_size))
    return dict(found.values())
