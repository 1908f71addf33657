"""Airflow's API server with the Models page, projects that were operated for half a year, and Debian's Chromium."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, FrameLocator, Page, sync_playwright

from bench import api_server, history
from pipelines.core.settings import Settings
from pipelines.stack.secrets import password_file

SCREENSHOTS = os.environ.get("SCREENSHOTS", "")
"""Folder for the pictures of the docs; none are written without it."""
HOSTILE = "<script>window.harmed = 1</script><img src=x onerror='window.harmed = 1'>"


@dataclass
class Served:
    """The server under test."""

    client: httpx.Client
    """Logged in as admin."""
    settings: Settings
    names: list[str]

    @property
    def url(self) -> str:
        return str(self.client.base_url).rstrip("/")

    def password(self, user: str) -> str:
        return str(json.loads(password_file(self.settings.home).read_text())[user])


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    base = tmp_path_factory.mktemp("page")
    settings = Settings.load({"PIPELINES_HOME": str(base / "home"), "PIPELINES_PROJECTS": str(base / "projects")})
    names = history.write(base / "projects", Path(settings.store), 8, weeks=26)
    wicked = base / "projects" / names[-1] / "deployment.yaml"
    wicked.write_text(wicked.read_text().replace("Demand of region 7", HOSTILE))
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("PIPELINES_", "AIRFLOW", "MLFLOW_"))]:
            patch.delenv(name)
        with api_server.serving(settings, names, users="admin:admin,vic:viewer") as client:
            yield Served(client, settings, names)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        missing = "chromium is missing, in which the Models page is tested: apt-get install chromium"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


class Visit:
    """A person in Airflow's UI, and what went wrong before their eyes."""

    def __init__(self, browser: Browser, served: Served, scheme: str, width: int) -> None:
        self.served = served
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        self.page: Page = self.context.new_page()
        self.errors: list[str] = []
        self.asked: set[str] = set()
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on("request", lambda request: self.asked.add(request.url.split("/")[2].split(":")[0]))

    def login(self, user: str = "admin") -> None:
        self.page.goto(f"{self.served.url}/auth/login/")
        self.page.fill("input[name=username]", user)
        self.page.fill("input[name=password]", self.served.password(user))
        self.page.click("button[type=submit]")
        self.page.get_by_role("link", name="Models").wait_for()

    def open(self) -> FrameLocator:
        """The page, by Airflow's navigation."""
        self.page.get_by_role("link", name="Models").click()
        self.frame.get_by_role("heading", name="Models", level=1).wait_for()
        return self.frame

    @property
    def frame(self) -> FrameLocator:
        return self.page.frame_locator("iframe[title=Models]")

    def picture(self, name: str) -> None:
        """Keep what is seen for the docs, when asked to."""
        if SCREENSHOTS:
            self.page.wait_for_timeout(500)  # until Airflow's own parts have come to rest
            seen = Image.open(io.BytesIO(self.page.screenshot()))
            seen.quantize(96).save(Path(SCREENSHOTS) / f"{name}.png", optimize=True)  # a third of the bytes, and nobody can tell


@pytest.fixture
def visit(browser: Browser, served: Served, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """Logged in; the marker `screen(scheme, width)` says how the screen is."""
    marker = request.node.get_closest_marker("screen")
    scheme, width = marker.args if marker else ("light", 1440)
    made = Visit(browser, served, scheme, width)
    made.login()
    yield made
    made.context.close()
