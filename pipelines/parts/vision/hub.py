"""Any published backbone by its name, through transformers: ResNet, ConvNeXt, ViT and their like."""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.core.errors import ConfigError, DataError, InfrastructureError
from pipelines.parts.vision.backbones import IMAGENET, RESOLUTION, Backbone
from pipelines.parts.vision.recipe import Architecture


class Hub(Backbone):
    """The backbone that `hub:<name>` names, on the hub or in a local folder.

    Only safetensors are read, and no code from there is run. Building one with `architecture.config` filled in needs no hub.
    Raises InfrastructureError when the hub cannot be reached, DataError for a damaged folder, ConfigError when there is no
    such network or pictures do not go into it.
    """

    def __init__(self, architecture: Architecture, classes: int, channels: int) -> None:
        name = _name(architecture)
        config = _configuration(name, architecture.config)
        with _loading(name):
            backbone = _auto().from_config(config, dtype=torch.float32)  # not that of its files, which may be half of it
        if backbone.main_input_name != "pixel_values":
            raise ConfigError(f"architecture.name: {name!r} is a {config.model_type}, which takes no pictures; name a backbone")
        size = getattr(config, "image_size", None)
        complete = {
            "resolution": architecture.resolution or (size if isinstance(size, int) else RESOLUTION),
            "config": {**config.to_diff_dict(), "model_type": config.model_type},
        }
        features = config.hidden_sizes[-1] if hasattr(config, "hidden_sizes") else config.hidden_size
        super().__init__(architecture.model_copy(update=complete), features, classes, channels)
        self.backbone = backbone
        self.token = any(name.endswith("cls_token") for name, _ in backbone.named_parameters())
        """Whether a transformer keeps a token for the whole picture, which comes before those of the patches."""
        resizes = "interpolate_pos_encoding" in inspect.signature(backbone.forward).parameters
        self.options: dict[str, bool] = {"interpolate_pos_encoding": True} if resizes else {}

    def maps(self, x: Tensor) -> Tensor:
        """The last feature maps; of a transformer its patches, put back where they are in the picture."""
        x = self.prepare(x)
        last: Tensor = self.backbone(x, **self.options).last_hidden_state
        if last.ndim == 4:
            return last
        side = math.isqrt(last.shape[1])  # pictures are square, and the few other tokens come first
        return last[:, -side * side :].transpose(1, 2).reshape(len(x), -1, side, side)

    def pool(self, x: Tensor) -> Tensor:
        """What the backbone itself pools; of a transformer the token of the whole picture, or else the mean over its patches."""
        out = self.backbone(self.prepare(x), **self.options)
        last: Tensor = out.last_hidden_state
        if last.ndim == 3:
            return last[:, 0] if self.token else last.mean(1)
        pooled: Tensor | None = getattr(out, "pooler_output", None)
        return last.mean((2, 3)) if pooled is None else pooled.flatten(1)

    def depths(self) -> list[nn.Module]:
        """Embeddings, each stage or layer, what comes after them, the head."""
        return [*_in_order(self.backbone), self.head]

    def load_published(self, resource: Callable[[str], Path]) -> None:
        """Raises DataError when a weight is missing, but for the pooling layer of a transformer, which is not used."""
        name = _name(self.architecture)
        with _loading(name):
            loaded, report = _auto().from_pretrained(name, use_safetensors=True, output_loading_info=True)
        if missing := [key for key in report["missing_keys"] if not key.startswith("pooler.")]:
            raise DataError(
                f"{name} does not hold its whole network: {len(missing)} weights are missing, {missing[0]} first; "
                "take another checkpoint"
            )
        self.backbone.load_state_dict(loaded.state_dict())
        self.standardise(*_normalisation(name))


def _name(architecture: Architecture) -> str:
    """What stands behind `hub:`. Raises ConfigError when nothing does."""
    name = architecture.name.partition(":")[2]
    if not name:
        raise ConfigError(f"architecture.name is {architecture.name!r}; expected hub:<name>, such as hub:microsoft/resnet-18")
    return name


def _configuration(name: str, known: dict[str, Any]) -> Any:
    """The backbone's configuration: the one known, else the hub's."""
    from transformers import AutoConfig

    with _loading(name):
        if known:
            return AutoConfig.for_model(**known)
        return AutoConfig.from_pretrained(name, trust_remote_code=False)


def _auto() -> Any:
    """transformers' factory of backbones, which has no types."""
    from transformers import AutoModel

    return AutoModel


def _normalisation(name: str) -> tuple[Any, Any]:
    """Means and standard deviations the backbone was trained with; ImageNet's where its files do not say."""
    from transformers.image_processing_base import ImageProcessingMixin

    try:
        facts, _ = ImageProcessingMixin.get_image_processor_dict(name)
    except OSError:  # no such file
        return IMAGENET
    return facts.get("image_mean", IMAGENET[0]), facts.get("image_std", IMAGENET[1])


def _in_order(module: nn.Module) -> Iterator[nn.Module]:
    """Parts with weights in the order they are declared; lists of layers, and what holds one, are taken apart."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        elif any(isinstance(inner, nn.ModuleList) for inner in child.children()):
            yield from _in_order(child)
        elif any(True for _ in child.parameters()):
            yield child


@contextlib.contextmanager
def _loading(name: str) -> Iterator[None]:
    """Without progress bars and advice; faults as ours."""
    from huggingface_hub.errors import RepositoryNotFoundError
    from safetensors import SafetensorError
    from transformers.utils import logging as quiet

    logging: Any = quiet
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        if Path(name).is_dir():
            raise DataError(
                f"{name} holds no backbone that can be loaded: {error}; it must have been saved with save_pretrained, "
                "weights as safetensors"
            ) from error
        if isinstance(error.__cause__, RepositoryNotFoundError) or not isinstance(error, OSError):
            raise ConfigError(f"architecture.name: there is no backbone {name!r} that can be loaded: {error}") from error
        raise InfrastructureError(
            f"the hub could not be reached for {name!r}: {str(error).splitlines()[0]} Set HF_ENDPOINT to a mirror of the hub, or "
            "HF_HUB_CACHE to a folder it was downloaded to before, or name a local folder (hub:folder) in architecture.name"
        ) from error
    finally:
        logging.set_verbosity(before)
        logging.enable_progress_bar()
