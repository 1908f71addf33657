"""The cost of a step that does nothing, here and in neighbours, in one run on one machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.measure import Timing, timings
from pipelines.core.settings import Settings

HERE = Path(__file__).parent
STEPS = 8
PEERS = {
    "kedro": ["kedro==1.7.0"],
    "metaflow": ["metaflow==2.19.39"],
    "prefect": ["prefect==3.7.2", "fastapi<0.125"],  # newer fastapi: the server fails to import
}
"""Peer to what its own virtual environment gets; each is installed beside the others, not into ours."""


def measure(repeats: int) -> tuple[list[Timing], list[str]]:
    """Timings of all that install, and a line for each that does not."""
    found, missing = [], []
    for name, requirements in {"ours": [], **PEERS}.items():
        script = HERE / (f"with_{name}.py" if requirements else "ours.py")
        try:
            python = _environment(name, requirements) if requirements else Path(sys.executable)
            done = subprocess.run(
                [python, script, str(STEPS), str(repeats)], capture_output=True, text=True, check=True, timeout=600
            )
        except (subprocess.SubprocessError, OSError) as error:
            missing.append(f"{name}: not measured ({getattr(error, 'stderr', None) or error})"[:300])
            continue
        found += timings(done.stdout, STEPS)
    return found, missing


def _environment(name: str, requirements: list[str]) -> Path:
    """A peer's own virtual environment, made once under the installation's home."""
    folder = Settings.load().home / "bench" / name
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True, text=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True, capture_output=True, text=True)
        (folder / "ready").touch()
    return python
