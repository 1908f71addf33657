"""Eight no-op tasks in a Prefect flow, against the temporary server that Prefect starts on loopback for itself."""

import json
import os
import sys
import tempfile
import time

STEPS, REPEATS = int(sys.argv[1]), int(sys.argv[2])
os.environ.update(
    PREFECT_HOME=tempfile.mkdtemp(),
    PREFECT_LOGGING_LEVEL="ERROR",
    PREFECT_SERVER_LOGGING_LEVEL="ERROR",
    DO_NOT_TRACK="1",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="120",
)

import prefect  # noqa: E402 - the settings come first
from prefect import flow, task  # noqa: E402


@task
def step(value: int) -> int:
    return value + 1


@flow
def chain(steps: int) -> int:
    value = 0
    for _ in range(steps):
        value = step(value)
    return value


def seconds(steps: int) -> float:
    started = time.perf_counter()
    chain(steps)
    return time.perf_counter() - started


chain(1)
print(json.dumps({"name": f"Prefect {prefect.__version__}, own server", "seconds": [seconds(STEPS) for _ in range(REPEATS)]}))
