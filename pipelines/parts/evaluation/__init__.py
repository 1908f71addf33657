"""Scores with intervals, paired comparison and gates, for any project: all it needs is arrays and a score function."""

from pipelines.parts.evaluation.bootstrap import Resampled, Score, classes, compare, resample, take
from pipelines.parts.evaluation.latency import latency_ms

__all__ = ["Resampled", "Score", "classes", "compare", "latency_ms", "resample", "take"]
