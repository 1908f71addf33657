"""Import the usual heavy libraries once, in the scheduler, before it forks its workers: every task then starts warm.

The platform's own modules are imported too, and a task must never run old code: each forked process compares their files
with what was imported, and forgets all of them when one has changed, so that they are read afresh. A project's code is
always read by the task. Importing starts no parallel region and no thread pool, which is what makes forking afterwards safe.

Airflow loads its plugins again in every task; what this one does is done once, in the scheduler's first process.

PIPELINES_PRELOAD=0 turns it off; PIPELINES_PRELOAD=onnx,transformers adds to the list.
"""

from __future__ import annotations

import gc
import importlib
import logging
import multiprocessing
import os
import sys
import time
import warnings
from functools import partial
from pathlib import Path

LIBRARIES = (
    "pandas",
    "pyarrow.pandas_compat",
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
    "pandera.backends.pandas.register",
    "matplotlib.pyplot",
    "matplotlib.backends.backend_agg",
    "PIL.JpegImagePlugin",
    "skops.io",
    "shap",
    "torch",  # 1.5 s in each task of a project on images, 174 MB once; transformers (0.7 s) and ONNX (0.4 s) serve one task
    "safetensors.torch",
    "mlflow.pyfunc",
    "mlflow.tracking",
    "mlflow.tracking.request_header.registry",  # looks through all installed packages once, a tenth of a second
    "great_expectations",
    "evidently.presets",
    "dvc.repo",
    "dvc.repo.index",
    "dvc.scm",
    "dvc.repo.stage",
    "dvc.cachemgr",
    "dvc.data_cloud",
    "boto3",
)

OURS = ("pipelines.runners.airflow", "pipelines.runners.airflow_task", "pipelines.parts.tabular.project")
"""What every task of ours imports, and with it the core and the tracker; and what most projects are built of."""

AIRFLOW = (
    "airflow.dag_processing.bundles.local",
    "airflow.providers.standard.decorators.python",
    "airflow.sdk.definitions.asset.metadata",
    "jinja2.ext",
    "netrc",
)
"""What Airflow itself, or an HTTP client, imports in every task only."""


def preload(names: tuple[str, ...]) -> dict[str, float]:
    """Import what is installed of these; seconds by name. What is missing is left out: a task that needs it will say so."""
    seconds = {}
    gc.disable()  # all of it stays; looking through it again and again would take a third of the time
    try:
        for name in names:
            began = time.perf_counter()
            try:
                with warnings.catch_warnings(action="ignore"):  # skops looks at all there is, what Airflow deprecates included
                    importlib.import_module(name)
            except ImportError as error:
                logging.getLogger(__name__).warning("preload: %s is left out: %s", name, error)
            else:
                seconds[name] = time.perf_counter() - began
    finally:
        gc.enable()
    return seconds


def first_use() -> None:
    """Build the DAGs of one project, which takes its YAML only, and drop them.

    Airflow looks through its providers at the first asset, and the libraries behind a DAG work a good deal out when they are
    first used: two thirds of what building it costs a task.
    """
    from pipelines.core.discovery import find_projects
    from pipelines.core.errors import PipelineError
    from pipelines.runners.airflow import build

    try:
        build(next(iter(find_projects())))
    except PipelineError as error:  # its owner is told where the project is read in earnest
        logging.getLogger(__name__).warning("preload: no DAG could be built beforehand: %s", error)


def stages() -> tuple[str, ...]:
    """The modules of all stages' bodies."""
    from pipelines.core.graph import MONITORING, TRAINING

    return tuple(dict.fromkeys(stage.body.partition(":")[0] for stage in (*TRAINING, *MONITORING)))


Stamp = tuple[int, int, int, int]
"""Times of modification and of change, size and inode: who copies a file can keep the first and the third."""


def stamps() -> dict[str, Stamp | None]:
    """Each file of ours that has been imported, with its stamp; None when it is gone."""
    files = {getattr(module, "__file__", None) for name, module in list(sys.modules.items()) if _ours(name)}
    return {file: _stamp(file) for file in files if file}


def forget_if_changed(imported: dict[str, Stamp | None]) -> None:
    """Drop all modules of ours when a file of theirs is no longer the one that was imported."""
    if any(_stamp(file) != stamp for file, stamp in imported.items()):
        for name in [name for name in sys.modules if _ours(name)]:
            del sys.modules[name]


def _ours(module: str) -> bool:
    return module.partition(".")[0] == "pipelines"


def _stamp(file: str) -> Stamp | None:
    try:
        status = Path(file).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


setting = os.environ.get("PIPELINES_PRELOAD", "1")
if sys.argv[1:2] == ["scheduler"] and setting != "0" and multiprocessing.parent_process() is None:
    extra = tuple(name.strip() for name in setting.split(",") if name.strip() != "1")
    took = preload((*LIBRARIES, *extra, *AIRFLOW, *OURS, *stages()))
    first_use()
    os.register_at_fork(after_in_child=partial(forget_if_changed, stamps()))
    if any(seconds >= 0.1 for seconds in took.values()):  # not when Airflow loads its plugins a second time
        logging.getLogger(__name__).info(
            "preload: %d libraries in %.1f s (%s)",
            len(took),
            sum(took.values()),
            ", ".join(f"{name} {seconds:.1f}" for name, seconds in took.items() if seconds >= 0.1),
        )
