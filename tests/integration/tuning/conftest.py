"""A PostgreSQL of one's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres import Postgres, serving


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    with serving() as server:
        yield server
