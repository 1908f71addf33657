"""Exported files say what the model says, hold nothing of the machine, and come with honest figures beside them."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from pipelines.core.errors import DataError
from pipelines.core.settings import ROOT
from pipelines.parts.vision.export import BOUND, ExportFacts, export, scaled
from pipelines.parts.vision.images import Images
from pipelines.parts.vision.model import Projection, VisionModel
from pipelines.parts.vision.network import Network
from pipelines.parts.vision.networks import build
from pipelines.parts.vision.onnx_file import int8_bytes, onnx_bytes, session
from pipelines.parts.vision.recipe import Architecture

CLASSES = ("bag", "boot", "shirt")


def model(name: str = "small_cnn", **options: object) -> VisionModel:
    net = build(Architecture(name=name, width=8, **options), len(CLASSES), 1, seed=1)  # type: ignore[arg-type]
    with torch.no_grad():
        net.head.weight.mul_(20)  # far from a tie, so that labels say something
    features = np.random.default_rng(0).normal(size=(20, net.head.in_features)).astype(np.float32)
    return VisionModel(net.eval(), CLASSES, 1.7, Projection.of(features))


def images(rows: int = 40) -> Images:
    random = np.random.default_rng(0)
    return Images.of(random.integers(0, 256, (rows, 1, 16, 16), dtype=np.uint8), random.integers(0, 3, rows))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExportFacts]:
    folder = tmp_path_factory.mktemp("exports")
    return folder, export(model(), images(), folder, calls=5)


def test_the_onnx_form_agrees_and_both_criteria_pass(exported: tuple[Path, ExportFacts]) -> None:
    _, facts = exported
    assert [form.name for form in facts.forms] == ["torch", "onnx", "int8"]
    assert [(criterion.name, criterion.passed) for criterion in facts.criteria] == [
        ("onnx: same labels", True),
        ("onnx: logits", True),
    ]
    assert facts.form("onnx").logits_difference < 1e-4
    assert facts.form("onnx").accuracy == facts.form("torch").accuracy


def test_eight_bits_are_smaller_and_say_what_they_cost(exported: tuple[Path, ExportFacts]) -> None:
    folder, facts = exported
    small = facts.form("int8")
    assert small.mb < 0.6 * facts.form("onnx").mb
    assert small.mb == (folder / small.file).stat().st_size / 1e6
    assert small.same_labels > 0.8
    assert small.logits_difference > facts.form("onnx").logits_difference
    assert all(0 < form.median_ms <= form.p99_ms and form.images_per_second > 0 and form.calls == 5 for form in facts.forms)


def test_export_json_holds_the_facts(exported: tuple[Path, ExportFacts]) -> None:
    folder, facts = exported
    assert ExportFacts.model_validate(json.loads((folder / "export.json").read_text())) == facts
    assert sorted(path.name for path in folder.iterdir()) == ["export.json", "model.int8.onnx", "model.onnx"]


def test_a_difference_fails_its_criterion(exported: tuple[Path, ExportFacts]) -> None:
    _, facts = exported
    wrong = facts.form("onnx").model_copy(update={"same_labels": 1 - 2 / 40, "logits_difference": 2 * BOUND})
    labels, logits = facts.model_copy(update={"forms": (facts.forms[0], wrong)}).criteria
    assert (labels.passed, labels.found) == (False, "2 differ")
    assert (logits.passed, logits.found) == (False, "0.002")


def test_the_file_takes_any_number_of_images_and_gives_calibrated_probabilities(exported: tuple[Path, ExportFacts]) -> None:
    opened = session((exported[0] / "model.onnx").read_bytes())
    for rows in (1, 3, 40):
        some = images().take(range(rows))
        logits, probability = opened.run(None, {"pixels": scaled(some.pixels)})
        np.testing.assert_allclose(logits, model().logits(some), atol=1e-4)
        np.testing.assert_allclose(probability, model().probability(some), atol=1e-5)


@pytest.mark.parametrize("file", ["model.onnx", "model.int8.onnx"])
def test_nothing_of_the_machine_is_in_the_file(exported: tuple[Path, ExportFacts], file: str) -> None:
    content = (exported[0] / file).read_bytes()
    for trace in (str(ROOT), str(Path.home()), "site-packages", "stack_trace", "networks.py", "/tmp"):
        assert trace.encode() not in content, trace
    proto = onnx.load_from_string(content)
    onnx.checker.check_model(proto)
    assert {entry.key: json.loads(entry.value) for entry in proto.metadata_props} == {"classes": list(CLASSES)}
    assert not any(node.doc_string or node.metadata_props for node in proto.graph.node)


def test_same_model_same_bytes_and_no_chatter(exported: tuple[Path, ExportFacts], capfd: pytest.CaptureFixture[str]) -> None:
    whole = onnx_bytes(model(), (1, 16, 16))
    assert whole == (exported[0] / "model.onnx").read_bytes()
    assert int8_bytes(whole, model()) == (exported[0] / "model.int8.onnx").read_bytes()
    assert capfd.readouterr() == ("", "")
    assert logging.root.manager.disable == logging.NOTSET


class Depthwise(Network):
    """One convolution over all channels, then one of each channel on its own."""

    def __init__(self) -> None:
        super().__init__(Architecture(), features=8, classes=3, channels=1)
        self.stages = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.ReLU())

    def maps(self, x: Tensor) -> Tensor:
        found: Tensor = self.stages(self.prepare(x))
        return found

    def depths(self) -> list[nn.Module]:
        return [self.stages, self.head]


def test_depthwise_convolutions_keep_their_floats() -> None:
    net = Depthwise().eval()
    served = VisionModel(net, CLASSES, 1.0, Projection.of(np.eye(2, 8, dtype=np.float32)))
    small = onnx.load_from_string(int8_bytes(onnx_bytes(served, (1, 16, 16)), served))
    kinds = [node.op_type for node in small.graph.node]
    assert (kinds.count("ConvInteger"), kinds.count("Conv")) == (1, 1)


def test_a_network_that_resizes_inside_is_exported_with_it(tmp_path: Path) -> None:
    facts = export(model("residual", resolution=24), images(), tmp_path, calls=1)
    assert all(criterion.passed for criterion in facts.criteria)


def test_no_images_nothing_to_compare_with(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there are none; see split\.test"):
        export(model(), images(0), tmp_path)
    assert not list(tmp_path.iterdir())
