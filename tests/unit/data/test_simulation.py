"""What simulators share."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.core.errors import ConfigError
from pipelines.data import simulation


def test_draws_for_one_purpose_do_not_shift_another() -> None:
    first = simulation.generator(1, "prices").random(3)
    simulation.generator(1, "names").random(5)
    assert (simulation.generator(1, "prices").random(3) == first).all()
    assert (simulation.generator(1, "names").random(3) != first).any()
    assert (simulation.generator(2, "prices").random(3) != first).any()


def test_an_unknown_drift_gets_a_suggestion() -> None:
    known = {"price": "raises prices", "churn": "more leave"}
    assert simulation.strengths({"price": 0.2}, known) == {"price": 0.2, "churn": 0.0}
    with pytest.raises(ConfigError, match=r"this simulator has no drift 'prise'; did you mean 'price'\?"):
        simulation.strengths({"prise": 0.2}, known)


@pytest.mark.parametrize("rate", [0.02, 0.265, 0.9])
def test_planted_effects_keep_the_rate_and_can_be_found(rate: float) -> None:
    rng = simulation.generator(1, "outcome")
    x = rng.normal(size=20_000)
    drawn = simulation.outcome(rng, {"x": 2 * x, "constant": np.full(20_000, 7.0)}, rate)
    assert drawn.mean() == pytest.approx(rate, abs=0.01)
    assert x[drawn].mean() - x[~drawn].mean() > 0.8


def test_a_rate_must_be_a_share() -> None:
    with pytest.raises(ConfigError, match=r"a rate between 0 and 1 was expected, found 1.5"):
        simulation.outcome(np.random.default_rng(1), {"x": np.zeros(3)}, 1.5)
