"""Medians with spread, in one shape for every benchmark."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Timing:
    """Repeated wall times of one thing, in seconds."""

    name: str
    seconds: Sequence[float]
    per: int = 1
    """How many steps, files or tasks each time covers."""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds) / self.per

    def cells(self) -> tuple[str, str, str]:
        """Name, median and range, in milliseconds a unit."""
        low, high = min(self.seconds) / self.per, max(self.seconds) / self.per
        return self.name, f"{self.median * 1e3:,.1f}", f"{low * 1e3:,.1f} to {high * 1e3:,.1f}"


def timed(command: Sequence[str], repeats: int, environment: dict[str, str]) -> list[float]:
    """Wall seconds of a command, each in a fresh process. Raises RuntimeError with its last words when it fails."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        seconds.append(time.perf_counter() - started)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} exited {done.returncode}:\n{done.stdout[-800:]}\n{done.stderr[-1500:]}")
    return seconds


def machine() -> str:
    """The machine in words: figures without it mean nothing."""
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores of {_processor()}, {memory:.0f} GiB, {system}"


def _processor() -> str:
    """Its name as the system has it; one core may take twice the time of another."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or "an unnamed processor"


def timings(lines: str, per: int) -> list[Timing]:
    """The JSON lines a peer's script prints, as timings."""
    found = [json.loads(line) for line in lines.splitlines() if line.startswith('{"name"')]
    return [Timing(one["name"], one["seconds"], per) for one in found]
