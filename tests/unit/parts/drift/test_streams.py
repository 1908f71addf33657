"""Weeks that share a reference: how alike they are, and alarms as rare as stated however large the windows are beside it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from pipelines.parts.drift import Reference, Watching, sequence
from pipelines.parts.drift.sequence import ALLOWANCE, limit
from pipelines.parts.drift.streams import REFERENCES, WINDOWS, alarm_rates, grown, largest, spans

ROWS, SHARES = 1_200, [0.5, 0.3, 0.2]
LEVELS = list("abc")


def classes(seed):
    """A reference of one channel, so that windows of any size are drawn as counts."""
    return Reference.freeze({"score.class": np.random.default_rng([7, seed]).choice(LEVELS, ROWS, p=SHARES)}, seed=seed)


def asked(rate=0.05):
    return Watching(false_alarm_rate=rate, resamples=2000, effect=0.0, rows=50, seed=1)


@pytest.fixture(scope="module")
def lender():
    """Its nulls and limits serve all references: they are the same but for noise."""
    found = classes(0)
    found.alarm_rates(asked())
    return found


def weeks(reference, random, size, windows):
    """p-values of windows of so many rows, from the world that the reference is from."""
    channel = reference.family[0]
    drawn = random.multinomial(size, SHARES, size=windows).astype(float)
    order = [LEVELS.index(level) for level in channel.coder.levels]
    counts = np.concatenate([drawn[:, order], np.zeros((windows, 2))], axis=1)
    return reference.p_values(channel.surprise(counts, channel.total), size, asked())


@pytest.mark.parametrize("ratio", [1, 8, 64])
@pytest.mark.parametrize("rate", [0.05, 0.02])
def test_alarms_are_as_rare_as_stated_however_large_windows_are_beside_the_reference(lender, ratio, rate):
    """600 references with 40 weeks each. Alarms come in clusters, so the bound is 3 standard errors over references."""
    found = []
    for each in range(600):
        random, reference = np.random.default_rng([9, ratio, each]), classes(each)
        reference.nulls, reference.rates = lender.nulls, lender.rates
        evidence, alarms, wanted = 0.0, 0, reference.limit(ratio * ROWS, asked(rate))
        for p in weeks(reference, random, ratio * ROWS, 40).tolist():
            evidence = max(0.0, evidence - np.log(p) - ALLOWANCE)
            if evidence > 0 and evidence >= wanted:
                evidence, alarms = 0.0, alarms + 1
        found.append(alarms / 40)
    assert abs(np.mean(found) - rate) < 3 * np.std(found) / np.sqrt(len(found))


@pytest.mark.parametrize("ratio", [0.25, 2, 16])
def test_two_weeks_beside_one_reference_correlate_as_treatments_with_one_control(ratio):
    """n / (n + m), Dunnett 1955."""
    random, base, mean = np.random.default_rng(1), 100, np.array([0.4, 0.6])
    m, n = 400, round(400 * ratio)
    references, first, second = random.multinomial(base, mean, size=(3, 20_000)).astype(float)
    deviations = [grown(week, base, n, mean)[:, 0] / n - grown(references, base, m, mean)[:, 0] / m for week in (first, second)]
    assert np.corrcoef(*deviations)[0, 1] == pytest.approx(n / (n + m), abs=0.02)
    assert np.var(deviations[0]) == pytest.approx(0.24 * (1 / n + 1 / m), rel=0.05)


def test_sets_do_not_stand_for_smaller_ones():
    with pytest.raises(ValueError, match="sets of 100 rows cannot stand for smaller ones of 50"):
        grown(np.ones((1, 2)), 100, 50, np.ones(2))


@pytest.mark.parametrize("references", [200, 500, 1_000])  # of the sample profiles, by default, and twice as many
def test_limits_hardly_depend_on_what_was_drawn(references):
    """Beside windows twice the reference; of 50 references some draws would be a tenth off and more."""
    reference = classes(0)
    rates = [alarm_rates(reference.family, reference.pool, ROWS, seed, references)[2 * ROWS] for seed in range(3)]
    for each in rates:
        assert np.interp(limit(each, 0.02), sequence.LIMITS, np.mean(rates, axis=0)) == pytest.approx(0.02, rel=0.05)


def test_larger_windows_take_a_higher_limit(lender):
    limits = [lender.limit(ratio * ROWS, asked(0.02)) for ratio in (0.25, 1, 4, 16, 64)]
    assert limits == sorted(limits)
    assert limits[2] > limits[0] + 2
    assert limits[4] > limits[2] + 2


@pytest.mark.parametrize("correlation", [0.02, 0.5])
def test_two_families_in_one_chart_alarm_at_the_rate_of_one(correlation):
    """Labels and columns, as `jointly` joins them; their deviations are taken for independent of each other."""
    random = np.random.default_rng(2)

    def surprising(channels):
        own, shared = (random.normal(size=(1000, size, channels)) for size in (50, 1))
        p = 2 * ndtr(-np.abs(np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own))
        return 1 - (1 - p.min(axis=2)) ** channels

    one, other = surprising(20), surprising(2)
    both = 1 - (1 - np.minimum(one, other)) ** 2
    wanted = limit(sequence.alarm_rates(one, 3), 0.05)
    assert np.interp(wanted, sequence.LIMITS, sequence.alarm_rates(both, 3)) == pytest.approx(0.05, rel=0.12)


def test_every_reference_stands_beside_windows_of_each_size():
    reference = classes(0)
    found = largest(reference.family, reference.pool, ROWS, seed=1, references=90)
    assert list(found) == spans(ROWS) == [300, 1_200, 2_400, 4_800, 19_200, 76_800]
    assert {surprises.shape for surprises in found.values()} == {(3 * REFERENCES, WINDOWS)}
