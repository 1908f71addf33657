"""What source code holds, found without importing it."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

from pipelines.core.errors import did_you_mean
from pipelines.core.settings import ROOT


def strings(sources: Sequence[str]) -> set[str]:
    """String constants in source code, pieces of f-strings left out."""
    found: set[str] = set()
    for source in sources:
        tree = ast.parse(source)
        pieces = {id(piece) for item in ast.walk(tree) if isinstance(item, ast.JoinedStr) for piece in item.values}
        found.update(
            item.value
            for item in ast.walk(tree)
            if isinstance(item, ast.Constant) and isinstance(item.value, str) and id(item) not in pieces
        )
    return found


def missing_body(path: str) -> str | None:
    """Why `package.module:function` does not exist, found without importing it."""
    module, _, function = path.partition(":")
    file = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    if not file.is_file():
        return f"its body {path!r} names no module: {file} is missing"
    return missing_function(file, function)


def missing_function(file: Path, function: str) -> str | None:
    """Why a module has no such function: defined, assigned or imported at its top level."""
    try:
        body = ast.parse(file.read_bytes()).body
    except (SyntaxError, ValueError) as error:
        return f"{file} cannot be read: {error}"
    functions = {item.name for item in body if isinstance(item, ast.FunctionDef)}
    others = {alias.asname or alias.name for item in body if isinstance(item, ast.ImportFrom) for alias in item.names}
    others |= {
        target.id for item in body if isinstance(item, ast.Assign) for target in item.targets if isinstance(target, ast.Name)
    }
    return None if function in functions | others else f"{file} has no function {function!r}; {did_you_mean(function, functions)}"
