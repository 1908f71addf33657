"""Pictures of every kind come out as pixels; every way to be unusable is told by name, all in one error."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipelines.core.errors import DataError
from pipelines.parts.vision.reading import files, read_images, stream

GREY, COLOUR = (1, 8, 8), (3, 8, 8)


def file_of(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


@pytest.fixture
def article() -> NDArray[np.uint8]:
    """Eight by eight grey levels, dark at the border."""
    pixels = np.zeros((8, 8), dtype=np.uint8)
    pixels[2:6, 2:6] = np.random.default_rng(0).integers(100, 256, (4, 4))
    return pixels


def one(rows: Any, shape: tuple[int, int, int] = GREY, **options: Any) -> NDArray[np.uint8]:
    images = read_images(rows, shape, **options)
    assert len(images) == 1
    pixels: NDArray[np.uint8] = images.pixels[0]
    return pixels


# every kind of source ---------------------------------------------------------------------------------------------------


def test_every_source_of_one_picture(article: NDArray[np.uint8], tmp_path: Path) -> None:
    content = file_of(Image.fromarray(article))
    path = tmp_path / "article.png"
    path.write_bytes(content)
    text = base64.b64encode(content).decode()
    sources = [
        path, str(path), tmp_path, content, bytearray(content), memoryview(content), Image.fromarray(article), article,
        article[:, :, None], article.astype(np.uint16) * 257, {"image": content}, {"image": path}, {"image": article},
        {"image": text}, {"image": f"data:image/png;base64,{text}"}, {"image": text[:40] + "\n" + text[40:]},
        [content], ({"image": text, "customer": 7},), article[None, :, :, None], pd.DataFrame({"image": [text]}),
    ]  # fmt: skip
    for source in sources:
        assert np.array_equal(one(source)[0], article), type(source)


def test_many_keep_their_order(article: NDArray[np.uint8]) -> None:
    images = read_images([article, file_of(Image.fromarray(article // 2)), {"image": article // 3}], GREY)
    assert [pixels[0].max() for pixels in images.pixels] == [(article // n).max() for n in (1, 2, 3)]
    assert images.label.tolist() == [-1, -1, -1]


@pytest.mark.parametrize("nothing", [[], (), pd.DataFrame({"image": []}), np.empty((0, 8, 8, 1), dtype=np.uint8)])
def test_no_rows_are_fine(nothing: Any) -> None:
    assert read_images(nothing, COLOUR).pixels.shape == (0, *COLOUR)


# every kind of picture --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "YCbCr", "1", "PA", "HSV"])
@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_every_mode(article: NDArray[np.uint8], mode: str, shape: tuple[int, int, int]) -> None:
    picture = Image.fromarray(article.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(article).convert(mode)
    assert picture.mode == mode
    expected = np.where(article > 127, 255, 0) if mode == "1" else article
    found = one(picture, shape)
    if mode != "1":
        assert np.abs(found.astype(int) - expected).max() <= 1
    else:
        assert set(np.unique(found)) == {0, 255}, "dithered"
    if mode in ("L", "LA", "P", "RGB", "RGBA", "I;16", "1"):
        assert np.array_equal(one(file_of(picture), shape), found), "the same from a PNG file"


def test_a_jpeg_in_cmyk(article: NDArray[np.uint8]) -> None:
    plain = np.full((8, 8), 180, dtype=np.uint8)
    content = file_of(Image.fromarray(plain).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(one(content).astype(int) - 180).max() < 6


def test_16_bits_are_scaled_not_clipped() -> None:
    deep = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    found = one(file_of(Image.fromarray(deep)))
    assert found.min() == 0
    assert found.max() == 255
    assert np.abs(found[0].astype(float) - deep / 257).max() <= 0.5


def test_colours_become_luma_and_grey_becomes_equal_channels(article: NDArray[np.uint8]) -> None:
    red = np.zeros((8, 8, 3), dtype=np.uint8)
    red[..., 0] = 255
    assert set(np.unique(one(red))) == {76}, "0.299 of 255"
    assert (one(article, COLOUR) == article).all()


@pytest.mark.parametrize(("ground", "invert", "behind"), [(0, False, 0), (255, False, 255), (0, True, 0), (40, True, 40)])
def test_transparent_pixels_show_the_ground(ground: int, invert: bool, behind: int) -> None:
    pixels = np.full((8, 8, 4), 200, dtype=np.uint8)
    pixels[:4, :, 3] = 0
    pixels[4:, :, 3] = 255
    found = one(file_of(Image.fromarray(pixels)), ground=ground, invert=invert)
    assert set(np.unique(found[0, :4])) == {behind}
    assert set(np.unique(found[0, 4:])) == {55 if invert else 200}


def test_a_transparent_colour_of_a_palette(article: NDArray[np.uint8]) -> None:
    picture = Image.fromarray(np.where(article > 0, 1, 0).astype(np.uint8))
    picture.putpalette([255, 255, 255, 10, 10, 10])
    assert set(np.unique(one(file_of(picture, transparency=0)))) == {0, 10}, "white, but transparent"


def test_a_transparent_grey_of_sixteen_bits(article: NDArray[np.uint8]) -> None:
    picture = Image.fromarray(np.where(article > 0, 65535, 2570).astype(np.uint16))
    assert set(np.unique(one(file_of(picture, transparency=65535)))) == {0, 10}, "white, but transparent"


# size and turn ----------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(width=st.integers(1, 60), height=st.integers(1, 60), channels=st.sampled_from([1, 3]))
def test_any_size_fits_and_keeps_its_aspect(width: int, height: int, channels: int) -> None:
    white = np.full((height, width), 255, dtype=np.uint8)
    images = read_images(white, (channels, 12, 16))
    assert images.pixels.shape == (1, channels, 12, 16)
    assert images.size.tolist() == [[width, height]]
    rows, columns = images.pixels[0, 0].any(axis=1).sum(), images.pixels[0, 0].any(axis=0).sum()
    scale = min(16 / width, 12 / height)
    assert abs(columns - max(1, width * scale)) <= 0.5
    assert abs(rows - max(1, height * scale)) <= 0.5
    assert rows == 12 or columns == 16


def test_what_is_left_is_ground_on_both_sides() -> None:
    found = one(np.full((10, 40), 200, dtype=np.uint8), ground=30)[0]
    assert (found[3:5] == 200).all()
    assert (found[:3] == 30).all()
    assert (found[5:] == 30).all()


def test_shrinking_averages() -> None:
    board = (np.indices((80, 80)).sum(axis=0) % 2 * 255).astype(np.uint8)
    assert np.abs(one(board).astype(int) - 127).max() <= 4, "and not one pixel in ten"


@pytest.mark.parametrize("tag", range(1, 9))
def test_exif_orientation_is_honoured(tag: int) -> None:
    upright = np.zeros((40, 24), dtype=np.uint8)
    upright[:20, :12] = 250  # the upper left quarter
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.T, 6: np.rot90(upright),
        7: upright[::-1, ::-1].T, 8: np.rot90(upright, -1),
    }[tag]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = tag
    images = read_images(file_of(Image.fromarray(np.ascontiguousarray(stored)), "JPEG", exif=exif, quality=95), (1, 40, 24))
    assert images.size.tolist() == [[24, 40]], "as it is looked at"
    assert np.abs(images.pixels[0, 0].astype(int) - upright).mean() < 5


def test_broken_exif_is_no_reason_to_refuse_good_pixels(article: NDArray[np.uint8]) -> None:
    content = file_of(Image.fromarray(article), "JPEG", exif=b"Exif\0\0nonsense", quality=95)
    assert one(content).shape == GREY


def test_a_callers_picture_is_left_as_it_is() -> None:
    picture = Image.open(io.BytesIO(file_of(Image.new("RGB", (400, 300), "red"), "JPEG")))
    one(picture)
    assert (picture.size, picture.mode) == ((400, 300), "RGB")


# light and dark ---------------------------------------------------------------------------------------------------------


def test_invert_when_asked(article: NDArray[np.uint8]) -> None:
    negative = 255 - article
    assert np.array_equal(one(negative, invert=True)[0], article)
    assert np.array_equal(one({"image": negative, "invert": True})[0], article)
    assert np.array_equal(one({"image": negative, "invert": False}, invert=True)[0], negative)
    assert np.array_equal(one(negative)[0], negative), "and never unless asked"


def test_only_some_rows_of_a_table_say_whether_to_invert(article: NDArray[np.uint8]) -> None:
    """A table has NaN where a row says nothing: that row is as the project has it."""
    content = file_of(Image.fromarray(article))
    found = read_images(pd.DataFrame([{"image": content}, {"image": content, "invert": True}]), GREY).pixels
    assert np.array_equal(found[:, 0], [article, 255 - article])


@pytest.mark.parametrize("ground", [0, 255])
def test_invert_by_the_border(article: NDArray[np.uint8], ground: int) -> None:
    wanted = article if ground == 0 else 255 - article
    for picture in (article, 255 - article):
        assert np.array_equal(one(picture, invert="border", ground=ground)[0], wanted)


# what is refused --------------------------------------------------------------------------------------------------------


def test_faults_are_told_by_file_name_all_at_once(tmp_path: Path, article: NDArray[np.uint8]) -> None:
    good = file_of(Image.fromarray(article))
    (tmp_path / "a_good.png").write_bytes(good)
    (tmp_path / "b_cut.png").write_bytes(good[: len(good) // 2])
    (tmp_path / "c_empty.jpg").write_bytes(b"")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "notes.txt").write_text("remember the milk")
    (tmp_path / ".hidden").write_text("not looked at")
    (tmp_path / "d_cut.jpg").write_bytes(file_of(Image.effect_noise((90, 90), 50), "JPEG")[:900])
    with pytest.raises(DataError) as caught:
        read_images(tmp_path, GREY)
    lines = str(caught.value).splitlines()
    assert lines[0] == "these images cannot be read:"
    assert lines[1].startswith("  - b_cut.png is cut off or damaged (")
    assert lines[2] == "  - c_empty.jpg is empty (0 bytes); send it again"
    assert lines[3].startswith("  - d_cut.jpg is cut off or damaged (")
    assert lines[4] == "  - below/notes.txt is not an image; expected PNG, JPEG, WEBP, BMP, GIF, TIFF"
    assert len(lines) == 5


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"picture": 1}, "row 1 has no 'image'; found 'picture'"),
        ({}, "row 1 has no 'image'; found nothing"),
        ({"image": None}, "row 1 is NoneType; expected a path, bytes, an array"),
        ({"image": 3.5}, "row 1 is float; expected"),
        (None, "row 1 is NoneType; expected"),
        ({"image": "/etc/hostname"}, "row 1 has text under 'image' that is no base64: '/etc/hostname'; .* not as its path"),
        ({"image": ""}, r"row 1 is empty \(0 bytes\)"),
        ({"image": "bm8gaW1hZ2U="}, "row 1 is not an image; expected PNG"),
        ({"image": b"", "invert": "yes"}, "row 1 says invert: 'yes'; expected true, false or 'border'"),
        (np.zeros((8, 8)), "row 1 is an array of float64; expected uint8 from 0 to 255, or uint16"),
        (np.zeros((2, 8, 7), dtype=np.uint8), r"row 1 has shape \(2, 8, 7\); expected \(height, width\)"),
        (np.zeros((0, 8), dtype=np.uint8), r"row 1 has shape \(0, 8\)"),
        (np.zeros(8, dtype=np.uint8), r"row 1 has shape \(8,\)"),
        (Image.new("F", (8, 8)), "row 1 holds fractions, whose black and white nobody states"),
        (Image.fromarray(np.full((8, 8), 1 << 20, dtype=np.int32)), "row 1 holds numbers from 1048576 to 1048576"),
        (Image.new("LAB", (8, 8)), "row 1 has colours of kind LAB, which cannot be converted; save it as RGB"),
        (Path("gone.png"), r"gone.png cannot be opened \(No such file or directory\); check the path"),
    ],
)
def test_rows_that_are_no_pictures(article: NDArray[np.uint8], row: Any, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        read_images([article, row], GREY)


def test_many_faults_are_counted() -> None:
    with pytest.raises(DataError, match=r"row 9 is not an image.*\n  - and 15 more$"):
        read_images([b"no"] * 25, GREY)


def _peak(code: str, path: Path) -> int:
    """Most bytes allocated while a process of its own runs the code: here, other tests' threads would be counted too."""
    program = PROBE.replace("CODE", textwrap.indent(code.strip(), "    "))
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


PROBE = """
import sys, tracemalloc
from pathlib import Path
import numpy as np
from pipelines.core.errors import DataError
from pipelines.parts.vision.reading import read_images, stream

def run():
CODE

read_images(np.zeros((8, 8), dtype=np.uint8), (1, 8, 8))  # imports what it needs
tracemalloc.start()
run()
print(tracemalloc.get_traced_memory()[1])
"""

REFUSED = """
try:
    read_images(Path(sys.argv[1]), (1, 8, 8))
except DataError as refused:
    assert "too large" in str(refused)
else:
    raise AssertionError("it was read")
"""


def test_decompression_bombs_are_refused_before_decoding(tmp_path: Path) -> None:
    bomb = file_of(Image.new("1", (9_000, 9_000)), optimize=False)
    assert len(bomb) < 100_000
    with pytest.raises(DataError, match="row 0 is too large: expected at most 50,000,000 pixels, found 9,000 x 9,000; make it"):
        read_images(bomb, GREY)
    (tmp_path / "bomb.png").write_bytes(bomb)
    assert _peak(REFUSED, tmp_path / "bomb.png") < 5e6, "of 81 MB"
    with pytest.raises(DataError, match="is too large: expected at most 50,000,000 pixels; make it smaller"):
        read_images(file_of(Image.new("1", (14_000, 14_000))), GREY)
    with pytest.raises(DataError, match="expected at most 99 pixels, found 10 x 10"):
        read_images(np.zeros((10, 10), dtype=np.uint8), GREY, limit=99)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected images in the folder .*, found no file; check the path"):
        read_images(tmp_path, GREY)


def test_no_such_path() -> None:
    with pytest.raises(DataError, match=r"nowhere/article\.png cannot be opened"):
        read_images("nowhere/article.png", GREY)


# many -------------------------------------------------------------------------------------------------------------------


def test_the_order_of_a_folder(tmp_path: Path) -> None:
    for name in ("b.png", "a/z.png", "a/.git/x.png", "c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [str(file.relative_to(tmp_path)) for file in files(tmp_path)] == ["b.png", "c.png", "a/z.png"]


def test_ten_thousand_files_are_streamed_in_bounded_memory(tmp_path: Path) -> None:
    content = [file_of(Image.new("L", (8, 8), level)) for level in range(250)]
    for number in range(10_000):
        path = tmp_path / f"{number:05d}.png"
        if number < 250:
            path.write_bytes(content[number])
        else:
            path.hardlink_to(tmp_path / f"{number % 250:05d}.png")
    assert _peak(STREAMED, tmp_path) < 5e6, "of 41 MB in all"


STREAMED = """
seen = 0
for part in stream(Path(sys.argv[1]), (1, 64, 64), 100):
    assert part.pixels.shape == (100, 1, 64, 64)
    assert part.pixels[0, 0, 0, 0] == seen % 250
    seen += len(part)
assert seen == 10_000
"""


def test_batches_before_the_end_are_good_and_the_end_names_the_others() -> None:
    rows = [np.full((8, 8), level, dtype=np.uint8) for level in range(5)]
    found = stream([*rows[:3], b"broken", *rows[3:]], GREY, 2)
    assert [next(found).pixels[:, 0, 0, 0].tolist() for _ in range(3)] == [[0, 1], [2, 3], [4]]
    with pytest.raises(DataError, match="row 3 is not an image"):
        next(found)
