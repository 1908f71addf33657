"""What simulators share: seeded draws, planted effects, drift by name.

A simulator is a function ``simulate(folder, rows, seed, drift)`` named in the catalog, which writes the data set's files
with the published schema. It plants effects that are known, so that a test can ask whether a model finds them, and drift
that is asked for by name and strength, so that monitoring can be seen to find it.

>>> def simulate(rows, seed, drift):
...     strength = strengths(drift, {"price": "raises every price by this share"})
...     return generator(seed, "prices").uniform(1, 2, rows) * (1 + strength["price"])
>>> bool((simulate(3, 1, {"price": 0.5}) == 1.5 * simulate(3, 1, {})).all())
True
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipelines.core.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A random generator for one purpose: what is drawn for another purpose does not shift it."""
    import numpy as np

    return np.random.default_rng([seed, int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8])])


def strengths(drift: Mapping[str, float], known: Mapping[str, str]) -> dict[str, float]:
    """The strength of every drift a simulator knows, 0 where none was asked for.

    `known` is name to description. Raises ConfigError for an unknown name, with close matches.
    """
    for name in drift:
        if name not in known:
            raise ConfigError(f"ingest.drift: this simulator has no drift {name!r}; {did_you_mean(name, known)}")
    return {name: float(drift.get(name, 0.0)) for name in known}


def outcome(rng: np.random.Generator, effects: Mapping[str, NDArray[Any]], rate: float) -> NDArray[np.bool_]:
    """Draw a yes or no per row from the sum of planted effects, so that a share `rate` is yes on average.

    `effects` holds one array of log-odds contributions per cause, shape (rows,) each. The intercept is found by bisection,
    so the rate holds whatever the effects are.
    """
    import numpy as np

    if not 0 < rate < 1:
        raise ConfigError(f"a rate between 0 and 1 was expected, found {rate}; mend the simulator's call of outcome()")
    total = np.sum(list(effects.values()), axis=0)
    low, high = -40.0 - float(np.max(total, initial=0)), 40.0 - float(np.min(total, initial=0))
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if float(np.mean(_logistic(total + middle))) < rate else (low, middle)
    drawn: NDArray[np.bool_] = rng.random(len(total)) < _logistic(total + (low + high) / 2)
    return drawn


def _logistic(x: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    return np.asarray(1 / (1 + np.exp(-x)))
