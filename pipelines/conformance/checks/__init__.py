"""The checks, by what they look at. Importing this package registers them in order."""

from pipelines.conformance.checks import definition, data, models, leakage, runs  # isort: skip

__all__ = ["data", "definition", "leakage", "models", "runs"]
