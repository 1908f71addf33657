"""Runs the toy's training chain, and dies, waits or finds the disk full where it is told.

VICTIM_DIE_IN=evaluate        SIGKILL once the stage's body has computed its values, before they are stored
VICTIM_DIE_WRITING=evaluate   SIGKILL between two of the stage's outputs
VICTIM_DIE_AFTER=evaluate     SIGKILL after the stage is stored, before the tracker hears of it
VICTIM_FULL_IN=evaluate       the disk is full for every write from that stage on
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from typing import Any

from pipelines.core import execution
from pipelines.core.errors import PipelineError
from pipelines.core.execution import Session
from pipelines.core.run import Run
from pipelines.core.settings import quiet_environment
from pipelines.core.store import Store
from pipelines.runners import in_process


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def harm() -> None:
    asked = {name.removeprefix("VICTIM_"): value for name, value in os.environ.items() if name.startswith("VICTIM_")}
    call, put, execute = execution._call, Store.put, in_process.execute
    written: list[str] = []

    def dying_call(context: Any) -> Any:
        values = call(context)
        if context.node.name == asked.get("DIE_IN"):
            die()
        return values

    def dying_put(self: Store, name: str, path: Any, **facts: Any) -> Any:
        if facts["stage"] == asked.get("DIE_WRITING") and written:
            die()
        written.extend([name] if facts["stage"] == asked.get("DIE_WRITING") else [])
        return put(self, name, path, **facts)

    def dying_execute(session: Session, node: Any, done: Any, **more: Any) -> Any:
        if node.name == asked.get("FULL_IN"):
            os.fsync = full  # type: ignore[assignment]
        result = execute(session, node, done, **more)
        if node.name == asked.get("DIE_AFTER"):
            die()
        return result

    execution._call, Store.put, in_process.execute = dying_call, dying_put, dying_execute  # type: ignore[method-assign, assignment]


def full(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a full disk")


def main(project: str) -> int:
    from pipelines.tracking.runs import MlflowTracker

    quiet_environment()
    harm()
    session = Session(Run(project=project, profile="sample"))
    tracker = MlflowTracker(session.settings)
    try:
        results = in_process.run(session, tracker=tracker)
    except PipelineError as error:
        print(error)
        tracker.finish(session, "FAILED")
        return error.exit_code
    tracker.finish(session, "FINISHED")
    print(json.dumps({node: {name: ref.digest for name, ref in result.outputs.items()} for node, result in results.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
