"""An interval for a share of rows, where a bootstrap would be too slow or too coarse."""

from __future__ import annotations

import math
from statistics import NormalDist


def wilson(hits: float, rows: int, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of Wilson 1927 (JASA 22:158) for `hits` successes in `rows` trials; (0, 1) without rows.

    >>> low, high = wilson(90, 100)
    >>> round(low, 3), round(high, 3)
    (0.826, 0.945)
    """
    if not rows:
        return 0.0, 1.0
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    share = hits / rows
    centre = (share + z2 / (2 * rows)) / (1 + z2 / rows)
    half = math.sqrt(z2 * (share * (1 - share) / rows + z2 / (4 * rows * rows))) / (1 + z2 / rows)
    return max(0.0, centre - half), min(1.0, centre + half)
