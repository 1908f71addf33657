"""Where a network looks: Grad-CAM (Selvaraju et al., ICCV 2017)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipelines.parts.vision import device
from pipelines.parts.vision.images import Images
from pipelines.parts.vision.network import Network


def heat(net: Network, images: Images, classes: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """What in each image speaks for `classes` (rows,), as heat in 0..1 of shape (rows, height, width).

    The maps of `net.maps` are weighted by the mean gradient of the class's logit (equations 1 and 2 of the paper), what
    speaks against it is cut off, and the rest is scaled up to the image and divided by its maximum. An image in which nothing
    speaks for the class is 0 everywhere. All images are computed at once: meant for as many as one looks at.
    """
    net.eval()
    place = next(net.parameters()).device
    pixels = device.ready(torch.from_numpy(images.pixels), place)
    wanted = torch.from_numpy(np.asarray(classes, dtype=np.int64)).to(place)[:, None]
    with torch.no_grad():
        maps = net.maps(pixels)
    maps = maps.detach().requires_grad_()  # gradients of what follows the maps only, which frozen networks have as well
    with torch.enable_grad():
        weights = _gradient(_after(net, maps, pixels), wanted, maps)
        if weights is None:
            weights = _gradient(net.head(maps.mean((2, 3))), wanted, maps)
    assert weights is not None
    found = functional.relu((weights.mean((2, 3), keepdim=True) * maps.detach()).sum(1, keepdim=True))
    found = functional.interpolate(found, size=images.shape[1:], mode="bilinear", align_corners=False)[:, 0]
    scaled: NDArray[np.float32] = (found / found.amax((1, 2), keepdim=True).clamp_min(1e-12)).cpu().numpy()
    return scaled


def _after(net: Network, maps: Tensor, pixels: Tensor) -> Tensor:
    """The logits a network gives once its maps are these: how it pools them is its own affair."""
    net.maps = lambda x: maps  # type: ignore[method-assign]
    try:
        logits: Tensor = net(pixels)
    finally:
        del net.maps  # the method of the class shows again
    return logits


def _gradient(logits: Tensor, classes: Tensor, maps: Tensor) -> Tensor | None:
    """Of the wanted classes' logits; None where they do not depend on the maps, as those of a transformer that reads its
    answer off a token of its own: then the head is asked what it makes of the maps' mean instead."""
    chosen = logits.gather(1, classes).sum()
    return torch.autograd.grad(chosen, maps, allow_unused=True)[0] if chosen.requires_grad else None
