"""A hostile model file: nothing in it is executed, neither in the champion's place nor in a version of its own."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.errors import DataError
from pipelines.core.execution import Session
from pipelines.core.files import sha256_of
from pipelines.core.settings import Settings
from pipelines.runners import in_process
from pipelines.tracking import registry


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """There once code of the model file has run."""
    return tmp_path / "executed"


def test_the_bomb_is_real(canary: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(canary)))
    assert canary.exists()


def test_a_pickle_in_the_champions_place_is_refused_by_its_hash(
    toy_session: Callable[..., Session], settings: Settings, canary: Path
) -> None:
    session = toy_session()
    in_process.run(session)
    champion = session.ledger.history("toy").champion
    assert champion is not None
    assert champion.model is not None
    stored = Path(settings.store) / "objects" / champion.model.digest[:2] / champion.model.digest
    stored.chmod(0o644)
    stored.write_bytes(pickle.dumps(Bomb(canary)))
    with pytest.raises(DataError, match="is damaged: expected sha256"):
        registry.load("toy", settings=settings)
    assert not canary.exists()


def codecs() -> list[Any]:
    from pipelines.parts.arrays import Arrays
    from pipelines.parts.tabular.codecs import Parquet, Skops
    from pipelines.parts.vision.model import VisionModelCodec

    return [Arrays(), Skops(), Parquet(), VisionModelCodec()]


FILES = ("model.skops", "meta.json", "model.safetensors", "weights.safetensors", "model.json", "model.onnx", "config.json")


@pytest.mark.parametrize("codec", codecs(), ids=lambda codec: type(codec).__name__)
@pytest.mark.parametrize("shape", ["a file", "a folder"])
def test_no_codec_unpickles(codec: Any, shape: str, tmp_path: Path, canary: Path) -> None:
    """Whoever can write the store can also give a pickle its right hash: then the format must not run it."""
    place = tmp_path / "model"
    if shape == "a folder":
        place.mkdir()
    for file in [place / name for name in FILES] if shape == "a folder" else [place]:
        file.write_bytes(pickle.dumps(Bomb(canary)))
    with pytest.raises(Exception, match=r"."):  # whatever it says, it must not load
        codec.read(place)
    assert not canary.exists()


def test_a_pickle_with_its_right_hash_is_refused_by_the_format(
    toy_session: Callable[..., Session], settings: Settings, tmp_path: Path, canary: Path
) -> None:
    session = toy_session()
    file = tmp_path / "model"
    file.write_bytes(pickle.dumps(Bomb(canary)))
    ref = session.store.put("model", file, codec="model", project="toy", stage="train-linear", fingerprint="f")
    assert ref.digest == sha256_of(file)
    with pytest.raises(ValueError, match="pickle"):
        session.read(ref)
    assert not canary.exists()
