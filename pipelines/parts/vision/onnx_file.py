"""ONNX files of a network: whole in float32, and with weights in 8 bits. Same network, same bytes; no trace of the machine."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pipelines.core.files import scratch_folder
from pipelines.parts.vision.device import threads
from pipelines.parts.vision.model import VisionModel

if TYPE_CHECKING:
    from onnx import ModelProto
    from onnxruntime import InferenceSession

OPSET = 20
"""Version of the operators: onnxruntime 1.17 (2024) and later run it."""
INPUT = "pixels"
OUTPUTS = ("logits", "probability")


class _Served(nn.Module):
    """What the file computes: logits, and the probabilities with the model's temperature."""

    def __init__(self, model: VisionModel) -> None:
        super().__init__()
        self.net = model.net
        self.temperature = model.temperature

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.net(pixels)
        return logits, torch.softmax(logits / self.temperature, dim=1)


def onnx_bytes(model: VisionModel, shape: tuple[int, int, int]) -> bytes:
    """The model as an ONNX file for any number of images of `shape` (channels, height, width).

    Input `pixels` (rows, channels, height, width), float32, 0..1. Outputs `logits` and `probability`, (rows, classes),
    float32. The names of the classes are in the file's metadata under `classes`, as JSON.
    """
    model.net.eval()
    with _quiet():
        program = torch.onnx.export(
            _Served(model).eval(),
            (torch.zeros(2, *shape),),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes=({0: torch.export.Dim("rows", min=1)},),
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    return _bare(program.model_proto, model)


def int8_bytes(whole: bytes, model: VisionModel) -> bytes:
    """The same with the weights of convolutions and the head as 8-bit integers, activations quantised as they come
    (dynamic quantisation; Jacob et al., CVPR 2018, section 2).

    Weights are unsigned: onnxruntime's integer convolution on CPUs is several times slower with signed ones. Convolutions in
    groups, such as depthwise ones, stay as they are: they have few weights, and their integer form has no fast path.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with scratch_folder("int8") as folder, _quiet():
        path, proto = Path(folder) / "int8.onnx", onnx.load_from_string(whole)
        kept = [node.name for node in proto.graph.node if any(a.name == "group" and a.i > 1 for a in node.attribute)]
        quantize_dynamic(proto, path, weight_type=QuantType.QUInt8, nodes_to_exclude=kept)
        return _bare(onnx.load(path), model)


def session(content: bytes, spin: bool = False) -> InferenceSession:
    """An onnxruntime session on the CPU with as many threads as this process may use cores.

    `spin`: whether idle threads keep a core busy while they wait for work. That is a little faster on a machine of one's
    own, and many times slower where another process wants the core.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _bare(proto: ModelProto, model: VisionModel) -> bytes:
    """The file's bytes, without what exporters note about the program that made it, its paths among them."""
    _strip(proto)
    proto.producer_name = "pipelines"
    proto.producer_version = ""
    entry = proto.metadata_props.add()
    entry.key, entry.value = "classes", json.dumps(model.classes)
    return bytes(proto.SerializeToString(deterministic=True))


def _strip(message: Any) -> None:
    """Clear notes and documentation in a protobuf message and all messages within."""
    for name in ("doc_string", "metadata_props"):
        if name in message.DESCRIPTOR.fields_by_name:
            message.ClearField(name)
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if field.is_repeated else [value]:
                _strip(inner)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Exporters print progress and log hints meant for their developers; errors still come as exceptions."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
