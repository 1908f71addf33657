"""A backfill of training takes its weeks in turn, whoever asks for it and however; others are as they were asked for."""

from __future__ import annotations

import logging
import runpy

import pytest
from airflow.models.backfill import Backfill

from pipelines.core.discovery import Definition
from pipelines.core.settings import ROOT


@pytest.mark.parametrize(
    ("dag", "asked", "made"),
    [
        ("toy_training", 10, 1),
        ("toy_training", None, 1),  # nobody said; Airflow's table then has ten
        ("toy_training", 1, 1),
        ("toy_monitoring", 10, 10),
        ("no_such_project_training", 10, 10),
        ("training", 10, 10),
    ],
)
def test_weeks_of_training_take_turns(
    toy: Definition, dag: str, asked: int | None, made: int, caplog: pytest.LogCaptureFixture
) -> None:
    backfill, plugin = Backfill(dag_id=dag, max_active_runs=asked), runpy.run_path(str(ROOT / "plugins" / "backfills.py"))
    with caplog.at_level(logging.WARNING, "pipelines"):
        plugin["in_turn"](None, None, backfill)
    assert backfill.max_active_runs == made
    told = [f"{dag}: the weeks of a backfill are trained one after another"] if asked != made else []
    assert caplog.messages == told
