"""A trained toy, made champion by hand, and windows of any rows to check against it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipelines.core.artifacts import StageResult
from pipelines.core.evidence import Drift, Verdict
from pipelines.core.execution import execute, save
from pipelines.core.ledger import Entry
from pipelines.stages import check as check_stage


class World:
    def __init__(self, toy_session: Any, trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.session, self.monitoring = toy_session(), toy_session("monitoring")
        self.done = trained(self.session)
        self.note("evaluate", {"decision": self.decision()})
        monkeypatch.setattr(check_stage, "evidently_report", self.no_evidently)

    @staticmethod
    def no_evidently(reference: Any, window: Any, folder: Any, seed: int) -> str:
        (folder / "evidently.html").write_text("<p>stand-in</p>")
        return "evidently.html"

    def note(self, name: str, values: dict[str, Any]) -> None:
        node = self.session.graph.node(name)
        self.done[name] = StageResult(node=name, fingerprint="by hand", outputs=save(self.session, node, values, "by hand"))

    def decision(self) -> dict[str, Any]:
        metric = {"value": 0.9, "low": 0.8, "high": 0.95}
        return {
            "project": "toy",
            "winner": "linear",
            "promote": True,
            "headline": "accuracy",
            "metric": metric,
            "criteria": [],
            "comparison": None,
            "incumbent": None,
        }

    def crown(self, version: int = 1) -> None:
        model = self.done["train-linear"].outputs["model"]
        self.session.ledger.append("toy", Entry(kind="promotion", run="r", why="test", version=version, model=model))

    def baseline(self, outcome: str = "promoted", version: int | None = 1) -> StageResult:
        told = {"outcome": outcome, "version": version, "champion": 1, "reason": "as the test says"}
        self.note("promote", {"promotion": told})
        return execute(self.session, self.session.graph.node("baseline"), self.done)

    def champion(self) -> World:
        self.crown()
        self.baseline()
        return self

    def check(self, rows: int = 200, shift: float = 0.0, seed: int = 3) -> dict[str, Any]:
        x = np.random.default_rng(seed).normal(size=(rows, 2)) + np.array([shift, 0.0])
        return self.check_window({"x": x})

    def check_window(
        self,
        rows: dict[str, Any],
        outcomes: dict[str, Any] | None = None,
        label: str = "2025-03-03..2025-03-10",
        **about: Any,
    ) -> dict[str, Any]:
        graph, outcomes = self.monitoring.graph, outcomes or {"x": np.empty((0, 2)), "y": np.empty(0, dtype=int)}
        labels = {"window": "2025-02-24..2025-03-03", "start": "2025-02-24T00:00:00+00:00", "rows": len(outcomes["x"])}
        info = {"window": label, "rows": len(rows["x"]), "source": "path"}
        info |= {"usual_rows": None, "newest": None, "end": "2025-03-10T00:00:00+00:00", "labels": labels, **about}
        values = {"window": rows, "outcomes": outcomes, "window_info": info}
        refs = save(self.monitoring, graph.node("collect"), values, "by hand")
        done = {"collect": StageResult(node="collect", fingerprint="by hand", outputs=refs)}
        done["check"] = execute(self.monitoring, graph.node("check"), done)
        done["decide"] = execute(self.monitoring, graph.node("decide"), done)
        found = {name: self.monitoring.read(ref) for result in done.values() for name, ref in result.outputs.items()}
        return {
            "drift": Drift.model_validate(found["drift"]),
            "verdict": Verdict.model_validate(found["verdict"]),
            "page": (found["drift_report"] / "index.html").read_text(),
            "report": found["drift_report"],
        }

    def labelled(self, right: float, rows: int = 300, seed: int = 4) -> dict[str, Any]:
        """Rows whose labels agree with the champion's answers in about this share."""
        random = np.random.default_rng(seed)
        x = random.normal(size=(rows, 2))
        said = self.session.project.predict(self.session.read(self.done["train-linear"].outputs["model"]), {"x": x})
        y = (said["probability"] > 0.5) == (random.random(rows) < right)
        return {"x": x, "y": y.astype(int)}

    def calm(self, rows: int = 200) -> dict[str, Any]:
        return {"x": np.random.default_rng(3).normal(size=(rows, 2))}

    def entries(self) -> list[Entry]:
        return [e for e in self.session.ledger.history("toy").entries if e.kind == "baseline"]
