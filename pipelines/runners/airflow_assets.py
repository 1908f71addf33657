"""What a project's DAGs bring forth, as Airflow's assets: its data, its features, its champion, and its drift."""

from __future__ import annotations

from airflow.sdk import Asset, AssetAlias

EMITS = {"ingest": "data", "features": "features"}
"""Stages that bring an asset up to date whenever they succeed."""

LOOKS_AT = {"validate": "data", "train": "features", "check": "champion"}
"""Stages whose task names an asset as what it looks at, so that Airflow shows where each leads."""


def asset(project: str, what: str) -> Asset:
    """`data`, `features`, `champion` or `drift` of a project; events carry the digest of what is new, or names of alarms."""
    return Asset(name=f"{project}_{what}", uri=f"pipelines://{project}/{what}", group=project)


def promotion_alias(project: str) -> AssetAlias:
    """What a promotion goes through to reach the asset `champion`."""
    return AssetAlias(f"{project}_promotion", group=project)


def alarm_alias(project: str) -> AssetAlias:
    """What an open drift alarm goes through to reach the asset `drift`, which starts the training DAG."""
    return AssetAlias(f"{project}_alarm", group=project)
