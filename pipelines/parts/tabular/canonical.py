"""One form for skops files: equal models give equal bytes, in any process."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import PurePosixPath
from typing import Any

_VALUES = ("JsonNode", "TypeNode")
"""Nodes that stand for immutable values: whether two of them are one object is chance, so their id follows their content. All of
it is text and truth values."""


def canonical(content: bytes) -> bytes:
    """The same skops file with ids and part names counted in order of appearance, sets sorted, and no time stamps.

    skops records objects that occur twice by their memory address (`__id__`) and names array files after it, other binary
    parts after a random id; both differ between two processes.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        schema = json.loads(archive.read("schema.json"))
        parts = {name: archive.read(name) for name in archive.namelist() if name != "schema.json"}
    renumbered = _Renumbering()
    schema = renumbered.node(schema)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for old, new in renumbered.files.items():
            _add(archive, new, parts[old])
        _add(archive, "schema.json", json.dumps(schema).encode())
    return out.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name)  # its date is 1980-01-01
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, content, compresslevel=2)  # a tenth larger than at the usual level, in half the time


class _Renumbering:
    def __init__(self) -> None:
        self.ids: dict[Any, int] = {}
        self.files: dict[str, str] = {}

    def node(self, value: Any) -> Any:
        """A copy of a part of the schema with ids and file names replaced."""
        if isinstance(value, list):
            return [self.node(item) for item in value]
        if not isinstance(value, dict):
            return value
        if value.get("__loader__") == "SetNode":
            value = {**value, "content": sorted(value["content"], key=_without_ids)}
        result = {key: self.node(item) for key, item in value.items() if key not in ("__id__", "file")}
        if isinstance(file := value.get("file"), str):
            result["file"] = self.files.setdefault(file, f"{len(self.files)}{PurePosixPath(file).suffix}")
        if "__id__" in value:
            plain = value.get("__loader__") in _VALUES
            key = frozenset(item for item in value.items() if item[0] != "__id__") if plain else value["__id__"]
            result["__id__"] = self.ids.setdefault(key, len(self.ids) + 1)
        return result


def _without_ids(value: Any) -> str:
    def strip(item: Any) -> Any:
        if isinstance(item, list):
            return [strip(one) for one in item]
        if isinstance(item, dict):
            return {key: strip(one) for key, one in item.items() if key != "__id__"}
        return item

    return json.dumps(strip(value), sort_keys=True)
