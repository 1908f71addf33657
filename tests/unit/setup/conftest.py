"""A tiny checkout with the real bin/ and a folder of wheels made on the spot: setup is tested without any network."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipelines.core.settings import ROOT

BACKEND = """
import zipfile

def build_editable(folder, settings=None, metadata=None):
    name = "checkout-1.0-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("checkout.py", "")
        wheel.writestr("checkout-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: checkout\\nVersion: 1.0\\n")
        wheel.writestr("checkout-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("checkout-1.0.dist-info/RECORD", "checkout.py,,\\n")
    return name
"""
PYPROJECT = """
[project]
name = "checkout"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["tiny"]
[dependency-groups]
dev = []
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
STAND_IN = '#!/bin/sh\n# what setup needs of uv: `uv pip install --python PYTHON …`\n{first}\nshift 3\nPYTHON=$1\nshift\nexec "$PYTHON" -m pip install -q "$@"\n'


@dataclass
class Checkout:
    """A copy of bin/ beside a pyproject and a lock of one package."""

    root: Path
    wheels: Path
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, *words: str) -> list[str]:
        return ["/bin/sh", str(self.root / "bin" / "setup"), *words]

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*words),
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def setup(self, *words: str, **environment: str) -> tuple[int, str]:
        """Exit code and everything that was said."""
        process = self.start(*words, **environment)
        said, _ = process.communicate(timeout=120)
        return process.returncode, said

    def installed(self) -> set[str]:
        """Names of what can be imported from .venv, of what is in the lock and the checkout itself."""
        program = "import importlib.util as i; print(*[n for n in ('tiny', 'checkout') if i.find_spec(n)])"
        python = self.root / ".venv" / "bin" / "python"
        return set(subprocess.run([python, "-c", program], capture_output=True, text=True, check=True, cwd="/").stdout.split())

    def offer_uv(self, script: str) -> None:
        """Let pip find this script as the version of uv that bin/uv.txt asks for."""
        wheel = make_wheel(self.wheels, "uv", "9.9", {"uv-9.9.data/scripts/uv": script})
        (self.root / "bin" / "uv.txt").write_text(f"uv==9.9 --hash=sha256:{sha256(wheel)}\n")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return make_checkout(tmp_path / "checkout", tmp_path / "wheels")


def make_checkout(root: Path, wheels: Path) -> Checkout:
    shutil.copytree(ROOT / "bin", root / "bin")
    wheels.mkdir()
    tiny = make_wheel(wheels, "tiny", "1.0", {"tiny.py": "VALUE = 1\n"})
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "backend.py").write_text(BACKEND)
    (root / "requirements.lock").write_text(f"tiny==1.0 --hash=sha256:{sha256(tiny)}\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    offline = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    python = getattr(sys, "_base_executable", sys.executable)
    cache = {"PIP_NO_CACHE_DIR": "1", "UV_CACHE_DIR": str(wheels / "cache"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return Checkout(root, wheels, kept | offline | cache | {"PYTHON": python})


def make_wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> Path:
    info = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in files.items():
            entry = zipfile.ZipInfo(file)
            entry.external_attr = (0o100755 if "/scripts/" in file else 0o100644) << 16
            wheel.writestr(entry, text)
        wheel.writestr(f"{info}/RECORD", "".join(f"{file},{_digest(text)}\n" for file, text in files.items()))
    return path


def _digest(text: str) -> str:
    return f"sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},{len(text.encode())}"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stand_in(first: str = "") -> str:
    """A script in uv's place that does `first`, then lets pip do the work."""
    return STAND_IN.format(first=first)
