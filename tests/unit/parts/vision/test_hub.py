from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.core.errors import ConfigError, DataError, InfrastructureError
from pipelines.core.settings import ROOT
from pipelines.parts.vision.model import VisionModel, VisionModelCodec, features_of
from pipelines.parts.vision.network import Network
from pipelines.parts.vision.networks import build
from pipelines.parts.vision.recipe import Architecture
from tests.unit.parts.vision.stripes import CLASSES, stripes

pytestmark = pytest.mark.filterwarnings("ignore")

FAMILIES = ["resnet", "convnext", "vit"]


def backbone(family: str) -> Any:
    """A small network of a family, weights of chance."""
    import transformers as t

    with torch.random.fork_rng():
        torch.manual_seed(2)
        made: Any = {
            "resnet": lambda: t.ResNetModel(
                t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
            ),
            "convnext": lambda: t.ConvNextModel(t.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2)),
            "vit": lambda: t.ViTModel(
                t.ViTConfig(
                    hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8
                )
            ),
        }[family]()
    return made.eval()


@pytest.fixture(params=FAMILIES)
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / str(request.param)
    backbone(request.param).save_pretrained(folder)
    return folder


def loaded(folder: Path, **options: Any) -> Network:
    net = build(Architecture(name=f"hub:{folder}", **{"resolution": 32, **options}), 3, 1, seed=5)
    net.load_published(lambda name: pytest.fail("the hub needs no data catalog"))
    return net.eval()


def test_features_are_those_of_the_checkpoint(saved: Path) -> None:
    net, original = loaded(saved), backbone(saved.name)
    x = torch.rand(2, 1, 32, 32)
    with torch.inference_mode():
        out = original(net.prepare(x))
        expected = out.last_hidden_state[:, 0] if saved.name == "vit" else out.pooler_output.flatten(1)
        assert torch.allclose(net.embed(x), expected, atol=1e-6)
        assert net(x).shape == (2, 3)
        maps = net.maps(x)
    assert maps.shape[:2] == (2, 16)
    assert maps.ndim == 4


def test_patches_are_put_back_where_they_are(tmp_path: Path) -> None:
    backbone("vit").save_pretrained(tmp_path / "vit")
    net = loaded(tmp_path / "vit")
    x = torch.rand(1, 1, 32, 32)
    with torch.inference_mode():
        tokens = net.backbone(net.prepare(x)).last_hidden_state
        assert torch.equal(net.maps(x)[0, :, 1, 2], tokens[0, 1 + 1 * 4 + 2])


def test_a_transformer_takes_pictures_of_another_size(tmp_path: Path) -> None:
    backbone("vit").save_pretrained(tmp_path / "vit")
    with torch.inference_mode():
        assert loaded(tmp_path / "vit", resolution=48).maps(torch.rand(1, 1, 20, 20)).shape == (1, 16, 6, 6)
    assert build(Architecture(name=f"hub:{tmp_path / 'vit'}"), 3, 1).architecture.resolution == 32


def test_a_transformer_without_a_token_for_the_whole_picture_has_the_mean_of_its_patches(tmp_path: Path) -> None:
    import transformers as t

    config = t.SwinConfig(image_size=32, patch_size=2, embed_dim=8, depths=[1, 1], num_heads=[1, 1], window_size=2)
    t.SwinModel(config).save_pretrained(tmp_path / "swin")
    net, x = loaded(tmp_path / "swin"), torch.rand(2, 1, 32, 32)
    with torch.inference_mode():
        patches = net.backbone(net.prepare(x)).last_hidden_state
        assert torch.equal(net.embed(x), patches.mean(1))
        assert torch.equal(net.maps(x).flatten(2), patches.transpose(1, 2))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_checkpoint_in_half_precision_learns_on_in_full(tmp_path: Path, dtype: torch.dtype) -> None:
    backbone("resnet").to(dtype).save_pretrained(tmp_path / "resnet")
    net = loaded(tmp_path / "resnet")
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}
    assert net(torch.rand(2, 1, 32, 32)).shape == (2, 3)


def test_the_depths_are_the_whole_network(saved: Path) -> None:
    net = loaded(saved)
    parts = net.depths()
    known = [id(parameter) for part in parts for parameter in part.parameters()]
    assert sorted(known) == sorted(id(parameter) for parameter in net.parameters())
    assert parts[-1] is net.head
    assert len(parts) >= 4


def test_the_normalisation_of_the_checkpoint_is_used(saved: Path) -> None:
    assert loaded(saved).mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    (saved / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.25] * 3}))
    assert loaded(saved).mean.flatten().tolist() == [0.5] * 3
    assert loaded(saved).std.flatten().tolist() == [0.25] * 3


def test_a_model_needs_no_hub_once_it_is_written(saved: Path, tmp_path: Path) -> None:
    net, images = loaded(saved), stripes()
    features = features_of(net, images)
    model = VisionModel.of(net, CLASSES, features, features, images.label)
    VisionModelCodec().write(model, tmp_path / "model")
    saved.rename(tmp_path / "gone")
    read = VisionModelCodec().read(tmp_path / "model")
    assert (read.probability(images) == model.probability(images)).all()


def test_pickled_weights_are_not_read(saved: Path) -> None:
    state = backbone(saved.name).state_dict()
    (saved / "model.safetensors").unlink()
    torch.save(state, saved / "pytorch_model.bin")
    with pytest.raises(DataError, match=r"holds no backbone that can be loaded: .*weights as safetensors"):
        loaded(saved)


def test_a_damaged_or_incomplete_checkpoint_is_refused(saved: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(saved / "model.safetensors")
    lost = next(name for name in sorted(tensors) if name.startswith(("encoder", "layers")))
    save_file({name: tensor for name, tensor in tensors.items() if name != lost}, saved / "model.safetensors")
    with pytest.raises(DataError, match=r"does not hold its whole network: 1 weights are missing, \S+ first"):
        loaded(saved)
    (saved / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(DataError, match="holds no backbone that can be loaded"):
        loaded(saved)


def test_code_beside_a_checkpoint_is_never_run(saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    code = {**config, "model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine", "AutoModel": "mine.Mine"}}
    (saved / "config.json").write_text(json.dumps(code))
    (saved / "mine.py").write_text("raise SystemExit('code from a checkpoint was run')")
    with pytest.raises(DataError, match="holds no backbone that can be loaded"):
        loaded(saved)


PROGRAM = """
import sys, torch
from pipelines.core.errors import PipelineError
from pipelines.parts.vision.networks import build
from pipelines.parts.vision.recipe import Architecture

try:
    net = build(Architecture(name=sys.argv[1], resolution=32), 3, 1)
    net.load_published(None)
    print(net.eval().embed(torch.full((1, 1, 32, 32), 0.5)).sum().item())
except PipelineError as error:
    print(type(error).__name__, error)
"""


def asked(hub: str, name: str, home: Path) -> str:
    """What a process says that loads a backbone from a hub at an address."""
    environment = {**os.environ, "HF_ENDPOINT": hub, "HF_HOME": str(home)}
    command = [sys.executable, "-c", PROGRAM, f"hub:{name}"]
    said = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    return said.stdout


class Hub(BaseHTTPRequestHandler):
    """A hub with one checkpoint, acme/small, in `folder`."""

    folder: Path

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        repository, _, name = self.path.removeprefix("/").partition("/resolve/main/")
        file = self.folder / (name or "none")
        found = repository == "acme/small" and file.is_file()
        content = file.read_bytes() if found else b""
        self.send_response(200 if found else 404)
        if not found:
            self.send_header("X-Error-Code", "EntryNotFound" if repository == "acme/small" else "RepoNotFound")
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content if body else b"")

    def log_message(self, *given: Any) -> None:
        """Quiet."""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    """Its address on this machine."""
    backbone("resnet").save_pretrained(tmp_path / "served")
    handler = type("Served", (Hub,), {"folder": tmp_path / "served"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_backbone_by_its_name_on_a_hub(hub: str, tmp_path: Path) -> None:
    said = asked(hub, "acme/small", tmp_path / "home")
    with torch.inference_mode():
        local = loaded(tmp_path / "served").embed(torch.full((1, 1, 32, 32), 0.5)).sum().item()
    assert float(said) == pytest.approx(local, rel=1e-4)


def test_a_name_that_the_hub_does_not_know(hub: str, tmp_path: Path) -> None:
    said = asked(hub, "acme/unknown", tmp_path / "home")
    assert said.startswith("ConfigError architecture.name: there is no backbone 'acme/unknown'")


def test_a_hub_out_of_reach_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        InfrastructureError, match=r"'acme/no-such-net'.* Set HF_ENDPOINT to a mirror .*HF_HUB_CACHE .*hub:folder"
    ):
        build(Architecture(name="hub:acme/no-such-net"), 3, 1)


def test_what_takes_no_pictures_and_what_has_no_name_is_refused(tmp_path: Path) -> None:
    import transformers as t

    words = t.BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=20)
    words.save_pretrained(tmp_path / "words")
    with pytest.raises(ConfigError, match="is a bert, which takes no pictures"):
        build(Architecture(name=f"hub:{tmp_path / 'words'}"), 3, 1)
    with pytest.raises(ConfigError, match=r"architecture.name is 'hub:'; expected hub:<name>, such as hub:microsoft/resnet-18"):
        build(Architecture(name="hub:"), 3, 1)
