"""Any process may die in any stage; run again, everything is as if it had not."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.core.settings import Settings
from tests.faults.conftest import Installation

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.timeout(900)]


def ends_right(installation: Installation) -> None:
    """One version, one promotion, no run left RUNNING, nothing half written."""
    assert installation.versions() == [1]
    assert installation.promotions() == 1
    assert "RUNNING" not in installation.mlflow_runs()
    assert installation.litter() == []


@pytest.fixture
def undisturbed(installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the chain gives when nobody disturbs it, in an installation beside."""
    with monkeypatch.context() as beside:
        beside.setenv("PIPELINES_HOME", str(tmp_path / "beside" / "home"))
        beside.setenv("PIPELINES_DATA", str(tmp_path / "beside" / "data"))
        code, said = installation.run()
        assert code == 0, said
        return installation.outputs(said)


@pytest.mark.parametrize("where", ["die_in", "die_writing", "die_after"])
def test_killed_in_each_stage_in_turn(installation: Installation, undisturbed: dict[str, str], where: str) -> None:
    for node in installation.session.graph.nodes:
        if where == "die_writing" and len(node.stage.writes) < 2:
            continue
        code, said = installation.run(**{where: node.name})
        assert code == -9, f"{node.name}: {said}"
        assert installation.litter() == []
    code, said = installation.run()
    assert code == 0, said
    assert installation.outputs(said) == undisturbed
    ends_right(installation)


def test_doctor_closes_a_run_that_was_killed(installation: Installation) -> None:
    code, said = installation.run(die_after="train-linear")
    assert code == -9, said
    assert "RUNNING" in installation.mlflow_runs()
    only_looked = installation.doctor("--no-mend")
    assert not [one for one in only_looked if one["state"] == "mended"]
    assert "RUNNING" in installation.mlflow_runs()
    mended = [one["what"] for one in installation.doctor() if one["state"] == "mended"]
    assert len(mended) == 1
    assert f"{installation.project}: 1 runs whose process was killed are closed as failed" in mended[0]
    assert installation.mlflow_runs() == ["FAILED"]
    assert not [one for one in installation.doctor() if one["state"] == "mended"]


def test_a_full_disk_stops_the_run_and_loses_nothing(installation: Installation, undisturbed: dict[str, str]) -> None:
    for node in ("validate", "train-linear", "evaluate", "promote"):
        code, said = installation.run(full_in=node)
        assert code == 4, said
        assert "the disk is full; free some space" in said
        assert installation.litter() == []
    code, said = installation.run()
    assert code == 0, said
    assert installation.outputs(said) == undisturbed
    ends_right(installation)


def test_two_runs_at_once_make_one_version(installation: Installation, undisturbed: dict[str, str]) -> None:
    both = [installation.start(), installation.start()]
    ended = [(process.communicate(timeout=300), process.returncode) for process in both]
    assert {code for _, code in ended} <= {0, 1}, ended
    assert 0 in {code for _, code in ended}, ended
    for (out, _), code in ended:
        assert code or installation.outputs(out) == undisturbed
    ends_right(installation)


def test_churn_killed_in_training_and_run_again(settings: Settings, mirror: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if mirror is None:
        pytest.skip("needs churn's data beside the checkout or in PIPELINES_MIRROR")
    monkeypatch.setenv("PIPELINES_MIRROR", mirror)
    installation = Installation("churn")
    for where, node in (("die_in", "train-forest"), ("die_after", "promote")):
        code, said = installation.run(**{where: node})
        assert code == -9, said
    code, said = installation.run()
    assert code == 0, said
    ends_right(installation)
