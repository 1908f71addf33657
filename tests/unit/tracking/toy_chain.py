"""A chain of finished stages of the toy project, made without running the stages: what tracking and registry start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core.artifacts import StageResult
from pipelines.core.evidence import Criterion, Decision, Estimate, Leaderboard, Score
from pipelines.core.execution import Session, execute, save

Done = dict[str, StageResult]


def finish_stage(session: Session, done: Done, name: str, **values: Any) -> None:
    """Store values as the outputs of a node, as if its stage had run."""
    node = session.graph.node(name)
    done[name] = StageResult(node=name, fingerprint=f"mark-of-{name}", outputs=save(session, node, values, f"mark-of-{name}"))


def make_chain(session: Session, place: Path, *, accept: bool = True, model: float = 1.0, incumbent: int | None = None) -> Done:
    """Everything before promote. `model` is a weight of the winner, so that another number is another model."""
    done: Done = {}
    place.mkdir(parents=True, exist_ok=True)
    raw = place / "raw"
    raw.mkdir(exist_ok=True)
    (raw / "toy.csv").write_text("0,0,1\n")
    docs = place / "docs"
    docs.mkdir(exist_ok=True)
    (docs / "index.html").write_text("<p>fine</p>")
    (docs / "pixel.png").write_bytes(b"png")
    snapshot = {
        "dataset": "toy",
        "source": "simulator",
        "origin": "planted",
        "files": {"toy.csv": "ab"},
        "notes": [],
        "pointer": {"md5": "0123456789abcdef0123456789abcdef.dir", "path": "snapshots/toy"},
        "window": {"end": "2025-03-01"},
    }
    rows = {"x": np.array([[1.0, 2.0], [3.0, -4.0]]), "y": np.array([1, 0])}
    finish_stage(session, done, "ingest", raw=raw, snapshot=snapshot)
    finish_stage(session, done, "validate", cleaned=rows, validation={"rows": 2, "checks": []}, data_docs=docs)
    finish_stage(session, done, "features", train=rows, valid=rows, test=rows, feature_report={"columns": ["x0", "x1"]})
    for candidate, weight in (("linear", model), ("centroid", -1.0)):
        fit = {
            "candidate": candidate,
            "params": {"ridge": 0.1},
            "trials": [{"number": 0, "value": 0.7, "state": "COMPLETE"}, {"number": 1, "value": 0.8, "state": "COMPLETE"}],
            "curve": [{"loss": 0.5}, {"loss": 0.25}],
            "valid": {"accuracy": 0.9},
            "seconds": 0.1,
        }
        finish_stage(session, done, f"train-{candidate}", model={"weights": np.array([weight, 0.5, 0.0])}, fit=fit)
    estimate = Estimate(value=0.9, low=0.85, high=0.95)
    scores = [
        Score(candidate=name, metrics={"accuracy": estimate}, rank=rank, valid=0.9, latency_ms=0.1, model_mb=0.001)
        for rank, name in enumerate(["linear", "centroid", *(["champion"] if incumbent else [])], start=1)
    ]
    leaderboard = Leaderboard(metric="accuracy", greater_is_better=True, rows=2, confidence=0.95, scores=tuple(scores))
    decision = Decision(
        project="toy",
        winner="linear",
        promote=accept,
        headline="accuracy",
        metric=estimate,
        criteria=(Criterion(name="floor: accuracy", wanted="≥ 0.8", found="0.9000", passed=accept),),
        comparison=None,
        incumbent=incumbent,
        source="simulator",
    )
    finish_stage(
        session,
        done,
        "evaluate",
        leaderboard=leaderboard,
        predictions={"truth.y": rows["y"]},
        figures=docs,
        plots=docs,
        decision=decision,
        card=docs,
    )
    return done


def promote(session: Session, done: Done) -> dict[str, Any]:
    """Run the promote stage on a chain; its artifact."""
    done["promote"] = execute(session, session.graph.node("promote"), done)
    told: dict[str, Any] = session.read(done["promote"].outputs["promotion"])
    return told
