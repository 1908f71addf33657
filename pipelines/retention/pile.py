"""Things of one kind that may go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Pile:
    """What a survey has found of one kind."""

    what: str
    sizes: dict[str, int]
    """Bytes by name."""
    take: Callable[[], Iterable[str]]
    """Remove them; the names of those that are gone. One that has come into use since the survey stays."""


def report(piles: Sequence[Pile], *, apply: bool) -> dict[str, Any]:
    """Remove the piles, one after the other, if told to; what went, or what would go.

    Returns ``{"applied", "bytes", "count", "places": [{"what", "count", "bytes", "names"}]}``.
    """
    places: list[dict[str, Any]] = []
    for pile in piles:
        names = sorted(pile.take()) if apply else sorted(pile.sizes)
        size = sum(pile.sizes[name] for name in names)
        places.append({"what": pile.what, "count": len(names), "bytes": size, "names": names})
    total = {key: sum(int(place[key]) for place in places) for key in ("bytes", "count")}
    return {"applied": apply, **total, "places": places}
