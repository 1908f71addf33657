"""One result type for every validation tool."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Check(BaseModel):
    """One rule's verdict on one snapshot."""

    model_config = ConfigDict(frozen=True)

    tool: str
    """Who checked: `pandera`, `great_expectations`, or a project's own word."""
    column: str | None
    """None for a rule on the whole table or data set."""
    rule: str
    level: Literal["table", "row"]
    """A broken table rule stops the run; rows that break a row rule may be quarantined."""
    failures: int
    """Rows, or for a table rule 0 or 1."""
    examples: tuple[str, ...] = ()
    """A few offenders: row number and value."""

    @property
    def passed(self) -> bool:
        """Whether nothing broke the rule."""
        return self.failures == 0

    def sentence(self) -> str:
        """Column, rule, count and examples on one line."""
        where = f"column {self.column!r}" if self.column else "the data set"
        found = f"{self.failures:,} row{'' if self.failures == 1 else 's'}" if self.level == "row" else "not so"
        examples = f" (e.g. {'; '.join(self.examples[:3])})" if self.examples else ""
        return f"{where}: {self.rule}: {found}{examples}"


class Report(BaseModel):
    """All checks of one snapshot."""

    rows: int
    quarantined: int = 0
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that found something wrong."""
        return tuple(check for check in self.checks if not check.passed)
