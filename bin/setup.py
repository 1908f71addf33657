"""Make or mend .venv from requirements.lock. Needs nothing but Python 3.11 with venv and pip; takes 0.1 s when all is done.

Usage: bin/setup         install what the lock says, then this project
       bin/setup lock    write requirements.lock from pyproject.toml (further words go to uv, such as --upgrade)

Packages come from where pip is configured to look: its indexes, links and certificates are told to uv, which installs.
"""

from __future__ import annotations

import ast
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.lock"
BOOTSTRAP = ROOT / "bin" / "uv.txt"
STAMP = VENV / "installed"
"""Holds the hash of what was installed; written last, so that an interrupted installation has none."""
STARTED = VENV / "unfinished"
FULL = 20 * 2**20
"""Bytes below which a failed installation is put down to a full disk: a wheel of ours can need as much in one write."""

FROM_PIP = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "cert": ("SSL_CERT_FILE", " "),
    "client-cert": ("SSL_CLIENT_CERT", " "),
    "proxy": ("ALL_PROXY", " "),
    "timeout": ("UV_HTTP_TIMEOUT", " "),
}
"""pip's option to uv's environment variable, and what separates several values there."""


class Stop(Exception):
    """Setup cannot go on; the message says what to do."""


def main(arguments: list[str]) -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if arguments[:1] == ["lock"]:
        lock(arguments[1:])
    elif arguments:
        raise Stop(f"unknown word {arguments[0]!r}; expected nothing, or `lock`")
    elif not is_done():
        install()


def is_done() -> bool:
    """Whether .venv holds what the lock says and its Python starts."""
    try:
        return STAMP.read_text() == wanted() and run(PYTHON, "-c", "", quiet=True)
    except OSError:
        return False


def wanted() -> str:
    """Hash of all that decides what .venv must hold."""
    parts = [LOCK.read_bytes(), (ROOT / "pyproject.toml").read_bytes(), BOOTSTRAP.read_bytes(), str(ROOT).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def install() -> None:
    with one_at_a_time():
        if is_done():  # another setup did it while we waited
            return
        make_venv()
        STARTED.touch()
        STAMP.unlink(missing_ok=True)
        say("installing the packages of requirements.lock (a few minutes at most)")
        if bootstrap():
            env = uv_environment()
            uv(env, "install", "--require-hashes", *torch_backend(env), "-r", str(LOCK))
            uv(env, "install", "--no-deps", "--no-build-isolation", "-e", str(ROOT))
            compile_bytecode()
        else:
            say("uv cannot be had here; pip does it too, only slower")
            pip("install", "--require-hashes", "-r", str(LOCK))
            pip("install", "--no-deps", "--no-build-isolation", "-e", str(ROOT))
        STAMP.write_text(wanted())
        STARTED.unlink()
        say("done")


def make_venv() -> None:
    """A .venv with pip. One that a killed setup left, or whose Python is gone or another, is made anew."""
    if VENV.exists() and (
        STARTED.exists() or not run(PYTHON, "-c", "import sys; assert sys.version_info[:2] == (3, 11)", quiet=True)
    ):
        say("an earlier setup of .venv was not finished or its Python is gone; making it anew")
        shutil.rmtree(VENV)
    if not run(sys.executable, "-c", "import ensurepip, venv", quiet=True):
        raise Stop(
            "Python's venv or ensurepip is missing; install it (Debian, Ubuntu: apt-get install python3.11-venv) and run again"
        )
    if not VENV.exists() and not run(sys.executable, "-m", "venv", str(VENV)):
        why = why_perhaps()
        shutil.rmtree(VENV, ignore_errors=True)
        raise Stop(f"making {VENV} failed{why}; Python's message is above")
    if not run(PYTHON, "-m", "pip", "--version", quiet=True) and not run(PYTHON, "-m", "ensurepip"):
        raise Stop(f"putting pip into {VENV} failed{why_perhaps()}; Python's message is above")


def bootstrap() -> bool:
    """Put uv into .venv, of the version and hashes in bin/uv.txt."""
    return run(PYTHON, "-m", "pip", "install", "-q", "--no-deps", "--require-hashes", "-r", str(BOOTSTRAP))


def compile_bytecode() -> None:
    """Compile what is imported in practice: without it a dozen processes would each compile it while they start."""
    packages = next((VENV / "lib").glob("python3*/site-packages"))
    run(
        PYTHON,
        "-m",
        "compileall",
        "-q",
        "-j",
        "0",
        "-x",
        r"/tests?/|/plotly/validators/|/transformers/models/",
        str(packages),
        quiet=True,
    )


def lock(arguments: list[str]) -> None:
    with one_at_a_time():
        make_venv()
        if not bootstrap():
            raise Stop("uv, which writes the lock, cannot be installed; see pip's message above")
    env = uv_environment()
    options = ["--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--no-annotate", "--no-header"]
    target = ["--python-version", "3.11", "--group", "dev", "-o", str(LOCK), "-q"]
    uv(env, "compile", *options, *torch_backend(env), *target, *arguments, str(ROOT / "pyproject.toml"))


def torch_backend(env: dict[str, str]) -> list[str]:
    """The option that lets uv take torch's CPU build from PyTorch's own index, where the configured places do not have it.

    That build (`+cpu`) leaves out the libraries of CUDA, which are several times its size. It is in no default index.
    """
    pinned = re.search(r'"torch==([\w.]+)"', (ROOT / "pyproject.toml").read_text())
    if pinned is None or "UV_TORCH_BACKEND" in env:
        return []
    question = ["install", "--python", str(PYTHON), *only_links(), "--dry-run", "--no-deps", f"torch=={pinned[1]}+cpu"]
    return [] if run(VENV / "bin" / "uv", "pip", *question, quiet=True, env=env) else ["--torch-backend", "cpu"]


def uv(env: dict[str, str], command: str, *arguments: str) -> None:
    """Run uv and show what it says, but for the list of all packages."""
    call = [VENV / "bin" / "uv", "pip", command, "--python", PYTHON, *only_links(), *arguments]
    # from here, for uv reads dependency groups and its own configuration where it is called
    process = subprocess.Popen(call, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)
    for line in process.stderr or ():
        if not line.startswith((" + ", " - ", " ~ ")):
            sys.stderr.write(f"setup: {line}")
    if process.wait() != 0:
        raise Stop(f"`uv pip {command}` failed{why_perhaps()}; its message is above")


def pip(*arguments: str) -> None:
    if not run(PYTHON, "-m", "pip", "--disable-pip-version-check", *arguments):
        raise Stop(f"pip failed{why_perhaps()}; its message is above{about_torch()}")


def about_torch() -> str:
    """What pip, unlike uv, must be told by hand."""
    if not re.search(r"^torch==\S+\+cpu", LOCK.read_text(), re.MULTILINE):
        return ""
    return (
        ". If torch's CPU build is what it misses: no default index has it. Name PyTorch's index for CPU builds in "
        "PIP_EXTRA_INDEX_URL (PyTorch's installation page shows it), or a folder with the wheel in PIP_FIND_LINKS, and run again"
    )


def why_perhaps() -> str:
    """What the programs we call say in many ways, or not at all: that the disk is full."""
    return f": the disk of {ROOT} is full, free some space and run again" if shutil.disk_usage(ROOT).free < FULL else ""


def uv_environment() -> dict[str, str]:
    """This environment, with pip's configuration in uv's words. What is set for uv already is left as it is."""
    env = os.environ | {"UV_PYTHON_DOWNLOADS": "never"}
    # like pip, look for a version in all indexes; the hashes in the lock make sure that it is the right file
    env.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    configured = pip_configuration()
    for option, (name, separator) in FROM_PIP.items():
        if option in configured:
            env.setdefault(name, separator.join(configured[option]))
    return env


def only_links() -> list[str]:
    """The option that keeps uv away from every index, where pip is told so; uv has no variable for it."""
    said = pip_configuration().get("no-index", ["no"])
    return ["--no-index"] if said[-1].lower() in ("1", "true", "yes", "on", "y", "t") else []


def pip_configuration() -> dict[str, list[str]]:
    """pip's settings that decide where packages come from: files first, then `pip install`'s own, then PIP_ variables."""
    listing = subprocess.run([PYTHON, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False).stdout
    found: dict[tuple[int, str], list[str]] = {}
    for line in listing.splitlines():
        key, _, value = line.partition("=")
        section, _, option = key.rpartition(".")
        option = {"default-timeout": "timeout"}.get(option, option)
        if option in (*FROM_PIP, "no-index") and section in ORDER:
            found[ORDER.index(section), option] = str(ast.literal_eval(value)).split()
    return {option: values for (_, option), values in sorted(found.items())}


ORDER = ["global", "install", ":env:"]
"""Sections of pip's configuration; later ones win."""


class one_at_a_time:  # noqa: N801 - reads as a phrase after `with`
    """Two setups of one checkout wait for each other; the lock goes with the process that holds it."""

    def __enter__(self) -> None:
        self.file = (ROOT / "pyproject.toml").open()
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("waiting for another setup of this checkout")
            fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *error: object) -> None:
        self.file.close()


def run(program: str | Path, *arguments: str, quiet: bool = False, env: dict[str, str] | None = None) -> bool:
    """Run a program; say whether it succeeded."""
    silence = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} if quiet else {}
    try:
        return subprocess.run([program, *arguments], env=env, check=False, **silence).returncode == 0
    except OSError:
        return False


def say(text: str) -> None:
    print(f"setup: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Stop as stop:
        say(str(stop))
        sys.exit(4)
    except OSError as error:
        say(f"{error}; free some space or mend permissions, and run again")
        sys.exit(4)
    except KeyboardInterrupt:
        sys.exit(130)
