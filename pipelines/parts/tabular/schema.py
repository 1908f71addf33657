"""What a table must be, declared once: the source of parsing, validation, the quarantine and the messages.

>>> schema = Schema(
...     columns=(
...         Column("customer", "text", optional=True),
...         Column("tenure", "integer", "months with us", low=0, high=120),
...         Column("contract", "category", levels=("monthly", "yearly")),
...         Column("churn", "category", levels=("No", "Yes")),
...     ),
...     target="churn",
...     ids=("customer",),
...     rows=100,
...     balance=(0.1, 0.5),
... )
>>> schema.features
('tenure', 'contract')
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from pipelines.core.errors import ConfigError, did_you_mean

Kind = Literal["number", "integer", "category", "text", "time"]


@dataclass(frozen=True)
class Column:
    """One column: its type and the rules its values keep.

    A blank cell is a missing value. A row that breaks a rule is set aside; a column that breaks one as a whole (absent,
    nothing in it, mostly of another type, mean or missing share out of bounds) stops the run.
    """

    name: str
    kind: Kind
    doc: str = ""
    """What it is, for people: shown in reports."""
    levels: tuple[str, ...] = ()
    """Allowed values of a category, in the order they should be shown; none means any."""
    low: float | None = None
    """Smallest allowed value of a number."""
    high: float | None = None
    """Largest allowed value of a number."""
    nullable: bool = False
    """Whether a cell may be missing."""
    optional: bool = False
    """Whether the whole column may be absent; it is then absent in the cleaned table, too."""
    missing: float | None = None
    """Largest share of missing cells; for a nullable column."""
    mean: tuple[float, float] | None = None
    """Between which values a number's mean lies in a healthy snapshot."""

    def __post_init__(self) -> None:
        if self.levels and self.kind != "category":
            raise ConfigError(f"column {self.name!r}: levels belong to a category, not to a {self.kind}")
        if not self.numeric and any(bound is not None for bound in (self.low, self.high, self.mean)):
            raise ConfigError(f"column {self.name!r}: low, high and mean belong to a number or an integer, not to a {self.kind}")
        if self.missing is not None and not self.nullable:
            raise ConfigError(f"column {self.name!r}: a share of missing cells only makes sense with nullable=True")

    @property
    def numeric(self) -> bool:
        """Whether cells are numbers."""
        return self.kind in ("number", "integer")


@dataclass(frozen=True)
class Rule:
    """A row-level rule over several columns."""

    name: str
    """As a sentence that is true of a good row: `total charges are blank only in the first month`."""
    columns: tuple[str, ...]
    """What it looks at; it is not judged while one of them is broken."""
    holds: Callable[[Any], Any]
    """Parsed table to a boolean series: whether each row keeps the rule."""
    broken: Mapping[str, Any] = field(default_factory=dict)
    """Values that break this rule and no other: the rule's own test (see `mutations`)."""


@dataclass(frozen=True)
class Schema:
    """A table: columns, target, ids, and what holds for it as a whole."""

    columns: tuple[Column, ...]
    target: str | None = None
    """The column to predict. It is never missing and has more than one value."""
    ids: tuple[str, ...] = ()
    """Columns that name a row. Each id occurs once; no model sees them."""
    rules: tuple[Rule, ...] = ()
    rows: int = 1
    """Fewest rows worth working with."""
    balance: tuple[float, float] | None = None
    """Between which shares the last level of the target lies; for a category with declared levels."""
    extra: Literal["drop", "stop"] = "drop"
    """What to do with columns that are not declared here; dropped ones are named in the report."""

    def __post_init__(self) -> None:
        known = [column.name for column in self.columns]
        named = [*self.ids, *([self.target] if self.target else []), *(name for rule in self.rules for name in rule.columns)]
        for name in named:
            if name not in known:
                raise ConfigError(f"the schema has no column {name!r}; {did_you_mean(name, known)}")
        if twice := {name for name in known if known.count(name) > 1}:
            raise ConfigError(f"the schema declares {sorted(twice)} more than once")
        if self.balance and not (self.target and self[self.target].levels):
            raise ConfigError("a class balance needs a target with declared levels; name them, the positive one last")

    def __getitem__(self, name: str) -> Column:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    @property
    def names(self) -> tuple[str, ...]:
        """All declared columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def features(self) -> tuple[str, ...]:
        """Columns a model may see: neither ids nor target."""
        return tuple(name for name in self.names if name not in (*self.ids, self.target))

    @property
    def positive(self) -> str:
        """The level of the target that scores are probabilities of: the last one declared."""
        if self.target is None or not self[self.target].levels:
            raise ConfigError("the schema's target declares no levels, so none is the positive one")
        return self[self.target].levels[-1]
