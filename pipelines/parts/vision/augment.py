"""Random changes to whole batches while training, each of a kind that leaves the label true.

Every image of a batch gets its own draw, but no image is handled on its own: each operation is a few tensor operations on
the batch. All operations are off until asked for, and one that is off draws no random numbers.

===========  ===========================================================================================================
flip         Left for right. A coat or a shoe photographed from the other side is the same article; turn it off where
             left and right differ (digits, letters, road signs).
shift        Whole pixels, without interpolation: where in the frame an article lies is the photographer's choice.
rotate       A few degrees: nothing is hung quite straight. Large angles would make a different picture (a 6, a 9).
zoom         Distance to the camera. Drawn evenly in the logarithm, so that twice as near is as likely as twice as far.
erase        A rectangle of noise (random erasing, Zhong et al. 2020, arXiv:1708.04896): part of what is seen may be hidden,
             so no single part may decide.
brightness,  Light and film, in colour pictures only: there the light says nothing about what is seen. In pictures of one
contrast,    channel the grey level is often the article's own colour or a measurement (X-ray, depth), and networks
saturation   normalise it anyway; the three leave such pictures alone.
===========  ===========================================================================================================
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from pipelines.parts.vision.images import LUMA
from pipelines.parts.vision.recipe import Augmentation

ERASED = (0.02, 0.33)
"""Smallest and largest share of a picture that is erased (Zhong et al. 2020, table 1, up to 0.4)."""
ASPECT = 0.3
"""Flattest erased rectangle, height by width; the tallest is its inverse (same source)."""


def augment(batch: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """A batch (n, channels, height, width) of floats in 0..1, changed at random; the same shape, type and range.

    One generator state always gives the same result. The batch given is not written to.
    """
    if not len(batch):
        return batch
    if how.flip or how.shift:
        batch = _move(batch, how, generator)
    if how.rotate or how.zoom:
        batch = _turn(batch, how, generator)
    if batch.shape[1] == len(LUMA) and (how.brightness or how.contrast or how.saturation):
        batch = _colour(batch, how, generator)
    if how.erase:
        batch = _erase(batch, how.erase, generator)
    return batch


def _move(batch: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Flip and shift together, by looking up where each pixel comes from."""
    n, channels, height, width = batch.shape
    down = torch.arange(height, device=batch.device).expand(n, height)
    right = torch.arange(width, device=batch.device).expand(n, width)
    if how.flip:
        right = torch.where(_uniform(batch, generator)[:, None] < how.flip, width - 1 - right, right)
    if how.shift:
        moves = torch.randint(-how.shift, how.shift + 1, (2, n, 1), generator=generator, device=generator.device)
        dy, dx = moves.to(batch.device)
        down, right = down + dy, right + dx
    rows, columns = down.clamp(0, height - 1), right.clamp(0, width - 1)
    source = (rows[:, :, None] * width + columns[:, None, :]).view(n, 1, -1).expand(n, channels, -1)
    moved = batch.reshape(n, channels, -1).gather(2, source).view(batch.shape)
    if how.fill == "black" and how.shift:
        outside = (rows != down)[:, None, :, None] | (columns != right)[:, None, None, :]
        moved = moved.masked_fill_(outside, 0.0)
    return moved


def _turn(batch: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Rotate and zoom about the middle in one bilinear resampling, so that a picture is blurred once."""
    n, _, height, width = batch.shape
    angle = (_uniform(batch, generator) * 2 - 1) * math.radians(how.rotate)
    scale = torch.exp((_uniform(batch, generator) * 2 - 1) * math.log1p(how.zoom))
    cos, sin, zero = torch.cos(angle) / scale, torch.sin(angle) / scale, torch.zeros_like(angle)
    # the grid runs from -1 to 1 along both sides, so a turn has to be stretched by their ratio
    matrix = torch.stack((cos, -sin * (height / width), zero, sin * (width / height), cos, zero), dim=1)
    grid = functional.affine_grid(matrix.view(n, 2, 3).to(batch.dtype), list(batch.shape), align_corners=False)
    padding = "zeros" if how.fill == "black" else "border"
    return functional.grid_sample(batch, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def _colour(batch: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Brightness, contrast, saturation, in this order, each as a blend with black, the mean grey, the grey picture."""
    weights = torch.tensor(LUMA, dtype=batch.dtype, device=batch.device).view(1, 3, 1, 1)
    if how.brightness:
        batch = (batch * _factor(batch, how.brightness, generator)).clamp(0, 1)
    if how.contrast:
        mean = (batch * weights).sum(1, keepdim=True).mean((2, 3), keepdim=True)
        batch = (mean + (batch - mean) * _factor(batch, how.contrast, generator)).clamp(0, 1)
    if how.saturation:
        grey = (batch * weights).sum(1, keepdim=True)
        batch = (grey + (batch - grey) * _factor(batch, how.saturation, generator)).clamp(0, 1)
    return batch


def _erase(batch: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Noise in one rectangle of some of the pictures; area and aspect are drawn, then its place."""
    _, _, height, width = batch.shape
    chosen = _uniform(batch, generator) < probability
    low, high = ERASED
    area = (low + (high - low) * _uniform(batch, generator)) * height * width
    aspect = torch.exp((_uniform(batch, generator) * 2 - 1) * -math.log(ASPECT))
    tall = (area * aspect).sqrt().round().clamp(1, height)
    wide = (area / aspect).sqrt().round().clamp(1, width)
    top = (_uniform(batch, generator) * (height - tall + 1)).floor()
    left = (_uniform(batch, generator) * (width - wide + 1)).floor()
    rows = _between(height, top, tall) & chosen[:, None]
    mask = rows[:, None, :, None] & _between(width, left, wide)[:, None, None, :]
    noise = torch.rand(batch.shape, generator=generator, dtype=batch.dtype, device=generator.device)
    return torch.where(mask, noise.to(batch.device), batch)


def _between(length: int, start: Tensor, extent: Tensor) -> Tensor:
    """(n, length): which positions lie in each image's own span."""
    position = torch.arange(length, device=start.device)
    return (position >= start[:, None]) & (position < (start + extent)[:, None])


def _factor(batch: Tensor, most: float, generator: torch.Generator) -> Tensor:
    return (1 + (_uniform(batch, generator) * 2 - 1) * most).to(batch.dtype).view(-1, 1, 1, 1)


def _uniform(batch: Tensor, generator: torch.Generator) -> Tensor:
    """One draw from 0..1 for each image, on the batch's device."""
    return torch.rand(len(batch), generator=generator, device=generator.device).to(batch.device)
