"""Experiments behind this project's README; each prints the table it is quoted with.

    python -m pipelines.projects.fashion.study transfer        when published weights pay: 100 to 10,000 labelled images
    python -m pipelines.projects.fashion.study augmentation    what each augmentation is worth
    python -m pipelines.projects.fashion.study imbalance       weights, focal loss and balanced sampling where half of the classes are rare

The images are those `pipelines run fashion --stage features` leaves, from the best source this machine reaches. Of the images
an experiment may learn from, one in five validates. Accuracy is on the authors' test images, which choose nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.config import Params, Strict, validated
from pipelines.core.contract import Training
from pipelines.core.errors import PipelineError
from pipelines.core.execution import Session, execute
from pipelines.core.run import Run
from pipelines.data.sources import fetch_resource
from pipelines.parts.evaluation import multiclass
from pipelines.parts.splitting import assign
from pipelines.parts.vision.images import Images, hashes
from pipelines.parts.vision.recipe import Augmentation
from pipelines.projects.fashion import CLASSES, FashionProject

SIZES = (100, 1_000, 10_000)
WAYS = {"from scratch": "cnn", "frozen": "frozen", "fine-tuned": "finetuned"}
"""What a way is called, and the candidate of params.yaml it is."""
STEPS = 240
"""Fewest steps of a training, for every way alike: an epoch of a hundred images is two batches, in which nothing learns."""
VALID = 0.2
"""Share of an experiment's images that validates."""
RARE = 0.05
"""Share of its images that a rare class keeps."""


@dataclass(frozen=True)
class Study:
    """The images, the candidates as params.yaml has them, and how often to repeat."""

    pool: Images
    """All that may be learned from."""
    test: Images
    params: Params
    session: Session
    seeds: int
    rows: int
    """Images an ablation learns from."""

    @classmethod
    def open(cls, seeds: int, rows: int) -> Study:
        session = Session(Run(project="fashion"))
        done: dict[str, Any] = {}
        for node in session.graph.ancestors(["features"]):
            done[node.name] = execute(session, node, done)
        train, valid, test = (session.read(done["features"].outputs[name]) for name in ("train", "valid", "test"))
        return cls(Images.concat([train, valid]), test, session.params, session, seeds, rows)

    def candidate(self, name: str, **recipe: Any) -> Any:
        """A candidate of params.yaml, with changes to its recipe."""
        given = {**self.params.train.candidates[name]}
        if recipe:
            given["recipe"] = {**given.get("recipe", {}), **recipe}
        return validated(FashionProject.candidate_params[name], given, name)

    def sample(self, rows: int, seed: int) -> Images:
        """So many images of the pool, drawn at random, as many of each class as of any other."""
        order = np.random.default_rng([seed, rows]).permutation(len(self.pool))
        each = -(-rows // len(CLASSES))
        return self.pool.take(np.sort(np.concatenate([order[self.pool.label[order] == c][:each] for c in range(len(CLASSES))])))

    def predictions(self, way: Any, images: Images, seed: int) -> NDArray[np.floating[Any]]:
        """Probabilities of the test images by a model that has learned from these."""
        train, valid = divided(images, seed)
        with tempfile.TemporaryDirectory() as folder:
            training = Training(
                seed=seed,
                trials=0,
                seconds=1,
                metric="accuracy",
                greater_is_better=True,
                study="",
                study_name="",
                score=lambda truth, predictions: {},
                workdir=Path(folder),
                resource=lambda name: fetch_resource(name, self.session.settings, Path(folder) / name).folder,
            )
            model = way.fit(train, valid, training, CLASSES).model
        return np.asarray(model.probability(self.test))

    def metrics(self, way: Any, images: Images, seed: int) -> dict[str, float]:
        return multiclass.metrics(self.test.label, self.predictions(way, images, seed))


def transfer(study: Study) -> None:
    """Accuracy by the number of labelled images, from scratch, frozen, fine-tuned; gains over from scratch, seed by seed.

    Whoever trains has the same augmentation, so that only the weights differ.
    """
    rows = []
    same = study.candidate("finetuned").recipe.augmentation
    found: dict[str, dict[int, NDArray[np.float64]]] = {way: {} for way in WAYS}
    for size in SIZES:
        for way, name in WAYS.items():
            steps = 0 if name == "frozen" else -(-STEPS // epochs(study, name))
            params = study.candidate(name, steps=steps, augmentation=same) if steps else study.candidate(name)
            found[way][size] = repeated(study, params, size)["accuracy"]
            gain = found[way][size] - found["from scratch"][size]
            rows.append((f"{size:,}", way, interval(found[way][size]), interval(gain) if way != "from scratch" else ""))
            print(*rows[-1], sep="  ", file=sys.stderr, flush=True)
    table(("labelled images", "way", "test accuracy", "gain over from scratch"), rows)
    plot(found, Path("docs/images/fashion-transfer.png"))


def epochs(study: Study, name: str) -> int:
    """Of a candidate, as params.yaml has them."""
    return int(study.candidate(name).recipe.epochs)


def augmentation(study: Study) -> None:
    """Accuracy of the small network with no augmentation, each alone, all that `resnet` has, and these with one more."""
    configured = study.candidate("resnet").recipe.augmentation.model_dump(exclude_defaults=True)
    more = {"rotate": 10.0, "zoom": 0.1}
    settings: dict[str, Mapping[str, Any]] = {"none": {}}
    settings |= {f"{name} {value:g} alone": {name: value} for name, value in {**configured, **more}.items()}
    settings["all of resnet's"] = configured
    settings |= {f"and {name} {value:g}": {**configured, name: value} for name, value in more.items()}
    rows, baseline = [], None
    for name, setting in settings.items():
        found = repeated(study, study.candidate("cnn", augmentation=Augmentation(**setting)), study.rows)["accuracy"]
        baseline = found if baseline is None else baseline
        rows.append((name, interval(found), interval(found - baseline) if name != "none" else ""))
        print(*rows[-1], sep="  ", file=sys.stderr, flush=True)
    table(("augmentation", "test accuracy", "gain over none"), rows)


def imbalance(study: Study) -> None:
    """Accuracy, mean recall and worst recall on balanced test images, when every second class was rare in training."""
    ways: dict[str, dict[str, Any]] = {
        "nothing": {},
        "weights: balanced": {"weights": "balanced"},
        "weights: effective": {"weights": "effective"},
        "focal loss, exponent 2": {"focus": 2.0},
        "balanced sampler": {"sampler": "balanced"},
    }
    rows = []
    for name, recipe in ways.items():
        found = repeated(study, study.candidate("cnn", **recipe), study.rows, rare=True)
        rows.append((name, *(interval(found[metric]) for metric in ("accuracy", "recall_macro", "worst_recall"))))
        print(*rows[-1], sep="  ", file=sys.stderr, flush=True)
    table(("tool", "accuracy", "mean recall", "worst recall"), rows)


def repeated(study: Study, way: Strict, size: int, rare: bool = False) -> dict[str, NDArray[np.float64]]:
    """Every metric on the test images, one value a seed; each seed has its own images and weights."""
    runs = []
    for seed in range(study.seeds):
        images = study.sample(size, seed)
        runs.append(study.metrics(way, thinned(images, seed) if rare else images, seed))
    return {metric: np.array([run[metric] for run in runs]) for metric in runs[0]}


def divided(images: Images, seed: int) -> tuple[Images, Images]:
    """What is trained on and what validates, stratified; equal images stay together."""
    part = assign(hashes(images.pixels), images.label, {"valid": VALID}, seed)
    return images.take(np.flatnonzero(part == "train")), images.take(np.flatnonzero(part == "valid"))


def thinned(images: Images, seed: int) -> Images:
    """The images with every second class made rare."""
    order = np.random.default_rng(seed).permutation(len(images))
    kept = [order[images.label[order] == c] for c in range(len(CLASSES))]
    return images.take(np.sort(np.concatenate([rows[: scarce(len(rows))] if c % 2 else rows for c, rows in enumerate(kept)])))


def scarce(rows: int) -> int:
    """What a rare class keeps: enough for training and validation."""
    return max(5, round(RARE * rows))


def interval(values: NDArray[np.float64]) -> str:
    """Mean with half the width of its 95 % interval (Student's t over seeds); the mean alone for one seed."""
    from scipy.stats import t

    mean = values.mean()
    if len(values) < 2:
        return f"{mean:+.4f}" if mean < 0 else f"{mean:.4f}"
    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{mean:.4f} ± {half:.4f}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """As Markdown, columns aligned."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    for row in (header, tuple("-" * width for width in widths), *rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")


def plot(found: Mapping[str, Mapping[int, NDArray[np.float64]]], path: Path) -> None:
    """Accuracy over the number of labelled images: mean and every seed."""
    from pipelines.parts.reports.drawing import COLOURS, Plot

    with Plot(path, "When published weights pay", "labelled images", "accuracy on the test images") as axes:
        for (way, by_size), colour in zip(found.items(), COLOURS, strict=False):
            sizes = sorted(by_size)
            axes.plot(sizes, [by_size[size].mean() for size in sizes], "-", color=colour, label=way)
            for size in sizes:
                axes.plot([size] * len(by_size[size]), by_size[size], ".", color=colour)
        axes.set_xscale("log")
        axes.legend(loc="lower right")
    print(f"plot: {path}", file=sys.stderr)


EXPERIMENTS = {"transfer": transfer, "augmentation": augmentation, "imbalance": imbalance}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--seeds", type=int, default=3, help="repetitions, each with images and weights of its own")
    parser.add_argument("--rows", type=int, default=5_000, help="images an ablation learns from")
    given = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        EXPERIMENTS[given.experiment](Study.open(given.seeds, given.rows))
    except PipelineError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
