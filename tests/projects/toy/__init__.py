"""The smallest project: two columns of numbers and a label, numpy only. It shows that the platform needs no tables."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pipelines.core.config import Strict
from pipelines.core.contract import Checked, Evidence, Featured, Fit, Probes, Project, Splits, Training, Window
from pipelines.core.errors import DataError
from pipelines.core.validation import Check, Report
from pipelines.parts.arrays import Arrays

Rows = dict[str, Any]
"""`x` of shape (rows, 2) and, where known, `y` of shape (rows,) with 0 and 1."""


class Linear(Strict):
    """Least squares on the signed label."""

    ridge: float = 1e-3


class Centroid(Strict):
    """The nearer of the two class means."""


class ToyProbes(Probes[Rows]):
    def relabel(self, data: Rows, order: Any) -> Rows:
        return {**data, "y": data["y"][order]}

    def inputs(self, data: Rows) -> dict[str, Any]:
        return {f"x{column}": data["x"][:, column] for column in range(2)}

    def label(self, data: Rows) -> Any:
        return data["y"]

    def broken_rows(self, rows: Any) -> dict[str, Any]:
        return {"a column too few": np.asarray(rows)[:, :1], "words": [["a", "b"]], "no rows at all": None}


class Toy(Project[Rows, Rows]):
    name = "toy"
    data_codec = Arrays()
    model_codec = Arrays()
    candidate_params: ClassVar = {"linear": Linear, "centroid": Centroid}

    def load(self, raw: Path, window: Window) -> Rows:
        try:
            with (raw / "toy.csv").open() as stream, warnings.catch_warnings(action="ignore"):
                table = np.loadtxt(stream, delimiter=",", ndmin=2)
        except (OSError, ValueError) as error:
            raise DataError(f"toy.csv: expected rows of three numbers; {error}; fetch the file again") from error
        if table.shape[1:] != (3,) or not len(table):
            raise DataError(f"toy.csv: expected rows of three numbers, found shape {table.shape}; fetch the file again")
        table = table[np.asarray(list(window.positions(len(table))), dtype=int)]
        return {"x": table[:, :2], "y": table[:, 2].astype(int)}

    def read(self, rows: Any) -> Rows:
        try:
            x = np.asarray(rows, dtype=float)
        except (TypeError, ValueError) as error:
            raise DataError(f"expected rows of two numbers; {error}") from error
        if x.size and x.shape[1:] != (2,):
            raise DataError(f"expected rows of two numbers, found shape {x.shape}")
        if rows is None:
            raise DataError("expected rows of two numbers, found None")
        return {"x": x.reshape(-1, 2)}

    def check(self, data: Rows) -> Checked[Rows]:
        good = np.isfinite(data["x"]).all(axis=1)
        check = Check(tool="toy", column="x", rule="is finite", level="row", failures=int((~good).sum()))
        docs = Path(tempfile.mkdtemp(prefix="toy-"))
        (docs / "index.html").write_text(f"<p>{check.sentence()}</p>")
        report = Report(rows=len(good), quarantined=check.failures, checks=(check,))
        return Checked(self.take(data, np.flatnonzero(good).tolist()), report, docs)

    def split(self, data: Rows, params: Any, seed: int) -> Splits[Rows]:
        """By value, so that equal rows stay together."""
        _, group = np.unique(np.column_stack([data["x"], data["y"]]), axis=0, return_inverse=True)
        place = np.random.default_rng(seed).random(group.max(initial=-1) + 1)[group.reshape(-1)]
        test, valid = place < params.test, (place >= params.test) & (place < params.test + params.valid)
        parts = (np.flatnonzero(mask).tolist() for mask in (~test & ~valid, valid, test))
        return Splits(*(self.take(data, part) for part in parts))

    def features(self, splits: Splits[Rows], params: Any) -> Featured[Rows]:
        return Featured(splits, {"columns": ["x0", "x1"]})

    def explore(self, featured: Featured[Rows], folder: Path) -> None:
        share = featured.splits.train["y"].mean()
        (folder / "index.html").write_text(f"<p>{share:.0%} of the training rows are on the right side.</p>")

    def count(self, data: Rows) -> int:
        return len(data["x"])

    def take(self, data: Rows, positions: Any) -> Rows:
        return {name: column[np.asarray(positions, dtype=int)] for name, column in data.items()}

    def fit(self, candidate: str, params: Any, train: Rows, valid: Rows, training: Training) -> Fit[Rows]:
        x, sign = np.column_stack([train["x"], np.ones(len(train["x"]))]), 2.0 * train["y"] - 1
        if candidate == "linear":
            weights = np.linalg.solve(x.T @ x + params.ridge * np.eye(3), x.T @ sign)
        else:
            high, low = train["x"][sign > 0].mean(axis=0), train["x"][sign < 0].mean(axis=0)
            weights = np.append(high - low, (low @ low - high @ high) / 2)
        return Fit({"weights": weights}, params=params.model_dump())

    def predict(self, model: Rows, data: Rows) -> Rows:
        score = (data["x"] * model["weights"][:2]).sum(axis=1) + model["weights"][2]
        return {"probability": 1 / (1 + np.exp(-score))}

    def truth(self, data: Rows) -> Rows:
        return {"y": data["y"]}

    def score(self, truth: Any, predictions: Any, params: Any) -> dict[str, float]:
        y, p = np.asarray(truth["y"]), np.asarray(predictions["probability"])
        return {"accuracy": float(np.mean((p > 0.5) == y)), "brier": float(np.mean((p - y) ** 2))}

    def answer(self, model: Rows, data: Rows, predictions: Any) -> list[dict[str, Any]]:
        return [{"probability": float(p)} for p in predictions["probability"]]

    def example(self, data: Rows, rows: int) -> Any:
        return data["x"][:rows].tolist()

    def slices(self, data: Rows) -> dict[str, Any]:
        right = data["x"][:, 0] > 0
        return {"x0=right": np.flatnonzero(right).tolist(), "x0=left": np.flatnonzero(~right).tolist()}

    def figures(self, evidence: Evidence[Rows, Rows], folder: Path) -> None:
        (folder / "plots").mkdir(parents=True, exist_ok=True)
        (folder / "pixel.png").write_bytes(_PIXEL)
        lines = [
            f"{t},{p}" for t, p in zip(evidence.truth["y"], evidence.predictions[evidence.winner]["probability"], strict=True)
        ]
        (folder / "plots" / "predictions.csv").write_text("\n".join(["truth,probability", *lines]) + "\n")

    def watch(self, model: Rows, data: Rows) -> Rows:
        return {"x0": data["x"][:, 0], "x1": data["x"][:, 1], "score": self.predict(model, data)["probability"]}

    def labelled(self, data: Rows) -> Rows:
        return data

    def permuted(self, data: Rows, channel: str, order: Any) -> Rows | None:
        if channel not in ("x0", "x1"):
            return None
        x = data["x"].copy()
        x[:, int(channel[1])] = x[np.asarray(order), int(channel[1])]
        return {**data, "x": x}

    def probes(self) -> ToyProbes:
        return ToyProbes()


_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c626001000000ffff03000006000557bfabd4"
    "0000000049454e44ae426082"
)

PROJECT = Toy
