from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.core.errors import DataError
from pipelines.parts.vision.backbones import IMAGENET, Convolution, Lite0, load_efficientnet_lite0
from pipelines.parts.vision.networks import build
from pipelines.parts.vision.recipe import Architecture

SMALL = Architecture(name="efficientnet_lite0", resolution=32)


def published() -> dict[str, torch.Tensor]:
    """Weights of chance under the published names, which are those of our module and of ImageNet's classifier."""
    with torch.random.fork_rng():
        torch.manual_seed(4)
        state = Lite0().state_dict()
    return {**state, "_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "weights" / "models"
    place.mkdir(parents=True)
    torch.save(published(), place / "efficientnet-lite0-57934424.pth")
    return tmp_path / "weights"


def test_names_and_shapes_are_the_published_ones() -> None:
    state = published()
    assert len(state) == 296
    expected = {
        "_conv_stem.weight": (32, 3, 3, 3),
        "_bn0.running_var": (32,),
        "_blocks.0._depthwise_conv.weight": (32, 1, 3, 3),
        "_blocks.0._project_conv.weight": (16, 32, 1, 1),
        "_blocks.1._expand_conv.weight": (96, 16, 1, 1),
        "_blocks.3._depthwise_conv.weight": (144, 1, 5, 5),
        "_blocks.15._bn2.bias": (320,),
        "_conv_head.weight": (1280, 320, 1, 1),
        "_bn1.num_batches_tracked": (),
    }
    assert {name: tuple(state[name].shape) for name in expected} == expected
    assert not [name for name in state if name.startswith(("_blocks.0._expand", "_blocks.16"))]
    assert sum(value.numel() for name, value in state.items() if "running" not in name and "tracked" not in name) == 4_652_008


def test_published_weights_are_loaded_and_the_head_stays_new(folder: Path) -> None:
    net = build(SMALL, 7, 1, seed=1)
    head = net.head.weight.clone()
    net.load_published(lambda name: {"efficientnet_lite0": folder}[name])
    state = net.state_dict()
    assert all(torch.equal(state[f"backbone.{name}"], value) for name, value in published().items() if "_fc" not in name)
    assert torch.equal(net.head.weight, head)


def test_pictures_go_in_as_they_come(folder: Path) -> None:
    net = build(SMALL, 7, 1).eval()
    net.normalise(np.zeros((2, 1, 8, 8), dtype=np.uint8))  # the published normalisation stays
    assert torch.equal(net.mean.flatten(), torch.tensor(IMAGENET[0]))
    grey = torch.rand(2, 1, 28, 28)
    assert net.embed(grey).shape == (2, 1280)
    assert net.maps(grey).shape == (2, 1280, 1, 1)
    assert torch.equal(net(grey), net(grey.expand(-1, 3, -1, -1)))
    assert net(torch.rand(2, 2, 28, 28)).shape == net(torch.rand(2, 4, 28, 28)).shape == (2, 7)
    assert build(Architecture(name="efficientnet_lite0"), 7, 1).prepare(grey).shape == (2, 3, 224, 224)


def test_the_depths_are_the_whole_network() -> None:
    net = build(SMALL, 7, 1)
    parts = net.depths()
    assert len(parts) == 10
    known = [id(parameter) for part in parts for parameter in part.parameters()]
    assert sorted(known) == sorted(id(parameter) for parameter in net.parameters())


@pytest.mark.parametrize(
    ("kernel", "stride", "side", "expected"), [(3, 2, 8, (0, 1)), (5, 2, 8, (1, 2)), (3, 2, 7, (1, 1)), (5, 1, 7, (2, 2))]
)
def test_padding_is_that_of_tensorflow(kernel: int, stride: int, side: int, expected: tuple[int, int]) -> None:
    """A kernel of one 1 in its first place shows by how much the picture is moved."""
    layer = Convolution(1, 1, kernel, stride)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[0, 0, 0, 0] = 1.0
    x = torch.arange(1.0, side + 1).expand(1, 1, side, side)
    padded = torch.nn.functional.pad(x, (*expected, *expected))
    with torch.no_grad():
        out = layer(x)
    assert out.shape[-1] == -(-side // stride)
    assert torch.equal(out[0, 0], padded[0, 0, ::stride, ::stride][: out.shape[-1], : out.shape[-1]])


def test_damaged_or_other_files_are_refused(folder: Path) -> None:
    (file,) = folder.rglob("*.pth")
    whole = file.read_bytes()
    others = {
        "cut off": whole[: len(whole) // 2],
        "empty": b"",
    }
    for content in others.values():
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"\.pth does not hold the weights of EfficientNet-Lite0: .*; fetch it again"):
            load_efficientnet_lite0(folder)
    state = published()
    del state["_conv_head.weight"]
    torch.save(state, file)
    with pytest.raises(DataError, match=r"Missing key.*_conv_head.weight"):
        load_efficientnet_lite0(folder)
    torch.save({**published(), "_blocks.99._bn2.bias": torch.zeros(1)}, file)
    with pytest.raises(DataError, match=r"Unexpected key.*_blocks.99"):
        load_efficientnet_lite0(folder)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("code from a file was run",)


def test_code_in_the_file_is_never_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (file,) = folder.rglob("*.pth")
    torch.save({**published(), "extra": Evil()}, file)
    with pytest.raises(DataError, match="does not hold the weights"):
        load_efficientnet_lite0(folder)
    assert "code from a file" not in capsys.readouterr().out


def test_a_folder_without_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected one \.pth file with the weights of EfficientNet-Lite0 in .*, found 0"):
        load_efficientnet_lite0(tmp_path)
