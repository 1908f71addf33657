"""How values become files and come back. A codec is two functions and a name; projects bring their own."""

from __future__ import annotations

import json
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from pipelines.core.errors import ConfigError, DataError, did_you_mean

T = TypeVar("T")


@runtime_checkable
class Codec(Protocol[T]):
    """Writes a value to a path, as a file or a folder, and reads it back. Equal values give equal bytes."""

    name: str

    def write(self, value: T, path: Path) -> None:
        """Write a value as a file or a folder at `path`, where nothing is yet; equal values give equal bytes."""

    def read(self, path: Path) -> T:
        """The value that was written there. Raises DataError when the file is damaged or is none of ours."""


class Json(Generic[T]):
    """Plain values or pydantic models as indented JSON with sorted keys."""

    name = "json"

    def write(self, value: Any, path: Path) -> None:
        plain = value.model_dump(mode="json") if hasattr(value, "model_dump") else value
        path.write_text(json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=True) + "\n", encoding="utf-8")

    def read(self, path: Path) -> Any:
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{path} is not JSON: {error}; it was not written by this platform or was cut off") from error


class Text:
    """A string, UTF-8."""

    name = "text"

    def write(self, value: str, path: Path) -> None:
        path.write_text(value, encoding="utf-8")

    def read(self, path: Path) -> str:
        return path.read_text(encoding="utf-8")


class Folder:
    """Files as they are: the value is a path to a folder (or to one file)."""

    name = "folder"

    def write(self, value: Path, path: Path) -> None:
        (shutil.copytree if value.is_dir() else shutil.copyfile)(value, path)

    def read(self, path: Path) -> Path:
        return path


_CODECS = {
    "json": "pipelines.core.codecs:Json",
    "text": "pipelines.core.codecs:Text",
    "folder": "pipelines.core.codecs:Folder",
    "arrays": "pipelines.parts.arrays:Arrays",
}
"""Codecs any stage may name. `data` and `model` are the project's own and are asked of it."""


def codec(name: str) -> Codec[Any]:
    """The platform codec of that name, imported on first use. Raises ConfigError for an unknown name."""
    if name not in _CODECS:
        raise ConfigError(f"there is no codec {name!r}; {did_you_mean(name, _CODECS)}")
    found: Codec[Any] = load_object(_CODECS[name])()
    return found


def load_object(path: str) -> Any:
    """The object that `package.module:name` names. Raises ConfigError when it is not there."""
    module, _, name = path.partition(":")
    try:
        return getattr(import_module(module), name)
    except AttributeError as error:
        raise ConfigError(f"module {module!r} has no {name!r}; check where it is named") from error
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):  # it is there, and lacks something itself
            raise
        raise ConfigError(f"there is no module {module!r} for {name!r}; check where it is named") from error
