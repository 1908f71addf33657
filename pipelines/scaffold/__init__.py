"""`pipelines new`: the folder of a small project that runs, passes every check and is easy to make one's own."""

from __future__ import annotations

import keyword
import re
import sys
from pathlib import Path

from pipelines.core.config import Name
from pipelines.core.discovery import SHIPPED, find_projects
from pipelines.core.errors import ConfigError
from pipelines.core.files import disk_errors, write_atomically
from pipelines.core.settings import ROOT, Settings

TEMPLATE = Path(__file__).parent / "template"
_SUFFIX = ".template"
_DAG = "dag.py"
_RESERVED = {"new", "test", "models", "train", "champion", "projects", "pipelines"}
"""Names that would read as something else in a command, a path or a model's address."""


def create(name: str, into: Path | None = None) -> list[Path]:
    """Write a new project and return the files written, the project's folder first.

    Parameters
    ----------
    name
        A small letter, then 1 to 40 small letters, digits or underscores.
    into
        Folder to put the project's folder in. By default the first of `PIPELINES_PROJECTS`, or, without one, the
        projects of this checkout; there, a DAG file is added and dvc.yaml rendered anew.

    Raises ConfigError, and writes nothing, for a name that cannot be used or is taken.
    """
    projects = Settings.load().projects
    place = (into or (projects[0] if projects else SHIPPED)).expanduser().absolute()
    refuse_name(name, place)
    folder = place / name
    files = {path.name.removesuffix(_SUFFIX): path for path in sorted(TEMPLATE.glob(f"*{_SUFFIX}"))}
    targets = {file: folder / file for file in files if file != _DAG}
    if place == SHIPPED:
        targets[_DAG] = ROOT / "dags" / f"{name}.py"
    if not next(found for found in (place, *place.parents) if found.exists()).is_dir():
        raise ConfigError(f"{place} is no folder; give one with --in or in PIPELINES_PROJECTS")
    with disk_errors(f"making {folder}", "--in or PIPELINES_PROJECTS"):
        folder.mkdir(parents=True)
    for file, target in targets.items():
        write_atomically(target, filled(files[file].read_text(encoding="utf-8"), name).encode())
    return [folder, *targets.values(), *_rendered(place)]


def filled(text: str, name: str) -> str:
    """A template's text with the project's name in its several forms."""
    words = name.split("_")
    forms = {
        "PROJECT_NAME": name,
        "CLASS_NAME": "".join(word.capitalize() for word in words),
        "TITLE": " ".join(words).capitalize(),
        "YOUR_TEAM": "me",
    }
    for placeholder, form in forms.items():
        text = text.replace(placeholder, form)
    return text


def refuse_name(name: str, place: Path) -> None:
    """Raise ConfigError when a project cannot be called so, saying why and what could."""
    if not re.fullmatch(Name, name):
        raise ConfigError(
            f"{name!r} cannot name a project: expected a small letter, then 1 to 40 small letters, digits or underscores, "
            f"because it becomes a module, a DAG id and a registered model{_suggestion(name)}"
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in sys.stdlib_module_names or name in _RESERVED:
        raise ConfigError(f"{name!r} means something else already (to Python or to this platform); try 'my_{name}'")
    if found := find_projects().get(name):
        raise ConfigError(f"there is a project {name!r} already, in {found.folder}; choose another name, or edit that one")
    if (place / name).exists():
        raise ConfigError(f"{place / name} exists already; choose another name, or move it away")


def _suggestion(name: str) -> str:
    usable = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")[:40]
    return f"; try {usable!r}" if re.fullmatch(Name, usable) else ""


def _rendered(place: Path) -> list[Path]:
    """dvc.yaml with the new project in it; only in a checkout, whose pipeline it describes."""
    if place != SHIPPED:
        return []
    from pipelines.runners.dvc import render

    target = ROOT / "dvc.yaml"
    write_atomically(target, render(find_projects(extra=())).encode())
    return [target]
