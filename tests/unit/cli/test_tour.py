"""One project from raw data to rollback through the command line, on the embedded MLflow database."""

from __future__ import annotations

import getpass
import io
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.discovery import Definition
from pipelines.core.errors import InfrastructureError
from pipelines.core.settings import Settings
from pipelines.tracking.versions import Versions


def silent(*arguments: Any) -> None:
    raise InfrastructureError("nobody answers")


@pytest.mark.slow
def test_from_raw_data_to_rollback(
    cli: Any, toy: Definition, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a first champion
    first = cli("run", "toy", "--profile", "sample", "--json")
    assert first.code == 0, first.err
    assert first.json["promotion"]["outcome"] == "promoted"
    assert first.json["champion"]["version"] == 1
    assert first.json["baseline"]
    assert first.json["leaderboard"]["scores"][0]["candidate"] == "linear"

    # the same again changes nothing
    again = cli("run", "toy", "--profile", "sample", "--json").json
    assert [stage["stage"] for stage in again["stages"] if not stage["reused"]] == []
    assert again["champion"] == first.json["champion"]

    # monitoring looks at the newest window
    watched = cli("run", "toy", "--profile", "sample", "--monitor", "--json")
    assert watched.code == 0
    assert watched.json["verdict"]["champion"] == 1
    assert watched.json["chain"] == "monitoring"

    # predict: rows, no rows, broken rows, unknown version
    rows = tmp_path / "rows.json"
    rows.write_text("[[2.0, 1.0], [-2.0, -1.0]]")
    answered = cli("predict", "toy", "--input", str(rows), "--explain", "--json").json
    assert answered["version"] == 1
    assert [answer["probability"] > 0.5 for answer in answered["answers"]] == [True, False]
    assert [answer["reasons"] for answer in answered["answers"]] == [[], []]
    assert re.search(r"1 │ 0\.\d{4}", cli("predict", "toy", "--input", str(rows)).out)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    nothing = cli("predict", "toy", "--input", "-", "--json")
    assert (nothing.code, nothing.json["answers"]) == (0, [])
    rows.write_text("[[2.0]]")
    assert cli("predict", "toy", "--input", str(rows)).code == 3
    rows.write_text("[]")
    assert "nothing to predict" in cli("predict", "toy", "--input", str(rows)).out
    assert cli("predict", "toy", "--input", str(rows), "--version", "7").code == 2

    # where it came from, and whether the same comes out again
    traced = cli("lineage", "toy", "--json").json
    assert traced["version"] == 1
    assert traced["data"]["source"] == "path"
    assert traced["model"] in cli("lineage", "toy").out
    rebuilt = cli("reproduce", "toy", "--json")
    assert rebuilt.code == 0, rebuilt.err
    assert rebuilt.json["verdict"] == "identical"

    # a refusal, a person who overrules it, and the way back
    refused = cli("run", "toy", "--profile", "sample", "--set", "gates.floors={accuracy: 0.999}", "--set", "seed=8", "--json")
    assert refused.code == 1
    assert refused.json["champion"]["version"] == 1
    overruled = cli("promote", "toy", "--why", "the floor was a joke", "--json")
    assert overruled.code == 0, overruled.err
    assert overruled.json["version"] == 2
    watched = cli("run", "toy", "--profile", "sample", "--monitor", "--json")
    assert (watched.code, watched.json["verdict"]["champion"]) == (0, 2), "whom a person chose is monitored, and stays"
    assert cli("promote", "toy").code == 2
    assert cli("list", "--json").json[-1]["champion"]["version"] == 2
    back = cli("rollback", "toy", "--why", "it was not")
    assert back.code == 0
    assert "version 1 (linear) is the champion of toy in place of version 2" in back.out
    assert cli("rollback", "toy", "--to", "9").code == 2
    with monkeypatch.context() as down:
        down.setattr(Versions, "point", silent)
        moved = cli("rollback", "toy", "--to", "2", "--json")
        assert (moved.code, moved.json["version"]) == (0, 2), "written down, so done"
        assert "MLflow's aliases have not: nobody answers" in moved.err
    assert cli("rollback", "toy", "--to", "1", "--why", "still not").code == 0
    past = cli("history", "toy", "--json").json
    assert [bool(entry["by"]) for entry in past] == [False, False, True, True, True, True]
    assert past[2]["by"] == f"{getpass.getuser()}, on the command line"
    assert f"by {past[2]['by']}; run {past[1]['run']}" in cli("history", "toy").out
    kinds = [entry["kind"] for entry in past]
    assert kinds == ["promotion", "rejection", "promotion", "rollback", "rollback", "rollback"]
    told = cli("history", "toy").out
    assert "promoted by a person: the floor was a joke" in told
    assert told.count("← champion") == 1

    # it serves since it was gone back to, whoever is asked
    now = cli("run", "toy", "--profile", "sample", "--json").json["champion"]
    assert now["since"] == cli("list", "--json").json[-1]["champion"]["since"]
    assert datetime.fromisoformat(now["since"]) == datetime.fromisoformat(cli("history", "toy", "--json").json[-1]["at"])

    # what was rolled back is not promoted again, and a person who must be asked is waited for: both are refusals
    returned = cli("run", "toy", "--profile", "sample", "--set", "seed=8", "--set", "gates.not_worse_by=1")
    assert returned.code == 1
    assert "rolled back (still not)" in " ".join(returned.out.split())
    declared = toy.folder / "deployment.yaml"
    before = declared.read_text()
    declared.write_text(f"{before}approval: required\n")
    awaited = cli("run", "toy", "--profile", "sample", "--set", "seed=9", "--set", "gates.not_worse_by=1")
    assert awaited.code == 1
    assert "awaits approval; approve it in Airflow's DAG toy_training, or `pipelines promote toy" in " ".join(awaited.out.split())
    declared.write_text(before)

    # a rehearsal decides for itself, and is looked at in the time of its data
    assert cli("run", "toy", "--rehearsal", "spring", "--as-of", "2025-09-01").code == 0
    [rehearsed] = cli("history", "toy", "--rehearsal", "spring", "--json").json
    assert (rehearsed["kind"], rehearsed["version"]) == ("promotion", 1)
    assert cli("history", "toy", "--rehearsal", "spring").out.startswith("2025-09-01 00:00  promotion")
    assert len(cli("history", "toy", "--json").json) == len(kinds) + 2
    assert "`pipelines run toy --monitor --rehearsal spring`" in cli("alarms", "toy", "--rehearsal", "spring").out
    unknown = cli("history", "toy", "--rehearsal", "sprung")
    assert (unknown.code, "did you mean 'spring'?" in unknown.err) == (2, True)

    # raw data: versions, and one of them brought back
    versions = cli("data", "status", "toy", "--json").json
    assert [1 in version["used_by"] for version in versions] == [True]
    restored = cli("data", "restore", "toy", "--into", str(tmp_path / "restored"), "--json").json
    assert (Path(restored["folder"]) / "toy.csv").read_bytes() == (tmp_path / "toy.csv").read_bytes()
    assert cli("data", "restore", "toy", "--version", "zzz").code == 2
    fetched = cli("data", "fetch", "toy")
    assert versions[0]["version"] in fetched.out

    # aliases that somebody moved are set right
    registered = Versions(settings, "toy")
    registered.client.set_registered_model_alias("toy", "champion", "2")
    only_looked = cli("doctor", "--no-mend", "--json").json
    assert any("aliases are" in one["what"] and one["state"] == "wrong" for one in only_looked)
    mended = [one["what"] for one in cli("doctor", "--json").json if one["state"] == "mended"]
    assert mended == ["toy: MLflow's aliases follow the history again: champion 2 → 1"]
    assert registered.aliases()["champion"] == 1
