"""Import the usual heavy libraries once, in the scheduler, before it forks its workers: every task then starts warm.

Third-party libraries only. Code of ours must be read fresh by every task, so nothing of `pipelines` is imported here.
Importing starts no parallel region and no thread pool, which is what makes forking afterwards safe.

PIPELINES_PRELOAD=0 turns it off; PIPELINES_PRELOAD=torch,transformers adds to the list.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import time

LIBRARIES = (
    "pandas",
    "pyarrow.parquet",
    "pyarrow.csv",
    "scipy.stats",
    "sklearn.calibration",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.model_selection",
    "sklearn.pipeline",
    "xgboost",
    "imblearn.pipeline",
    "imblearn.over_sampling",
    "optuna",
    "pandera.pandas",
    "matplotlib.pyplot",
    "skops.io",
    "shap",
    "mlflow.pyfunc",
    "mlflow.tracking",
    "mlflow.tracking.request_header.registry",  # looks through all installed packages once, a tenth of a second
    "great_expectations",
    "evidently.presets",
    "dvc.repo",
    "dvc.repo.index",
    "dvc.scm",
    "boto3",
)


def preload(names: tuple[str, ...]) -> dict[str, float]:
    """Import what is installed of these; seconds by name. What is missing is left out: a task that needs it will say so."""
    seconds = {}
    for name in names:
        began = time.perf_counter()
        try:
            importlib.import_module(name)
        except ImportError as error:
            logging.getLogger(__name__).warning("preload: %s is left out: %s", name, error)
        else:
            seconds[name] = time.perf_counter() - began
    return seconds


setting = os.environ.get("PIPELINES_PRELOAD", "1")
if sys.argv[1:2] == ["scheduler"] and setting != "0":
    extra = tuple(name.strip() for name in setting.split(",") if name.strip() != "1")
    took = preload((*LIBRARIES, *extra))
    if any(seconds >= 0.1 for seconds in took.values()):  # a forked worker has them all, and its log is the task's
        logging.getLogger(__name__).info(
            "preload: %d libraries in %.1f s (%s)",
            len(took),
            sum(took.values()),
            ", ".join(f"{name} {seconds:.1f}" for name, seconds in took.items() if seconds >= 0.1),
        )
