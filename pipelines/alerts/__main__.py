"""``python -m pipelines.alerts PROJECT GRAPH RUN STATE``: tell people what a run that has ended came to, and its numbers to
the collector of metrics, if there is one.

A process of its own, started by Airflow's listener in `plugins/alerts.py`: whatever happens here, no scheduler waits for it.
"""

from __future__ import annotations

import logging
import sys

from pipelines import metrics
from pipelines.alerts import ended, of_run, send
from pipelines.core.errors import PipelineError
from pipelines.core.settings import quiet_environment


def main(project: str, graph: str, run: str, state: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    quiet_environment()
    try:
        session = ended(project, run, graph)
        metrics.tell_run(session, state)
        send(session.store, of_run(session, state))
    except PipelineError as error:
        sys.exit(f"run {run} is not told of: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
