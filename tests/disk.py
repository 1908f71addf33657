"""A disk that is full for real: a small file system in memory."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_CAP_SYS_ADMIN = 21


@contextlib.contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """A folder that holds no more than `size`, such as "4m". Skips the test where mounting is not allowed."""
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        reason = f"needs to mount a small disk: {mounted.stderr.strip()}"
        if os.environ.get("CI") and _may_mount():
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def _may_mount() -> bool:
    """Whether the kernel lets this process mount: root outside a container may, root in most containers may not."""
    rights = re.search(r"^CapEff:\s*(\w+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return bool(rights and int(rights[1], 16) >> _CAP_SYS_ADMIN & 1)
