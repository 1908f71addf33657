"""How long one image takes: torch, ONNX Runtime, and ONNX Runtime with weights in 8 bits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from bench.measure import Timing
from pipelines.parts.evaluation.latency import times_ms
from pipelines.parts.vision.device import threads
from pipelines.parts.vision.export import Run, served_by_onnx, served_by_torch
from pipelines.parts.vision.model import Projection, VisionModel
from pipelines.parts.vision.networks import build
from pipelines.parts.vision.onnx_file import int8_bytes, onnx_bytes
from pipelines.parts.vision.recipe import Architecture

CALLS = 200
"""Timed predictions of one image in each repeat."""
SECONDS = 20
"""After which a form on a busy machine is asked no more."""
RESNET18 = {
    "model_type": "resnet",
    "layer_type": "basic",
    "embedding_size": 64,
    "hidden_sizes": [64, 128, 256, 512],
    "depths": [2, 2, 2, 2],
}
"""He et al. 2016, table 1; as microsoft/resnet-18 on the hub."""


@dataclass(frozen=True)
class Case:
    """A network, what it looks at, and what its median may be."""

    name: str
    architecture: Architecture
    shape: tuple[int, int, int]
    goal_ms: float | None = None


CASES = (
    Case("small CNN, 1 x 28 x 28", Architecture(name="small_cnn", width=24), (1, 28, 28), goal_ms=3),
    Case("residual network, 1 x 28 x 28", Architecture(name="residual", width=24), (1, 28, 28)),
    Case(
        "ResNet-18, 3 x 224 x 224", Architecture(name="hub:resnet-18", config=RESNET18, resolution=224), (3, 224, 224), goal_ms=25
    ),
)


def measure(repeats: int) -> tuple[list[Timing], list[str]]:
    """Single-image timings of each form of each network, with random weights: they cost what trained ones cost."""
    torch.set_num_threads(threads())
    found, notes = (
        [],
        [f"{threads()} threads, {CALLS} calls a repeat after 20 to warm up; idle threads of ONNX Runtime do not spin"],
    )
    for case in CASES:
        pixels = np.random.default_rng(0).random((1, *case.shape), dtype=np.float32)
        for name, run in _forms(case).items():
            times = times_ms(partial(run, pixels), warm_up=20, repeats=CALLS * repeats, seconds=SECONDS)
            found.append(Timing(f"{case.name}: {name}", [one / 1000 for one in times]))
            goal = f" (goal {case.goal_ms:g} ms)" if case.goal_ms and name == "ONNX" else ""
            notes.append(f"{found[-1].name}: median {np.median(times):.2f} ms{goal}, p99 {np.percentile(times, 99):.2f} ms")
    return found, notes


def _forms(case: Case) -> dict[str, Run]:
    net = build(case.architecture, 10, case.shape[0]).eval()
    width = net.head.in_features
    model = VisionModel(net, tuple("0123456789"), 1.0, Projection.of(np.eye(2, width, dtype=np.float32)))
    whole = onnx_bytes(model, case.shape)
    return {
        "torch": served_by_torch(model),
        "ONNX": served_by_onnx(whole),
        "ONNX, spinning": served_by_onnx(whole, spin=True),
        "ONNX, 8 bits": served_by_onnx(int8_bytes(whole, model)),
    }
