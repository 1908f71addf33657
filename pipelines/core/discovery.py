"""Finding projects without importing them: a project is a folder with `params.yaml` and `deployment.yaml`."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from pipelines.core import graph
from pipelines.core.config import Name, Params, candidates_of, load_params, profiles_of
from pipelines.core.contract import Project
from pipelines.core.deployment import Deployment, load_deployment
from pipelines.core.errors import ConfigError, did_you_mean
from pipelines.core.settings import ROOT, Settings

SHIPPED = ROOT / "pipelines" / "projects"
CATALOG = ROOT / "pipelines" / "data" / "catalog"
"""The platform's entries of the data catalog, one YAML file each."""


@dataclass(frozen=True)
class Definition:
    """A project as its folder and YAML declare it; its Python is imported only by `project`."""

    name: str
    folder: Path

    @property
    def params_file(self) -> Path:
        return self.folder / "params.yaml"

    @cached_property
    def deployment(self) -> Deployment:
        """How it is operated. Raises ConfigError with every fault of deployment.yaml."""
        return load_deployment(self.folder / "deployment.yaml")

    @cached_property
    def profiles(self) -> list[str]:
        return profiles_of(self.params_file)

    @cached_property
    def candidates(self) -> list[str]:
        """Names of the candidates, from YAML alone."""
        return candidates_of(self.params_file)

    def params(self, profile: str = "full", overrides: dict[str, Any] | None = None) -> Params:
        """The checked parameters of a profile. Raises ConfigError with every fault of them."""
        return load_params(self.params_file, profile, overrides)

    @property
    def catalog(self) -> tuple[Path, ...]:
        """Where entries of the data catalog are looked for, in this order: the project's own, and the platform's."""
        return self.folder / "catalog", CATALOG

    @property
    def entries(self) -> dict[str, Path]:
        """The file of each entry of the data catalog, by name."""
        return {file.stem: file for place in reversed(self.catalog) for file in place.glob("*.yaml")}

    @property
    def training(self) -> graph.Graph:
        """From raw data to champion, unrolled for the project's candidates."""
        return graph.training(self.candidates)

    @property
    def monitoring(self) -> graph.Graph:
        """From the newest window to a verdict."""
        return graph.monitoring(self.candidates)

    def project(self) -> Project[Any, Any]:
        """Import the project's module and make its `Project`. Raises ConfigError when it defines none, or several."""
        _make_importable(self.folder.parent)
        module = import_module(f"pipelines.projects.{self.name}")
        made = getattr(module, "PROJECT", None)
        if not (isinstance(made, type) and issubclass(made, Project)):
            raise ConfigError(f"{self.folder / '__init__.py'} must set PROJECT to its Project class; found {made!r}")
        project: Project[Any, Any] = made()
        return project


def find_projects(extra: Sequence[Path] | None = None) -> dict[str, Definition]:
    """All projects by name: the shipped ones, and those in `extra` (`PIPELINES_PROJECTS` by default).

    A folder whose name no project may have is none: the name becomes part of commands, paths and addresses.

    Raises ConfigError when two have the same name.
    """
    places = (SHIPPED, *(Settings.load().projects if extra is None else extra))
    found: dict[str, Definition] = {}
    for place in places:
        _make_importable(place)
        for folder in sorted(place.iterdir() if place.is_dir() else ()):
            if re.fullmatch(Name, folder.name) and (folder / "params.yaml").is_file():
                if folder.name in found and found[folder.name].folder != folder:
                    raise ConfigError(
                        f"two projects are called {folder.name!r}: {found[folder.name].folder} and {folder}; rename one"
                    )
                found[folder.name] = Definition(folder.name, folder)
    return found


def find_project(name: str) -> Definition:
    """The project of that name. Raises ConfigError with close matches."""
    projects = find_projects()
    if name not in projects:
        missing = [str(place) for place in Settings.load().projects if not place.is_dir()]
        nowhere = f"; PIPELINES_PROJECTS names {', '.join(missing)}, and there is no such folder" if missing else ""
        raise ConfigError(
            f"there is no project {name!r}; {did_you_mean(name, projects)} (`pipelines new {name}` makes one){nowhere}"
        )
    return projects[name]


def _make_importable(place: Path) -> None:
    """Let `pipelines.projects.<name>` be found in a folder outside the package."""
    if place != SHIPPED:
        package = import_module("pipelines.projects")
        if str(place) not in package.__path__:
            package.__path__.append(str(place))
            sys.path_importer_cache.pop(str(place), None)
