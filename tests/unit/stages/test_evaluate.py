"""The evaluate stage on the toy project: who wins, what is refused, what is reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core.errors import ConfigError, DataError, InfrastructureError
from pipelines.core.evidence import Criterion, Decision, Leaderboard
from pipelines.core.execution import execute, save
from pipelines.core.ledger import Entry

COIN = {"weights": np.array([0.0, 0.0, 0.1])}
"""A model that always says yes."""


def evaluated(session: Any, done: Any) -> tuple[Leaderboard, Decision, dict[str, Any]]:
    done["evaluate"] = execute(session, session.graph.node("evaluate"), done)
    values = {name: session.read(ref) for name, ref in done["evaluate"].outputs.items()}
    return Leaderboard.model_validate(values["leaderboard"]), Decision.model_validate(values["decision"]), values


def failed(decision: Decision) -> list[str]:
    return [criterion.name for criterion in decision.criteria if not criterion.passed]


def crown(session: Any, model: Any, **entry: Any) -> None:
    """Make `model`, a value or a reference, champion as version 5."""
    if not hasattr(model, "digest"):
        folder = session.settings.home / "champion.npz"
        folder.parent.mkdir(parents=True, exist_ok=True)
        session.project.model_codec.write(model, folder)
        model = session.store.put("model", folder, codec="model", project="toy", stage="train-linear", fingerprint="f")
    known = {"kind": "promotion", "run": "earlier", "why": "test", "version": 5, "candidate": "linear", "model": model}
    session.ledger.append("toy", Entry(**known | entry))


def test_candidates_are_ranked_on_validation_rows_and_reported_on_test_rows(toy_session, trained):
    session = toy_session()
    board, decision, values = evaluated(session, trained(session))
    assert [score.rank for score in board.scores] == [1, 2]
    assert decision.winner == board.scores[0].candidate
    assert board.scores[0].valid >= board.scores[1].valid
    for score in board.scores:
        assert all(e.low <= e.value <= e.high for e in score.metrics.values())
        assert score.latency_ms > 0
        assert score.model_mb > 0
    assert set(values["predictions"]) == {"truth.y", "linear.probability", "centroid.probability"}
    assert len(values["predictions"]["truth.y"]) == board.rows == decision.rows["test"]
    assert decision.promote, decision.criteria
    assert (values["figures"] / "pixel.png").is_file()
    assert decision.source == "path: toy.csv"


def test_the_test_rows_pick_nobody(toy_session, trained):
    """The validation scores are turned round by hand; the worse model on the test rows wins then, and is refused."""
    session = toy_session()
    done = trained(session, spoil={"centroid": COIN})
    fit = session.read(done["train-centroid"].outputs["fit"])
    fit["valid"]["accuracy"] = 0.999
    put_fit(session, done, "centroid", fit)
    board, decision, _ = evaluated(session, done)
    assert decision.winner == "centroid"
    assert board.scores[0].metrics["accuracy"].value < board.scores[1].metrics["accuracy"].value
    assert failed(decision) == ["floor: accuracy"]


def put_fit(session: Any, done: Any, candidate: str, fit: dict[str, Any]) -> None:
    node = session.graph.node(f"train-{candidate}")
    ref = save(session, node, {"fit": fit}, "by hand")["fit"]
    result = done[node.name]
    done[node.name] = result.model_copy(update={"outputs": {**result.outputs, "fit": ref}})


def test_a_metric_that_is_better_when_smaller_ranks_the_other_way_round(toy_session, trained):
    session = toy_session(overrides={"evaluate.metric": "brier", "evaluate.greater_is_better": False})
    board, decision, _ = evaluated(session, trained(session))
    assert board.scores[0].valid <= board.scores[1].valid
    assert decision.headline == "brier"


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ({"gates.floors": {"accuracy": 0.9999}}, "floor: accuracy"),
        ({"gates.ceilings": {"brier": 0.001}}, "ceiling: brier"),
        ({"gates.ceilings": {"latency_ms": 1e-9}}, "ceiling: latency_ms"),
        ({"gates.ceilings": {"model_mb": 1e-9}}, "ceiling: model_mb"),
        ({"gates.slices": {"accuracy": 1.01}, "gates.slice_rows": 5}, "slice floor: accuracy"),
        ({"gates.slice_ceilings": {"brier": 0.001}, "gates.slice_rows": 5}, "slice ceiling: brier"),
        ({"gates.slices": {"accuracy": 0.1}, "gates.slice_rows": 100_000}, "slice floor: accuracy"),
        ({"gates.rows": 100_000}, "training rows"),
    ],
)
def test_each_gate_can_refuse_on_its_own(toy_session, trained, overrides, name):
    session = toy_session(overrides=overrides)
    _, decision, values = evaluated(session, trained(session))
    assert failed(decision) == [name]
    assert not decision.promote
    page = (values["card"] / "index.html").read_text()
    assert "Refused: 1 of" in page
    assert name in page


@pytest.mark.parametrize("passed", [True, False])
def test_what_the_exports_have_shown_joins_the_decision(toy_session, trained, monkeypatch, passed):
    session = toy_session()
    shown = Criterion(name="export: same labels", wanted="all", found="most", passed=passed)

    def export(self: Any, evidence: Any, folder: Path) -> list[Criterion]:
        self.model_codec.write(evidence.models[evidence.winner], folder / "model.npz")
        return [shown]

    monkeypatch.setattr(type(session.project), "export", export)
    _, decision, values = evaluated(session, trained(session))
    assert decision.criteria[-1] == shown
    assert decision.promote is passed
    assert [path.name for path in values["exports"].iterdir()] == ["model.npz"]
    assert "export: same labels" in (values["card"] / "index.html").read_text()


def test_small_slices_are_shown_and_not_judged(toy_session, trained):
    session = toy_session(overrides={"gates.slice_rows": 100_000})
    _, decision, _ = evaluated(session, trained(session))
    assert failed(decision) == []
    assert [(s.name, s.judged) for s in decision.slices] == [("x0=right", False), ("x0=left", False)]
    assert all("accuracy" in s.metrics for s in decision.slices)


def test_a_gate_on_slices_of_a_project_without_any_is_told_before_anything_is_judged(toy_session, trained, monkeypatch):
    session = toy_session(overrides={"gates.slices": {"accuracy": 0.5}})
    done = trained(session)
    monkeypatch.setattr(type(session.project), "slices", lambda self, data: {})
    monkeypatch.setattr("pipelines.stages.evaluate.resample", lambda *given, **named: pytest.fail("was judged"))
    with pytest.raises(ConfigError, match=r"bounds on slices \(gates.slices: accuracy\), and the project makes none"):
        evaluated(session, done)


def test_the_card_draws_slices_beside_their_ceiling(toy_session, trained):
    session = toy_session(overrides={"gates.slice_ceilings": {"brier": 0.5}})
    _, _, values = evaluated(session, trained(session))
    page = (values["card"] / "index.html").read_text()
    assert '<th class="number">brier</th>' in page
    assert ", ceiling 0.5" in page


def test_a_gate_on_an_unknown_metric_is_a_config_error(toy_session, trained):
    session = toy_session(overrides={"gates.floors": {"acuracy": 0.5}})
    with pytest.raises(ConfigError, match=r"gates.floors: there is no metric 'acuracy'; did you mean 'accuracy'\?"):
        evaluated(session, trained(session))


def test_a_headline_that_is_undefined_on_the_test_rows_says_what_to_do(toy_session, trained, monkeypatch):
    session = toy_session(overrides={"gates.floors": {}})
    done = trained(session)
    monkeypatch.setattr(type(session.project), "score", lambda self, truth, predictions, params: {"accuracy": float("nan")})
    with pytest.raises(ConfigError, match=r"'accuracy' is undefined on the \d+ test rows.*more test rows"):
        evaluated(session, done)


def test_a_candidate_without_a_validation_score_ranks_last(toy_session, trained):
    session = toy_session()
    done = trained(session)
    fit = session.read(done["train-linear"].outputs["fit"])
    put_fit(session, done, "linear", {**fit, "valid": {"accuracy": float("nan")}})
    _, decision, _ = evaluated(session, done)
    assert decision.winner == "centroid"


# against the incumbent --------------------------------------------------------------------------------------------------


def test_the_incumbent_is_scored_on_the_same_rows_and_compared_in_pairs(toy_session, trained):
    session = toy_session()
    crown(session, COIN)
    board, decision, values = evaluated(session, trained(session))
    assert [(s.candidate, s.rank) for s in board.scores][-1] == ("champion", 0)
    assert len(values["predictions"]["champion.probability"]) == board.rows
    assert decision.incumbent == decision.comparison.incumbent == 5
    assert decision.comparison.gain.low > 0
    assert decision.comparison.probability_better == 1.0
    assert decision.promote


def test_a_challenger_worse_than_the_champion_is_refused(toy_session, trained):
    session = toy_session(overrides={"gates.floors": {}})
    done = trained(session)
    crown(session, done["train-linear"].outputs["model"])
    worse = trained(session, spoil={"linear": COIN, "centroid": {"weights": np.array([0.0, 1.0, 0.0])}})
    _, decision, _ = evaluated(session, worse)
    assert failed(decision) == ["not worse than champion"]
    assert decision.comparison.gain.high < 0


def test_a_winner_that_serves_already_is_not_compared_with_itself(toy_session, trained):
    """However the other candidates have changed: a repeated run then decides as the first did."""
    session = toy_session()
    done = trained(session)
    crown(session, COIN)
    first = session.ledger.history("toy").champion
    crown(session, done["train-linear"].outputs["model"], version=6, replaced=first.version)
    _, decision, _ = evaluated(session, trained(session, spoil={"centroid": COIN}))
    assert decision.winner == "linear"
    assert decision.incumbent == decision.comparison.incumbent == first.version


def test_another_winner_among_the_same_models_meets_the_champion(toy_session, trained):
    session = toy_session(overrides={"gates.not_worse_by": 1.0})
    done = trained(session)
    models = tuple(done[f"train-{name}"].outputs["model"].digest for name in session.graph.candidates)
    crown(session, done["train-centroid"].outputs["model"], models=models)
    _, decision, _ = evaluated(session, done)
    assert decision.winner == "linear"
    assert decision.incumbent == decision.comparison.incumbent == 5


def test_a_run_repeated_after_its_own_promotion_decides_the_same(toy_session, trained):
    session = toy_session()
    done = trained(session)
    _, first, _ = evaluated(session, done)
    models = tuple(result.outputs["model"].digest for name, result in done.items() if name.startswith("train-"))
    crown(session, done["train-linear"].outputs["model"], models=models)
    result = execute(session, session.graph.node("evaluate"), done)
    assert result.reused
    assert Decision.model_validate(session.read(result.outputs["decision"])) == first


@pytest.mark.parametrize(("record", "promoted"), [(0.5, True), (0.9999, False), (None, False)])
def test_a_champion_that_cannot_predict_is_reported_and_its_record_is_the_bar(toy_session, trained, record, promoted):
    session = toy_session()
    artifacts = {} if record is None else {"leaderboard": put_board(session, record)}
    crown(session, {"other": np.zeros(2)}, artifacts=artifacts)
    board, decision, values = evaluated(session, trained(session))
    (criterion,) = [c for c in decision.criteria if c.name == "not worse than champion"]
    assert criterion.passed is decision.promote is promoted
    assert "version 5 cannot score these rows (KeyError: 'weights')" in criterion.found
    assert decision.comparison is None
    assert decision.incumbent == 5
    assert "champion" not in [score.candidate for score in board.scores]
    assert "version 5 could not be compared" in (values["card"] / "index.html").read_text()


def put_board(session: Any, value: float) -> Any:
    estimate = {"value": value, "low": value, "high": value}
    score = {"candidate": "linear", "metrics": {"accuracy": estimate}, "rank": 1, "valid": value, "latency_ms": 1, "model_mb": 1}
    board = {"metric": "accuracy", "greater_is_better": True, "rows": 9, "confidence": 0.95, "scores": [score]}
    file = session.settings.home / "board.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(board))
    return session.store.put("leaderboard", file, codec="json", project="toy", stage="evaluate", fingerprint="f")


@pytest.mark.parametrize("part", ["test", "valid"])
def test_a_champion_that_cannot_answer_one_row_is_reported_and_its_record_is_the_bar(toy_session, trained, monkeypatch, part):
    session = toy_session()
    done = trained(session)
    crown(session, COIN, artifacts={"leaderboard": put_board(session, 0.5)})
    rows = session.read(done["features"].outputs[part])
    honest, score = session.project.predict, session.project.score

    def predict(self: Any, model: Any, data: Any) -> Any:
        answers = honest(model, data)
        if np.array_equal(model["weights"], COIN["weights"]) and np.array_equal(data["x"], rows["x"]):
            answers["probability"][0] = np.nan
        return answers

    def strict(self: Any, truth: Any, predictions: Any, params: Any) -> Any:
        if np.isnan(predictions["probability"]).any():
            raise ValueError("Input contains NaN")
        return score(truth, predictions, params)

    monkeypatch.setattr(type(session.project), "predict", predict)
    monkeypatch.setattr(type(session.project), "score", strict)
    board, decision, _ = evaluated(session, done)
    (criterion,) = [c for c in decision.criteria if c.name == "not worse than champion"]
    assert criterion.passed
    assert "version 5 cannot score these rows (ValueError: Input contains NaN); it had 0.5000" in criterion.found
    assert decision.comparison is None
    assert "champion" not in [score.candidate for score in board.scores]


def damage(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"spoilt")


@pytest.mark.parametrize(("harm", "told"), [(damage, "is damaged"), (Path.unlink, "is not in the store")])
def test_a_champion_whose_file_is_lost_stops_the_stage_and_opens_no_gate(toy_session, trained, harm, told):
    session = toy_session()
    done = trained(session)
    crown(session, COIN, artifacts={"leaderboard": put_board(session, 0.5)})
    digest = session.ledger.history("toy").champion.model.digest
    harm(Path(session.settings.store) / "objects" / digest[:2] / digest)
    with pytest.raises(DataError, match=rf"version 5 of toy.*{told}.*run earlier.*backup.*`pipelines rollback toy`"):
        evaluated(session, done)


def test_a_store_that_cannot_be_read_is_no_verdict_on_the_champion(toy_session, trained, monkeypatch):
    session = toy_session()
    crown(session, COIN)
    done = trained(session)
    champion, fetch = session.ledger.history("toy").champion.model, session.store.fetch

    def unreachable(ref: Any, *into: Any) -> Path:
        if ref == champion:
            raise InfrastructureError("the bucket does not answer")
        return fetch(ref, *into)

    monkeypatch.setattr(session.store, "fetch", unreachable)
    with pytest.raises(InfrastructureError, match="does not answer"):
        evaluated(session, done)


# for people -------------------------------------------------------------------------------------------------------------


def test_the_card_is_one_page_with_everything_inside(toy_session, trained):
    session = toy_session()
    crown(session, COIN)
    _, decision, values = evaluated(session, trained(session, snapshot={"notes": ["made for a test"], "window": {"rows": 600}}))
    assert [p.name for p in values["card"].iterdir()] == ["index.html"]
    page = (values["card"] / "index.html").read_text()
    for expected in (
        "Accepted: all",
        "data:image/png;base64,",
        decision.winner,
        "ab" * 32,
        "made for a test",
        "not worse than champion",
    ):
        assert expected in page
    assert "http" not in page
    assert "<script" not in page


def test_names_that_are_html_do_no_harm(toy_session, trained, monkeypatch):
    session = toy_session()
    nasty = "x=<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    monkeypatch.setattr(type(session.project), "slices", lambda self, data: {nasty: list(range(80))})
    _, decision, values = evaluated(
        session, trained(session, snapshot={"origin": nasty, "notes": [nasty], "files": {nasty: "0"}})
    )
    assert decision.slices[0].name == nasty
    page = (values["card"] / "index.html").read_text()
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_simulator_is_called_one(toy_session, trained):
    session = toy_session()
    _, decision, values = evaluated(session, trained(session, snapshot={"source": "simulator", "origin": "made up"}))
    assert decision.source == "simulator (not real data): made up"
    assert "not real data" in (values["card"] / "index.html").read_text()


def test_plots_hold_the_numbers_for_dvc(toy_session, trained):
    session = toy_session()
    board, _, values = evaluated(session, trained(session))
    assert {p.name for p in values["plots"].iterdir()} == {"metrics.json", "leaderboard.csv", "predictions.csv"}
    metrics = json.loads((values["plots"] / "metrics.json").read_text())
    assert metrics["linear"]["accuracy"] == next(s for s in board.scores if s.candidate == "linear").metrics["accuracy"].value
    lines = (values["plots"] / "leaderboard.csv").read_text().splitlines()
    assert lines[0] == "candidate,metric,value,low,high"
    assert len(lines) == 1 + 2 * 2


def test_the_same_inputs_give_the_same_evidence(toy_session, trained):
    """All but the time a prediction takes, which is measured."""
    runs = []
    for _ in range(2):
        session = toy_session(fresh=True)
        board, decision, _ = evaluated(session, trained(session))
        runs.append(([s.model_copy(update={"latency_ms": 0}) for s in board.scores], decision))
    assert runs[0] == runs[1]
