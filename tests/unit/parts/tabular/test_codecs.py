"""Tables and models come back as they were, as the same bytes in any process, and a file cannot make us run code."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.core.errors import ConfigError, DataError
from pipelines.parts.tabular.codecs import Parquet, Skops

FITTED = """
import hashlib, pathlib, sys
import numpy as np, pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from xgboost import XGBClassifier

rng = np.random.default_rng(0)
X = pd.DataFrame({"a": rng.normal(size=200), "b": rng.normal(size=200), "c": pd.Categorical(rng.choice(["x", "y"], 200))})
y = (X["a"] + rng.normal(size=200) > 0).astype(int).to_numpy()

def encoded(estimator):
    parts = [("n", StandardScaler(), ["a", "b"]), ("c", OneHotEncoder(handle_unknown="ignore"), ["c"])]
    return make_pipeline(ColumnTransformer(parts), estimator)

MODELS = {
    "logistic": encoded(LogisticRegression()),
    "forest": encoded(RandomForestClassifier(5, random_state=0)),
    "xgboost": encoded(XGBClassifier(n_estimators=5, n_jobs=1)),
    "calibrated": CalibratedClassifierCV(encoded(XGBClassifier(n_estimators=5, n_jobs=1)), cv=2),
}
for model in MODELS.values():
    model.fit(X, y)
"""

SAVED = (
    FITTED
    + """
from pipelines.parts.tabular.codecs import Skops
for name, model in MODELS.items():
    place = pathlib.Path(sys.argv[1]) / name
    Skops().write(model, place)
    print(name, *(hashlib.sha256((place / file).read_bytes()).hexdigest() for file in ("model.skops", "meta.json")))
    Skops().read(place)
print("torch" in sys.modules)
"""
)


@pytest.fixture(scope="module")
def fitted() -> dict[str, Any]:
    """X, y and fitted models, as the child processes below have them."""
    names: dict[str, Any] = {}
    exec(FITTED, names)
    return names


def test_parquet_keeps_categories_and_types(tmp_path: Path) -> None:
    levels = ["low", "high", "never used"]
    frame = pd.DataFrame(
        {
            "level": pd.Categorical(["high", None, "low"], categories=levels),
            "count": [1, 2, 3],
            "share": [0.5, np.nan, 1.0],
            "text": ["a", None, "ü"],
            "when": pd.to_datetime(["2024-01-01", None, "2024-01-03"], utc=True).astype("datetime64[us, UTC]"),
        }
    )
    codec = Parquet()
    codec.write(frame, tmp_path / "a")
    codec.write(frame.set_axis([7, 8, 9]), tmp_path / "b")
    pd.testing.assert_frame_equal(codec.read(tmp_path / "a"), frame)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes(), "the index is not part of a table"
    assert codec.columns(frame)["level"] == "category"


@pytest.mark.parametrize("rows", [0, 1, 3])
@pytest.mark.parametrize("levels", [["low", "high", "never used"], [3, 1, 2], [0.5, 0.25], [False, True], []], ids=str)
@pytest.mark.parametrize("ordered", [False, True])
def test_parquet_keeps_levels_of_any_kind_without_rows_too(tmp_path: Path, rows: int, levels: list[Any], ordered: bool) -> None:
    values = ([*levels, None] * 3)[:rows]
    frame = pd.DataFrame({"level": pd.Categorical(values, categories=levels, ordered=ordered), "n": np.arange(rows)})
    Parquet().write(frame, tmp_path / "a")
    pd.testing.assert_frame_equal(Parquet().read(tmp_path / "a"), frame)


def test_parquet_says_what_cannot_be_written_and_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="give each column one type"):
        Parquet().write(pd.DataFrame({"a": ["x", 1]}), tmp_path / "a")
    (tmp_path / "b").write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match="is not a whole parquet file"):
        Parquet().read(tmp_path / "b")


@pytest.mark.parametrize("name", ["logistic", "forest", "xgboost", "calibrated"])
def test_models_come_back(fitted: dict[str, Any], tmp_path: Path, name: str) -> None:
    model = fitted["MODELS"][name]
    Skops().write(model, tmp_path / "model")
    again = Skops().read(tmp_path / "model")
    np.testing.assert_array_equal(again.predict_proba(fitted["X"]), model.predict_proba(fitted["X"]))
    Skops().write(again, tmp_path / "twice")
    assert Skops().read(tmp_path / "twice").predict_proba(fitted["X"]).shape == (200, 2)
    assert json.loads((tmp_path / "model" / "meta.json").read_text())["libraries"]["scikit-learn"]


def test_same_model_same_bytes_in_two_processes(tmp_path: Path) -> None:
    def saved(seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", SAVED, str(tmp_path / seed)], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    first, second = saved("1"), saved("2")
    assert first == second
    *models, torch = first.splitlines()
    assert len(models) == 4
    assert torch == "False", "a second of import that no table needs"


def test_sets_have_one_order(tmp_path: Path) -> None:
    digests = set()
    for words in (["a", "b", "c"], ["c", "b", "a"]):
        Skops().write({"words": set(words)}, tmp_path / "".join(words))
        digests.add(hashlib.sha256((tmp_path / "".join(words) / "model.skops").read_bytes()).hexdigest())
    assert len(digests) == 1


def hostile(tmp_path: Path, content: bytes) -> str:
    folder = tmp_path / "hostile"
    folder.mkdir()
    (folder / "model.skops").write_bytes(content)
    with pytest.raises(DataError) as error:
        Skops().read(folder)
    return str(error.value)


def test_a_file_that_calls_a_function_is_refused(tmp_path: Path) -> None:
    import skops.io

    canary = tmp_path / "canary"
    message = hostile(tmp_path, skops.io.dumps(functools.partial(os.system, f"touch {canary}")))
    assert "posix.system" in message
    assert "was not loaded" in message
    assert not canary.exists()


def test_the_files_own_list_of_trusted_types_means_nothing(tmp_path: Path) -> None:
    import skops.io

    content = skops.io.dumps(functools.partial(os.system, "true"))
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        schema = json.loads(old.read("schema.json"))
        new.writestr("schema.json", json.dumps({**schema, "trusted": ["posix.system", "functools.partial"]}))
    (tmp_path / "meta.json").write_text(json.dumps({"trusted": ["posix.system"]}))
    assert "posix.system" in hostile(tmp_path, out.getvalue())


class Pickled:
    def __init__(self, canary: str) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.canary}",)


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    assert "is not a model this platform wrote" in hostile(tmp_path, pickle.dumps(Pickled(str(canary))))
    assert not canary.exists()


@pytest.mark.parametrize("schema", ["not json", '{"protocol": 99}', '{"protocol": 2, "__loader__": "Nothing"}'])
def test_a_damaged_file_is_refused(tmp_path: Path, schema: str) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("schema.json", schema)
    assert "is not a model this platform wrote" in hostile(tmp_path, out.getvalue())


def test_a_model_of_other_libraries_says_so(fitted: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.linear_model import LogisticRegression

    def refuse(self: Any, state: Any) -> None:
        raise AttributeError("no such attribute")

    Skops().write(fitted["MODELS"]["logistic"], tmp_path / "model")
    monkeypatch.setattr(LogisticRegression, "__setstate__", refuse)
    with pytest.raises(DataError, match=r"could not be rebuilt: no such attribute\. It was written with numpy \d"):
        Skops().read(tmp_path / "model")


class Unlisted:
    """A class nobody put on the list."""


def test_a_model_that_could_not_be_loaded_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Unlisted, which could not be loaded again; add what is safe"):
        Skops().write({"model": Unlisted()}, tmp_path / "model")
