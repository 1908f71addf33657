"""How often drift checks cry wolf, and what they see: ours beside the usual rules, on the same windows.

Usage: python -m bench.drift_calibration [--streams 1000] [--write]

A stream is a reference of its own and 52 weeks. Every row is drawn and every statistic of ours is the product's, on all weeks
of all streams, which the usual rules judge, too; two things are shared so that it ends in minutes. Windows of 10,000 rows are
sums of 10 of a stream's 104 blocks of 1,000, for profiles add up. And what a reference draws of its own rows, nulls and limits,
is drawn for `DONORS` and `LIMITS` of the references and lent to the others: it is the same for all but for noise.

With --write the tables go into docs/drift.md and the plot into docs/images.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial, reduce
from operator import add
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from bench import drift_seasons
from bench.drift_judge import (
    BLOCKS,
    DONORS,
    LARGE,
    LIMITS,
    SIZES,
    STATED,
    WATCHING,
    WEEKS,
    Cells,
    Judge,
    alarms,
    delay,
    interval,
    until,
)
from bench.drift_usual import RULES, Counts, evidently
from bench.drift_world import REFERENCE_ROWS, WORLDS, rows
from bench.measure import machine
from pipelines.core.settings import ROOT
from pipelines.parts.drift.coding import Floats

DRIFTED = 200
"""Streams of each change."""
CHANGES: dict[str, dict[str, Any]] = {
    **{f"{s} σ in {c} of 30": {"shift": s, "columns": c} for s in (0.1, 0.2, 0.3) for c in (1, 3, 10)},
    "two categories swap": {"swap": True},
    "10 % go missing in one": {"burst": 0.1},
    "correlation 0 → 0.3 among 5": {"pair": 0.3, "columns": 5},
    "correlation 0 → 0.5 of a pair": {"pair": 0.5, "columns": 2},
}


class World:
    """References of one world, each the first of a stream."""

    def __init__(self, name: str) -> None:
        self.name, self.correlation = name, WORLDS[name]
        self.donors: list[Judge] = []

    def judges(self, streams: int) -> Iterator[tuple[int, np.random.Generator, Judge]]:
        """The same for every caller; the generator goes on with the stream's weeks."""
        for place in range(streams):
            random = np.random.default_rng([17, place])
            judge = Judge.of(rows(random, REFERENCE_ROWS, self.correlation), place)
            if len(self.donors) < DONORS and place == len(self.donors):
                if place >= LIMITS:
                    judge.reference.rates = self.donors[place % LIMITS].reference.rates
                self.donors.append(judge)
            self.donors[place % DONORS].lend(judge)
            yield place, random, judge

    def null(self, streams: int) -> Cells:
        """Alarms per window when nothing drifts, by rows in a window: ours, without and with the floor, and the usual rules'."""
        ours: dict[tuple[str, int], list[list[float]]] = {}
        flags: dict[tuple[str, int], list[float]] = {}
        for _, random, judge in self.judges(streams):
            for size, profiles, counts in self._weeks(judge, random):
                plain, floored = judge.p_values(profiles, size)
                told = {"window": [plain <= WATCHING.false_alarm_rate]}
                for what, p in (("plain", plain), ("floored", floored)):
                    told[what] = [alarms(p[None], judge.limit(size, stated))[0] for stated in STATED]
                for what, each in told.items():
                    ours.setdefault((what, size), []).append([float(rang.mean()) for rang in each])
                for rule, rang in judge.usual(counts).items():
                    flags.setdefault((rule, size), []).append(float(rang.mean()))
        found = {
            ("null", f"{self.name}|{what}", size): [interval(*each) for each in zip(*rates, strict=True)]
            for (what, size), rates in ours.items()
        }
        return found | {("usual", f"{self.name}|{rule}", size): interval(*rates) for (rule, size), rates in flags.items()}

    def _weeks(self, judge: Judge, random: np.random.Generator) -> Iterator[tuple[int, list[Floats], Counts]]:
        """Sizes of windows, and a year of windows as ours see them and as the usual rules do."""
        for size in SIZES[:-1]:
            drawn = rows(random, WEEKS * size, self.correlation)
            yield size, judge.profiles(drawn, WEEKS), Counts.of(drawn, WEEKS)
        size = SIZES[-1]
        drawn = rows(random, BLOCKS * size, self.correlation)
        blocks, counts = judge.profiles(drawn, BLOCKS), Counts.of(drawn, BLOCKS)
        yield size, [each[:WEEKS] for each in blocks], counts.take(np.arange(WEEKS))
        mixed = np.stack([random.choice(BLOCKS, LARGE // size, replace=False) for _ in range(WEEKS)])
        yield LARGE, [each[mixed].sum(axis=1) for each in blocks], reduce(add, (counts.take(some) for some in mixed.T))

    def drift(self, streams: int) -> Cells:
        """Weeks to the first alarm for every change and size: median and share of streams with one."""
        first: dict[tuple[str, str, int], list[float]] = {}
        for place, _, judge in self.judges(min(streams, DRIFTED)):
            for number, (name, change) in enumerate(CHANGES.items()):
                for size in SIZES:
                    random = np.random.default_rng([37, place, number, size])
                    drawn = rows(random, WEEKS * size, self.correlation, **change)
                    p = judge.p_values(judge.profiles(drawn, WEEKS), size)[1]
                    ours = alarms(p[None], judge.limit(size, WATCHING.false_alarm_rate))[0]
                    for rule, rang in {"ours": ours, **judge.usual(Counts.of(drawn, WEEKS))}.items():
                        first.setdefault((rule, name, size), []).append(until(rang))
        return {("drift", f"{rule}|{name}", size): delay(found) for (rule, name, size), found in first.items()}

    def agreement(self, streams: int, windows: int = 20) -> Cells:
        """How often the real Evidently and the same rules here say the same, beside one reference."""
        _, random, judge = next(self.judges(1))
        cells: Cells = {}
        for size in SIZES:
            found = {"windows": windows, "any": 0, "half": 0, "agree": 0}
            for place in range(windows):
                drawn = rows(random, size, self.correlation, shift=0.3 * (place % 2))
                told, real = judge.usual(Counts.of(drawn, 1)), evidently(judge.arrays, drawn.arrays)
                found["any"] += int(place % 2 == 0 and real[0])
                found["half"] += int(place % 2 == 0 and real[1])
                found["agree"] += int(real == (bool(told[RULES[4]][0]), bool(told[RULES[5]][0])))
            cells["evidently", "", size] = found
        return cells


def _of_world(name: str, what: Callable[[World, int], Cells], streams: int) -> Cells:
    return what(World(name), streams)


PARTS: dict[str, Callable[[int], Cells]] = {
    "seasons": drift_seasons.nulls,
    **{f"null, {name}": partial(_of_world, name, World.null) for name in WORLDS},
    "drift": partial(_of_world, "independent", World.drift),
    "drift in a season": drift_seasons.delays,
    "evidently": partial(_of_world, "independent", World.agreement),
}
"""What is measured, given a number of streams."""


def measure(streams: int) -> Cells:
    """All cells, two parts at a time, each on one thread: two that spin on busy cores take ten times as long."""
    cells: Cells = {}
    with ProcessPoolExecutor(2, initializer=threadpool_limits, initargs=(1,)) as pool:
        for told in as_completed([pool.submit(_timed, name, streams) for name in PARTS]):
            found, line = told.result()
            cells |= found
            print(line, flush=True)
    return cells


def _timed(name: str, streams: int) -> tuple[Cells, str]:
    started, used = time.perf_counter(), time.process_time()
    cells = PARTS[name](streams)
    return cells, f"{name}: {time.perf_counter() - started:.0f} s, {time.process_time() - used:.0f} s of processor time"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.drift_calibration", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--streams", type=int, default=1_000)
    parser.add_argument("--write", action="store_true", help="write docs/drift.md and its plot")
    arguments = parser.parse_args()
    started = time.perf_counter()
    cells = measure(arguments.streams)
    spent = f"{(time.perf_counter() - started) / 60:.0f} minutes"
    from bench.drift_tables import plot, tables

    text = tables(cells, f"{machine()}; {spent}, two processes", arguments.streams)
    print(text)
    if arguments.write:
        page = ROOT / "docs" / "drift.md"
        before = page.read_text(encoding="utf-8").partition("<!-- tables -->")[0]
        page.write_text(f"{before}<!-- tables -->\n\n{text}", encoding="utf-8")
        plot(cells, ROOT / "docs" / "images" / "drift.png")


if __name__ == "__main__":
    main()
