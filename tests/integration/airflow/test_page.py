"""The Models page of a whole stack: what a real run leaves is on it, with the links that Airflow and MLflow give."""

from __future__ import annotations

import httpx
import pytest

from bench.api_server import token
from pipelines.stack.follow import Followed
from pipelines.stack.secrets import ADMIN, password
from pipelines.tracking import registry
from tests.integration.airflow.conftest import Installation

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]


def test_a_run_on_airflow_is_on_the_page_with_its_links(installation: Installation, first: Followed) -> None:
    assert first.exit_code == 0
    champion = registry.find("toy")
    with httpx.Client(base_url=installation.stack.airflow_url, timeout=60, trust_env=False) as client:
        assert client.get("/models/projects/toy").status_code == 401
        client.headers["Authorization"] = f"Bearer {token(client, ADMIN, password(installation.settings.home))}"
        page = client.get("/models/projects/toy").text
        card = client.get(f"/models/projects/toy/card/{champion.version}")
        plugins = client.get("/api/v2/plugins").json()["plugins"]
    assert champion.why.partition(" (")[0] in page
    assert f"{installation.stack.mlflow_url}/#/experiments/" in page
    assert "MLflow does not answer" not in page
    dag, _, run = champion.run.partition(".")
    assert f"/dags/{dag}/runs/{run.partition('__')[0]}" in page
    assert 'href="/dags/toy_monitoring"' in page
    assert (card.status_code, "sandbox" in card.headers["content-security-policy"]) == (200, True)
    assert champion.candidate in card.text
    views = [view for plugin in plugins for view in plugin["external_views"]]
    assert [(view["name"], view["destination"], view["url_route"]) for view in views] == [("Models", "nav", "models")]
