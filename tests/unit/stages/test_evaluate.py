"""The evaluate stage on the toy project: who wins, what is refused, what is reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.core.evidence import Decision, Leaderboard
from pipelines.core.execution import execute


def evaluated(session: Any, done: Any) -> tuple[Leaderboard, Decision, dict[str, Any]]:
    result = execute(session, session.graph.node("evaluate"), done)
    done["evaluate"] = result
    values = {name: session.read(ref) for name, ref in result.outputs.items()}
    return Leaderboard.model_validate(values["leaderboard"]), Decision.model_validate(values["decision"]), values


def test_candidates_are_ranked_on_validation_rows_and_reported_on_test_rows(toy_session, trained):
    session = toy_session()
    done = trained(session)
    board, decision, values = evaluated(session, done)
    assert [score.rank for score in board.scores] == [1, 2]
    assert decision.winner == board.scores[0].candidate
    assert board.scores[0].valid >= board.scores[1].valid
    for score in board.scores:
        for estimate in score.metrics.values():
            assert estimate.low <= estimate.value <= estimate.high
    assert set(values["predictions"]) == {"truth.y", "linear.probability", "centroid.probability"}
    assert decision.promote, decision.criteria
    assert (values["card"] / "index.html").is_file()
    assert (values["figures"] / "pixel.png").is_file()
    assert {p.name for p in Path(values["plots"]).iterdir()} == {"metrics.json", "leaderboard.csv", "predictions.csv"}
