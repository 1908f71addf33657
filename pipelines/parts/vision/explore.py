"""What a data set of images is like, as a page: classes, samples, pixels, and images that look alike."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.contract import Splits
from pipelines.parts.reports.page import render_page
from pipelines.parts.vision import overview
from pipelines.parts.vision.images import Images
from pipelines.parts.vision.near import Near, near_duplicates
from pipelines.parts.vision.quality import quality

SPLITS = ("train", "valid", "test")
CLOSEST = 12
"""Pairs shown within splits, and as many across."""

Quality = Mapping[str, NDArray[np.float64]]


def explore(splits: Splits[Images], classes: Sequence[str], folder: Path, seed: int = 0) -> None:
    """Write `index.html`, its PNG pictures and `exploration.json` into `folder`, which exists.

    Samples and mean images are of the training set only. Of validation and test, counts and distributions are told, and the
    images that look like another one are shown: a test image that was trained on would be no test.
    """
    parts = dict(zip(SPLITS, (splits.train, splits.valid, splits.test), strict=True))
    images = Images.concat(list(parts.values()))
    split = np.repeat(np.arange(len(SPLITS)), [len(part) for part in parts.values()])
    found = quality(images)
    near = near_duplicates(images, seed=seed)
    facts: dict[str, Any] = {
        "shape": dict(zip(("channels", "height", "width"), images.shape, strict=True)),
        "rows": {name: len(part) for name, part in parts.items()},
        "classes": class_facts(images, split, classes, found),
        "pixels": {name: pixel_facts(part) for name, part in parts.items()},
        "near_duplicates": near_facts(near, images, split, classes),
    }
    (folder / "exploration.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    overview.balance(folder, facts["classes"], SPLITS)
    overview.samples(folder, splits.train, classes, seed)
    overview.means(folder, splits.train, classes)
    overview.distributions(folder, {name: {key: found[key][split == n] for key in found} for n, name in enumerate(SPLITS)})
    closest = facts["near_duplicates"]["closest"]
    overview.pairs(folder / "alike_within.png", "Most alike within a split", images, closest["within"])
    overview.pairs(folder / "alike_across.png", "Most alike across splits", images, closest["across"])
    page = render_page("exploration.html", facts=facts, splits=SPLITS, capped=len(classes) > overview.CLASSES, overview=overview)
    (folder / "index.html").write_text(page, encoding="utf-8")


def class_facts(images: Images, split: NDArray[np.int64], classes: Sequence[str], found: Quality) -> list[dict[str, Any]]:
    """Of each class: images by split, share of all, mean brightness and contrast (None without images)."""
    facts = []
    for number, name in enumerate(classes):
        rows = images.label == number
        facts.append(
            {
                "class": name,
                **{part: int((rows & (split == n)).sum()) for n, part in enumerate(SPLITS)},
                "share": float(rows.mean()) if len(rows) else 0.0,
                **{key: float(found[key][rows].mean()) if rows.any() else None for key in ("brightness", "contrast")},
            }
        )
    return facts


def pixel_facts(images: Images) -> list[dict[str, float]]:
    """Of each channel: mean and standard deviation of its levels (0 to 255), shares that are black and white."""
    facts = []
    level = np.arange(256)
    for channel in range(images.shape[0]):
        share = np.bincount(images.pixels[:, channel].reshape(-1), minlength=256) / max(1, images.pixels[:, channel].size)
        mean = float(share @ level)
        deviation = float(np.sqrt(share @ (level - mean) ** 2))
        facts.append({"mean": mean, "deviation": deviation, "black": float(share[0]), "white": float(share[255])})
    return facts


def near_facts(near: Near, images: Images, split: NDArray[np.int64], classes: Sequence[str]) -> dict[str, Any]:
    """How many pairs look alike within and across splits, what chance would give, and the closest of them."""
    between = []
    for first, second in combinations_with_replacement(range(len(SPLITS)), 2):
        joined = near.pairs[near.of(split, first, second)]
        between.append(
            {
                "splits": [SPLITS[first], SPLITS[second]],
                "pairs": len(joined),
                "expected": near.expected(split, first, second),
                "other_label": int((images.label[joined[:, 0]] != images.label[joined[:, 1]]).sum()),
            }
        )
    across = split[near.pairs[:, 0]] != split[near.pairs[:, 1]]
    start = np.searchsorted(split, np.arange(len(SPLITS)))  # position in the whole to position within its split

    def told(pair: int) -> dict[str, Any]:
        rows = near.pairs[pair]
        return {
            "correlation": float(near.correlation[pair]),
            "images": [
                {
                    "split": SPLITS[split[row]],
                    "row": int(row - start[split[row]]),
                    "class": classes[images.label[row]] if images.label[row] >= 0 else "unknown",
                    "position": int(row),
                }
                for row in rows
            ],
        }

    return {
        "measure": "correlation of grey levels",
        "threshold": near.threshold,
        "compared": len(near.compared),
        "images": len(images),
        "pairs": len(near.pairs),
        "between": between,
        "closest": {
            "within": [told(pair) for pair in np.flatnonzero(~across)[:CLOSEST]],
            "across": [told(pair) for pair in np.flatnonzero(across)[:CLOSEST]],
        },
    }
