"""`VisionProject`: most of the contract for images with one label each.

A project on images says its classes, its shape, where its images are in the raw files, and its candidates::

    class Fashion(VisionProject):
        name = "fashion"
        classes = ("T-shirt/top", "Trouser", …)
        shape = (1, 28, 28)
        candidate_params = {"cnn": FromScratch, "frozen": Frozen, "finetuned": FineTuned}

        def images(self, raw): ...           # the raw files as Images; fold 1 is what the publisher set aside as test images
"""

from __future__ import annotations

import base64
import io
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipelines.core.codecs import Codec
from pipelines.core.config import Split, Strict
from pipelines.core.contract import Arrays, Checked, Evidence, Featured, Fit, Probes, Project, Splits, Training, Window
from pipelines.core.errors import DataError
from pipelines.core.evidence import Criterion
from pipelines.parts.evaluation import multiclass
from pipelines.parts.splitting import assign
from pipelines.parts.vision.decoding import Invert
from pipelines.parts.vision.images import TEST, TRAIN, UNKNOWN, Images, ImagesCodec, hashes
from pipelines.parts.vision.model import VisionModel, VisionModelCodec
from pipelines.parts.vision.quality import quality

QUARTILES = ("darkest quarter", "second quarter", "third quarter", "brightest quarter")


class VisionProject(Project[Images, VisionModel]):
    """A project whose rows are images of one shape and one label each."""

    classes: ClassVar[tuple[str, ...]]
    """Name of each class, in the order of the labels."""
    shape: ClassVar[tuple[int, int, int]]
    """Channels, height and width, pixels; images of callers are brought to it."""
    invert: ClassVar[Invert] = False
    """Whether callers' images are made negatives of themselves first; `border` decides image by image, see `reading`."""
    data_codec: Codec[Images] = ImagesCodec()
    model_codec: Codec[VisionModel] = VisionModelCodec()
    tolerance = 1e-4  # float32, and the order of additions depends on the batch

    # what a project says ------------------------------------------------------------------------------------------------

    @abstractmethod
    def images(self, raw: Path) -> Images:
        """All images of the raw files with their labels. Raises DataError for what cannot be read."""

    # data ---------------------------------------------------------------------------------------------------------------

    def load(self, raw: Path, window: Window) -> Images:
        """The images of the window.

        Where the publisher set test images aside, those arrive over the weeks of the replay and the training images were
        there before: a monitoring window (one with a start) then never shows a model what it learned from.
        """
        images = self.images(raw)
        aside = np.flatnonzero(images.fold == TEST)
        if not len(aside):
            return images.take(np.asarray(window.positions(len(images)), dtype=np.intp))
        arrived = aside[np.asarray(window.positions(len(aside)), dtype=np.intp)]
        before = np.flatnonzero(images.fold == TRAIN) if window.start is None else np.array([], dtype=np.intp)
        return images.take(np.sort(np.concatenate([before, arrived])))

    def read(self, rows: Any) -> Images:
        """Images as a caller has them: the path of a file or folder, bytes, an array, or mappings with an `image` of these
        (base64 text, too)."""
        from pipelines.parts.vision.reading import read_images

        return read_images(rows, self.shape, invert=self.invert)

    def check(self, data: Images) -> Checked[Images]:
        from pipelines.parts.vision.checks import check_images

        return check_images(data, self.classes)

    def split(self, data: Images, params: Split, seed: int) -> Splits[Images]:
        """Stratified by class; equal images stay on one side. The publisher's test images are the test set where there are
        any, and `params.test` then says nothing."""
        given = bool((data.fold == TEST).any())
        shares = {"valid": params.valid} if given else {"test": params.test, "valid": params.valid}
        free = np.flatnonzero(data.fold == TRAIN)
        part = np.full(len(data), "test", dtype="<U5")
        part[free] = assign(hashes(data.pixels)[free], data.label[free], shares, seed)
        splits = {name: data.take(np.flatnonzero(part == name)) for name in ("train", "valid", "test")}
        for name, images in splits.items():
            self._has_every_class(name, images)
        return Splits(**splits)

    def features(self, splits: Splits[Images], params: Strict) -> Featured[Images]:
        """Pixels are the features: networks make their own. The report says how many there are of what."""
        parts = {"train": splits.train, "valid": splits.valid, "test": splits.test}
        report = {
            "rows": {name: len(images) for name, images in parts.items()},
            "shape": dict(zip(("channels", "height", "width"), self.shape, strict=True)),
            "classes": {
                name: {part: int((images.label == number).sum()) for part, images in parts.items()}
                for number, name in enumerate(self.classes)
            },
        }
        return Featured(splits, report)

    def explore(self, featured: Featured[Images], folder: Path) -> None:
        from pipelines.parts.vision.explore import explore

        explore(featured.splits, self.classes, folder)

    def count(self, data: Images) -> int:
        return len(data)

    def take(self, data: Images, positions: Sequence[int]) -> Images:
        return data.take(np.asarray(positions, dtype=np.intp))

    # models -------------------------------------------------------------------------------------------------------------

    def fit(self, candidate: str, params: Any, train: Images, valid: Images, training: Training) -> Fit[VisionModel]:
        """The candidate's parameters know how: each class of `candidate_params` is one way to a network."""
        fit: Fit[VisionModel] = params.fit(train, valid, training, self.classes)
        return fit

    def predict(self, model: VisionModel, data: Images) -> Arrays:
        """`probability`, shape (rows, classes): calibrated by the model's temperature."""
        return {"probability": model.probability(data)}

    def truth(self, data: Images) -> Arrays:
        return {"label": data.label}

    def score(self, truth: Arrays, predictions: Arrays, params: Strict) -> dict[str, float]:
        return multiclass.metrics(np.asarray(truth["label"]), np.asarray(predictions["probability"]))

    # for people ---------------------------------------------------------------------------------------------------------

    def answer(self, model: VisionModel, data: Images, predictions: Arrays) -> list[dict[str, Any]]:
        """The file if it came in one, the class, how sure the model is, and the probability of every class."""
        probability = np.asarray(predictions["probability"])
        return [
            {
                **({"image": str(name)} if name else {}),
                "class": self.classes[int(row.argmax())],
                "confidence": float(row.max()),
                "probabilities": {name: float(p) for name, p in zip(self.classes, row, strict=True)},
            }
            for name, row in zip(data.name, probability, strict=True)
        ]

    def example(self, data: Images, rows: int) -> list[dict[str, Any]]:
        """The first images as base64 text of PNG files: what a caller over HTTP would send. They are as the model knows them."""
        return [{"image": base64.b64encode(png(pixels)).decode(), "invert": False} for pixels in data.pixels[:rows]]

    def slices(self, data: Images) -> Mapping[str, Sequence[int]]:
        """Each class, and quarters of the images by their brightness."""
        found = {f"class={name}": np.flatnonzero(data.label == number).tolist() for number, name in enumerate(self.classes)}
        order = np.argsort(quality(data)["brightness"], kind="stable")
        found |= {
            f"brightness={name}": np.sort(part).tolist() for name, part in zip(QUARTILES, np.array_split(order, 4), strict=True)
        }
        return {name: positions for name, positions in found.items() if positions}

    def figures(self, evidence: Evidence[Images, VisionModel], folder: Path) -> None:
        from pipelines.parts.vision.report import draw

        draw(evidence, self.classes, dict(self.slices(evidence.data)), folder)

    def export(self, evidence: Evidence[Images, VisionModel], folder: Path) -> Sequence[Criterion]:
        """The winner as ONNX, whole and in 8 bits; promotion needs the ONNX form to say the same."""
        from pipelines.parts.vision.export import export

        return export(evidence.models[evidence.winner], evidence.data, folder).criteria

    def watch(self, model: VisionModel, data: Images) -> Arrays:
        """Image quality, where the images lie among the training images (`embedding.…`), and what the model says of them."""
        probability, embedded = model.watched(data)
        return {
            **quality(data),
            **{f"embedding.{axis}": embedded[:, axis].astype(float) for axis in range(embedded.shape[1])},
            "score.confidence": probability.max(axis=1, initial=0.0).astype(float),
            "score.class": np.array(self.classes)[probability.argmax(axis=1)],
        }

    def labelled(self, data: Images) -> Images:
        return data.take(np.flatnonzero(data.label != UNKNOWN))

    def probes(self) -> Probes[Images]:
        return ImageProbes()

    # inside -------------------------------------------------------------------------------------------------------------

    def _has_every_class(self, name: str, images: Images) -> None:
        counts = np.bincount(images.label[images.label >= 0], minlength=len(self.classes))
        if missing := [self.classes[number] for number in np.flatnonzero(counts == 0)]:
            raise DataError(
                f"the {name} set of {len(images):,} images has none of {', '.join(missing)}; every class must be in train, valid "
                "and test. Give more images of it, or larger shares in params.yaml (split)"
            )


class ImageProbes(Probes[Images]):
    """How the conformance suite breaks images."""

    def relabel(self, data: Images, order: Sequence[int]) -> Images:
        return Images.of(data.pixels, data.label[np.asarray(order)], data.fold, data.size)

    def inputs(self, data: Images) -> Mapping[str, Any]:
        """Single pixels are no suspects; what might give a label away is the image as a file."""
        return quality(data)

    def label(self, data: Images) -> Any:
        return data.label

    def broken_rows(self, rows: Any) -> Mapping[str, Any]:
        """An image cut off, no image at all, nothing, and one that is missing."""
        content = base64.b64decode(rows[0]["image"])
        return {
            "a truncated image": [{"image": content[: len(content) // 2]}],
            "text in place of an image": [{"image": "no such image"}],
            "an empty image": [{"image": b""}],
            "no image": [{"picture": content}],
        }


def png(pixels: NDArray[np.uint8]) -> bytes:
    """An image of shape (channels, height, width), one or three channels, as a PNG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1)).save(buffer, format="PNG")
    return buffer.getvalue()
