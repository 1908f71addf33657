"""When may a stage be answered from the store? When its fingerprint is known.

A fingerprint is the sha256 of everything that can change the outcome: the digests of the inputs, the parameters the stage
depends on, the source code it can reach, and the environment (lock file and Python version).

The code a stage can reach is found from its imports, followed through this package, imports inside functions included; the
data files of a package (catalog entries, templates) count as its code.
Nothing is imported to find out.
"""

from __future__ import annotations

import ast
import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipelines.core.config import Params
from pipelines.core.errors import ConfigError
from pipelines.core.files import sha256_of, write_atomically
from pipelines.core.graph import Node
from pipelines.core.settings import ROOT

LOCK = ROOT / "requirements.lock"

_DECLARATIONS = {"pipelines.core.graph"}
"""Names the bodies of all stages; what a node takes from it is in its fingerprint anyway."""
_DATA_SUFFIXES = {".yaml", ".yml", ".json", ".jinja", ".html", ".css"}
_PARAMETERS = {"params.yaml", "deployment.yaml"}
_FORMAT = 2
"""Of the cache file; raise it when `_imports` changes."""


def digest_of(value: Any) -> str:
    """sha256 of a plain value's JSON, keys sorted."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def fingerprint(
    node: Node, *, inputs: Mapping[str, Any], params: Mapping[str, Any], looks_at: Mapping[str, Any], code: str
) -> str:
    """The fingerprint of one execution; see the module's text."""
    return digest_of(
        {
            "node": node.name,
            "writes": [(output.name, output.codec) for output in node.stage.writes],
            "inputs": inputs,
            "params": params,
            "looks_at": looks_at,
            "code": code,
            "environment": environment(),
        }
    )


def relevant_params(node: Node, params: Params) -> dict[str, Any]:
    """The sections of params.yaml a node depends on; of `train.candidates`, only its own."""
    sections = {name: getattr(params, name) for name in node.stage.params}
    plain = {name: value.model_dump(mode="json") if isinstance(value, BaseModel) else value for name, value in sections.items()}
    if node.candidate and "train" in plain:
        plain["train"] = {**plain["train"], "candidates": {node.candidate: params.train.candidates[node.candidate]}}
    return plain


@cache
def environment() -> str:
    """Digest of the lock file and the Python version."""
    lock = sha256_of(LOCK) if LOCK.is_file() else "none"
    return digest_of([lock, platform.python_version()])


class CodeIndex:
    """Source files by module, their imports and hashes; remembered between processes by modification time.

    `roots` maps a package prefix to its folder: the platform itself, and folders with projects of one's own.
    """

    def __init__(self, cache_file: Path, projects: Iterable[Path] = ()) -> None:
        self.cache_file = cache_file
        self.projects = tuple(projects)
        try:
            cached = json.loads(cache_file.read_text())
        except (OSError, ValueError):
            cached = {}
        self.known: dict[str, Any] = cached["files"] if cached.get("format") == _FORMAT else {}
        self._changed = False

    def digest(self, modules: Iterable[str]) -> str:
        """Digest of the source of these modules and all they import from `pipelines`, and of the data files of packages."""
        files = self.closure(modules)
        for module, path in list(files.items()):
            files.update((f"{module}/{beside.name}", beside) for beside in data_files(path))
        entries = sorted((name, self._entry(name, path)["sha256"]) for name, path in files.items())
        if self._changed:
            write_atomically(self.cache_file, json.dumps({"format": _FORMAT, "files": self.known}).encode())
            self._changed = False
        return digest_of(entries)

    def closure(self, modules: Iterable[str]) -> dict[str, Path]:
        """Module name to file, for these modules and all they import from `pipelines`."""
        found: dict[str, Path] = {}
        seen, todo = {"", *_DECLARATIONS}, list(modules)
        while todo:
            if (module := todo.pop()) in seen:
                continue
            seen.add(module)
            if (path := self._file(module)) is None:
                continue
            found[module] = path
            todo.append(module.rpartition(".")[0])  # importing a module runs the packages around it
            todo += self._entry(module, path)["imports"]
            if path.name == "__init__.py" and module.startswith("pipelines.projects."):
                todo += [f"{module}.{child.name.removesuffix('.py')}" for child in path.parent.glob("[!_.]*")]
        return found

    def _file(self, module: str) -> Path | None:
        # as text: most names are no modules, hundreds are looked up for each stage, and joining paths takes most of the time
        bases = [f"{ROOT}/{module.replace('.', '/')}"]
        if module.startswith("pipelines.projects."):
            bases += [f"{place}/{module.split('.', 2)[2].replace('.', '/')}" for place in self.projects]
        paths = (Path(base + ending) for base in bases for ending in (".py", "/__init__.py"))
        return next((path for path in paths if path.is_file()), None)

    def _entry(self, module: str, path: Path) -> dict[str, Any]:
        status = path.stat()
        stamp = [status.st_mtime_ns, status.st_size]
        entry: dict[str, Any] | None = self.known.get(str(path))
        if entry is None or entry["stamp"] != stamp:
            entry = {
                "stamp": stamp,
                "sha256": sha256_of(path),
                "imports": sorted(_imports(module, path)) if path.suffix == ".py" else [],
            }
            self.known[str(path)] = entry
            self._changed = True
        return entry


def data_files(path: Path) -> list[Path]:
    """What lies beside a package's `__init__.py` and works like code: catalog entries, templates. Parameters do not."""
    if path.name != "__init__.py":
        return []
    return [p for p in path.parent.iterdir() if p.suffix in _DATA_SUFFIXES and p.name not in _PARAMETERS]


def _imports(module: str, path: Path) -> set[str]:
    """Modules of `pipelines` that a file imports anywhere, or names as 'pipelines.module:object'."""
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise ConfigError(f"{path}:{error.lineno}: {error.msg}; mend it and run again") from error
    except (UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"{path} is not Python source: {error}; mend it and run again") from error
    names: set[str] = set()
    for item in ast.walk(tree):
        if isinstance(item, ast.Import):
            names.update(alias.name for alias in item.names)
        elif isinstance(item, ast.ImportFrom):
            around = package[: len(package) - item.level + 1] if item.level else []
            source = ".".join([*around, *filter(None, [item.module])])
            names.update([source, *(f"{source}.{alias.name}" for alias in item.names)])
        elif isinstance(item, ast.Constant) and isinstance(item.value, str) and ":" in item.value:
            names.add(item.value.partition(":")[0])
    return {name for name in names if name.startswith("pipelines.") and name.replace(".", "").isidentifier()}
