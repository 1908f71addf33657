"""The leaderboard as numbers for `dvc metrics` and `dvc plots`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from pipelines.core.evidence import Leaderboard


def write(leaderboard: Leaderboard, folder: Path) -> None:
    """`metrics.json` (candidate to metric to value) and `leaderboard.csv` (one line a candidate and metric)."""
    metrics = {score.candidate: {name: e.value for name, e in score.metrics.items()} for score in leaderboard.scores}
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1, sort_keys=True) + "\n")
    with (folder / "leaderboard.csv").open("w", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow(["candidate", "metric", "value", "low", "high"])
        for score in leaderboard.scores:
            for name, estimate in score.metrics.items():
                lines.writerow([score.candidate, name, estimate.value, estimate.low, estimate.high])
