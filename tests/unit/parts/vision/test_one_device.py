from __future__ import annotations

import subprocess
import sys

from pipelines.core.settings import ROOT


def test_where_there_is_a_gpu_every_step_is_done_there() -> None:
    """torch keeps a device of others for the rest of a process, so the tests of `one_device.py` have one of their own."""
    tests = "tests/unit/parts/vision/one_device.py"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--show-capture=no", tests]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
