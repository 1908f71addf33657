"""The Models page in Airflow's navigation, served by the API server under /models.

Airflow loads its plugins in every process and in every task; the page is imported where it is asked for, and only there.
"""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin


async def page(scope: Any, receive: Any, send: Any) -> None:
    """The page as an ASGI application."""
    from pipelines.runners.airflow_page import app

    await app(scope, receive, send)


class Models(AirflowPlugin):
    """What Airflow loads."""

    name = "pipelines_models"
    fastapi_apps = [{"app": page, "url_prefix": "/models", "name": "Models"}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {"name": "Models", "href": "models/", "url_route": "models", "destination": "nav", "nav_top_level": True}
    ]
