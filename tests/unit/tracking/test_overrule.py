"""A person overrules the gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from toy_chain import promote

from pipelines.core.errors import ConfigError, GateRefused
from pipelines.core.execution import Session
from pipelines.core.settings import Settings
from pipelines.tracking import registry
from pipelines.tracking.overrule import overrule
from pipelines.tracking.versions import Versions


def test_a_refused_version_serves_when_a_person_says_so(
    toy_session: Callable[..., Session], chain: Callable[..., dict[str, Any]], settings: Settings
) -> None:
    def run(model: float, incumbent: int | None, *, accept: bool) -> dict[str, Any]:
        session = toy_session()
        return promote(session, chain(session, model=model, incumbent=incumbent, accept=accept))

    run(1.0, None, accept=True)
    with pytest.raises(ConfigError, match="no challenger"):
        overrule(settings, "toy")
    run(2.0, 1, accept=False)
    entry = overrule(settings, "toy", why="the floor is old")
    assert (entry.kind, entry.version, entry.replaced) == ("promotion", 2, 1)
    assert Versions(settings, "toy").aliases() == {"champion": 2, "previous": 1}
    assert run(2.0, 1, accept=False)["outcome"] == "promoted"  # the run again: carried out, by a person
    with pytest.raises(ConfigError, match="champion of toy already"):
        overrule(settings, "toy", 2)
    with pytest.raises(ConfigError, match="pipelines rollback toy --to 1"):
        overrule(settings, "toy", 1)

    registry.rollback(settings, "toy", why="complaints")
    with pytest.raises((ConfigError, GateRefused), match=r"rollback|rolled back"):
        overrule(settings, "toy", 2)


def test_a_former_champion_that_was_refused_since_serves_again_when_a_person_says_so(
    toy_session: Callable[..., Session], chain: Callable[..., dict[str, Any]], settings: Settings
) -> None:
    for model, incumbent, accept in ((1.0, None, True), (2.0, 1, True), (1.0, 2, False)):
        session = toy_session()
        promote(session, chain(session, model=model, incumbent=incumbent, accept=accept))
    entry = overrule(settings, "toy", why="better for the summer")
    assert (entry.kind, entry.version, entry.replaced) == ("promotion", 1, 2)
    past = registry.history("toy", settings)
    assert past.served == (2, 1)
    assert past.blocked == set(), "nobody has gone back from version 2"
