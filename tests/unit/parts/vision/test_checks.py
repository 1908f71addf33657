"""Every check of a set of images is shown able to fail, on images and, for the statistics, on the table."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pipelines.core.contract import Checked
from pipelines.core.errors import DataError
from pipelines.core.validation import Check
from pipelines.parts.tabular.mutations import unproven
from pipelines.parts.vision.checks import check_images, schema, statistics
from pipelines.parts.vision.images import Images, hashes

CLASSES = ("coat", "shoe", "bag")


def good(rows: int = 60) -> Images:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (rows, 1, 6, 6), dtype=np.uint8)
    return Images.of(pixels, np.arange(rows) % 3, np.arange(rows) % 5 == 4)


@pytest.fixture
def judge() -> Iterator[Callable[..., Checked[Images]]]:
    """`check_images`; the docs are removed afterwards."""
    folders: list[Path] = []

    def judged(images: Images, **options: float) -> Checked[Images]:
        checked = check_images(images, CLASSES, **options)  # type: ignore[arg-type]
        folders.append(checked.docs)
        return checked

    yield judged
    for folder in folders:
        shutil.rmtree(folder)


def changed(label: dict[int, int] | None = None, copies: dict[int, int] | None = None, blank: int | None = None) -> Images:
    """Good images, some with another label, some the copy of another, one blank."""
    images = good()
    for row, value in (label or {}).items():
        images.label[row] = value
    for row, source in (copies or {}).items():
        images.pixels[row] = images.pixels[source]
        images.label[row] = images.label[source]
    if blank is not None:
        images.pixels[blank] = 77
    return images


def only_failure(checked: Checked[Images]) -> Check:
    [failed] = checked.report.failed
    return failed


def test_good_images_pass(judge: Callable[..., Checked[Images]]) -> None:
    checked = judge(good(), rows=60)
    assert checked.report.failed == ()
    assert checked.report.quarantined == 0
    assert len(checked.data) == 60
    assert {check.tool for check in checked.report.checks} == {"pandera", "great_expectations", "images"}
    assert (checked.docs / "index.html").is_file()
    assert "Great Expectations" in (checked.docs / "expectations.html").read_text()


@pytest.mark.parametrize(
    ("images", "rule", "rows", "example"),
    [
        (changed(label={7: 3}), "is at most 2", [7], "row 7: 3"),
        (changed(label={7: -1}), "is at least 0", [7], "row 7: -1"),
        (changed(blank=8), "is not of one grey throughout", [8], "row 8: 0.0"),
        (changed(copies={11: 2, 12: 2}), "is no copy of an earlier image of its fold", [11, 12], "row 11: first 2, image 11"),
        (changed(copies={9: 3}), "is no training image and test image at once", [3], "row 3: test_twin 9, image 3"),
    ],
)
def test_each_row_rule_sets_its_images_aside(
    judge: Callable[..., Checked[Images]], images: Images, rule: str, rows: list[int], example: str
) -> None:
    checked = judge(images)
    failed = only_failure(checked)
    assert (failed.rule, failed.level, failed.failures) == (rule, "row", len(rows))
    assert failed.examples[0] == example
    kept = np.delete(np.arange(60), rows)
    assert np.array_equal(checked.data.pixels, images.pixels[kept])
    assert np.array_equal(checked.data.label, images.label[kept])
    assert checked.report.quarantined == len(rows)
    assert len((checked.docs / "quarantine.csv").read_text().splitlines()) == 1 + len(rows)


def test_identical_images_with_two_labels_are_both_set_aside(judge: Callable[..., Checked[Images]]) -> None:
    images = changed(copies={10: 1})
    images.label[10] = (images.label[1] + 1) % 3
    checked = judge(images)
    assert {check.rule: check.failures for check in checked.report.failed} == {
        "has the one label of all identical images": 2,
        "is no copy of an earlier image of its fold": 1,
    }
    assert len(checked.data) == 58


@pytest.mark.parametrize(
    ("images", "options", "rule", "found"),
    [
        (good().take([n for n in range(60) if n % 3 != 1]), {}, "has images of every class", "none of shoe"),
        (
            good().take([n for n in range(60) if n % 3 != 1 or n == 1]),
            {},
            "has at least 3.33% of its images in each class",
            "shoe: 1 of 41",
        ),
        (good(), {"rows": 61}, "has at least 61 rows", "found 60"),
    ],
)
def test_each_rule_about_the_set_stops_the_run(
    judge: Callable[..., Checked[Images]], images: Images, options: dict[str, int], rule: str, found: str
) -> None:
    failed = only_failure(judge(images, **options))
    assert (failed.rule, failed.level, failed.failures) == (rule, "table", 1)
    assert failed.examples == (found,)


def test_one_class_only_and_all_nearly_black(judge: Callable[..., Checked[Images]]) -> None:
    images = good().take([n for n in range(60) if n % 3 == 0])
    images.pixels[:] = images.pixels > 250  # levels 0 and 1
    rules = {check.rule for check in judge(images).report.failed}
    assert {"has more than one value", "has a mean from 1 to 254", "has images of every class"} <= rules


def test_no_images_at_all(judge: Callable[..., Checked[Images]]) -> None:
    checked = judge(good().take([]))
    assert {check.rule for check in checked.report.failed} == {"has at least 1 rows", "has images of every class"}


def test_the_smallest_share_can_be_chosen(judge: Callable[..., Checked[Images]]) -> None:
    images = good().take([n for n in range(60) if n % 3 != 1 or n == 1])
    assert judge(images, share=0.05).report.failed == ()


def test_every_check_of_the_statistics_can_fail_alone() -> None:
    declared = schema(CLASSES, rows=50)
    assert unproven(statistics(good())[list(declared.names)], declared) == []


def test_hashes_tell_pixels_apart() -> None:
    pixels = good().pixels
    pixels[5] = pixels[4]
    found = hashes(pixels)
    assert found[5] == found[4]
    assert len(np.unique(found)) == 59


def test_a_label_file_with_labels_out_of_range_says_which(judge: Callable[..., Checked[Images]]) -> None:
    failed = only_failure(judge(changed(label={0: 9, 30: 7})))
    assert failed.sentence() == "column 'label': is at most 2: 2 rows (e.g. row 0: 9; row 30: 7)"


def test_images_that_do_not_fit_their_labels_never_get_here() -> None:
    with pytest.raises(DataError, match=r"expected label of shape \(60,\)"):
        Images.of(good().pixels, np.zeros(59))
