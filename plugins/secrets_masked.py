"""No process of Airflow writes a secret of its environment into its log, whoever says it.

Airflow masks what its own connections hold, and the log of each task; the copy of every task's words that LocalExecutor writes
to the scheduler's log is masked by nobody (Airflow 3.3). So the secrets are named to Airflow's masker here, and its masking step
is put before the last step of every log line.
"""

from __future__ import annotations

import structlog
from airflow.sdk.log import mask_logs, mask_secret

from pipelines.core.scrub import secret_values

for value in secret_values():
    mask_secret(value)
steps = structlog.get_config()["processors"]
if mask_logs not in steps:
    steps.insert(len(steps) - 1, mask_logs)
