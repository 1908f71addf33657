"""The embedded stack's executor: a scheduler that waits is woken by tasks that end."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from airflow.executors.local_executor import LocalExecutor

from pipelines.runners import airflow_bell as bell
from pipelines.runners import airflow_executor
from pipelines.runners.airflow_executor import AttentiveExecutor

LONG = 60.0
"""Seconds that no test waits."""


@pytest.fixture(autouse=True)
def ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A process in which no bell hangs yet."""
    made: list[int] = []
    monkeypatch.setattr(bell, "_ends", made)
    yield made
    for end in made:
        os.close(end)


def in_a_child(ring: bool) -> None:
    """Fork a process that rings, or does not, and ends."""
    child = os.fork()
    if not child:
        if ring:
            bell.ring()
        os._exit(0)
    os.waitpid(child, 0)


def test_a_task_in_a_forked_process_wakes_who_waits(ends: list[int]) -> None:
    bell.hang()
    in_a_child(ring=True)
    began = time.monotonic()
    assert bell.listen(LONG)
    assert time.monotonic() - began < LONG / 2


def test_without_a_ring_the_wait_ends_by_itself(ends: list[int]) -> None:
    bell.hang()
    in_a_child(ring=False)
    assert not bell.listen(0.01)


def test_rings_that_nobody_heard_count_as_one_and_never_hold_a_task_up(ends: list[int]) -> None:
    bell.hang()
    for _ in range(100_000):  # more than a pipe holds
        bell.ring()
    assert bell.listen(LONG)
    while bell.listen(0):
        pass
    bell.ring()
    assert bell.listen(LONG)


def test_where_no_bell_hangs_nothing_happens(ends: list[int]) -> None:
    bell.ring()
    assert not ends


def test_hanging_twice_keeps_the_bell_that_tasks_know(ends: list[int]) -> None:
    bell.hang()
    known = list(ends)
    bell.hang()
    assert ends == known


def test_workers_inherit_the_bell_and_the_scheduler_looks_as_soon_as_it_rings(
    ends: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    monkeypatch.setattr(LocalExecutor, "start", lambda executor: in_a_child(ring=True))
    monkeypatch.setattr(LocalExecutor, "sync", lambda executor: looked.append("results"))
    monkeypatch.setattr(airflow_executor, "WAIT", LONG)
    executor = AttentiveExecutor(parallelism=1)
    executor.start()
    began = time.monotonic()
    executor.sync()
    assert time.monotonic() - began < LONG / 2
    assert looked == ["results"]
