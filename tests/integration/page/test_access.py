"""Who may look: Airflow's login decides."""

from __future__ import annotations

import httpx
import pytest

from bench.api_server import token
from pipelines.core.backend import FolderBackend
from pipelines.core.ledger import Entry, Ledger
from pipelines.core.store import Store
from tests.integration.page.conftest import Served

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

PAGES = (
    "/models/",
    "/models/projects/region_001",
    "/models/projects/region_001/card/1",
    "/models/projects/region_001/drift/watch-001",
)


def ask(served: Served, path: str, bearer: str | None = None, cookie: str | None = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    headers |= {"Cookie": f"_token={cookie}"} if cookie else {}
    return httpx.get(f"{served.url}{path}", headers=headers, timeout=60, trust_env=False)


@pytest.mark.parametrize("path", PAGES)
def test_nobody_looks_without_a_login(served: Served, path: str) -> None:
    for answer in (ask(served, path), ask(served, path, bearer="made.up.token"), ask(served, path, cookie="made.up.token")):
        assert answer.status_code in (401, 403)
        assert "region" not in answer.text
        assert "Demand" not in answer.text


def test_a_viewer_may_look_by_token_and_by_cookie(served: Served) -> None:
    vic = token(httpx.Client(base_url=served.url, trust_env=False), "vic", served.password("vic"))
    for answer in (ask(served, "/models/", bearer=vic), ask(served, "/models/", cookie=vic)):
        assert answer.status_code == 200
        assert "Demand of region 1" in answer.text


def test_what_is_not_there_is_said_to_be_missing(served: Served) -> None:
    for path in ("projects/region_00", "projects/region_001/card/999", "projects/region_001/drift/..%2f..%2fother"):
        answer = served.client.get(f"/models/{path}")
        assert answer.status_code == 404, path
    assert "did you mean" in served.client.get("/models/projects/region_00").text.replace("&#39;", "'")


def test_a_decision_is_seen_by_the_next_look(served: Served) -> None:
    served.client.get("/models/")
    ledger = Ledger(Store(FolderBackend(served.settings.home / "store")))
    ledger.append("region_002", Entry(kind="rejection", run="r", why="refused between two looks"))
    assert "refused between two looks" in served.client.get("/models/").text


def test_no_other_site_may_frame_it_or_run_a_script_in_it(served: Served) -> None:
    policy = served.client.get("/models/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'self'" in policy
    assert served.client.get("/models/").headers["cache-control"] == "no-store"
