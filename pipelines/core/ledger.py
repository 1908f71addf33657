"""The registry's memory: an append-only, numbered list of decisions per project, in the artifact store.

MLflow keeps versions and aliases and forgets how they moved. Here every promotion, rejection and rollback is one record
that is created exactly once under the next number, so two pipelines that promote at the same time cannot both win: the
second finds its number taken, reads again, and sees that the champion it was compared with is no longer the champion.
The aliases in MLflow are derived from this list and can be rebuilt from it.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipelines.core.artifacts import Ref
from pipelines.core.errors import GateRefused
from pipelines.core.store import Store


class Entry(BaseModel):
    """One line of a project's history."""

    model_config = ConfigDict(frozen=True)

    number: int = 0
    kind: Literal["promotion", "rejection", "rollback", "baseline"]
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    run: str
    """Id of the run, or `cli` for a person's command."""
    why: str
    version: int | None = None
    """Version in the model registry. For a rollback, the one restored."""
    candidate: str = ""
    model: Ref | None = None
    models: tuple[str, ...] = ()
    """Digests of all candidates that took part."""
    decision: Ref | None = None
    replaced: int | None = None
    """Version that was champion before."""
    artifacts: dict[str, Ref] = Field(default_factory=dict)
    """What belongs to the version: snapshot, leaderboard, card; for a baseline entry the reference."""
    lineage: dict[str, str] = Field(default_factory=dict)
    """Where the model came from: commit, lock, data, parameters, run ids."""
    metrics: dict[str, Any] = Field(default_factory=dict)


class History(BaseModel):
    """A project's entries in order, and what follows from them."""

    entries: tuple[Entry, ...] = ()

    def version(self, number: int) -> Entry | None:
        """The promotion that created a version."""
        return next((e for e in self.entries if e.kind == "promotion" and e.version == number), None)

    @property
    def champion(self) -> Entry | None:
        """The promotion entry of the version that serves now."""
        moves = [e for e in self.entries if e.kind in ("promotion", "rollback")]
        return self.version(moves[-1].version) if moves and moves[-1].version is not None else None

    @property
    def previous(self) -> Entry | None:
        """The champion before this one: where a rollback leads."""
        champion = self.champion
        return self.version(champion.replaced) if champion and champion.replaced is not None else None

    @property
    def blocked(self) -> set[str]:
        """Digests of models that were rolled back; they are not promoted again, unless a person restored them since."""
        gone: set[int | None] = set()
        for entry in self.entries:
            if entry.kind == "rollback":
                gone = (gone | {entry.replaced}) - {entry.version}
        return {e.model.digest for e in self.entries if e.kind == "promotion" and e.version in gone and e.model}

    @property
    def baseline(self) -> Ref | None:
        """The champion's drift reference."""
        champion = self.champion
        found = [e for e in self.entries if e.kind == "baseline" and champion and e.version == champion.version]
        return found[-1].artifacts["baseline"] if found else None

    def incumbent(self, models: Collection[str]) -> Entry | None:
        """Whom these candidates are compared with: the champion, or, if the champion is one of them, the one before it.

        So a run that is repeated sees the same opponent, reaches the same decision and changes nothing.
        """
        champion = self.champion
        if champion and set(champion.models) == set(models):
            return self.previous
        return champion


class Ledger:
    """Reads and appends a project's history."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def history(self, project: str) -> History:
        """All entries of a project, oldest first; none when it was never judged."""
        keys = self.store.keys(f"ledger/{project}/")
        return History(entries=tuple(Entry.model_validate_json(self.store.read(key) or b"") for key in keys))

    def append(self, project: str, entry: Entry, *, champion: int | Literal["any"] | None = "any") -> Entry:
        """Write the next entry, provided that the champion's version is still `champion`.

        Raises GateRefused when another run has moved the champion meanwhile.
        """
        while True:
            history = self.history(project)
            now = history.champion.version if history.champion else None
            if champion != "any" and now != champion:
                raise GateRefused(
                    f"{project}: version {now} became champion while this run was compared with version {champion}; "
                    "nothing was changed. Run evaluate again, so that the new champion is the opponent."
                )
            numbered = entry.model_copy(update={"number": len(history.entries) + 1})
            key = f"ledger/{project}/{numbered.number:06d}.json"
            if self.store.create(key, numbered.model_dump_json(indent=1).encode()):
                return numbered
