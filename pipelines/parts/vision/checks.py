"""What a set of labelled images must be: a table of statistics judged as any table is, and rules about classes.

::

    images ── statistics ──▶ one row an image ── parts/tabular ──▶ Pandera: rows      ─┐
       │                                                     └───▶ Great Expectations ─┼─▶ one report, data docs
       └───── counts of the labels ───────────────────────────▶ rules about classes   ─┘
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.core.contract import Checked
from pipelines.core.files import scratch
from pipelines.core.validation import Check, Report
from pipelines.parts.tabular import docs
from pipelines.parts.tabular.checks import judge_table
from pipelines.parts.tabular.schema import Column, Rule, Schema
from pipelines.parts.vision.images import TEST, TRAIN, Images, hashes
from pipelines.parts.vision.quality import quality

TOOL = "images"
SHARE = 0.1
"""Smallest share of a class, as a part of an even share: with ten classes, one image in a hundred."""

BOOKKEEPING = frozenset(("image", "first", "test_twin", "labels"))
"""Columns that serve rules over several columns: that they have values of their type says nothing of the images, so it is
reported only if it should fail."""


def check_images(images: Images, classes: Sequence[str], *, rows: int = 1, share: float = SHARE) -> Checked[Images]:
    """Judge labelled images by every rule at once, and write the docs into a new temporary folder that is the caller's.

    `rows`: fewest images worth working with. `share`: smallest share of a class, as a part of an even share. Set aside as
    rows: images with a label that is no class, of one grey throughout, copies of an earlier image of the same fold, training
    images that are test images too (the publisher's test set stays whole), and identical images with different labels.
    """
    table = statistics(images)
    declared = schema(classes, rows)
    judged = judge_table(table[list(declared.names)], declared)
    kept = np.setdiff1d(np.arange(len(images)), np.fromiter(judged.faults, dtype=np.intp))
    good = images.take(kept)
    of_table = (check for check in judged.report.checks if check.column not in BOOKKEEPING or not check.passed)
    checks = (*of_table, *_of_classes(good.label, classes, share))
    report = Report(rows=len(images), quarantined=len(judged.faults), checks=checks)
    folder = Path(tempfile.mkdtemp(prefix="data-docs-", dir=scratch()))
    docs.write(folder, report, table, judged.faults, judged.sections)
    return Checked(good, report, folder)


def schema(classes: Sequence[str], rows: int = 1) -> Schema:
    """What the table of statistics must be."""
    return Schema(
        columns=(
            Column("image", "integer", "position among the images that had arrived", low=0),
            Column(
                "label",
                "integer",
                f"class: {', '.join(f'{n} {name}' for n, name in enumerate(classes))}",
                low=0,
                high=len(classes) - 1,
            ),
            Column("fold", "integer", "0: the publisher's training images, 1: test images", low=TRAIN, high=TEST),
            Column("brightness", "number", "mean grey level", low=0, high=255, mean=(1, 254)),
            Column("contrast", "number", "standard deviation of the grey levels", low=0),
            Column("first", "integer", "the first identical image of the same fold", low=0),
            Column("test_twin", "integer", "of a training image: the first identical test image, else itself", low=0),
            Column("labels", "integer", "how many labels identical images have", low=1),
        ),
        target="label",
        ids=("image",),
        rules=(
            Rule("is not of one grey throughout", ("contrast",), lambda t: t["contrast"] > 0, {"contrast": 0}),
            Rule(
                "is no copy of an earlier image of its fold", ("first", "image"), lambda t: t["first"] == t["image"], {"first": 1}
            ),
            Rule(
                "is no training image and test image at once",
                ("test_twin", "image"),
                lambda t: t["test_twin"] == t["image"],
                {"test_twin": 1},
            ),
            Rule(
                "has the one label of all identical images",
                ("labels", "label"),
                lambda t: t["labels"] == 1,
                {"labels": 2},
            ),
        ),
        rows=rows,
    )


def statistics(images: Images) -> pd.DataFrame:
    """One row an image: what it is said to be, what it is like, and which images are identical to it. Some of it is judged,
    all of it is listed of images that are set aside.
    """
    return pd.DataFrame(
        {
            "image": np.arange(len(images)),
            "label": images.label,
            "fold": images.fold.astype(np.int64),
            **quality(images),
            **twins(images),
        }
    )


def twins(images: Images) -> dict[str, NDArray[np.int64]]:
    """Identical images, told by the hashes of their pixels; `first`, `test_twin` and `labels` of the schema."""
    frame = pd.DataFrame(
        {"pixels": hashes(images.pixels), "fold": images.fold, "label": images.label, "image": np.arange(len(images))}
    )
    first = frame.groupby(["pixels", "fold"])["image"].transform("min")
    test = frame[frame["fold"] == TEST].groupby("pixels")["image"].min()
    twin = frame["pixels"].map(test).where(frame["fold"] == TRAIN).fillna(frame["image"])
    labels = frame.groupby("pixels")["label"].transform("nunique")
    return {name: column.to_numpy(dtype=np.int64) for name, column in (("first", first), ("test_twin", twin), ("labels", labels))}


def _of_classes(label: NDArray[np.int64], classes: Sequence[str], share: float) -> Iterator[Check]:
    """Rules about the classes, on the images that passed."""
    counts = np.bincount(label, minlength=len(classes))
    missing = [name for name, count in zip(classes, counts, strict=True) if not count]
    yield _table_rule("has images of every class", [f"none of {name}" for name in missing])
    least = share / len(classes)
    scarce = [
        f"{name}: {count:,} of {len(label):,}"
        for name, count in zip(classes, counts, strict=True)
        if 0 < count < least * len(label)
    ]
    yield _table_rule(f"has at least {least:.2%} of its images in each class", scarce)


def _table_rule(rule: str, faults: Sequence[str]) -> Check:
    return Check(tool=TOOL, column="label", rule=rule, level="table", failures=int(bool(faults)), examples=tuple(faults))
