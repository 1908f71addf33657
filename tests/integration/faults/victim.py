"""What the DAG file of a project that is killed everywhere says before it builds its DAGs."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from pipelines.core import execution
from pipelines.runners import airflow_task


def die_everywhere(project: str) -> None:
    """SIGKILL each task of the project three times: with its values computed, when they are stored but nobody was told, and
    when Airflow was told but not the tracker.
    """
    call, execute, tell = execution._call, airflow_task.execute, airflow_task.tell_tracker
    succeeded: list[tuple[str, str]] = []

    def dying_call(context: Any) -> Any:
        values = call(context)
        _die_once(project, context.run.project, f"{context.node.name}-computed")
        return values

    def dying_execute(session: Any, node: Any, done: Any, **more: Any) -> Any:
        result = execute(session, node, done, **more)
        _die_once(project, session.run.project, f"{node.name}-stored")
        succeeded.append((session.run.project, f"{node.name}-succeeded"))
        return result

    def dying_tell() -> None:
        for where in succeeded:
            _die_once(project, *where)
        tell()

    execution._call, airflow_task.execute, airflow_task.tell_tracker = dying_call, dying_execute, dying_tell


def deaths(home: Path, project: str) -> list[str]:
    """Where tasks of the project have died."""
    return sorted(path.name for path in (home / "deaths" / project).glob("*"))


def _die_once(meant: str, project: str, where: str) -> None:
    mark = Path(os.environ["PIPELINES_HOME"]) / "deaths" / project / where
    if project == meant and not mark.exists():
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
