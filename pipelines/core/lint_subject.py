"""A project's definition under examination, and what is found wrong with it: where, on which line, in which profiles."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from pipelines.core import config
from pipelines.core.config import Params, faults_of, resolve_params
from pipelines.core.contract import Project
from pipelines.core.discovery import Definition
from pipelines.core.errors import ConfigError
from pipelines.core.fingerprint import CodeIndex


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a project, and where."""

    file: Path
    line: int | None
    what: str

    @classmethod
    def of_file(cls, file: Path, error: ConfigError) -> Fault:
        """A fault of a whole file, whose name the error says, too."""
        return cls(file, None, str(error).removeprefix(str(file)).removeprefix(":").lstrip())

    def __str__(self) -> str:
        return f"{self.file}{f':{self.line}' if self.line else ''}: {self.what}"


@dataclass
class Subject:
    """A project under examination; what several rules need is worked out once."""

    definition: Definition
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """What `--set` adds, judged as if it stood in params.yaml."""

    @property
    def folder(self) -> Path:
        return self.definition.folder

    @property
    def params_file(self) -> Path:
        return self.definition.params_file

    @property
    def module(self) -> Path:
        return self.folder / "__init__.py"

    @property
    def deployment_file(self) -> Path:
        return self.folder / "deployment.yaml"

    @cached_property
    def resolved(self) -> dict[str, dict[str, Any]]:
        """Profile to unchecked parameters. Raises ConfigError when the file cannot be read."""
        return {name: resolve_params(self.params_file, name, self.overrides) for name in self.definition.profiles}

    @cached_property
    def params(self) -> dict[str, Params]:
        """Profile to parameters, of the profiles that are right."""
        try:
            resolved = self.resolved
        except ConfigError:
            return {}
        return {name: Params.model_validate(raw) for name, raw in resolved.items() if not faults_of(Params, raw)}

    @cached_property
    def files(self) -> dict[str, Path]:
        """The source the project can reach, by module; none when it cannot be parsed."""
        try:
            return CodeIndex(Path(os.devnull), {self.folder.parent}).closure([f"pipelines.projects.{self.definition.name}"])
        except ConfigError:
            return {}

    @cached_property
    def imported(self) -> Project[Any, Any] | Fault:
        """The project, or why it cannot be imported."""
        try:
            return self.definition.project()
        except ConfigError as error:
            return Fault(self.module, None, str(error))
        except Exception as error:
            return Fault(*_origin(error, self.folder), f"cannot be imported: {type(error).__name__}: {error}")

    @property
    def project(self) -> Project[Any, Any] | None:
        return None if isinstance(self.imported, Fault) else self.imported

    def in_params(self, place: Sequence[str | int], what: str, profiles: Sequence[str]) -> Fault:
        """A fault of params.yaml, with its line, and with its profiles when it is not in all of them."""
        where = "" if set(profiles) == set(self.definition.profiles) else f" (profile {', '.join(profiles)})"
        lines = (line_of(self.params_file, ("profiles", profile, *place)) for profile in profiles)
        line = next((line for line in lines if line), None) or line_of(self.params_file, place)
        return Fault(self.params_file, line, f"{'.'.join(map(str, place))}: {what}{where}")

    def by_profile(self, faults: Mapping[str, Sequence[config.Fault]]) -> Iterator[Fault]:
        """Each fault of params.yaml once, with the profiles that have it."""
        profiles: dict[tuple[tuple[str | int, ...], str], list[str]] = {}
        for profile, found in faults.items():
            for fault in found:
                profiles.setdefault((fault.place, fault.what), []).append(profile)
        for (place, what), having in profiles.items():
            yield self.in_params(place, what, having)


def line_of(file: Path, place: Sequence[str | int]) -> int | None:
    """The line of a key in a YAML file, or of the nearest key above it that is there; None when the first is not."""
    try:
        node = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return None
    line = None
    for part in place:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = next(((key, value) for key, value in pairs if key.value == str(part)), None)
        if found is None:
            return None if place[0] == "profiles" else line
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def _origin(error: Exception, folder: Path) -> tuple[Path, int | None]:
    """File and line inside a project where an import failed; its `__init__.py` when the failure is elsewhere."""
    if isinstance(error, SyntaxError) and error.filename:
        return Path(error.filename), error.lineno
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(folder)]
    return (Path(frames[-1].filename), frames[-1].lineno) if frames else (folder / "__init__.py", None)
