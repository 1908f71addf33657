"""Experiments behind this project's README; each prints the table it is quoted with.

    python -m pipelines.projects.churn.study cv          what is reached: repeated cross-validation, everything inside the folds
    python -m pipelines.projects.churn.study ablation    what each group of features is worth
    python -m pipelines.projects.churn.study imbalance   weights and SMOTENC, and what resampling before the split pretends
    python -m pipelines.projects.churn.study leak        how 0.99 comes about, reproduced

The rows are those `pipelines run churn --stage validate` leaves, from the best source this machine reaches.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.core.config import Params, validated
from pipelines.core.contract import Splits
from pipelines.core.errors import PipelineError
from pipelines.core.execution import Session, execute
from pipelines.core.run import Run
from pipelines.parts.tabular import imbalance, metrics
from pipelines.parts.tabular.crossval import Folds, Mean, compared, held_out, measured
from pipelines.parts.tabular.models import Recipe
from pipelines.projects.churn import ChurnProject, FeatureParams, features, models

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.parts.tabular.metrics import Vector

SEED = 1000
"""Of the folds; not the seed with which anything was chosen."""


@dataclass(frozen=True)
class Study:
    """Cleaned rows with all features, the candidates as params.yaml starts them, and the folds."""

    frame: pd.DataFrame
    y: Vector
    params: Params
    plan: Folds
    jobs: int = 1
    source: str = ""

    @classmethod
    def open(cls, repeats: int, jobs: int) -> Study:
        """From the rows that pass validation, fetched if need be."""
        session = Session(Run(project="churn"))
        done: dict[str, Any] = {}
        for node in session.graph.ancestors(["validate"]):
            done[node.name] = execute(session, node, done)
        source = session.read(done["ingest"].outputs["snapshot"])["source"]
        return cls.of(session.read(done["validate"].outputs["cleaned"]), session.params, repeats, jobs, source)

    @classmethod
    def of(cls, cleaned: pd.DataFrame, params: Params, repeats: int, jobs: int = 1, source: str = "") -> Study:
        project, every = ChurnProject(), FeatureParams(groups=tuple(features.GROUPS))
        frame, y = project.inputs(project.features(Splits(cleaned, cleaned, cleaned), every).splits.train)
        return cls(frame, y, params, Folds(y, repeats, 5, SEED), jobs, source)

    def recipe(self, candidate: str) -> Recipe:
        given = self.params.train.candidates[candidate]
        return validated(models.CANDIDATES[candidate], given, candidate)

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of features that params.yaml asks for."""
        return validated(FeatureParams, self.params.features, "features").groups

    def columns(self, groups: Iterable[str]) -> pd.DataFrame:
        """The rows with these groups of features."""
        return self.frame.drop(columns=features.left_out(list(groups)))

    def default(self) -> pd.DataFrame:
        return self.columns(self.groups)

    def scores(self, recipe: Recipe, frame: pd.DataFrame) -> dict[str, Vector]:
        return measured(held_out(recipe, frame, self.plan, self.jobs), self.plan, metrics.ranking)


def cv(study: Study) -> None:
    """Each candidate, and the mean of two: mean and corrected standard error over all folds."""
    found = {name: held_out(study.recipe(name), study.default(), study.plan, study.jobs) for name in models.CANDIDATES}
    found["mean of logistic and xgboost"] = [(a + b) / 2 for a, b in zip(found["logistic"], found["xgboost"], strict=True)]
    rows = []
    for name, probabilities in found.items():
        scores = measured(probabilities, study.plan, lambda y, p: {**metrics.ranking(y, p), **metrics.probabilities(y, p)})
        means = {metric: Mean.of(values, study.plan.count) for metric, values in scores.items()}
        rows.append([name, *(f"{means[m].value:.4f} ± {means[m].error:.4f}" for m in ("roc_auc", "pr_auc", "brier"))])
    _table(("candidate", "ROC-AUC", "PR-AUC", "Brier, uncalibrated"), rows)
    print("± is the standard error of the mean, corrected for folds that share rows (Nadeau & Bengio, 2003).")


def ablation(study: Study) -> None:
    """ROC-AUC of the source's columns alone, with each group, with all, and with all but each group."""
    rows = []
    every = tuple(features.DOCS)
    settings: dict[str, Any] = {"source columns only": ()}
    settings |= {f"+ {group}": (group,) for group in every}
    settings |= {"all groups": every}
    settings |= {f"all but {group}": tuple(g for g in every if g != group) for group in every}
    for name in ("logistic", "xgboost"):
        recipe = study.recipe(name)
        plain = recipe.tuned({"ignore": ()})
        scores = {label: study.scores(plain, study.columns(groups)) for label, groups in settings.items()}
        scores["configured groups, nothing ignored"] = study.scores(plain, study.default())
        scores["as configured"] = study.scores(recipe, study.default())
        for label, found in scores.items():
            against = scores["all groups" if label.startswith("all but") else "source columns only"]
            rows.append([name, label, *_gained(found, against, study.plan)])
    _table(("candidate", "columns", "ROC-AUC", "gain", "95 % interval", "PR-AUC", "gain"), rows)
    print("Gains are against the source's columns only; for 'all but', against all groups.")


def imbalances(study: Study) -> None:
    """Nothing, class weights, SMOTENC inside the folds; and SMOTENC before them, as often published."""
    rows = []
    for name in models.CANDIDATES:
        recipe, frame = study.recipe(name), study.default()
        base = study.scores(recipe.tuned({"imbalance": "none"}), frame)["roc_auc"]
        for how in ("none", "weights", "smotenc"):
            probabilities = held_out(recipe.tuned({"imbalance": how}), frame, study.plan, study.jobs)
            rows.append([name, _HOW[how], *_balanced(measured(probabilities, study.plan, _decided), base, study.plan)])
        rows.append([name, "SMOTENC before the split", *_pretended(recipe, frame, study)])
    _table(("candidate", "imbalance", "ROC-AUC", "gain, 95 % interval", "PR-AUC", "Brier", "recall", "F1"), rows)
    print("Recall and F1 at 0.5. The last line of each candidate is not a result: it scores copies of its training rows.")


def leak(study: Study) -> None:
    """A published recipe, step by step: encode, SMOTE-ENN on everything, then split; beside the same model done honestly."""
    import pandas as pd
    from imblearn.combine import SMOTEENN
    from imblearn.over_sampling import SMOTE
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import train_test_split

    x = pd.get_dummies(study.columns(())).astype(float).fillna(0.0).to_numpy()
    known, unseen, y_known, y_unseen = train_test_split(x, study.y, test_size=0.2, stratify=study.y, random_state=0)

    def forest(x: Vector, y: Vector) -> Any:
        return RandomForestClassifier(200, n_jobs=study.jobs, random_state=0).fit(x, y)

    def line(title: str, model: Any, x: Vector, y: Vector) -> list[str]:
        p = model.predict_proba(x)[:, 1]
        found = {**metrics.ranking(y, p), **metrics.decisions(y, p >= 0.5)}
        return [title, f"{len(y):,}", *(f"{found[m]:.3f}" for m in ("accuracy", "f1", "roc_auc", "pr_auc"))]

    rows = []
    for title, sampler in (("SMOTE", SMOTE(random_state=0)), ("SMOTE-ENN", SMOTEENN(random_state=0))):
        resampled, labels = sampler.fit_resample(known, y_known)
        a, b, ya, yb = train_test_split(resampled, labels, test_size=0.2, stratify=labels, random_state=0)
        model = forest(a, ya)
        rows.append(line(f"{title}, then split: as published", model, b, yb))
        rows.append(line(f"{title}, then split: the same model on untouched customers", model, unseen, y_unseen))
    honest = forest(known, y_known)
    rows.append(line("split, no resampling, untouched customers", honest, unseen, y_unseen))
    _table(("how", "rows scored", "accuracy", "F1", "ROC-AUC", "PR-AUC"), rows)
    print("The same 20 % of the customers were set aside before anything else; only the lines that score them mean anything.")


def _decided(y: Vector, p: Vector) -> dict[str, float]:
    return {**metrics.ranking(y, p), **metrics.probabilities(y, p), **metrics.decisions(y, p >= 0.5)}


def _balanced(found: Mapping[str, Vector], base: Vector, plan: Folds) -> list[str]:
    gain = compared(found["roc_auc"], base, plan)
    low, high = gain.interval()
    values = [f"{found[m].mean():.4f}" for m in ("pr_auc", "brier", "recall", "f1")]
    shown = f"{gain.value:+.4f} [{low:+.4f}, {high:+.4f}]" if gain.error else ""
    return [f"{found['roc_auc'].mean():.4f}", shown, *values]


def _pretended(recipe: Recipe, frame: pd.DataFrame, study: Study) -> list[str]:
    """One repeat of cross-validation over rows that were resampled first."""
    rows, y = imbalance.sampler(frame, SEED).fit_resample(frame, study.y)
    plan = Folds(np.asarray(y), 1, 5, SEED)
    found = measured(held_out(recipe, rows, plan, study.jobs), plan, _decided)
    values = [f"{found[m].mean():.4f}" for m in ("pr_auc", "brier", "recall", "f1")]
    return [f"({found['roc_auc'].mean():.4f})", "", *(f"({value})" for value in values)]


def _gained(found: Mapping[str, Vector], against: Mapping[str, Vector], plan: Folds) -> list[str]:
    area, precision = (compared(found[m], against[m], plan) for m in ("roc_auc", "pr_auc"))
    low, high = area.interval()
    if found is against:
        return [f"{found['roc_auc'].mean():.4f}", "", "", f"{found['pr_auc'].mean():.4f}", ""]
    return [
        f"{found['roc_auc'].mean():.4f}",
        f"{area.value:+.4f}",
        f"[{low:+.4f}, {high:+.4f}]",
        f"{found['pr_auc'].mean():.4f}",
        f"{precision.value:+.4f}",
    ]


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """A table in Markdown, as it stands in the README."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    for line in lines:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |")


_HOW = {"none": "nothing", "weights": "class weights", "smotenc": "SMOTENC inside the folds"}
_COMMANDS: dict[str, Callable[[Study], None]] = {"cv": cv, "ablation": ablation, "imbalance": imbalances, "leak": leak}


def main(arguments: list[str] | None = None) -> int:
    """Run one experiment; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.projects.churn.study", description=__doc__.split("\n")[0])
    parser.add_argument("experiment", choices=_COMMANDS)
    parser.add_argument("--repeats", type=int, default=10, help="repeats of the five folds (default 10)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    given = parser.parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        study = Study.open(given.repeats, given.jobs)
    except PipelineError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"{len(study.y):,} customers, {study.y.mean():.1%} left; source: {study.source}; {given.repeats} × 5 folds\n")
    _COMMANDS[given.experiment](study)
    return 0


if __name__ == "__main__":
    sys.exit(main())
