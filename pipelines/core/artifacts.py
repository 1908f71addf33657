"""Artifacts are immutable and named by content; between stages only references travel."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Ref(BaseModel):
    """A reference to an artifact: what XCom, DVC's workspace and memos hold in place of the data."""

    model_config = ConfigDict(frozen=True)

    name: str
    """What the producing stage calls it, e.g. `cleaned`."""
    digest: str
    """sha256 of the content, hex. For a folder: of its sorted list of paths and digests."""
    codec: str
    """Name of the codec that reads it."""
    size: int
    """Bytes."""


class Manifest(BaseModel):
    """What the store keeps beside each artifact."""

    ref: Ref
    project: str
    stage: str
    """The node that wrote it first, e.g. `train-xgboost`."""
    fingerprint: str
    """Fingerprint of that execution: inputs, parameters, code and environment."""
    files: dict[str, str] | None = None
    """For a folder: relative path to digest of each file."""
    columns: dict[str, str] | None = None
    """For a table: column name to type."""

    @property
    def objects(self) -> set[str]:
        """Digests of all the objects it consists of."""
        return {self.ref.digest, *(self.files or {}).values()}


class StageResult(BaseModel):
    """What an executed or reused stage hands to the next ones."""

    node: str
    fingerprint: str
    outputs: dict[str, Ref]
    reused: bool = False
    """Answered from the store, or, for a stage that always runs, it found nothing left to do."""
    lasting: bool = True
    """Whether it answers the same question the next time; see `Context.lasting`."""
    seconds: float = 0.0
    """Wall time of the body, reading and writing included; of the look-up when reused."""
