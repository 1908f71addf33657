from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.parts.vision.recipe import Recipe
from pipelines.parts.vision.schedules import Plateau, schedule


def test_a_cosine_rises_over_the_warm_up_and_ends_near_zero() -> None:
    cosine = schedule(Recipe(warmup=0.2), 10)
    factors = [cosine.factor(step) for step in range(10)]
    assert factors[:3] == [0.5, 1.0, 1.0]
    assert factors[6] == pytest.approx(0.5)
    assert factors[2:] == sorted(factors[2:], reverse=True)
    assert 0 < factors[-1] < 0.05


@given(total=st.integers(1, 200), warmup=st.floats(0, 0.99), kind=st.sampled_from(["cosine", "plateau", "constant"]))
def test_factors_stay_between_zero_and_one(total: int, warmup: float, kind: str) -> None:
    made = schedule(Recipe(warmup=warmup, schedule=kind), total)
    assert all(0 <= made.factor(step) <= 1 for step in range(total))


def test_a_plateau_drops_after_waiting_and_again_after_waiting_anew() -> None:
    plateau = Plateau(total=100, warm=0, drop=0.1, wait=2)
    seen = []
    for loss in (1.0, 0.9, 0.95, 0.9, 0.9, 0.9, 0.5, 0.5):
        plateau.observe(loss)
        seen.append(plateau.factor(0))
    assert seen == pytest.approx([1, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.01])


def test_a_plateau_goes_on_where_it_was() -> None:
    first, second = Plateau(100, 0, 0.1, 2), Plateau(100, 0, 0.1, 2)
    for loss in (1.0, 1.0):
        first.observe(loss)
    second.restore(first.state())
    for one in (first, second):
        one.observe(1.0)
    assert first.factor(5) == second.factor(5) == pytest.approx(0.1)


def test_a_constant_rate_stays_after_the_warm_up() -> None:
    constant = schedule(Recipe(schedule="constant", warmup=0.5), 4)
    assert [constant.factor(step) for step in range(4)] == [0.5, 1.0, 1.0, 1.0]
