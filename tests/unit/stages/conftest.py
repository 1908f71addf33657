"""The toy's artifacts made by hand, so that one stage is tested without the stages before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest

from pipelines.core.artifacts import StageResult
from pipelines.core.contract import Training
from pipelines.core.execution import Session, save

Results = dict[str, StageResult]


def finish(session: Session, done: Results, node: str, values: Mapping[str, Any]) -> None:
    """Note `values` as the result of a node."""
    found = session.graph.node(node)
    done[node] = StageResult(node=node, fingerprint=f"by hand: {node}", outputs=save(session, found, values, "by hand"))


@pytest.fixture
def trained(tmp_path: Any) -> Callable[..., Results]:
    """``trained(session, spoil={"linear": model})``: everything before evaluate, done for the toy."""

    def results(session: Session, spoil: Mapping[str, Any] | None = None, snapshot: Mapping[str, Any] | None = None) -> Results:
        project, params, done = session.project, session.params, Results()
        raw = tmp_path / "raw"
        raw.mkdir(exist_ok=True)
        (raw / "toy.csv").write_bytes((tmp_path / "toy.csv").read_bytes())
        from pipelines.core.contract import Window

        data = project.load(raw, Window(start=None, end=session.run.as_of))
        checked = project.check(data)
        splits = project.split(checked.data, params.split, params.seed)
        where = {"source": "path", "origin": "toy.csv", "files": {"toy.csv": "ab" * 32}, "notes": [], **(snapshot or {})}
        finish(session, done, "ingest", {"raw": raw, "snapshot": where})
        finish(session, done, "validate", {"cleaned": data, "validation": checked.report, "data_docs": checked.docs})
        finish(
            session, done, "features", {"train": splits.train, "valid": splits.valid, "test": splits.test, "feature_report": {}}
        )
        score = partial(project.score, params=project.score_params())
        training = Training(
            seed=1, trials=0, seconds=1, metric="accuracy", greater_is_better=True, study="", study_name="", score=score
        )
        for candidate, own in params.train.candidates.items():
            settings = project.candidate_params[candidate](**own)
            fit = project.fit(candidate, settings, splits.train, splits.valid, training)
            model = (spoil or {}).get(candidate, fit.model)
            valid = score(project.truth(splits.valid), project.predict(model, splits.valid))
            plain = {"candidate": candidate, "params": fit.params, "trials": [], "curve": [], "valid": valid, "seconds": 0.0}
            finish(session, done, f"train-{candidate}", {"model": model, "fit": plain})
        return done

    return results
