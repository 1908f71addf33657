"""Registered models: MLflow pyfunc models that hold data only, loaded by this module.

``mlflow.pyfunc.load_model("models:/churn@champion")`` works wherever this package is installed. Nothing in the model's
folder is executed or unpickled: every file's sha256 is checked before it is read, and it is read by the project's own model
codec, whose list of admitted types is in our code and not in the file.
"""

from __future__ import annotations

import json
import platform
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.core.contract import Project
from pipelines.core.discovery import find_project
from pipelines.core.errors import DataError
from pipelines.core.execution import Session
from pipelines.core.files import sha256_of
from pipelines.tracking.requirements import requirements

if TYPE_CHECKING:
    import pandas

_CARD = "model.json"
_DATA = "data"
_MODEL = "model"
_FORMAT = 1


@dataclass(frozen=True)
class Served:
    """A project's model, ready for raw rows."""

    project: Project[Any, Any]
    model: Any
    read_from: Any = field(default=None, repr=False, compare=False)
    """The folder the model was read from, where it is a temporary one: it goes with this object."""

    def answers(self, rows: Any) -> list[dict[str, Any]]:
        """One plain dictionary a row. Raises DataError that names what is wrong with the rows; no rows is fine."""
        data = self.project.read(rows)
        return self.project.answer(self.model, data, self.project.predict(self.model, data))

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> pandas.DataFrame:
        """What MLflow calls: the answers as a table. Raises DataError when a table came with no column that the model takes."""
        import pandas

        if isinstance(model_input, pandas.DataFrame) and not len(model_input.columns):  # MLflow drops the rows with the columns
            raise DataError(
                f"none of the columns that {self.project.name} takes were sent, so there is nothing to answer; send rows as in the "
                "model's input example, and a table without rows with its columns"
            )
        return pandas.DataFrame(self.answers(model_input))


def _load_pyfunc(path: str) -> Served:
    """Called by MLflow with the folder that `write` made."""
    folder = Path(path)
    card = _verified_card(folder)
    project = find_project(card["project"]).project()
    return Served(project, project.model_codec.read(folder / _MODEL))


def write(session: Session, model: Path, digest: str, example: Any, folder: Path) -> None:
    """Make a pyfunc model folder of a model artifact: `model` is its local copy, `example` rows as a caller sends them.

    Written by hand, since `mlflow.pyfunc.save_model` spends a second on comparing the pins with what is installed.
    """
    import mlflow.pyfunc
    import yaml
    from mlflow.models import Model
    from mlflow.models.utils import _save_example  # what MLflow's own flavours call; it has no public twin

    data = folder / _DATA
    data.mkdir(parents=True)
    (shutil.copytree if model.is_dir() else shutil.copyfile)(model, data / _MODEL)
    card = {
        "format": _FORMAT,
        "project": session.run.project,
        "codec": session.project.model_codec.name,
        "digest": digest,
        "files": _digests(data),
    }
    (data / _CARD).write_text(json.dumps(card, indent=1, sort_keys=True))
    served = Served(session.project, session.project.model_codec.read(data / _MODEL))
    example = _table(example)
    described = Model(
        signature=_signature(example, served.predict(example)),
        metadata={"project": session.run.project, "model_sha256": digest},
    )
    _save_example(described, example, str(folder))
    (folder / "requirements.txt").write_text("\n".join(requirements(session)) + "\n")
    environment = {"python": platform.python_version(), "dependencies": ["-r requirements.txt"]}
    (folder / "python_env.yaml").write_text(yaml.safe_dump(environment))
    mlflow.pyfunc.add_to_model(described, loader_module=__name__, data=_DATA, python_env="python_env.yaml")
    described.save(str(folder / "MLmodel"))


def _table(example: Any) -> Any:
    """Rows with names, or rows of numbers, as MLflow passes them on: a table. Anything else as it is."""
    import pandas

    return (
        pandas.DataFrame(example) if isinstance(example, list) and example and isinstance(example[0], (dict, list)) else example
    )


def _signature(example: Any, answers: pandas.DataFrame) -> Any:
    """Columns are declared by name and not by type: MLflow would refuse a whole number where the example had a fraction, a
    category where it had text and a table without rows, while `Project.read` judges rows itself and says what is wrong."""
    import warnings

    import pandas
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types.schema import AnyType, ColSpec, Schema

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # advice on whole numbers, which does not apply here
        inferred = infer_signature(example, answers)
    if not isinstance(example, pandas.DataFrame):
        return inferred
    named = not isinstance(example.columns, pandas.RangeIndex)
    columns = [ColSpec(AnyType(), str(name), required=False) if named else ColSpec(AnyType()) for name in example.columns]
    return ModelSignature(inputs=Schema(columns), outputs=inferred.outputs)


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != _CARD
    }


def _verified_card(folder: Path) -> dict[str, Any]:
    """The card, after every file was found to be what it says. Raises DataError that names the file."""
    try:
        card: dict[str, Any] = json.loads((folder / _CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} is not a model of this platform: {_CARD} cannot be read ({error})") from error
    found = _digests(folder)
    for name in sorted({*found, *card["files"]}):
        if found.get(name) != card["files"].get(name):
            raise DataError(
                f"model file {name!r} in {folder} is not what was registered: expected sha256 {card['files'].get(name)}, found "
                f"{found.get(name)}; nothing was loaded. Register it again, or restore the file"
            )
    return card
