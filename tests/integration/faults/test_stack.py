"""The stack is killed piece by piece, on both kinds of database; docs/faults.md has all that `python -m tests.integration.faults` tries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.faults.stand import DATABASES, Stand, many_at_once, server_killed, stand, tasks_killed

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def on(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A stack on the kind of database that the test names."""
    with DATABASES[request.param]() as environment, stand(tmp_path_factory.mktemp(request.param), environment) as made:
        yield made


@pytest.fixture(autouse=True)
def _seen(on: Stand) -> Iterator[None]:
    with on.seen():
        yield


def databases(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("on", names, indirect=True, scope="module")


@databases("sqlite", "postgres")
def test_every_task_is_killed_and_the_run_ends_right(on: Stand, tmp_path: Path) -> None:
    assert tasks_killed(on, "deadly", tmp_path).amiss == []


@databases("sqlite")
def test_eight_projects_train_at_once(on: Stand, tmp_path: Path) -> None:
    assert many_at_once(on, [f"toy_{number}" for number in range(8)], tmp_path).amiss == []


@pytest.mark.parametrize("server", ["scheduler", "api-server"])
@databases("sqlite")
def test_a_killed_server_loses_nothing(on: Stand, tmp_path: Path, server: str) -> None:
    assert server_killed(on, f"without_{server.replace('-', '_')}", tmp_path, server).amiss == []
