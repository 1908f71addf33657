"""How often the chart alarms over weeks that share one reference, by simulation from the reference's own rows.

What a test sees of a window is its deviation from the reference. In units of the rows' covariance it has the variance
1/n + 1/m, for n rows in the window and m in the reference, and allowing for both makes each week's p-value right. But 1/m of
it is the same in all weeks of a champion: the deviations of any two weeks have the correlation n / (n + m), that of several
treatments compared with one control (Dunnett 1955). Alarms without drift then come in clusters, the more so the larger
windows are beside the reference, and the chart has to reach further for the same rate. So the limit depends on n / m; in a
window as large as all the future, every week says the same. Where a season decides which rows a week is compared with, weeks near
each other share most of them and others none (`moving`).

References and windows are drawn from the rows with replacement (bootstrap, Efron 1979), whole rows, so that channels depend
on each other as they do. Of sets of `base` rows all larger sizes are made: a profile is a sum over rows, and by the central
limit theorem the mean over `size` rows deviates as that over `base` rows does, less by the root of base / size (`grown`). The
p-value of each is its rank among all of its size, so that what clusters is measured and what each week alarms is given.

Where weeks share references the rate is known as well as these are many, not as the windows are: at n = 2 m limits from 50
references realised the rate to a tenth, those from 500 to a few hundredths, those from 200 (the sample profiles) lie between. More
would not help: a p-value of .05 from 500 drawn windows is known to a fifth of itself, by the binomial law.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipelines.parts.drift import sequence
from pipelines.parts.drift.channels import Channel
from pipelines.parts.drift.coding import Floats, Positions

RATIOS = (0.25, 1.0, 2.0, 4.0, 16.0, 64.0)
"""Rows of a window to rows of the reference, for which limits are simulated. Below the first the limit hardly depends on it."""
REFERENCES, WINDOWS = 40, 50
"""Simulated references and windows in a group, each reference beside all windows of its group."""
BASE = 1_000
"""Rows of a drawn set at most."""


def spans(rows: int) -> Sequence[int]:
    """Sizes of simulated windows beside a reference of so many rows, ascending."""
    return sorted({max(2, round(ratio * rows)) for ratio in RATIOS})


def alarm_rates(
    family: Sequence[Channel], pool: Positions, rows: int, seed: int, references: int, together: int = 0
) -> dict[int, Floats]:
    """Alarms per window without drift for each of `sequence.LIMITS`, by window size, beside references of `rows` rows.

    `pool`: positions of the rows to draw from. `references`: how many are drawn at least. `together`: windows in a row that have reference
    rows in common, one row less each time (see `moving`); by default all windows have all of them.
    """
    found = {}
    for size, surprises in largest(family, pool, rows, seed, references, together).items():
        p_values = np.empty(surprises.size)
        p_values[np.argsort(-surprises, axis=None)] = np.arange(1, surprises.size + 1) / surprises.size
        found[size] = sequence.alarm_rates(p_values.reshape(surprises.shape), seed, REFERENCES if together else 1)
    return found


def largest(
    family: Sequence[Channel], pool: Positions, rows: int, seed: int, references: int, together: int = 0
) -> dict[int, Floats]:
    """Largest surprise over all channels by window size, each (references, windows)."""
    random, sizes, groups = np.random.default_rng([seed, rows]), spans(rows), -(-references // REFERENCES)
    found = {size: np.zeros((groups, REFERENCES, WINDOWS)) for size in sizes}
    middle = [channel.profiles(pool[None])[0] / pool.size for channel in family]
    for group in range(groups):
        drawn = random.choice(pool, (REFERENCES + WINDOWS, min(BASE, sizes[0])))
        for channel, mean in zip(family, middle, strict=True):
            profiles = channel.profiles(drawn)
            if (profiles == profiles[0]).all():  # as in a column of which nothing is missing: sets that are equal surprise nobody
                continue
            beside = pool.size if channel.kind == "joint" else rows  # see `Joint`: the others have the rows it learnt from, too
            sets = profiles[:REFERENCES]
            if together:
                sets = moving(sets, drawn.shape[1], mean, together)
            compared = grown(sets, drawn.shape[1], beside, mean)[:, None]
            if channel.kind != "joint":  # of a level that none of them had
                np.maximum(compared, 0.0, out=compared)
            for size in sizes:
                windows = grown(profiles[REFERENCES:], drawn.shape[1], size, mean)
                np.maximum(found[size][group], channel.surprise(windows, compared), out=found[size][group])
    return {size: surprises.reshape(-1, WINDOWS) for size, surprises in found.items()}


def moving(profiles: Floats, base: int, mean: Floats, together: int) -> Floats:
    """As many profiles, in a ring, of which each has all but a share of d / `together` of its rows in common with the d-th after
    it: sums of the deviations of `together` sets that follow each other, which deviate as much as one.

    `profiles`: of sets of `base` rows. `mean`: that of one row.
    """
    apart, summed = profiles - base * mean, np.zeros_like(profiles)
    for place in range(together):
        summed += np.roll(apart, -place, axis=0)
    made: Floats = base * mean + summed / np.sqrt(together)
    return made


def grown(profiles: Floats, base: int, size: int, mean: Floats) -> Floats:
    """Profiles as of `size` rows, made of those of fewer, `base`; `mean`: that of one row."""
    if size < base:
        raise ValueError(f"sets of {base} rows cannot stand for smaller ones of {size}: their counts would fall below 0")
    made: Floats = size * (mean + np.sqrt(base / size) * (profiles / base - mean))
    return made
