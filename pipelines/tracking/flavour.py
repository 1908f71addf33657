"""Registered models: MLflow pyfunc models that hold data only, loaded by this module.

``mlflow.pyfunc.load_model("models:/churn@champion")`` works wherever this package is installed. Nothing in the model's
folder is executed or unpickled: every file's sha256 is checked before it is read, and it is read by the project's own model
codec, whose list of admitted types is in our code and not in the file.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.core.contract import Project
from pipelines.core.discovery import find_project
from pipelines.core.errors import DataError
from pipelines.core.execution import Session
from pipelines.core.store import sha256_of

if TYPE_CHECKING:
    import pandas

_CARD = "model.json"
_MODEL = "model"
_FORMAT = 1


@dataclass(frozen=True)
class Served:
    """A project's model, ready for raw rows."""

    project: Project[Any, Any]
    model: Any

    def answers(self, rows: Any) -> list[dict[str, Any]]:
        """One plain dictionary a row. Raises DataError that names what is wrong with the rows; no rows is fine."""
        data = self.project.read(rows)
        return self.project.answer(self.model, data, self.project.predict(self.model, data))

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> pandas.DataFrame:
        """What MLflow calls: the answers as a table."""
        import pandas

        return pandas.DataFrame(self.answers(model_input))


def _load_pyfunc(path: str) -> Served:
    """Called by MLflow with the folder that `write` made."""
    folder = Path(path)
    card = _verified_card(folder)
    project = find_project(card["project"]).project()
    return Served(project, project.model_codec.read(folder / _MODEL))


def write(session: Session, model: Path, digest: str, example: Any, folder: Path) -> None:
    """Make a pyfunc model folder of a model artifact: `model` is its local copy, `example` rows as a caller sends them."""
    import mlflow.pyfunc

    data = folder.with_name(f"{folder.name}-data")
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
    mlflow.pyfunc.save_model(
        str(folder),
        loader_module=__name__,
        data_path=str(data),
        signature=_signature(example, served.predict(example)),
        input_example=example,
        pip_requirements=requirements(session),
        metadata={"project": session.run.project, "model_sha256": digest},
    )


def requirements(session: Session) -> list[str]:
    """Pins of what the project's code imports of the platform's dependencies; read from the source, nothing is run."""
    from importlib.metadata import PackageNotFoundError, distribution

    imported = _third_party(session)
    pins = []
    for need in sorted(distribution("pipelines").requires or []):
        name = _bare(need)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        tops = (found.read_text("top_level.txt") or name.replace("-", "_")).split()
        if imported.intersection(tops):
            pins.append(f"{name}=={found.version}")
    return pins


def _third_party(session: Session) -> set[str]:
    import ast

    modules = session.code.closure([f"pipelines.projects.{session.run.project}", __name__])
    names: set[str] = set()
    for file in modules.values():
        for item in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(item, ast.Import):
                names.update(alias.name.partition(".")[0] for alias in item.names)
            elif isinstance(item, ast.ImportFrom) and item.module and not item.level:
                names.add(item.module.partition(".")[0])
    return names - {"pipelines"}


def _bare(requirement: str) -> str:
    import re

    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, f"not a requirement: {requirement!r}"
    return found.group()


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
