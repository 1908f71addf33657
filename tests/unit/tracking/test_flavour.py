"""Registered models hold data only."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from mlflow.models.utils import _enforce_schema

from pipelines.core.errors import DataError
from pipelines.core.execution import Session
from pipelines.core.run import Run
from pipelines.tracking import flavour
from pipelines.tracking.requirements import requirements


@pytest.fixture
def model(toy_session: Callable[..., Session], chain: Callable[..., dict[str, Any]], tmp_path: Path) -> Path:
    """A model folder as it is registered."""
    session = toy_session()
    ref = chain(session)["train-linear"].outputs["model"]
    folder = tmp_path / "registered"
    flavour.write(session, session.store.fetch(ref), ref.digest, [[1.0, 2.0], [3.0, 4.0]], folder)
    return folder


def data_of(model: Path) -> Path:
    return next(model.rglob("model.json")).parent


@pytest.mark.parametrize(
    "rows",
    [[[1.0, 2.0]], [[1, 2]], pd.DataFrame([[1.0, 2.0]]), np.array([[1, 2]])],
    ids=["list", "whole numbers", "table", "array"],
)
def test_predicts_raw_rows_in_any_form(model: Path, rows: Any) -> None:
    answers = mlflow.pyfunc.load_model(str(model)).predict(rows)
    assert answers["probability"].tolist() == pytest.approx([1 / (1 + np.exp(-2.0))])


def test_signature_example_and_requirements_are_there(model: Path) -> None:
    loaded = mlflow.pyfunc.load_model(str(model))
    assert loaded.metadata.signature.outputs.input_names() == ["probability"]
    assert loaded.input_example.to_numpy().tolist() == [[1.0, 2.0], [3.0, 4.0]]
    pins = (model / "requirements.txt").read_text().split()
    assert {"mlflow", "pandas", "pyyaml"} <= {pin.partition("==")[0] for pin in pins}
    assert all("==" in pin for pin in pins)
    assert not any(pin.startswith(("pipelines", "apache-airflow")) for pin in pins)


def test_columns_are_declared_by_name_only() -> None:
    example = pd.DataFrame({"plan": ["a"], "months": [1]})
    signature = flavour._signature(example, pd.DataFrame({"p": [0.5]}))
    assert [(column.name, str(column.type), column.required) for column in signature.inputs.inputs] == [
        ("plan", "Any", False),
        ("months", "Any", False),
    ]


def test_rows_whose_columns_the_model_does_not_take_are_not_answered_with_nothing(toy_session: Callable[..., Session]) -> None:
    """MLflow passes on the columns it knows: of rows that have none of them, nothing."""
    example = pd.DataFrame({"image": ["a"]})
    signature = flavour._signature(example, pd.DataFrame({"p": [0.5]}))
    passed_on = _enforce_schema(pd.DataFrame({"picture": ["a", "b"]}), signature.inputs)
    with pytest.raises(DataError, match="none of the columns that toy takes were sent"):
        flavour.Served(toy_session().project, None).predict(passed_on)


def test_a_changed_file_is_refused_before_it_is_read(model: Path) -> None:
    (data_of(model) / "model").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(DataError, match=r"model file 'model' .* expected sha256 .* nothing was loaded"):
        mlflow.pyfunc.load_model(str(model))


@pytest.mark.parametrize("change", ["extra", "missing"])
def test_an_added_or_missing_file_is_refused(model: Path, change: str) -> None:
    if change == "extra":
        (data_of(model) / "hook.py").write_text("raise SystemExit")
    else:
        (data_of(model) / "model").unlink()
    with pytest.raises(DataError, match="not what was registered"):
        flavour._load_pyfunc(str(data_of(model)))


def test_a_folder_without_a_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a model of this platform"):
        flavour._load_pyfunc(str(tmp_path))


def test_nothing_in_the_folder_is_code(model: Path) -> None:
    config = mlflow.models.Model.load(str(model)).flavors["python_function"]
    assert config["loader_module"] == "pipelines.tracking.flavour"
    assert config.get("code") is None
    assert config["env"] == {"virtualenv": "python_env.yaml"}
    assert not [file for file in model.rglob("*") if file.suffix in (".py", ".pkl", ".pickle", ".joblib")]
    assert json.loads((data_of(model) / "model.json").read_text())["project"] == "toy"


def test_a_build_of_torch_is_not_pinned(monkeypatch: pytest.MonkeyPatch, toy_session: Callable[..., Session]) -> None:
    """The CPU build is in no usual index; whoever serves the model has the build that suits the machine."""
    session = toy_session()
    module = session.definition.folder / "__init__.py"
    module.write_text(module.read_text() + "\n\ndef train():\n    import torch\n\n    return torch\n")
    installed = {
        "pipelines": Mock(requires=["torch==2.13.0", "onnx"]),
        "torch": Mock(version="2.13.0+cpu", read_text=lambda name: "torch\ntorchgen\n"),
        "onnx": Mock(version="1.23.2", read_text=lambda name: "onnx\n"),
    }
    monkeypatch.setattr("pipelines.tracking.requirements.distribution", installed.__getitem__)
    assert requirements(session) == ["torch==2.13.0"]


def test_a_project_pins_what_it_imports_under_the_name_it_is_installed_by() -> None:
    pins = {pin.partition("==")[0] for pin in requirements(Session(Run(project="churn")))}
    assert {"scikit-learn", "xgboost-cpu", "imbalanced-learn"} <= pins
    assert not {"apache-airflow", "dvc", "evidently"} & pins
