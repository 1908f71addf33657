"""What a person said of a promotion, kept once per decision and model: the first answer stands."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field

from pipelines.core.artifacts import Ref
from pipelines.core.scrub import scrub
from pipelines.core.store import Store


class Answer(BaseModel):
    """Whether a decision may be carried out, and who says so."""

    model_config = ConfigDict(frozen=True)

    approved: bool
    by: str
    """Name of the person, or who nobody was."""
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    why: str = ""

    def __str__(self) -> str:
        reason = f": {self.why}" if self.why else ""
        return f"{'approved' if self.approved else 'rejected'} by {self.by} on {self.at:%Y-%m-%d %H:%M} UTC{reason}"


def given(store: Store, project: str, decision: Ref, model: Ref) -> Answer | None:
    """The answer to a decision to promote a model; None while nobody has answered."""
    content = store.read(_key(project, decision, model))
    return Answer.model_validate_json(content) if content else None


def give(store: Store, project: str, decision: Ref, model: Ref, answer: Answer) -> Answer:
    """Keep an answer, without secrets, unless there is one; the one that stands."""
    answer = answer.model_copy(update={"why": scrub(answer.why)})
    store.create(_key(project, decision, model), answer.model_dump_json(indent=1).encode())
    return given(store, project, decision, model) or answer


def _key(project: str, decision: Ref, model: Ref) -> str:
    return f"approvals/{project}/{decision.digest[:32]}-{model.digest[:32]}.json"
