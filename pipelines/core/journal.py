"""Append-only, numbered records in the store: what happened, in order, each written exactly once.

Two processes that append at the same time cannot both have the next number: the second finds it taken, reads what has come in
between and judges again whether there is still something to write. Nothing is ever changed or removed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from pipelines.core.errors import DataError
from pipelines.core.store import Store

E = TypeVar("E", bound=BaseModel)


class Journal(Generic[E]):
    """Entries of one model under ``<place>/000001.json`` and on; the model has a field `number`."""

    def __init__(self, store: Store, place: str, model: type[E]) -> None:
        self.store, self.place, self.model = store, place, model

    def entries(self) -> tuple[E, ...]:
        """All of them, oldest first. Raises DataError that names one which cannot be read."""
        return tuple(map(self._entry, self._keys()))

    def _keys(self) -> list[str]:
        return self.store.keys(f"{self.place}/")

    def _entry(self, key: str) -> E:
        try:
            return self.model.model_validate_json(self.store.read(key) or b"")
        except ValidationError as error:
            raise DataError(
                f"{key} in the store is damaged: expected a JSON document of {self.model.__name__}, found {error.errors()[0]['msg']}; "
                "restore that file from a backup of the store"
            ) from error

    def append(self, make: Callable[[tuple[E, ...]], E | None]) -> E | None:
        """Write what `make` gives for the entries so far; nothing when it gives nothing. It is asked again whenever somebody
        else was quicker, and what it raises ends the attempt.
        """
        while True:
            keys = self._keys()
            entry = make(tuple(map(self._entry, keys)))
            if entry is None:
                return None
            number = 1 + (int(PurePosixPath(keys[-1]).stem) if keys else 0)  # not their count: a store may have lost one
            numbered = entry.model_copy(update={"number": number})
            if self.store.create(f"{self.place}/{number:06d}.json", numbered.model_dump_json(indent=1).encode()):
                return numbered
