"""Does a model see what it must not? Each probe changes what a clean project cannot notice."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipelines.conformance.subject import Subject
from pipelines.conformance.suite import check
from pipelines.core.contract import Splits

_PERMUTATIONS = 1000
_CLASSES = 20
"""A label with more values than this is taken as a quantity."""


@check
def fitting_does_not_see_the_test_rows(subject: Subject) -> None:
    """Other test rows give the same features for the rest and the same models, byte for byte."""
    splits, project = subject.splits, subject.project
    half = list(range(project.count(splits.test) // 2, -1, -1))
    altered = subject.features(Splits(splits.train, splits.valid, project.take(splits.test, half))).splits
    for name in ("train", "valid"):
        same = subject.data_digest(getattr(altered, name)) == subject.data_digest(getattr(subject.featured.splits, name))
        assert same, f"features of the {name} rows change with the test rows"
    for candidate in subject.candidates:
        model = subject.fit(candidate, altered).model
        assert subject.model_digest(model) == subject.model_digest(subject.fits[candidate].model), (
            f"{candidate} changes with the test rows"
        )


@check
def features_are_fitted_on_training_rows_only(subject: Subject) -> None:
    """Other validation rows give the same features for the training and the test rows."""
    splits, project = subject.splits, subject.project
    half = list(range(project.count(splits.valid) // 2, -1, -1))
    altered = subject.features(Splits(splits.train, project.take(splits.valid, half), splits.test)).splits
    for name in ("train", "test"):
        same = subject.data_digest(getattr(altered, name)) == subject.data_digest(getattr(subject.featured.splits, name))
        assert same, f"features of the {name} rows change with the validation rows; fit them on splits.train"


@check
def shuffled_labels_give_chance(subject: Subject) -> None:
    """With labels shuffled before the split, no candidate does better than chance on the test rows."""
    rng = np.random.default_rng(subject.params.seed)
    order = rng.permutation(subject.project.count(subject.cleaned)).tolist()
    shuffled = subject.probe(lambda probes: probes.relabel, subject.cleaned, order)
    featured = subject.features(subject.split(shuffled)).splits
    truth = subject.project.truth(featured.test)
    evaluate = subject.params.evaluate
    for candidate in subject.candidates:
        predictions = subject.project.predict(subject.fit(candidate, featured).model, featured.test)
        found = subject.score(truth, predictions)[evaluate.metric]
        chance = [subject.score(_reordered(truth, rng), predictions)[evaluate.metric] for _ in range(_PERMUTATIONS)]
        better = [one >= found if evaluate.greater_is_better else one <= found for one in chance]
        p_value = (1 + sum(better)) / (1 + _PERMUTATIONS)
        assert p_value > 1 / _PERMUTATIONS, (
            f"{candidate}: fitted to shuffled labels it reaches {evaluate.metric} {found:.4f} on test rows, where chance gives "
            f"{np.mean(chance):.4f} (p = {p_value:.4f}); the labels reach the test rows some other way"
        )


def _reordered(truth: Any, rng: np.random.Generator) -> dict[str, Any]:
    rows = len(next(iter(truth.values())))
    order = rng.permutation(rows)
    return {name: np.asarray(values)[order] for name, values in truth.items()}


@check
def no_input_gives_the_target_away(subject: Subject) -> None:
    """No single input determines the label perfectly."""
    train = subject.featured.splits.train
    label = np.asarray(subject.probe(lambda probes: probes.label, train))
    for name, values in subject.probe(lambda probes: probes.inputs, train).items():
        assert not determines(np.asarray(values), label), f"the label follows from {name!r} alone"


def determines(values: np.ndarray[Any, Any], label: np.ndarray[Any, Any]) -> bool:
    """Whether one input tells the label of every row: by a cut-off, by its level, or, for a numeric label, by its rank.

    >>> determines(np.array([1.0, 2.0, 8.0, 9.0]), np.array(["no", "no", "yes", "yes"]))
    True
    >>> determines(np.array([1.0, 8.0, 2.0, 9.0]), np.array(["no", "no", "yes", "yes"]))
    False
    """
    known = np.array([value == value for value in values.tolist()], dtype=bool)  # NaN is not itself
    values, label = values[known], label[known]
    classes = np.unique(label.astype(str))
    if len(label) < 3 or len(classes) < 2:
        return False
    numeric = values.dtype.kind in "fiu"
    keys, level = np.unique(values if numeric else values.astype(str), return_inverse=True)
    few = len(keys) <= len(label) // 2  # with a level for each row, every level is pure and says nothing
    if few and all(len(set(label[level == one].tolist())) == 1 for one in range(len(keys))):
        return True
    if not numeric:
        return False
    if len(classes) <= _CLASSES:
        ordered = label.astype(str)[np.argsort(values, kind="stable")]
        return int((ordered[1:] != ordered[:-1]).sum()) == len(classes) - 1
    if label.dtype.kind not in "fiu":
        return False
    by_value, by_label = (np.argsort(np.argsort(one, kind="stable"), kind="stable").astype(float) for one in (values, label))
    return bool(abs(np.corrcoef(by_value, by_label)[0, 1]) > 0.9999)
