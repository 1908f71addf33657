"""bin/setup on bare and on damaged machines."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.disk import small_disk
from tests.unit.setup.conftest import Checkout, make_checkout, make_wheel, sha256, stand_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_without_uv_pip_does_it_and_the_second_time_nothing_is_done(checkout: Checkout) -> None:
    code, said = checkout.setup()
    assert code == 0, said
    assert "uv cannot be had here; pip does it too, only slower" in said
    assert checkout.installed() == {"tiny", "checkout"}
    began = time.monotonic()
    assert checkout.setup() == (0, "")
    assert time.monotonic() - began < 5


@pytest.fixture
def with_uv(checkout: Checkout) -> Checkout:
    """The checkout, which can have the very uv that set up this environment."""
    real = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if real is None and os.environ.get("CI"):
        pytest.fail("bin/setup puts uv into .venv, but there is none")
    if real is None:
        pytest.skip("this environment was not made by bin/setup: it has no uv")
    checkout.offer_uv(f'#!/bin/sh\nexec {real} "$@"\n')
    return checkout


def test_uv_installs_where_it_can_be_had(with_uv: Checkout) -> None:
    code, said = with_uv.setup()
    assert code == 0, said
    assert "pip does it too" not in said
    assert with_uv.installed() == {"tiny", "checkout"}


def test_the_lock_is_written_from_pyproject(with_uv: Checkout) -> None:
    lock = with_uv.root / "requirements.lock"
    known = lock.read_text().split("sha256:")[1].strip()
    lock.unlink()
    code, said = with_uv.setup("lock")
    assert code == 0, said
    assert lock.read_text().split() == ["tiny==1.0", "\\", f"--hash=sha256:{known}"]


def test_the_cpu_build_of_torch_is_pinned_and_installed(with_uv: Checkout) -> None:
    """As in the real pyproject: the public version is asked for, and a configured place has the CPU build."""
    wheel = make_wheel(with_uv.wheels, "torch", "1.5+cpu", {"torch.py": ""})
    pyproject = with_uv.root / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace('["tiny"]', '["tiny", "torch==1.5"]'))
    code, said = with_uv.setup("lock")
    assert code == 0, said
    assert f"torch==1.5+cpu \\\n    --hash=sha256:{sha256(wheel)}" in (with_uv.root / "requirements.lock").read_text()
    code, said = with_uv.setup()
    assert code == 0, said
    assert list((with_uv.root / ".venv").rglob("torch-1.5+cpu.dist-info"))


def test_pip_alone_says_what_it_must_be_told_of_torch(checkout: Checkout) -> None:
    with (checkout.root / "requirements.lock").open("a") as lock:
        lock.write(f"torch==1.5+cpu --hash=sha256:{'0' * 64}\n")
    code, said = checkout.setup()
    assert code == 4
    assert "Name PyTorch's index for CPU builds in PIP_EXTRA_INDEX_URL" in said


def test_no_lock_is_written_without_uv(checkout: Checkout) -> None:
    before = (checkout.root / "requirements.lock").read_text()
    code, said = checkout.setup("lock")
    assert code == 4
    assert said.endswith("setup: uv, which writes the lock, cannot be installed; see pip's message above\n")
    assert (checkout.root / "requirements.lock").read_text() == before


def test_a_changed_lock_is_installed(checkout: Checkout) -> None:
    checkout.offer_uv(stand_in())
    assert checkout.setup()[0] == 0
    lock = checkout.root / "requirements.lock"
    lock.write_text(lock.read_text() + "# changed\n")
    code, said = checkout.setup()
    assert (code, "installing the packages" in said) == (0, True)


def test_a_killed_setup_is_mended(checkout: Checkout, tmp_path: Path) -> None:
    mark = tmp_path / "reached"
    checkout.offer_uv(stand_in(f"[ -e {mark} ] || {{ touch {mark}; sleep 600; }}"))
    killed = checkout.start()
    _until(mark.exists)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    code, said = checkout.setup()
    assert code == 0, said
    assert "an earlier setup of .venv was not finished" in said
    assert checkout.installed() == {"tiny", "checkout"}


def test_a_venv_whose_python_is_gone_is_made_anew(checkout: Checkout) -> None:
    (checkout.root / ".venv" / "bin").mkdir(parents=True)
    (checkout.root / ".venv" / "bin" / "python").symlink_to("/gone/python")
    code, said = checkout.setup()
    assert code == 0, said
    assert "its Python is gone; making it anew" in said


def test_two_setups_wait_for_each_other(checkout: Checkout, tmp_path: Path) -> None:
    mark, go = tmp_path / "reached", tmp_path / "go"
    checkout.offer_uv(stand_in(f"touch {mark}; while [ ! -e {go} ]; do sleep 0.1; done"))
    first = checkout.start()
    _until(mark.exists)
    second = checkout.start()
    assert second.stdout is not None
    assert second.stdout.readline() == "setup: waiting for another setup of this checkout\n"
    go.touch()
    assert first.wait(60) == 0
    assert (second.communicate(timeout=60)[0], second.returncode) == ("", 0), "nothing is left to do for the second"
    first.communicate()


@pytest.mark.parametrize("tool", ["git", "make"])
def test_a_missing_tool_is_named(checkout: Checkout, tmp_path: Path, tool: str) -> None:
    path = _only(tmp_path, {"dirname", "git", "make"} - {tool})
    code, said = checkout.setup(PATH=path)
    assert (code, said) == (4, f"setup: {tool} is missing; install it (Debian, Ubuntu: apt-get install {tool}) and run again\n")


def test_a_missing_python_is_named(checkout: Checkout, tmp_path: Path) -> None:
    code, said = checkout.setup(PATH=_only(tmp_path, {"dirname", "git", "make"}), PYTHON="")
    assert code == 4
    assert "Python 3.11 is missing (looked for python3.11 and python3 on PATH); install it" in said
    assert "apt-get install python3.11 python3.11-venv" in said


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_python_without_venv_is_told_what_to_install(checkout: Checkout, tmp_path: Path, module: str) -> None:
    (tmp_path / "debian").mkdir()
    (tmp_path / "debian" / f"{module}.py").write_text("raise ImportError\n")
    code, said = checkout.setup(PYTHONPATH=str(tmp_path / "debian"))
    assert code == 4
    assert said.startswith("setup: Python's venv or ensurepip is missing; install it (Debian, Ubuntu: apt-get install python3.11")
    assert not (checkout.root / ".venv").exists()


def test_a_package_that_cannot_be_had_stops_with_exit_4(checkout: Checkout) -> None:
    next(checkout.wheels.glob("tiny*")).unlink()
    code, said = checkout.setup()
    assert code == 4
    assert "No matching distribution found for tiny==1.0" in said
    assert said.endswith("setup: pip failed; its message is above\n")


def test_a_file_with_another_hash_is_not_installed(checkout: Checkout) -> None:
    lock = checkout.root / "requirements.lock"
    lock.write_text("tiny==1.0 --hash=sha256:" + "0" * 64 + "\n")
    code, said = checkout.setup()
    assert code == 4
    assert "DO NOT MATCH THE HASHES" in said


@pytest.fixture(params=["4m", "40m"], ids=["in venv", "in pip"])
def full(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Checkout]:
    """A checkout on a disk of its own with too little room for the venv, or for what goes into it."""
    with small_disk(tmp_path / "disk", request.param) as disk:
        found = make_checkout(disk / "checkout", tmp_path / "wheels")
        found.offer_uv(stand_in(f"head -c 100m /dev/zero > {disk}/filler"))
        yield found


def test_a_full_disk_is_named(full: Checkout) -> None:
    code, said = full.setup()
    assert code == 4, said
    assert f"the disk of {full.root} is full, free some space and run again" in said


def test_a_checkout_that_cannot_be_written_is_told(checkout: Checkout) -> None:
    (checkout.root / ".venv").write_text("a file in the way")
    code, said = checkout.setup()
    assert code == 4
    assert "Not a directory" in said
    assert f"{checkout.root}/.venv" in said
    assert "mend permissions, and run again" in said


def test_an_unknown_word_is_refused(checkout: Checkout) -> None:
    code, said = checkout.setup("instal")
    assert (code, said) == (4, "setup: unknown word 'instal'; expected nothing, or `lock`\n")


def _only(folder: Path, tools: set[str]) -> str:
    """A PATH with these tools and no other."""
    place = folder / "bin"
    place.mkdir()
    for tool in tools:
        found = shutil.which(tool)
        assert found, f"{tool} is needed by this test"
        (place / tool).symlink_to(found)
    return str(place)


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)
