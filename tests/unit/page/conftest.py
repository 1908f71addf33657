"""An installation with projects that have a past, and pages made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bench import history
from pipelines.core.settings import Settings
from pipelines.page import html
from pipelines.page.engine import Scheduled
from pipelines.page.reading import Reader

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SETTING = html.Setting("/models", NOW)


class Elements(HTMLParser):
    """Every tag of a page with its attributes, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def values(self, tag: str, attribute: str) -> list[str]:
        return [found for name, attrs in self.tags if name == tag and (found := attrs.get(attribute)) is not None]


@pytest.fixture
def operated(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Three projects that were operated for ten weeks, beside those that are shipped."""
    history.write(tmp_path / "projects", Path(settings.store), 3, weeks=10, until=NOW)
    monkeypatch.setenv("PIPELINES_PROJECTS", str(tmp_path / "projects"))
    return Settings.load()


@pytest.fixture
def reader(operated: Settings) -> Reader:
    return Reader(operated)


@pytest.fixture
def shown(reader: Reader) -> Callable[..., str]:
    """The overview, as it is now."""

    def overview(scheduled: Mapping[str, Scheduled] | None = None, words: str = "", only: str = "") -> str:
        return html.overview(SETTING, reader.glances(), scheduled or {}, words, only)

    return overview
