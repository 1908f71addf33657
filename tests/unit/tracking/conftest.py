"""Fixtures for tracking: a chain of the toy project that ends before promote."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.core.artifacts import StageResult
from pipelines.core.execution import Session

sys.path.insert(0, str(Path(__file__).parent))

from toy_chain import make_chain


@pytest.fixture
def chain(tmp_path: Path) -> Callable[..., dict[str, StageResult]]:
    """Finished stages up to evaluate: ``chain(session, accept=False, model=2.0)``."""

    def make(session: Session, **how: object) -> dict[str, StageResult]:
        return make_chain(session, tmp_path / "made", **how)  # type: ignore[arg-type]

    return make
