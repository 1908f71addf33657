"""The heat is where a planted patch decides the class."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipelines.parts.vision.gradcam import heat
from pipelines.parts.vision.images import Images
from pipelines.parts.vision.network import Network
from pipelines.parts.vision.recipe import Architecture

SIDE, CELL = 32, 4


class Patches(Network):
    """Class 0 wants bright cells, class 1 wants dark ones; maps are the cells' brightness and darkness."""

    def __init__(self, pool: str) -> None:
        super().__init__(Architecture(), features=2, classes=2, channels=1)
        self.pool = pool
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[3.0, -1.0], [-1.0, 3.0]]))

    def maps(self, x: Tensor) -> Tensor:
        cells = nn.functional.avg_pool2d(self.prepare(x), CELL)
        return torch.cat([(cells - 0.5).relu(), (0.5 - cells).relu()], 1)

    def depths(self) -> list[nn.Module]:
        return [self.head]

    def embed(self, x: Tensor) -> Tensor:
        if self.pool == "token":  # a network whose answer does not pass through its maps
            return torch.stack([x.amax((1, 2, 3)), 1 - x.amin((1, 2, 3))], 1)
        maps = self.maps(x)
        return maps.amax((2, 3)) if self.pool == "maximum" else maps.mean((2, 3))


def planted(rows: int = 6) -> tuple[Images, np.ndarray]:
    """Grey images with one bright and one dark patch each, and where they are: (rows, 2, 2) as bright or dark, y and x."""
    random = np.random.default_rng(0)
    pixels = np.full((rows, 1, SIDE, SIDE), 127, dtype=np.uint8)
    places = (
        np.stack([random.permutation(SIDE // CELL)[:2] for _ in range(2 * rows)]).reshape(rows, 2, 2).transpose(0, 2, 1) * CELL
    )
    for row, (bright, dark) in enumerate(places):
        for (y, x), level in ((bright, 255), (dark, 0)):
            pixels[row, 0, y : y + CELL, x : x + CELL] = level
    return Images.of(pixels), places


@pytest.mark.parametrize("pool", ["mean", "maximum", "token"])
@pytest.mark.parametrize("wanted", [0, 1])
def test_the_heat_is_where_the_patch_is(pool: str, wanted: int) -> None:
    images, places = planted()
    found = heat(Patches(pool), images, np.full(len(images), wanted))
    assert found.shape == (len(images), SIDE, SIDE)
    assert found.dtype == np.float32
    for one, (y, x) in zip(found, places[:, wanted], strict=True):
        assert one[y : y + CELL, x : x + CELL].mean() > 0.6
        assert one.max() == pytest.approx(1)
        away = np.ones_like(one, dtype=bool)
        away[max(0, y - CELL) : y + 2 * CELL, max(0, x - CELL) : x + 2 * CELL] = False
        assert one[away].max() < 0.01  # 127 is a trace darker than grey


def test_each_image_is_asked_for_its_own_class() -> None:
    images, places = planted(2)
    found = heat(Patches("mean"), images, np.array([0, 1]))
    for row, wanted in enumerate((0, 1)):
        y, x = np.unravel_index(found[row].argmax(), (SIDE, SIDE))
        assert (abs(np.array([y, x]) - places[row, wanted] - 1.5) <= 2).all()


def test_nothing_speaks_for_the_class_no_heat() -> None:
    grey = Images.of(np.full((1, 1, SIDE, SIDE), 0, dtype=np.uint8))
    assert heat(Patches("mean"), grey, np.array([0])).max() == 0


def test_the_network_is_left_as_it_was() -> None:
    net = Patches("mean").requires_grad_(False)
    images, _ = planted(1)
    before = net(torch.from_numpy(images.pixels) / 255)
    heat(net, images, np.array([0]))
    assert "maps" not in vars(net)
    assert torch.equal(net(torch.from_numpy(images.pixels) / 255), before)


def test_no_images_no_heat() -> None:
    assert heat(Patches("mean"), planted()[0].take([]), np.zeros(0, dtype=int)).shape == (0, SIDE, SIDE)
