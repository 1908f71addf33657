"""Orchestrated MLOps pipelines: one definition of a project, three runners, evidence before promotion."""

__version__ = "0.1.0"
