"""The stand-in for Fashion-MNIST: the same four files, real digits in them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from pipelines.core.errors import ConfigError
from pipelines.data import catalog
from pipelines.parts.vision.idx import read_idx
from pipelines.projects.fashion.digits import enlarged, simulate

FILES = [file.name for file in catalog.entry("fashion_mnist").files]


def hashes(folder: Path) -> list[str]:
    return [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES]


def test_the_four_files_of_the_catalog_hold_every_digit_once(tmp_path: Path) -> None:
    simulate(tmp_path, 1797, 7, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    train, train_labels, test, test_labels = (read_idx(tmp_path / name) for name in FILES)
    assert train.shape == (1437, 28, 28)
    assert test.shape == (360, 28, 28)
    assert train.dtype == np.uint8
    assert (len(train_labels), len(test_labels)) == (1437, 360)
    assert set(test_labels) == set(train_labels) == set(range(10))
    assert train.max() == 255
    from sklearn.datasets import load_digits

    assert np.array_equal(np.bincount(np.concatenate([train_labels, test_labels])), np.bincount(load_digits().target))


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        simulate(tmp_path / name, 50, seed, {})
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    assert hashes(tmp_path / "a") != hashes(tmp_path / "c")


def test_drift_takes_light(tmp_path: Path) -> None:
    simulate(tmp_path / "light", 50, 1, {})
    simulate(tmp_path / "dark", 50, 1, {"dark": 0.5})
    light, dark = (read_idx(tmp_path / name / FILES[0]).astype(float) for name in ("light", "dark"))
    assert dark.mean() == pytest.approx(light.mean() / 2, rel=0.01)


def test_enlarging_keeps_a_flat_picture_flat_and_the_mean_of_any_about_the_same() -> None:
    assert np.allclose(enlarged(np.full((1, 8, 8), 3.0)), 3.0)
    picture = np.random.default_rng(0).uniform(size=(20, 8, 8))
    assert enlarged(picture).mean() == pytest.approx(picture.mean(), abs=0.02)


@pytest.mark.parametrize("rows", [4, 1798])
def test_more_digits_than_there_are(tmp_path: Path, rows: int) -> None:
    with pytest.raises(ConfigError, match=f"between 5 and 1,797 digits were expected, found {rows}"):
        simulate(tmp_path, rows, 1, {})


def test_an_unknown_drift(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="this simulator has no drift 'drak'; did you mean 'dark'"):
        simulate(tmp_path, 50, 1, {"drak": 0.5})
