"""Which article of clothing a small grey picture shows."""

from __future__ import annotations

from pathlib import Path

from pipelines.core.config import Strict
from pipelines.parts.vision.idx import pair, read_idx
from pipelines.parts.vision.images import TEST, TRAIN, Images
from pipelines.parts.vision.project import VisionProject
from pipelines.parts.vision.transfer import FineTuned, FromScratch, Frozen

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")

CANDIDATES: dict[str, type[Strict]] = {"cnn": FromScratch, "resnet": FromScratch, "frozen": Frozen, "finetuned": FineTuned}


class FashionProject(VisionProject):
    """Fashion-MNIST: ten classes, from a small network to published ImageNet weights."""

    name = "fashion"
    classes = CLASSES
    shape = (1, 28, 28)
    invert = "border"  # photographs mostly show dark articles on white, these images light ones on black
    candidate_params = CANDIDATES

    def images(self, raw: Path) -> Images:
        """The authors' training images, then their test images."""
        return Images.concat([_images(raw, "train", TRAIN), _images(raw, "t10k", TEST)])


def _images(raw: Path, name: str, fold: int) -> Images:
    return pair(read_idx(raw / f"{name}-images-idx3-ubyte.gz"), read_idx(raw / f"{name}-labels-idx1-ubyte.gz"), fold=fold)


PROJECT = FashionProject
