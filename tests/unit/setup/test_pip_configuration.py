"""Where pip is told to look, uv looks too."""

from __future__ import annotations

import importlib.util
import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from pipelines.core.settings import ROOT

Told = Callable[[str], dict[str, str]]


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """bin/setup.py, whose Python is one that a test makes."""
    module = _load()
    monkeypatch.setattr(module, "PYTHON", tmp_path / "python")
    return module


@pytest.fixture
def told(setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """uv's environment when `pip config list` prints the given text; names that were not set before only."""
    for name in [*(name for name, _ in setup.FROM_PIP.values()), "UV_INDEX_STRATEGY"]:
        monkeypatch.delenv(name, raising=False)
    fake = tmp_path / "python"
    before = set(os.environ)

    def environment(listing: str) -> dict[str, str]:
        (tmp_path / "listing").write_text(listing)
        fake.write_text(f"#!/bin/sh\ncat {tmp_path}/listing\n")
        fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
        return {name: value for name, value in setup.uv_environment().items() if name not in before}

    return environment


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("setup_of_the_checkout", ROOT / "bin" / "setup.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ALWAYS = {"UV_PYTHON_DOWNLOADS": "never", "UV_INDEX_STRATEGY": "unsafe-best-match"}


def test_nothing_configured_changes_nothing(told: Told) -> None:
    assert told("") == ALWAYS


def test_every_place_and_certificate_is_handed_on(told: Told) -> None:
    listing = """\
global.index-url='https://packages.example/simple'
global.extra-index-url='https://one.example/simple https://two.example/simple'
global.find-links='/opt/wheels /srv/wheels'
global.trusted-host='one.example two.example'
global.cert='/etc/ssl/own.pem'
install.client-cert='/etc/ssl/client.pem'
global.proxy='proxy.example:3128'
global.no-color='true'
"""
    assert told(listing) == ALWAYS | {
        "UV_DEFAULT_INDEX": "https://packages.example/simple",
        "UV_INDEX": "https://one.example/simple https://two.example/simple",
        "UV_FIND_LINKS": "/opt/wheels,/srv/wheels",
        "UV_INSECURE_HOST": "one.example two.example",
        "SSL_CERT_FILE": "/etc/ssl/own.pem",
        "SSL_CLIENT_CERT": "/etc/ssl/client.pem",
        "ALL_PROXY": "proxy.example:3128",
    }


def test_several_lines_in_a_file_are_several_indexes(told: Told) -> None:
    listing = "global.extra-index-url='\\nhttps://one.example/simple\\nhttps://two.example/simple'\n"
    assert told(listing)["UV_INDEX"] == "https://one.example/simple https://two.example/simple"


def test_variables_win_over_pip_install_and_that_over_global(told: Told) -> None:
    listing = "{}.find-links='/variable'\n{}.find-links='/global'\n{}.find-links='/install'\n"
    assert told(listing.format(":env:", "global", "install"))["UV_FIND_LINKS"] == "/variable"
    assert told(listing.format("download", "global", "install"))["UV_FIND_LINKS"] == "/install"


def test_pips_name_for_its_timeout_variable_is_known(told: Told) -> None:
    assert told(":env:.default-timeout='180'\n")["UV_HTTP_TIMEOUT"] == "180"


@pytest.mark.parametrize(
    ("listing", "options"),
    [
        ("", []),
        (":env:.no-index='1'\n", ["--no-index"]),
        ("global.no-index='true'\n", ["--no-index"]),
        ("global.no-index='true'\n:env:.no-index='false'\n", []),
    ],
)
def test_where_pip_asks_no_index_uv_asks_none(setup: ModuleType, told: Told, listing: str, options: list[str]) -> None:
    assert told(listing) == ALWAYS
    assert setup.only_links() == options


def test_what_is_set_for_uv_stays(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_INDEX", "https://mine.example/simple")
    monkeypatch.setattr(setup, "pip_configuration", lambda: {"extra-index-url": ["https://pip.example/simple"]})
    assert setup.uv_environment()["UV_INDEX"] == "https://mine.example/simple"


@pytest.mark.parametrize(
    ("pyproject", "answer", "environment", "options"),
    [
        ('["torch==2.13.0"]', True, {}, []),
        ('["torch==2.13.0"]', False, {}, ["--torch-backend", "cpu"]),
        ('["torch==2.13.0"]', False, {"UV_TORCH_BACKEND": "auto"}, []),
        ('["numpy"]', False, {}, []),
    ],
)
def test_pytorchs_own_index_is_asked_where_no_configured_place_has_the_cpu_build(
    setup: ModuleType,
    told: Told,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pyproject: str,
    answer: bool,
    environment: dict[str, str],
    options: list[str],
) -> None:
    told("")
    (tmp_path / "pyproject.toml").write_text(f"dependencies = {pyproject}")
    asked: list[str] = []
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    monkeypatch.setattr(setup, "run", lambda *call, **how: asked.extend(map(str, call)) or answer)
    assert setup.torch_backend(environment) == options
    assert (asked[-1:] == ["torch==2.13.0+cpu"]) == ("torch" in pyproject and not environment)
