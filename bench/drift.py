"""Speed of a drift verdict, beside Evidently's default preset on the same data. Each in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.measure import Timing, timed
from pipelines.parts.drift import Reference, Watching
from pipelines.parts.drift.family import Channels

WATCHING = Watching(false_alarm_rate=0.02, resamples=500, effect=0.05, rows=50, seed=7)
SIZES = ((100_000, 30), (1_000_000, 30), (356_000, 100))


def measure(repeats: int) -> tuple[list[Timing], list[str]]:
    """Verdicts on large windows, seconds of the comparison alone; peak memory with the window's own in the notes."""
    found: list[Timing] = []
    notes = []
    with tempfile.TemporaryDirectory() as folder:
        subject = {size: _promoted(Path(folder), size[1]) for size in SIZES}
        for tool, title in (("ours", "verdict"), ("evidently", "Evidently's default preset"), ("sample", "Evidently's page")):
            for rows, columns in SIZES if tool == "ours" else SIZES[:1]:
                told = [_once(tool, rows, columns, subject[rows, columns]) for _ in range(repeats)]
                seconds = [one["seconds"] for one in told]
                shown = f"{title}, {'sample of ' if tool == 'sample' else ''}{rows:,} x {columns}"
                found.append(Timing(shown, seconds))
                notes.append(
                    f"{shown}: {statistics.median(one['processor'] for one in told):.2f} s of processor time, peak {max(one['peak'] for one in told):.2f} GB, of which the window {told[0]['window']:.2f} GB"
                )
        learnt = json.loads((subject[SIZES[0]] / "learnt.json").read_text())
        notes.append(f"what is drawn once, at promotion, for {SIZES[0][1]} columns: {learnt:.1f} s")
    return found, notes


def _promoted(folder: Path, columns: int) -> Path:
    """A reference as the stage `baseline` leaves it."""
    place = folder / f"{columns}"
    if not place.exists():
        started = time.perf_counter()
        Reference.freeze(_window(20_000, columns, 1), seed=1).write(place, WATCHING)
        (place / "learnt.json").write_text(json.dumps(time.perf_counter() - started))
    return place


def _window(rows: int, columns: int, seed: int) -> Channels:
    """Four fifths numbers, the rest categories."""
    random = np.random.default_rng(seed)
    numbers = columns * 4 // 5
    found: Channels = {f"x{i:02d}": random.standard_normal(rows) for i in range(numbers)}
    return found | {f"c{i:02d}": np.array(list("abcde"))[random.integers(5, size=rows)] for i in range(columns - numbers)}


def _once(tool: str, rows: int, columns: int, reference: Path) -> dict[str, float]:
    with tempfile.NamedTemporaryFile("r", suffix=".json") as told:
        arguments = [tool, str(rows), str(columns), str(reference), told.name]
        timed([sys.executable, "-W", "ignore", "-m", "bench.drift", *arguments], 1, dict(os.environ))
        found: dict[str, float] = json.load(told)
    return found


def _alone(tool: str, rows: int, columns: int, folder: Path) -> dict[str, float]:
    window, reference = _window(rows, columns, 2), Reference.read(folder)
    size = sum(values.nbytes for values in window.values()) / 1e9
    if tool == "ours":
        started, worked = time.perf_counter(), time.process_time()
        reference.compare(window, WATCHING)
        reference.limit(rows, WATCHING)
    else:
        _evidently(reference, window, whole=tool == "evidently")  # once before, for its imports
        started, worked = time.perf_counter(), time.process_time()
        _evidently(reference, window, whole=tool == "evidently")
    found = {"seconds": time.perf_counter() - started, "processor": time.process_time() - worked}
    return found | {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, "window": size}


def _evidently(reference: Reference, window: Channels, whole: bool) -> None:
    if whole:
        from bench.drift_usual import evidently

        evidently(reference.channels, window)
    else:
        from pipelines.stages.check import evidently_report

        with tempfile.TemporaryDirectory() as folder:
            evidently_report(reference.channels, window, Path(folder), seed=1)


if __name__ == "__main__":
    tool, rows, columns, folder, told = sys.argv[1:]
    Path(told).write_text(json.dumps(_alone(tool, int(rows), int(columns), Path(folder))))
