"""The catalog: every entry sound, every typo told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipelines.core import fingerprint
from pipelines.core.errors import ConfigError
from pipelines.data import catalog


@pytest.mark.parametrize("dataset", catalog.datasets())
def test_every_entry_is_complete(dataset: str) -> None:
    entry = catalog.entry(dataset)
    assert entry.offers(), "a data set that cannot be had from anywhere"
    names = {file.name for file in entry.files}
    if entry.package:
        assert {member.writes for member in entry.package.members} == names
        assert entry.package.notes, "say how the package's copy differs"


def test_telco_churn_can_be_had_from_all_four() -> None:
    assert catalog.entry("telco_churn").offers() == ["url", "mirror", "package", "simulator"]


def test_an_unknown_data_set_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"there is no 'telco_chrun' in the data catalog .*'telco_churn'\?"):
        catalog.entry("telco_chrun")


def test_all_typos_of_an_entry_are_told_at_once(tmp_path: Path) -> None:
    text = (catalog.CATALOG / "telco_churn.yaml").read_text()
    (tmp_path / "demo.yaml").write_text(text.replace("licence:", "license:").replace("decode: pandas_pickle", "decode: pickle"))
    with pytest.raises(ConfigError) as caught:
        catalog.entry("demo", [tmp_path])
    message = str(caught.value)
    assert "license: unknown key; did you mean 'licence'?" in message
    assert "package.members.0.decode: input should be 'copy', 'gunzip' or 'pandas_pickle'; found 'pickle'" in message


@pytest.mark.parametrize("name", ["../x.csv", "a/b.csv", ".hidden"])
def test_a_file_name_stays_in_its_folder(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        catalog.File(name=name, sha256="0" * 64, bytes=1)


def test_another_entry_is_no_other_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else every project would be trained anew for a data set that none of them uses."""
    shutil.copytree(catalog.CATALOG, tmp_path / "pipelines" / "data" / "catalog")
    monkeypatch.setattr(fingerprint, "ROOT", tmp_path)

    def digest() -> str:
        return fingerprint.CodeIndex(tmp_path / "code.json").digest(["pipelines.data.catalog"])

    before = digest()
    (tmp_path / "pipelines" / "data" / "catalog" / "penguins.yaml").write_text("title: Penguins\n")
    assert digest() == before


def test_an_entry_is_taken_from_the_first_place_that_has_it(tmp_path: Path) -> None:
    text = (catalog.CATALOG / "telco_churn.yaml").read_text()
    (tmp_path / "parcels.yaml").write_text(text)
    (tmp_path / "telco_churn.yaml").write_text(text.replace("IBM Telco Customer Churn", "Ours"))
    places = [tmp_path, catalog.CATALOG]
    assert [catalog.entry(name, places).title for name in ("parcels", "telco_churn")] == ["IBM Telco Customer Churn", "Ours"]
    assert catalog.entry("fashion_mnist", places).title == "Fashion-MNIST"
    with pytest.raises(ConfigError) as refused:
        catalog.entry("parcel", places)
    assert str(refused.value) == (
        f"there is no 'parcel' in the data catalog ({tmp_path} and {catalog.CATALOG}); did you mean 'parcels'?"
    )
