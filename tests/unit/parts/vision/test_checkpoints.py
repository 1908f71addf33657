from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipelines.core.errors import DataError, InfrastructureError
from pipelines.parts.vision import checkpoints
from tests.disk import small_disk

TENSORS = {"net.b": torch.arange(6.0).view(2, 3).t(), "net.a": torch.tensor(3, dtype=torch.int64), "best.a": torch.ones(2)}
STATE = {"epoch": 3, "best": 0.91, "curve": [{"loss": float("inf")}]}


def test_tensors_and_state_come_back(tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "one", TENSORS, STATE)
    tensors, state = checkpoints.load(tmp_path / "one")
    assert state == STATE
    assert sorted(tensors) == sorted(TENSORS)
    assert all(torch.equal(tensors[name], TENSORS[name]) and tensors[name].dtype == TENSORS[name].dtype for name in TENSORS)
    assert sorted(checkpoints.part(tensors, "net")) == ["a", "b"]


def test_the_same_values_give_the_same_bytes(tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "one", TENSORS, STATE)
    checkpoints.save(tmp_path / "two", dict(reversed(TENSORS.items())), dict(reversed(STATE.items())))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("content", [b"", b"no tensors", None])
def test_a_damaged_one_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "one"
    checkpoints.save(path, TENSORS, STATE)
    path.write_bytes(path.read_bytes()[:-5] if content is None else content)
    with pytest.raises(DataError, match=r"one is not a whole checkpoint .*; delete it and run again"):
        checkpoints.load(path)


def test_no_room_says_so_and_keeps_the_last_one(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "200k") as disk:
        checkpoints.save(disk / "one", TENSORS, {"epoch": 1})
        with pytest.raises(InfrastructureError, match=r"writing .*one failed.*the disk is full; free some space"):
            checkpoints.save(disk / "one", {"large": torch.zeros(100_000)}, {"epoch": 2})
        assert checkpoints.load(disk / "one")[1] == {"epoch": 1}
        assert [path.name for path in disk.iterdir()] == ["one"]
