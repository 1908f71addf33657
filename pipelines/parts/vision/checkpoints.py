"""State of a training in one safetensors file: tensors, and plain values as JSON in its header. Nothing in it can run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor

from pipelines.core.errors import DataError
from pipelines.core.files import write_atomically

HEADER = "state"


def save(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write both whole, in place of what was there; a crash leaves the old file. The same values give the same bytes.

    Raises InfrastructureError that says what to do when there is no room.
    """
    plain = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    header = {HEADER: json.dumps(state, sort_keys=True)}  # one entry, because the order of several is not kept
    write_atomically(path, serialise(plain, metadata=header))


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and state. Raises DataError when the file is missing, damaged or none of ours."""
    try:
        with safe_open(path, framework="pt") as file:
            state = json.loads((file.metadata() or {})[HEADER])
            return {name: file.get_tensor(name) for name in file.keys()}, state  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"{path} is not a whole checkpoint ({error}); delete it and run again") from error


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors named `prefix.…`, without the prefix."""
    return {name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")}


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, named `prefix.…`."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}
