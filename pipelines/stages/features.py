"""Split first, then engineer features."""

from __future__ import annotations

from typing import Any

from pipelines.core.config import validated
from pipelines.core.contract import sample
from pipelines.core.execution import Context


def features(context: Context) -> dict[str, Any]:
    """Disjoint rows for train, valid and test, each with the project's features, and a look at them."""
    project, params = context.project, context.params
    own = validated(project.feature_params, params.features, "params.yaml, features")
    rows = sample(project, context.read("cleaned"), params.split, params.seed)
    splits = project.split(rows, params.split, params.seed)
    featured = project.features(splits, own)
    exploration = context.workdir / "exploration"
    exploration.mkdir()
    project.explore(featured, exploration)
    parts = featured.splits
    return {
        "train": parts.train,
        "valid": parts.valid,
        "test": parts.test,
        "feature_report": featured.report,
        "exploration": exploration,
    }
