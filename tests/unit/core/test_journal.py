"""What happened is written once, in order, whatever became of what was written before."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from pipelines.core.backend import FolderBackend
from pipelines.core.journal import Journal
from pipelines.core.store import Store


class Line(BaseModel):
    number: int = 0
    said: str


class Counted(Store):
    """Gives up after ten tries."""

    tries = 0

    def create(self, key: str, content: bytes) -> bool:
        self.tries += 1
        assert self.tries <= 10, f"{key} is tried over and over"
        return super().create(key, content)


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_what_comes_next_is_written_although_a_record_was_lost(lost: int, tmp_path: Path) -> None:
    store = Counted(FolderBackend(tmp_path))
    journal = Journal(store, "lines/toy", Line)
    for number in (1, 2, 3):
        journal.append(lambda lines, number=number: Line(said=str(number)))  # type: ignore[misc]
    store.remove(f"lines/toy/{lost:06d}.json")
    written = journal.append(lambda lines: Line(said=f"after {len(lines)}"))
    assert written
    assert [line.said for line in journal.entries()] == [*[str(n) for n in (1, 2, 3) if n != lost], "after 2"]
    assert written.number == (3 if lost == 3 else 4)
