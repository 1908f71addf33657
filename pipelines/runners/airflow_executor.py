"""The embedded stack's executor."""

from __future__ import annotations

from airflow.executors.local_executor import LocalExecutor

from pipelines.runners import airflow_bell as bell

WAIT = 0.1
"""Seconds between two looks of a scheduler with nothing to do, at most."""


class AttentiveExecutor(LocalExecutor):  # type: ignore[misc]
    """Airflow's LocalExecutor, with a scheduler that does not sleep on when a task of ours has ended.

    Between two looks at its database the scheduler sleeps; half of that, on average, is added to each task. Looking more often
    would take a share of a core all day. So it waits here instead, where tasks can wake it.
    """

    def start(self) -> None:
        """Begin, with a bell that all workers inherit."""
        bell.hang()
        super().start()

    def sync(self) -> None:
        """Wait for a task to end, then do as Airflow does; the scheduler calls this once a look."""
        bell.listen(WAIT)
        super().sync()
