"""Where and how networks compute: device, precision, threads."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

BF16 = ("avx512_bf16", "amx_bf16", "bf16")
"""CPU features that multiply in bfloat16: x86 with AVX-512, x86 with AMX, ARM."""
QUOTA = Path("/sys/fs/cgroup/cpu.max")


def device() -> torch.device:
    """The GPU when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precision(asked: str, place: torch.device) -> str:
    """float32 or bfloat16; auto is bfloat16 where the hardware multiplies in it, because elsewhere it is emulated, slowly."""
    if asked != "auto":
        return asked
    if place.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    features = torch.cpu.get_capabilities()
    return "bfloat16" if any(features.get(name) for name in BF16) else "float32"


def mixed(precision: str, place: torch.device) -> contextlib.AbstractContextManager[None]:
    """The context in which a network computes in this precision; weights stay float32."""
    return torch.autocast(place.type, torch.bfloat16, enabled=precision == "bfloat16")


def threads() -> int:
    """Threads for one network: `OMP_NUM_THREADS` where somebody set it, else the cores this process may use (its affinity and
    its container's quota): more threads than cores wait for each other.
    """
    if os.environ.get("OMP_NUM_THREADS", "").isdecimal():
        return max(1, int(os.environ["OMP_NUM_THREADS"]))
    return max(1, min(len(os.sched_getaffinity(0)), _quota()))


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """A span in which the caller's operations have one thread each. Sums of matrix products depend on how many there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Threads each of which runs torch's operations on its own; until they end, so does the caller."""
    with one_thread(), ThreadPoolExecutor(workers, "torch", initializer=torch.set_num_threads, initargs=(1,)) as made:
        yield made


def ready(pixels: Tensor, place: torch.device) -> Tensor:
    """Pixels (n, c, h, w), uint8, as networks take them: float32, 0..1, channels last in memory where there are several."""
    return pixels.to(place).to(torch.float32, memory_format=torch.channels_last).div_(255)


def _quota() -> int:
    """Cores that the container may use at once, rounded down; very many without a container."""
    try:
        share, period = QUOTA.read_text(encoding="ascii").split()
        return int(share) // int(period)
    except (OSError, ValueError):  # no such file, or "max"
        return 1 << 20
