"""Augmentation: what each operation does to pictures, alone; and that one generator always gives one result."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from pipelines.parts.vision.augment import augment
from pipelines.parts.vision.recipe import Augmentation


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int = 64, channels: int = 1, height: int = 12, width: int = 10) -> Tensor:
    return torch.rand((n, channels, height, width), generator=draws(9)) * 0.8 + 0.1  # never black: black is what moves in


amounts = st.fixed_dictionaries(
    {},
    optional={
        "flip": st.floats(0, 1),
        "shift": st.integers(0, 15),
        "rotate": st.floats(0, 180),
        "zoom": st.floats(0, 0.9),
        "erase": st.floats(0, 1),
        "brightness": st.floats(0, 1),
        "contrast": st.floats(0, 1),
        "saturation": st.floats(0, 1),
        "fill": st.sampled_from(["black", "edge"]),
    },
)


@settings(max_examples=60, deadline=None)
@given(how=amounts, channels=st.sampled_from([1, 3]), n=st.integers(0, 5), seed=st.integers(0, 9))
def test_whatever_is_asked_for(how: dict[str, object], channels: int, n: int, seed: int) -> None:
    batch = pictures(n, channels)
    before = batch.clone()
    first = augment(batch, Augmentation(**how), draws(seed))
    assert torch.equal(first, augment(batch, Augmentation(**how), draws(seed))), "one generator, one result"
    assert torch.equal(batch, before), "the batch given is not written to"
    assert first.shape == batch.shape
    assert first.dtype == batch.dtype
    assert ((first >= 0) & (first <= 1)).all()


def test_off_changes_nothing_and_draws_nothing() -> None:
    generator = draws()
    state = generator.get_state()
    batch = pictures()
    assert torch.equal(augment(batch, Augmentation(), generator), batch)
    assert torch.equal(generator.get_state(), state)


def test_flip() -> None:
    batch = pictures(200)
    assert torch.equal(augment(batch, Augmentation(flip=1), draws()), batch.flip(3))
    found = augment(batch, Augmentation(flip=0.3), draws())
    flipped = (found == batch.flip(3)).all(dim=(1, 2, 3))
    assert ((found == batch).all(dim=(1, 2, 3)) ^ flipped).all(), "each is either as it was or mirrored"
    assert 0.2 < flipped.float().mean() < 0.4


@pytest.mark.parametrize("fill", ["black", "edge"])
def test_shift_moves_whole_pixels_and_fills_what_is_left(fill: str) -> None:
    batch = pictures(300, 3)
    found = augment(batch, Augmentation(shift=2, fill=fill), draws())
    mode = {"black": "constant", "edge": "replicate"}[fill]
    padded = torch.nn.functional.pad(batch, (2, 2, 2, 2), mode=mode)
    moved = torch.stack([padded[:, :, y : y + 12, x : x + 10] for y in range(5) for x in range(5)])
    matches = (moved == found).all(dim=(2, 3, 4)).sum(dim=1)
    assert int(matches.sum()) == 300, "each is one of the 25 shifts"
    assert int((matches > 0).sum()) == 25, "and all of them occur"


def test_shift_beyond_the_picture() -> None:
    found = augment(pictures(50), Augmentation(shift=40), draws())
    assert (found.flatten(1).sum(1) == 0).any()


def test_rotation_keeps_the_middle_and_the_distance_from_it() -> None:
    batch = torch.zeros(40, 1, 21, 21)
    batch[:, :, 10, 16] = 1  # six pixels to the right of the middle
    found = augment(batch, Augmentation(rotate=90), draws())
    at = found.flatten(1).argmax(1)
    distance = ((at // 21 - 10) ** 2 + (at % 21 - 10) ** 2).float().sqrt()
    assert ((distance - 6).abs() < 1).all()
    assert len(set(at.tolist())) > 10, "the angles differ"


def test_rotation_is_a_rotation_in_a_picture_that_is_not_square() -> None:
    batch = torch.zeros(60, 1, 41, 21)
    batch[:, :, 20, 18] = 1
    found = augment(batch, Augmentation(rotate=180), draws())
    at = found.flatten(1).argmax(1)
    distance = ((at // 21 - 20) ** 2 + (at % 21 - 10) ** 2).float().sqrt()
    assert ((distance - 8).abs() < 1).all(), "8 pixels up as well as to the side"


def test_zoom_makes_smaller_and_larger() -> None:
    batch = torch.zeros(200, 1, 32, 32)
    batch[:, :, 8:24, 8:24] = 1
    area = augment(batch, Augmentation(zoom=0.25), draws()).sum(dim=(1, 2, 3)) / 256
    assert 1 / 1.25**2 - 0.03 < area.min() < 0.75
    assert 1.35 < area.max() < 1.25**2 + 0.03


def test_erase_puts_noise_into_a_rectangle_of_some() -> None:
    batch = torch.full((400, 1, 20, 20), 2.0)  # beyond the range, so that noise is told from picture
    changed = augment(batch, Augmentation(erase=0.5), draws()) != 2
    share = changed.float().mean(dim=(1, 2, 3))
    assert 0.4 < (share > 0).float().mean() < 0.6
    assert share[share > 0].min() > 0.005
    assert share.max() < 0.4
    for one in changed[share > 0][:, 0]:
        rows, columns = one.any(1), one.any(0)
        assert torch.equal(one, rows[:, None] & columns[None]), "a rectangle"


@pytest.mark.parametrize("what", ["brightness", "contrast", "saturation"])
def test_colour_is_changed_only_where_there_is_colour(what: str) -> None:
    how = Augmentation(**{what: 0.5})
    assert torch.equal(augment(pictures(channels=1), how, draws()), pictures(channels=1))
    assert not torch.equal(augment(pictures(channels=3), how, draws()), pictures(channels=3))


def test_saturation_leaves_grey_and_brightness_black_alone() -> None:
    grey = pictures(channels=1).expand(-1, 3, -1, -1)
    assert torch.allclose(augment(grey, Augmentation(saturation=0.9), draws()), grey, atol=1e-6)
    black = torch.zeros(4, 3, 5, 5)
    assert torch.equal(augment(black, Augmentation(brightness=0.9), draws()), black)


def test_contrast_keeps_the_mean() -> None:
    batch = pictures(channels=3) * 0.2 + 0.4  # far from black and white
    found = augment(batch, Augmentation(contrast=0.5), draws())
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    assert torch.allclose((found * luma).sum(1).mean((1, 2)), (batch * luma).sum(1).mean((1, 2)), atol=1e-5)


@pytest.mark.parametrize("wrong", [{"flip": 1.2}, {"shift": -1}, {"zoom": 1}, {"rotate": 181}, {"mirror": 1}, {"fill": "white"}])
def test_amounts_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Augmentation(**wrong)
