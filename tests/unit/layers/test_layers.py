"""The layers hold, the linter that says so can fail, and what should be light is light."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.core.settings import ROOT

LINTER = Path(sys.executable).with_name("lint-imports")
HEAVY = {
    "airflow", "boto3", "dvc", "evidently", "great_expectations", "imblearn", "matplotlib", "mlflow", "numpy", "optuna", "pandas",
    "onnx", "onnxruntime", "onnxscript", "pandera", "PIL", "pyarrow", "safetensors", "scipy", "shap", "skops", "sklearn", "torch",
    "transformers", "xgboost",
}  # fmt: skip


def linted(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(LINTER), "--config", str(folder / "pyproject.toml"), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source tree, to plant violations in."""
    folder = tmp_path_factory.mktemp("layers")
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(ROOT / "pipelines", folder / "pipelines", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_the_layers_hold() -> None:
    done = linted(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("core/ledger.py", "import pandas", "The core knows no engine"),
        ("core/codecs.py", "def late():\n    import torch", "The core knows no engine"),
        ("core/graph.py", "from pipelines.parts import arrays", "Imports go down"),
        ("parts/arrays.py", "def late():\n    from pipelines.runners import in_process", "Imports go down"),
        ("stages/train.py", "import pipelines.projects.churn", "A project is found by its name"),
        ("projects/churn/__init__.py", "from pipelines.tracking import runs", "Projects know parts and core only"),
        ("projects/churn/features.py", "import airflow", "Projects know parts and core only"),
        ("runners/in_process.py", "from airflow import DAG", "Only the Airflow runner knows Airflow"),
        ("page/reading.py", "def late():\n    from airflow.models.dag import DagModel", "Only the Airflow runner knows Airflow"),
        ("stages/promote.py", "def late():\n    import mlflow", "Only tracking knows MLflow"),
        ("tracking/runs.py", "import evidently", "Only the drift check knows Evidently"),
        ("parts/arrays.py", "import dvc.api", "Only data and the DVC runner know DVC"),
    ],
)
def test_a_planted_violation_is_found_and_named(copied: Path, module: str, line: str, contract: str) -> None:
    path = copied / "pipelines" / module
    before = path.read_text()
    path.write_text(f"{before}\n{line}\n")
    try:
        done = linted(copied)
    finally:
        path.write_text(before)
    assert done.returncode == 1, done.stdout + done.stderr
    broken = [line for line in done.stdout.splitlines() if " BROKEN" in line]
    assert any(found.startswith(contract) for found in broken), broken
    assert module.removesuffix(".py").removesuffix("/__init__").replace("/", ".") in done.stdout


@pytest.mark.parametrize("module", ["pipelines.core.execution", "pipelines.core.lint", "pipelines.cli", "pipelines.cli.app"])
def test_what_everybody_waits_for_imports_nothing_heavy(module: str) -> None:
    program = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert HEAVY & set(done.stdout.split()) == set()


def test_a_definition_is_read_without_project_code_or_anything_heavy() -> None:
    program = (
        "import sys; from pipelines.core.discovery import find_projects\n"
        "for one in find_projects().values(): one.training.nodes, one.monitoring.nodes, one.deployment, one.profiles\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(done.stdout.split())
    assert HEAVY & {name.partition(".")[0] for name in loaded} == set()
    assert not {name for name in loaded if name.startswith("pipelines.projects.")}
