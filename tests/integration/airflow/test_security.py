"""What the stack gives to whom: nothing without a login, to each role what it is for, and to nobody a secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from pipelines.stack.follow import Followed
from pipelines.stack.secrets import password
from tests import planted
from tests.integration.airflow.conftest import Installation, await_dags

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

PUBLIC = {"/api/v2/auth/login", "/api/v2/auth/logout", "/api/v2/monitor/health", "/api/v2/version"}
"""What anybody may ask Airflow: where to log in and out, whether it is well, and its version."""
ROLES = {"vic": "viewer", "una": "user", "ada": "op", "admin": "admin"}


@pytest.fixture
def anybody(installation: Installation) -> Iterator[httpx.Client]:
    """Somebody on this machine who has not logged in."""
    with httpx.Client(base_url=installation.stack.airflow_url, trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture
def people(installation: Installation, anybody: httpx.Client) -> Iterator[dict[str, httpx.Client]]:
    """One logged-in client a role."""
    clients = {}
    for user, role in ROLES.items():
        login = {"username": user, "password": password(installation.settings.home, user)}
        token = anybody.post("/auth/token", json=login).raise_for_status().json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        clients[role] = httpx.Client(base_url=anybody.base_url, headers=headers, trust_env=False, timeout=60)
    yield clients
    for client in clients.values():
        client.close()


def test_every_endpoint_of_the_api_needs_a_login(anybody: httpx.Client) -> None:
    paths = anybody.get("/openapi.json").raise_for_status().json()["paths"]
    open_to_all = set()
    asked = 0
    for path, methods in paths.items():
        for method in methods.keys() & {"get", "post", "put", "patch", "delete"}:
            asked += 1
            answer = anybody.request(method, re.sub(r"\{[^}]+\}", "1", path), json={} if method != "get" else None)
            if answer.status_code not in (401, 403):
                open_to_all.add(path)
    assert asked > 100
    assert {path for path in open_to_all if path.startswith("/api/")} == PUBLIC
    assert anybody.post("/auth/token", json={"username": "admin", "password": "admin"}).status_code == 401


@pytest.mark.parametrize("path", ["/ui/config", "/ui/dags", "/ui/auth/menus", "/ui/dashboard/dag_stats"])
def test_the_pages_own_data_need_a_login(anybody: httpx.Client, path: str) -> None:
    assert anybody.get(path).status_code == 401


@pytest.mark.parametrize("call", ["task-instances/1/run", "variables/anything", "xcoms/d/r/t/k", "connections/anything"])
def test_what_tasks_talk_to_needs_a_tasks_token(anybody: httpx.Client, call: str, people: dict[str, httpx.Client]) -> None:
    method = "PATCH" if call.endswith("run") else "GET"
    assert anybody.request(method, f"/execution/{call}", json={}).status_code in (401, 403)
    assert people["admin"].request(method, f"/execution/{call}", json={}).status_code in (401, 403), "a person is no task"


def test_every_page_of_a_plugin_needs_a_login(installation: Installation, anybody: httpx.Client) -> None:
    """Airflow does not protect a plugin's application: each route has to do it."""
    shell = anybody.get("/no-such-page").text
    for plugin in installation.airflow.get("/plugins")["plugins"]:
        for app in plugin["fastapi_apps"]:
            prefix = app["url_prefix"]
            assert anybody.get(f"{prefix}/openapi.json").status_code in (401, 403, 404), prefix
            assert anybody.get(prefix).text == shell, "without the slash it is Airflow's own empty frame, as any address is"
            assert anybody.get(f"{prefix}/").status_code in (302, 401, 403, 404), prefix


def asked_of(client: httpx.Client, what: str) -> int:
    """Status of a request that would do this."""
    trigger = {"logical_date": None, "conf": {}}
    return {
        "look": lambda: client.get("/api/v2/dags/toy_training"),
        "read the history": lambda: client.get("/api/v2/dags/toy_training/dagRuns"),
        "trigger": lambda: client.post("/api/v2/dags/no_such_training/dagRuns", json=trigger),
        "roll back": lambda: client.post("/api/v2/dags/rollback/dagRuns", json={**trigger, "conf": {"project": "nobody"}}),
        "pause": lambda: client.patch("/api/v2/dags/toy_monitoring", json={"is_paused": False}),
        "approve": lambda: client.patch(
            "/api/v2/dags/toy_training/dagRuns/none/taskInstances/approve/-1/hitlDetails", json={"chosen_options": ["Approve"]}
        ),
        "say that data have come": lambda: client.post("/api/v2/assets/events", json={"asset_id": 999_999}),
        "read connections": lambda: client.get("/api/v2/connections"),
        "read variables": lambda: client.get("/api/v2/variables"),
    }[what]().status_code


USER = {"look", "read the history", "trigger", "roll back", "pause", "approve"}
MAY = {
    "viewer": {"look", "read the history"},
    "user": USER,
    "op": USER | {"say that data have come", "read connections", "read variables"},
    "admin": USER | {"say that data have come", "read connections", "read variables"},
}
"""What docs/security.md says of each role."""


@pytest.mark.parametrize("role", MAY)
def test_a_role_may_what_it_is_for_and_no_more(installation: Installation, people: dict[str, httpx.Client], role: str) -> None:
    (installation.dags / "operations.py").write_text(
        "from pipelines.runners import airflow_operations\n\nrollback = airflow_operations.rollback()\n"
    )
    await_dags(installation.airflow, {"rollback"})
    answers = {what: asked_of(people[role], what) for what in MAY["admin"]}
    assert {what for what, status in answers.items() if status != 403} == MAY[role], answers


def test_planted_secrets_are_nowhere_in_what_the_stack_wrote(
    installation: Installation, new_project: Callable[..., Path], anybody: httpx.Client
) -> None:
    new_project("talkative", planted.TALKATIVE)
    run = installation.run("talkative")
    assert run.exit_code == 0, run.failures
    tries = [installation.task(run, "train", index)["try_number"] for index in range(2)]
    assert sorted(tries) == [1, 2], "it has failed once and said all it knew"
    told = installation.log(run, "train")
    assert "refused: " in told
    assert "***" in told
    assert planted.found([installation.settings.home.parent], xcoms(installation, run)) == {}


def test_planted_secrets_are_nowhere_in_what_churn_leaves(installation: Installation, churn: dict[str, Followed]) -> None:
    """Its libraries write pages, models and figures of their own: Great Expectations, Evidently, MLflow."""
    assert [run.exit_code for run in churn.values()] == [0, 0]
    base = installation.settings.home.parent
    shown = {f"{page.parent.name}/{page.name}" for page in Path(installation.settings.artifacts).rglob("*.html")}
    assert {"data_docs/index.html", "card/index.html", "drift_report/index.html", "drift_report/evidently.html"} <= shown
    assert planted.found([base], *(xcoms(installation, run) for run in churn.values())) == {}


def xcoms(installation: Installation, run: Followed) -> str:
    """What the tasks of a run have sent to one another."""
    entries = installation.airflow.get(f"/dags/{run.dag}/dagRuns/{run.run}/taskInstances/~/xcomEntries", limit=200)
    assert entries["total_entries"] >= len(run.results)
    return str(entries)


def test_mlflow_answers_to_its_own_name_and_to_its_own_pages_only(installation: Installation) -> None:
    """It has no login, so what protects it is loopback; a page elsewhere must not reach it through a browser on this machine."""
    search = "/api/2.0/mlflow/experiments/search"
    with httpx.Client(base_url=installation.stack.mlflow_url, trust_env=False) as client:
        assert client.post(search, json={"max_results": 1}).status_code == 200
        for name in ("evil.example", "10.evil.example", "192.168.evil.example", "127.0.0.1:1"):
            assert client.post(search, json={"max_results": 1}, headers={"Host": name}).status_code == 403, name
        assert client.post(search, json={"max_results": 1}, headers={"Origin": "https://evil.example"}).status_code == 403
        assert client.get("/").headers["x-frame-options"] == "SAMEORIGIN"
        taken = client.put("/api/2.0/mlflow-artifacts/artifacts/planted.txt", content=b"x")
        assert taken.status_code >= 400, "it keeps files for nobody: runs write theirs where the platform says"
