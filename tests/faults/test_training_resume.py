"""A network's training is killed for real, mid-epoch; run again, it ends with the very bytes of one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.core.settings import ROOT
from pipelines.parts.vision import checkpoints

PROGRAM = """
import sys
from pathlib import Path

from pipelines.parts.vision.model import VisionModelCodec
from pipelines.parts.vision.transfer import FromScratch
from tests.unit.parts.vision.stripes import CLASSES, stripes, training

folder = Path(sys.argv[1])
params = FromScratch.model_validate({
    "architecture": {"width": 4, "dropout": 0.1},
    "recipe": {"epochs": 6, "batch": 16, "steps": 30, "augmentation": {"flip": 0.5, "shift": 1, "erase": 0.3}},
})
given = training(folder, progress=lambda done, total, message: print(done, message, flush=True))
model = params.fit(stripes((40, 40, 40)), stripes(seed=1), given, CLASSES).model
VisionModelCodec().write(model, folder / "model")
"""


def start(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(folder: Path) -> str:
    """What the training said, once it has ended well."""
    process = start(folder)
    said, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return said


def model(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "model").iterdir())}


def killed_at(folder: Path, step: int) -> None:
    """SIGKILL as soon as the training says that it has done so many steps."""
    process = start(folder)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line.split()[0]) >= step:
            process.send_signal(signal.SIGKILL)
            break
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.timeout(600)
def test_a_killed_training_ends_with_the_same_bytes(tmp_path: Path) -> None:
    finished(tmp_path / "whole")
    killed_at(tmp_path / "killed", 50)  # in the second epoch
    (checkpoint,) = (tmp_path / "killed").glob("training-*.safetensors")
    done = checkpoints.load(checkpoint)[1]["epoch"]
    assert 1 <= done < 6
    killed_at(tmp_path / "killed", 140)  # and again, in the fifth
    said = finished(tmp_path / "killed")
    assert int(said.split()[0]) > 90, "it began anew instead of going on"
    assert model(tmp_path / "killed") == model(tmp_path / "whole")


def test_a_kill_while_a_checkpoint_is_written_leaves_the_last_one(tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "one", {}, {"epoch": 1})
    harm = (
        "import os, signal, sys; from pathlib import Path; from pipelines.parts.vision import checkpoints\n"
        "os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)\n"
        "checkpoints.save(Path(sys.argv[1]), {}, {'epoch': 2})"
    )
    killed = subprocess.run([sys.executable, "-c", harm, str(tmp_path / "one")], cwd=ROOT, check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert checkpoints.load(tmp_path / "one")[1] == {"epoch": 1}
