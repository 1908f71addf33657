"""The registry's memory: an append-only, numbered list of decisions per project, in the artifact store.

MLflow keeps versions and aliases and forgets how they moved. Here every promotion, rejection and rollback is one record
that is created exactly once under the next number, so two pipelines that promote at the same time cannot both win: the
second finds its number taken, reads again, and sees that the champion it was compared with is no longer the champion.
The aliases in MLflow are derived from this list and can be rebuilt from it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipelines.core.approvals import Answer
from pipelines.core.artifacts import Ref
from pipelines.core.errors import GateRefused
from pipelines.core.journal import Journal
from pipelines.core.scrub import scrub
from pipelines.core.store import Store


class Entry(BaseModel):
    """One line of a project's history."""

    model_config = ConfigDict(frozen=True)

    number: int = 0
    kind: Literal["promotion", "rejection", "rollback", "baseline"]
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    as_of: datetime | None = None
    """Of the run that decided: its time in the data. None for a person's command."""
    run: str
    """Id of the run, or `cli` for a person's command."""
    by: str = ""
    """The person who decided instead of the gates, and where; empty for a run's own decision."""
    why: str
    version: int | None = None
    """Version in the model registry. For a rollback, the one restored."""
    candidate: str = ""
    model: Ref | None = None
    models: tuple[str, ...] = ()
    """Digests of all candidates that took part."""
    decision: Ref | None = None
    approval: Answer | None = None
    """What a person said of it, where the project asks for that."""
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
        """The newest promotion of a version: what belongs to it. Who serves, and since when, the moves say."""
        return next((e for e in reversed(self.entries) if e.kind == "promotion" and e.version == number), None)

    @property
    def moves(self) -> tuple[Entry, ...]:
        """Every entry that put a version in service, oldest first."""
        return tuple(e for e in self.entries if e.kind in ("promotion", "rollback") and e.version is not None)

    @property
    def served(self) -> tuple[int, ...]:
        """The versions that rollbacks lead down through: on top the champion, below it those it took over from.

        A promotion puts its version on top, a rollback takes off whatever lies above the one that it restores. Each version
        lies there once, where it served last: a model that is champion again, for the months look alike, has below it the
        one it took over from, and who goes back from there does not meet it a second time.
        """
        stack: list[int] = []
        for move in self.moves:
            assert move.version is not None
            if move.kind == "rollback" and move.version in stack:
                del stack[stack.index(move.version) + 1 :]
            else:
                stack = [*(version for version in stack if version != move.version), move.version]
        return tuple(stack)

    @property
    def champion(self) -> Entry | None:
        """The promotion entry of the version that serves now."""
        served = self.served
        return self.version(served[-1]) if served else None

    @property
    def since(self) -> datetime | None:
        """When the champion began to serve, this time; None while nobody does."""
        return self.moves[-1].at if self.moves else None

    @property
    def previous(self) -> Entry | None:
        """The champion before this one: where a rollback leads."""
        served = self.served
        return self.version(served[-2]) if len(served) > 1 else None

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

    def incumbent(self, winner: str) -> Entry | None:
        """Whom a winner, a model's digest, is compared with: the champion, or, if it is the champion, the one before it.

        So a run that is repeated sees the same opponent, reaches the same decision and changes nothing.
        """
        champion = self.champion
        return self.previous if champion and champion.model and champion.model.digest == winner else champion


class Ledger:
    """Reads and appends a project's history."""

    def __init__(self, store: Store, until: datetime | None = None) -> None:
        """`until` leaves out what was decided with later data: a year that is rehearsed twice, or in parts, goes as it went."""
        self.store, self.until = store, until

    def history(self, project: str) -> History:
        """All entries of a project, oldest first; none when it was never judged."""
        return self._known(self._journal(project).entries())

    def append(self, project: str, entry: Entry, *, champion: int | Literal["any"] | None = "any") -> Entry:
        """Write the next entry, without secrets, provided that the champion's version is still `champion`.

        Raises GateRefused when another run has moved the champion meanwhile.
        """

        def provided(entries: tuple[Entry, ...]) -> Entry:
            serving = self._known(entries).champion
            now = serving.version if serving else None
            if champion != "any" and now != champion:
                raise GateRefused(
                    f"{project}: version {now} became champion while this run was compared with version {champion}; "
                    "nothing was changed. Run evaluate again, so that the new champion is the opponent."
                )
            return entry.model_copy(update={"why": scrub(entry.why)})

        written = self._journal(project).append(provided)
        assert written is not None, "there is always an entry to write, or GateRefused"
        return written

    def _known(self, entries: tuple[Entry, ...]) -> History:
        known = entries if self.until is None else tuple(e for e in entries if e.as_of and e.as_of <= self.until)
        return History(entries=tuple(sorted(known, key=lambda e: (e.as_of, e.number)) if self.until else known))

    def _journal(self, project: str) -> Journal[Entry]:
        return Journal(self.store, f"ledger/{project}", Entry)
