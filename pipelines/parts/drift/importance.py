"""How much a model rests on each watched column: what its metric loses when the column is shuffled.

Permutation importance (Breiman 2001; Fisher, Rudin and Dominici 2019, "model reliance"), on rows the model has not learned from.
A column that only repeats another looks less important than both are together.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core.contract import Project
from pipelines.parts.drift.outcomes import Metric

ROWS = 2_000
REPEATS = 3
FILE = "importance.json"


def importance(
    project: Project[Any, Any], model: Any, data: Any, columns: Iterable[str], metric: Metric, seed: int
) -> dict[str, float]:
    """Mean loss of the metric over `REPEATS` shuffles of each column, not below 0, on at most `ROWS` rows.

    Columns that the project cannot change alone are left out, and so is everything where the metric is undefined.
    """
    random = np.random.default_rng(seed)
    rows = project.count(data)
    if rows > ROWS:
        data, rows = project.take(data, np.sort(random.choice(rows, ROWS, replace=False)).tolist()), ROWS
    truth = project.truth(data)
    whole = metric.value(truth, project.predict(model, data))
    found: dict[str, float] = {}
    for column in columns:
        losses = []
        for _ in range(REPEATS):
            shuffled = project.permuted(data, column, random.permutation(rows).tolist())
            if shuffled is None:
                break
            losses.append(metric.loss(whole, metric.value(truth, project.predict(model, shuffled))))
        if losses and math.isfinite(sum(losses)):
            found[column] = max(0.0, float(np.mean(losses)))
    return found


def write(found: dict[str, float], metric: str, folder: Path) -> None:
    """`importance.json`, the most important column first."""
    ordered = dict(sorted(found.items(), key=lambda pair: -pair[1]))
    text = json.dumps({"metric": metric, "loss_when_shuffled": ordered}, indent=1, ensure_ascii=False)
    (folder / FILE).write_text(text + "\n", encoding="utf-8")


def read(folder: Path) -> dict[str, float]:
    """What `write` left; nothing where there is none."""
    file = folder / FILE
    return dict(json.loads(file.read_text(encoding="utf-8"))["loss_when_shuffled"]) if file.is_file() else {}
