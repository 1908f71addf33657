"""A person promotes what the gate refused. The history says so, and why."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from pipelines.core.errors import ConfigError, GateRefused
from pipelines.core.ledger import Entry, Ledger
from pipelines.core.settings import Settings
from pipelines.core.store import Store
from pipelines.tracking import references, registry


def overrule(
    settings: Settings,
    project: str,
    version: int | str = "challenger",
    why: str = "by hand",
    by: str = "",
    tell: Callable[[str], None] = registry.log.warning,
) -> Entry:
    """Make a version champion that was refused when it was judged last; its evidence and lineage stay what they were.

    Its drift reference is frozen from what its run has left. `by` is the person, and where. `tell` gets a sentence when MLflow is
    down, or when no reference could be frozen: the version serves all the same.

    Raises ConfigError for a version that does not exist or is or was champion, GateRefused when its model was rolled back or
    when another version became champion meanwhile.
    """
    past = registry.history(project, settings)
    if version == "challenger" and "challenger" not in registry.derived_aliases(past):
        raise ConfigError(f"{project} has no challenger, for nothing was refused; `pipelines history {project}` shows all")
    number = registry.find(project, version, settings).version
    refused = [e for e in past.entries if e.kind in ("promotion", "rejection") and e.version == number][-1]
    now = past.champion.version if past.champion else None
    if refused.version == now:
        raise ConfigError(f"version {now} is the champion of {project} already; nothing to do")
    if refused.kind == "promotion":
        raise ConfigError(
            f"version {refused.version} of {project} was champion before; "
            f"`pipelines rollback {project} --to {refused.version}` restores it"
        )
    if refused.model and refused.model.digest in past.blocked:
        raise GateRefused(f"the model of version {refused.version} was rolled back as another version; roll back to that one")
    entry = refused.model_copy(
        update={
            "kind": "promotion",
            "at": datetime.now(UTC),
            "by": by,
            "why": f"promoted by a person: {why}",
            "replaced": now,
        }
    )
    store = Store.open(settings.store, settings.home / "cache" / "store")
    written = Ledger(store).append(project, entry, champion=now)
    registry.follow_if_possible(settings, project, store, tell)
    try:
        references.freeze(settings, project)
    except Exception as error:  # the project's own code looks at its rows here, and the version serves whatever it says
        tell(
            f"Version {written.version} of {project} serves, and monitoring cannot judge it, for no reference could be frozen: {error}"
        )
    return written
