"""How often drift checks cry wolf, and what they see: ours beside the usual rules, on the same windows.

Usage: python -m bench.drift_calibration [--streams 1000] [--write]

A stream is a reference of its own and 52 weeks. Every row is drawn and every statistic of ours is the product's, on all weeks
of all streams; three things are shared so that it ends in minutes. Windows of 10,000 rows are sums of 10 of a stream's 104
blocks of 1,000, for profiles add up. What a reference draws of its own rows, nulls and limits, is drawn for `DONORS` and
`LIMITS` of the references and lent to the others: it is the same for all but for noise. And the usual rules, which remember
nothing, judge some weeks of some streams; their streams are drawn from these.

With --write the tables go into docs/drift.md and the plot into docs/images.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.drift_world import REFERENCE_ROWS, RULES, WORLDS, Coded, Drawn, evidently, rows, usual
from bench.measure import machine
from pipelines.core.settings import ROOT
from pipelines.parts.drift import Reference, Watching, sequence
from pipelines.parts.drift.coding import Floats

WATCHING = Watching(false_alarm_rate=0.05, resamples=500, effect=0.05, rows=50, seed=1)
STATED = (0.05, 0.02)
"""Rates for which the chart is measured: one where there is more to count, and the default."""
WEEKS = 52
SIZES = (200, 500, 1_000)
LARGE, BLOCKS = 10_000, 104
"""Rows in the largest windows, and the blocks of 1,000 they are made of."""
DONORS, LIMITS = 50, 5
"""References that draw nulls of their own, and limits."""
JUDGED = {200: (60, 52), 500: (60, 52), 1_000: (60, 16), LARGE: (60, 6)}
"""Streams and weeks of each that the usual rules judge when nothing drifts, by rows in a window."""
DRIFTED, SEEN = 200, (40, 8)
"""Streams of each change; how many of them, and weeks of each, the usual rules judge."""
YEARS = 20
"""References with seasons."""
CHANGES: dict[str, dict[str, Any]] = {
    **{f"{s} σ in {c} of 30": {"shift": s, "columns": c} for s in (0.1, 0.2, 0.3) for c in (1, 3, 10)},
    "two categories swap": {"swap": True},
    "10 % go missing in one": {"burst": 0.1},
    "correlation 0 → 0.3 among 5": {"pair": 0.3, "columns": 5},
    "correlation 0 → 0.5 of a pair": {"pair": 0.5, "columns": 2},
}
Flags = NDArray[np.bool_]
Cells = dict[tuple[str, str, int], Any]


@dataclass(frozen=True)
class Judge:
    """One reference, asked what it makes of windows."""

    arrays: dict[str, NDArray[Any]]
    coded: Coded

    @classmethod
    def of(cls, drawn: Drawn, seed: int) -> Judge:
        return cls(drawn.arrays, Coded(Reference.freeze(drawn.arrays, seed=seed)))

    @property
    def reference(self) -> Reference:
        return self.coded.reference

    def lend(self, other: Judge) -> None:
        """Give another one of the same world what was drawn here."""
        other.reference.nulls, other.reference.rates = self.reference.nulls, self.reference.rates

    def profiles(self, drawn: Drawn, sets: int) -> list[Floats]:
        """Of equal windows one after another, for each channel."""
        seen = self.coded.rows(drawn)
        return [channel.observed(seen, sets) for channel in self.reference.family]

    def p_values(self, profiles: list[Floats], size: int) -> tuple[Floats, Floats]:
        """Of windows of so many rows, without the floor on the effect and with it."""
        plain, floored = np.ones(len(profiles[0])), np.ones(len(profiles[0]))
        for channel, windows in zip(self.reference.family, profiles, strict=True):
            p = self.reference.p_values(channel.surprise(windows, channel.total), size, WATCHING)
            np.minimum(plain, p, out=plain)
            np.minimum(floored, np.where(channel.effect(windows) >= WATCHING.effect, p, 1.0), out=floored)
        return plain, floored

    def limit(self, size: int, stated: float) -> float:
        return self.reference.limit(size, replace(WATCHING, false_alarm_rate=stated))

    def usual(self, drawn: Drawn, sets: int) -> dict[str, Flags]:
        """What the usual rules say of equal windows one after another."""
        return usual(self.arrays, drawn.arrays, sets)


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
        for place, random, judge in self.judges(streams):
            for size, profiles, drawn in self._weeks(judge, random):
                plain, floored = judge.p_values(profiles, size)
                told = {"window": [plain <= WATCHING.false_alarm_rate]}
                for what, p in (("plain", plain), ("floored", floored)):
                    told[what] = [alarms(p[None], judge.limit(size, stated))[0] for stated in STATED]
                for what, each in told.items():
                    ours.setdefault((what, size), []).append([float(rang.mean()) for rang in each])
                if place < JUDGED[size][0]:
                    weeks = JUDGED[size][1]
                    for rule, rang in judge.usual(drawn.first(weeks * size), weeks).items():
                        flags.setdefault((rule, size), []).append(float(rang.mean()))
        found = {
            ("null", f"{self.name}|{what}", size): [interval(*each) for each in zip(*rates, strict=True)]
            for (what, size), rates in ours.items()
        }
        return found | {("usual", f"{self.name}|{rule}", size): interval(*rates) for (rule, size), rates in flags.items()}

    def _weeks(self, judge: Judge, random: np.random.Generator) -> Iterator[tuple[int, list[Floats], Drawn]]:
        """Sizes of windows, profiles of a year of them, and their rows, as far as the usual rules judge them."""
        for size in SIZES[:-1]:
            drawn = rows(random, WEEKS * size, self.correlation)
            yield size, judge.profiles(drawn, WEEKS), drawn
        size = SIZES[-1]
        drawn = rows(random, BLOCKS * size, self.correlation)
        blocks = judge.profiles(drawn, BLOCKS)
        yield size, [each[:WEEKS] for each in blocks], drawn
        mixed = np.stack([random.choice(BLOCKS, LARGE // size, replace=False) for _ in range(WEEKS)])
        shown = mixed[: JUDGED[LARGE][1], :, None] * size + np.arange(size)
        yield LARGE, [each[mixed].sum(axis=1) for each in blocks], drawn.take(shown.ravel())

    def drift(self, streams: int) -> Cells:
        """Weeks to the first alarm for every change and size: median and share of streams with one."""
        first: dict[tuple[str, str, int], list[float]] = {}
        flags: dict[tuple[str, str, int], list[Flags]] = {}
        for place, _, judge in self.judges(streams):
            for number, (name, change) in enumerate(CHANGES.items()):
                for size in SIZES:
                    random = np.random.default_rng([37, place, number, size])
                    drawn = rows(random, SEEN[1] * size, self.correlation, **change)
                    p = judge.p_values(judge.profiles(drawn, SEEN[1]), size)[1]
                    limit = judge.limit(size, WATCHING.false_alarm_rate)
                    if not alarms(p[None], limit).any():
                        rest = rows(random, (WEEKS - SEEN[1]) * size, self.correlation, **change)
                        p = np.append(p, judge.p_values(judge.profiles(rest, WEEKS - SEEN[1]), size)[1])
                    first.setdefault(("ours", name, size), []).append(until(alarms(p[None], limit)[0]))
                    if place < SEEN[0]:
                        for rule, rang in judge.usual(drawn, SEEN[1]).items():
                            flags.setdefault((rule, name, size), []).append(rang)
        random = np.random.default_rng(5)
        for key, judged in flags.items():
            weeks = np.stack(judged)[(np.arange(streams) % len(judged))[:, None], random.integers(SEEN[1], size=(streams, WEEKS))]
            first[key] = [until(rang) for rang in weeks]
        return {("drift", f"{rule}|{name}", size): delay(found) for (rule, name, size), found in first.items()}

    def seasons(self) -> Cells:
        """Alarms per window over a year, with the floor, of which the reference knew all seasons, or its first quarter alone."""
        found: dict[tuple[str, str, int], list[float]] = {}
        for size in (SIZES[0], SIZES[-1]):
            for name, span in (("a whole year", 52), ("one season", 13)):
                for place in range(YEARS):
                    random = np.random.default_rng([23, place])
                    judge = Judge.of(rows(random, REFERENCE_ROWS, week=random.integers(span, size=REFERENCE_ROWS)), place)
                    judge.reference.rates = self.donors[0].reference.rates
                    drawn = rows(random, WEEKS * size, week=np.repeat(np.arange(WEEKS), size))
                    for what, p in zip(("plain", "floored"), judge.p_values(judge.profiles(drawn, WEEKS), size), strict=True):
                        rang = alarms(p[None], judge.limit(size, WATCHING.false_alarm_rate))
                        found.setdefault(("season", f"{name}|{what}", size), []).append(float(rang.mean()))
        return {key: interval(*rates) for key, rates in found.items()}

    def agreement(self, size: int, windows: int) -> Cells:
        """How often the real Evidently and the same rules in numpy say the same."""
        _, random, judge = next(self.judges(1))
        found = {"windows": windows, "any": 0, "half": 0, "agree": 0}
        for place in range(windows):
            drawn = rows(random, size, self.correlation, shift=0.3 * (place % 2))
            told, real = judge.usual(drawn, 1), evidently(judge.arrays, drawn.arrays)
            found["any"] += int(place % 2 == 0 and real[0])
            found["half"] += int(place % 2 == 0 and real[1])
            found["agree"] += int(real == (bool(told[RULES[4]][0]), bool(told[RULES[5]][0])))
        return {("evidently", "", size): found}


def alarms(p: Floats, limit: float) -> Flags:
    """Alarms of the chart in streams of p-values, (streams, weeks)."""
    evidence, rang = np.zeros(len(p)), np.zeros(p.shape, dtype=bool)
    for week in range(p.shape[1]):
        evidence = np.maximum(0.0, evidence - np.log(p[:, week]) - sequence.ALLOWANCE)
        rang[:, week] = (evidence > 0) & (evidence >= limit)
        evidence[rang[:, week]] = 0.0
    return rang


def interval(*rates: float) -> list[float]:
    """The mean of references' rates, with a 95 % interval by resampling references, and how many they are."""
    values, random = np.array(rates), np.random.default_rng(5)
    drawn = [values[random.integers(values.size, size=values.size)].mean() for _ in range(2_000)]
    return [float(values.mean()), *np.quantile(drawn, [0.025, 0.975]).tolist(), values.size]


def until(rang: Flags) -> float:
    """The week of the first alarm, infinite without one."""
    return float(rang.argmax() + 1) if rang.any() else math.inf


def delay(first: list[float]) -> list[float | None]:
    """Median week of the first alarm, None when half of the streams have none; the share of streams with one."""
    middle = float(np.median(first))
    return [middle if math.isfinite(middle) else None, float(np.isfinite(first).mean())]


def measure(streams: int) -> Cells:
    """All cells."""
    worlds = {name: World(name) for name in WORLDS}
    plain, drifted = worlds["independent"], min(streams, DRIFTED)
    parts: dict[str, Callable[[], Cells]] = {f"null, {name}": partial(world.null, streams) for name, world in worlds.items()}
    parts |= {
        "drift": partial(plain.drift, drifted),
        "seasons": plain.seasons,
        "evidently": partial(plain.agreement, SIZES[0], 20),
    }
    cells: Cells = {}
    for name, compute in parts.items():
        started, used = time.perf_counter(), time.process_time()
        cells |= compute()
        print(f"{name}: {time.perf_counter() - started:.0f} s, {time.process_time() - used:.0f} s of processor time", flush=True)
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.drift_calibration", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--streams", type=int, default=1_000)
    parser.add_argument("--write", action="store_true", help="write docs/drift.md and its plot")
    arguments = parser.parse_args()
    started, used = time.perf_counter(), time.process_time()
    cells = measure(arguments.streams)
    spent = f"{(time.perf_counter() - started) / 60:.0f} minutes, {(time.process_time() - used) / 60:.0f} of processor time"
    from bench.drift_tables import plot, tables

    text = tables(cells, f"{machine()}; {spent}, one process", arguments.streams)
    print(text)
    if arguments.write:
        page = ROOT / "docs" / "drift.md"
        before = page.read_text(encoding="utf-8").partition("<!-- tables -->")[0]
        page.write_text(f"{before}<!-- tables -->\n\n{text}", encoding="utf-8")
        plot(cells, ROOT / "docs" / "images" / "drift.png")


if __name__ == "__main__":
    main()
