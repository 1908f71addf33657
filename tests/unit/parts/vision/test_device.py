from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from pipelines.parts.vision import device


def cpu() -> torch.device:
    return torch.device("cpu")


@pytest.mark.parametrize(
    ("features", "expected"), [({"avx512_bf16": True}, "bfloat16"), ({"avx2": True, "bf16": False}, "float32")]
)
def test_auto_is_bfloat16_where_the_cpu_has_it(monkeypatch: pytest.MonkeyPatch, features: dict[str, bool], expected: str) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    assert device.precision("auto", cpu()) == expected
    assert device.precision("float32", cpu()) == "float32"
    assert device.precision("bfloat16", cpu()) == "bfloat16"


@pytest.mark.parametrize(("multiplies", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_a_gpu_is_used_where_there_is_one(monkeypatch: pytest.MonkeyPatch, multiplies: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.device() == cpu()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: multiplies and not including_emulation)
    assert device.device() == torch.device("cuda")
    assert device.precision("auto", device.device()) == expected


def test_mixed_precision_computes_in_bfloat16_with_float32_weights() -> None:
    layer = torch.nn.Linear(3, 2)
    for asked, dtype in (("bfloat16", torch.bfloat16), ("float32", torch.float32)):
        with device.mixed(asked, cpu()):
            assert layer(torch.rand(4, 3)).dtype == dtype
    assert layer.weight.dtype == torch.float32


def test_threads_are_the_usable_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(6)))
    monkeypatch.setattr(device, "QUOTA", tmp_path / "cpu.max")
    assert device.threads() == 6
    for quota, expected in (("max 100000", 6), ("350000 100000", 3), ("50000 100000", 1)):
        (tmp_path / "cpu.max").write_text(quota)
        assert device.threads() == expected
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert device.threads() == 2


def test_images_are_scaled_and_laid_out_for_convolutions() -> None:
    pixels = torch.tensor([[[[0, 51], [102, 255]]] * 3], dtype=torch.uint8)
    ready = device.ready(pixels, cpu())
    assert torch.equal(ready[0, 0], torch.tensor([[0, 51], [102, 255]]) / 255)
    assert ready.is_contiguous(memory_format=torch.channels_last)
    assert pixels.dtype == torch.uint8
