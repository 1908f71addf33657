"""The experiments behind the README, small: what they draw, what they repeat, what they print."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.core.config import Strict
from pipelines.core.discovery import find_project
from pipelines.core.execution import Session
from pipelines.core.run import Run
from pipelines.parts.vision.images import Images
from pipelines.projects.fashion import study as experiments
from pipelines.projects.fashion.study import Study, divided, interval, thinned


def levels(rows: int, seed: int) -> Images:
    """Ten classes of images that differ in brightness."""
    label = np.arange(rows) % 10
    noise = np.random.default_rng(seed).integers(0, 10, (rows, 1, 28, 28))
    return Images.of((noise + 24 * label[:, None, None, None]).astype(np.uint8), label)


@pytest.fixture
def study() -> Study:
    session = Session(Run(project="fashion", profile="sample"))
    return Study(levels(400, 1), levels(50, 2), find_project("fashion").params("sample"), session, seeds=2, rows=100)


def test_a_sample_has_as_many_of_each_class_and_differs_by_seed(study: Study) -> None:
    one, other = study.sample(100, 0), study.sample(100, 1)
    assert np.bincount(one.label).tolist() == [10] * 10
    assert (one.pixels != other.pixels).any()
    assert (study.sample(100, 0).pixels == one.pixels).all()


def test_one_in_five_validates_and_all_others_are_learned_from(study: Study) -> None:
    train, valid = divided(study.sample(100, 0), seed=0)
    assert (len(train), np.bincount(valid.label).tolist()) == (80, [2] * 10)


def test_every_second_class_becomes_rare() -> None:
    counts = np.bincount(thinned(levels(4000, 1), seed=0).label, minlength=10)
    assert counts[::2].tolist() == [400] * 5
    assert counts[1::2].tolist() == [20] * 5
    assert np.bincount(thinned(levels(100, 1), seed=0).label).min() == 5


def test_imbalance_compares_the_tools(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    experiments.imbalance(study)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == [
        "nothing", "weights: balanced", "weights: effective", "focal loss, exponent 2", "balanced sampler",
    ]  # fmt: skip
    assert all("±" in line for line in lines[2:])


def test_augmentation_compares_each_alone_and_all_together(
    study: Study, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def repeated(study: Study, way: Strict, size: int) -> dict[str, NDArray[np.float64]]:
        asked.append(way.model_dump(exclude_defaults=True)["recipe"].get("augmentation", {}))
        return {"accuracy": np.array([0.9, 0.92])}

    monkeypatch.setattr(experiments, "repeated", repeated)
    experiments.augmentation(study)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == [
        "none", "flip 0.5 alone", "shift 2 alone", "erase 0.5 alone", "rotate 10 alone", "zoom 0.1 alone",
        "all of resnet's", "and rotate 10", "and zoom 0.1",
    ]  # fmt: skip
    domain = {"flip": 0.5, "shift": 2, "erase": 0.5}
    assert asked[:2] == [{}, {"flip": 0.5}]
    assert asked[-3:] == [domain, {**domain, "rotate": 10.0}, {**domain, "zoom": 0.1}]


def test_transfer_says_what_a_way_gains_over_from_scratch(
    study: Study, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(experiments, "SIZES", (50, 100))
    monkeypatch.setattr(experiments, "STEPS", 24)
    monkeypatch.setattr(experiments, "WAYS", {"from scratch": "cnn", "residual": "resnet"})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs" / "images").mkdir(parents=True)
    experiments.transfer(study)
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert [line[:2] for line in lines[2:]] == [
        ["50", "from scratch"], ["50", "residual"], ["100", "from scratch"], ["100", "residual"],
    ]  # fmt: skip
    assert [bool(line[3]) for line in lines[2:]] == [False, True, False, True]
    assert (tmp_path / "docs" / "images" / "fashion-transfer.png").read_bytes().startswith(b"\x89PNG")


def test_an_interval_is_students() -> None:
    assert interval(np.array([0.9, 0.92])) == "0.9100 ± 0.1271"  # t of 12.706 with one degree of freedom
    assert interval(np.array([0.9])) == "0.9000"
