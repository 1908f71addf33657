"""When may a stage be answered from the store? When its fingerprint is known.

A fingerprint is the sha256 of everything that can change the outcome: the digests of the inputs, the parameters the stage
depends on, the source code it can reach, and the environment (lock file and Python version).

The code a stage can reach is found from its imports, followed through this package, imports inside functions included; the
data files of a package (templates) count as its code, and of a project every file below its folder: queries, prompts,
vocabularies. Parameters and entries of the data catalog enter by value. Nothing is imported to find out.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
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
_DATA_SUFFIXES = {".json", ".jinja", ".html", ".css"}
_HIDDEN = re.compile(r"\..*|__pycache__")
"""Names of files and folders passed over at any depth."""
_NO_CODE = re.compile(
    r"(params|deployment)\.yaml|catalog/[^/]*\.yaml"  # these enter by value
    r"|README[^/]*|docs/.*|tests/.*|conftest\.py|test_[^/]*\.py"
)
"""Paths in a project's folder of what changes nothing that its stages do."""
_FORMAT = 3
"""Of the cache file; raise it when `_imports`, `_strings` or what an entry holds changes."""
_WORD = re.compile(r"[A-Za-z0-9][\w.-]{0,60}")


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
    """Source files by module, their imports and hashes; remembered between processes as long as a file's stamp is the same.

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
        self._places: dict[str, tuple[Path, ...]] = {}
        """Where each name's source was when it was first looked up. Most names are no modules, and each stage looks up hundreds."""

    def digest(self, modules: Iterable[str]) -> str:
        """Digest of all `files`."""
        entries = sorted((name, self._entry(name, path)["sha256"]) for name, path in self.files(modules).items())
        if self._changed:
            write_atomically(self.cache_file, json.dumps({"format": _FORMAT, "files": self.known}).encode())
            self._changed = False
        return digest_of(entries)

    def files(self, modules: Iterable[str]) -> dict[str, Path]:
        """The `closure`, and what works like code beside it: `pipelines.parts.reports/card.html.jinja` to its file."""
        files = self.closure(modules)
        for module, path in list(files.items()):
            beside = _files_of_project(path.parent) if _is_project(module, path) else data_files(path)
            files.update((f"{module}/{one.relative_to(path.parent).as_posix()}", one) for one in beside)
        return files

    def words(self, modules: Iterable[str]) -> set[str]:
        """The strings in the source of the `closure` that may be names of something."""
        return {word for module, path in self.closure(modules).items() for word in self._entry(module, path)["words"]}

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
                children = [f"{child.name}/" if child.is_dir() else child.name for child in path.parent.glob("[!_.]*")]
                todo += [f"{module}.{c.removesuffix('/').removesuffix('.py')}" for c in children if not _NO_CODE.fullmatch(c)]
        return found

    def _file(self, module: str) -> Path | None:
        if module not in self._places:
            bases = [f"{ROOT}/{module.replace('.', '/')}"]
            if module.startswith("pipelines.projects."):
                bases += [f"{place}/{module.split('.', 2)[2].replace('.', '/')}" for place in self.projects]
            paths = (Path(base + ending) for base in bases for ending in (".py", "/__init__.py"))
            self._places[module] = tuple(path for path in paths if path.is_file())
        return next((path for path in self._places[module] if path.is_file()), None)

    def _entry(self, module: str, path: Path) -> dict[str, Any]:
        status = path.stat()
        # the time of change too, and which file it is: those who copy can keep the time of modification and the size
        stamp = [status.st_mtime_ns, status.st_size, status.st_ctime_ns, status.st_ino]
        entry: dict[str, Any] | None = self.known.get(str(path))
        if entry is None or entry["stamp"] != stamp:
            tree = _parsed(path) if path.suffix == ".py" else ast.Module([], [])
            entry = {
                "stamp": stamp,
                "sha256": sha256_of(path),
                "imports": sorted(_imports(module, path, tree)),
                "words": sorted({text for text in _strings(tree) if _WORD.fullmatch(text)}),
            }
            self.known[str(path)] = entry
            self._changed = True
        return entry


def data_files(path: Path) -> list[Path]:
    """What lies beside a package's `__init__.py` and works like code, such as templates."""
    return [p for p in path.parent.iterdir() if p.suffix in _DATA_SUFFIXES] if path.name == "__init__.py" else []


def _is_project(module: str, path: Path) -> bool:
    return module.startswith("pipelines.projects.") and module.count(".") == 2 and path.name == "__init__.py"


def _files_of_project(folder: Path) -> Iterator[Path]:
    """Every file below a project's folder that may change what its stages do, links followed."""
    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        seen.add(os.path.realpath(place))
        folders[:] = [f for f in folders if not _HIDDEN.fullmatch(f) and os.path.realpath(f"{place}/{f}") not in seen]
        for file in (Path(place, name) for name in names if not _HIDDEN.fullmatch(name)):
            if not _NO_CODE.fullmatch(file.relative_to(folder).as_posix()) and file.is_file():  # a link may lead nowhere
                yield file


def strings_in(value: Any) -> set[str]:
    """All strings of nested plain values, keys left out.

    >>> sorted(strings_in({"a": ["x", 1, {"b": "y"}]}))
    ['x', 'y']
    """
    if isinstance(value, str):
        return {value}
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return set().union(*map(strings_in, parts))


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise ConfigError(f"{path}:{error.lineno}: {error.msg}; mend it and run again") from error
    except (UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"{path} is not Python source: {error}; mend it and run again") from error


def _strings(tree: ast.Module) -> Iterator[str]:
    return (item.value for item in ast.walk(tree) if isinstance(item, ast.Constant) and isinstance(item.value, str))


def _imports(module: str, path: Path, tree: ast.Module) -> set[str]:
    """Modules of `pipelines` that a file imports anywhere, or names as 'pipelines.module:object'."""
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    names = {text.partition(":")[0] for text in _strings(tree) if ":" in text}
    for item in ast.walk(tree):
        if isinstance(item, ast.Import):
            names.update(alias.name for alias in item.names)
        elif isinstance(item, ast.ImportFrom):
            around = package[: len(package) - item.level + 1] if item.level else []
            source = ".".join([*around, *filter(None, [item.module])])
            names.update([source, *(f"{source}.{alias.name}" for alias in item.names)])
    return {name for name in names if name.startswith("pipelines.") and name.replace(".", "").isidentifier()}
