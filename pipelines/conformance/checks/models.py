"""Fitting, predicting, scoring, and what is made of it for people."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from pipelines.conformance.subject import Subject, digest_of_path
from pipelines.conformance.suite import check
from pipelines.core.contract import Arrays, Evidence
from pipelines.core.errors import DataError
from pipelines.core.evidence import Criterion

_EXAMPLES = 5


@check
def fitting_is_deterministic(subject: Subject) -> None:
    """The same rows, parameters and seed give the same model, byte for byte."""
    for candidate, fit in subject.fits.items():
        again = subject.fit(candidate, subject.featured.splits)
        assert subject.model_digest(again.model) == subject.model_digest(fit.model), f"{candidate} fitted twice gives two models"


@check
def model_codec_round_trips(subject: Subject) -> None:
    """A model written twice is the same bytes, and read back it predicts the same."""
    codec = subject.project.model_codec
    for candidate, fit in subject.fits.items():
        path = subject.written(codec, fit.model)
        loaded = codec.read(path)
        _equal(
            subject,
            subject.project.predict(loaded, subject.test),
            subject.predict(candidate, subject.test),
            f"{candidate} read back",
        )
        second = subject.written(codec, fit.model)
        assert digest_of_path(path) == digest_of_path(second), f"{candidate}: written twice, the model is other bytes"


@check
def predicts_one_row_and_none(subject: Subject) -> None:
    """One row and no row are predicted like any others."""
    for candidate in subject.candidates:
        everything = subject.predict(candidate, subject.test)
        for positions in ([0], []):
            some = subject.predict(candidate, subject.project.take(subject.test, positions))
            assert set(some) == set(everything), (
                f"{candidate}: {len(positions)} rows give {set(some)}, all give {set(everything)}"
            )
            _equal(subject, some, _rows(everything, positions), f"{candidate} on {len(positions)} rows")


@check
def order_of_rows_does_not_matter(subject: Subject) -> None:
    """Each row's prediction is its own: shuffled rows give shuffled predictions."""
    order = np.random.default_rng(subject.params.seed).permutation(subject.project.count(subject.test))
    for candidate in subject.candidates:
        shuffled = subject.predict(candidate, subject.project.take(subject.test, order.tolist()))
        together = _rows(subject.predict(candidate, subject.test), order.tolist())
        _equal(subject, shuffled, together, f"{candidate} on shuffled rows")


@check
def scores_are_finite(subject: Subject) -> None:
    """Every metric that the gates name is there and finite, on all rows, on a resample and in any order."""
    truth = subject.project.truth(subject.test)
    rows = subject.project.count(subject.test)
    gates, rng = subject.params.gates, np.random.default_rng(subject.params.seed)
    bounded = {*gates.floors, *gates.ceilings, *gates.slices, *gates.slice_ceilings} - {"latency_ms", "model_mb"}
    named = {subject.params.evaluate.metric, *bounded}
    for candidate in subject.candidates:
        predictions = subject.predict(candidate, subject.test)
        found = subject.score(truth, predictions)
        assert named <= set(found), f"{candidate}: params.yaml names {sorted(named - set(found))}, score gives {sorted(found)}"
        resample, order = rng.integers(rows, size=rows).tolist(), rng.permutation(rows).tolist()
        for what, positions in (("a resample", resample), ("shuffled rows", order)):
            other = subject.score(_rows(truth, positions), _rows(predictions, positions))
            assert set(other) == set(found), f"{candidate}: {what} give other metrics: {set(other) ^ set(found)}"
            assert all(np.isfinite(list(other.values()))), f"{candidate}: on {what} not finite: {other}"
        for metric, value in found.items():
            assert np.isfinite(value), f"{candidate}: {metric} is {value}"
            assert np.isclose(other[metric], value, rtol=1e-9), f"{candidate}: {metric} depends on the order of rows"


@check
def served_rows_are_trained_rows(subject: Subject) -> None:
    """Rows as a caller sends them get the predictions they got in the test set: serving computes the same features."""
    project = subject.project
    sent = project.example(subject.test, _EXAMPLES)
    expected = project.take(subject.test, list(range(min(_EXAMPLES, project.count(subject.test)))))
    for candidate in subject.candidates:
        _equal(
            subject,
            subject.predict(candidate, project.read(sent)),
            subject.predict(candidate, expected),
            f"{candidate} on rows read again",
        )
    none = project.read(project.example(subject.test, 0))
    assert project.count(none) == 0, f"no rows sent, {project.count(none)} read"


@check
def bad_rows_are_refused(subject: Subject) -> None:
    """`read` refuses whatever is no row with a DataError that says what is wrong, and raises nothing else."""
    good = subject.project.example(subject.test, 2)
    broken = {"a number": 3, "a string": "no such thing", "a list of None": [None], "an object": object()}
    for what, rows in {**broken, **subject.probe(lambda probes: probes.broken_rows, good)}.items():
        try:
            subject.project.read(rows)
        except DataError as error:
            assert str(error).strip(), f"{what}: a DataError without a message"
        except Exception as error:
            raise AssertionError(f"{what}: {type(error).__name__} ({error}), not DataError") from error
        else:
            raise AssertionError(f"{what}: read as if nothing were wrong")


@check
def answers_are_plain(subject: Subject) -> None:
    """`answer` gives one dictionary a row that JSON can carry."""
    some = subject.project.take(subject.test, [0, 1])
    for candidate, fit in subject.fits.items():
        answers = subject.project.answer(fit.model, some, subject.predict(candidate, some))
        assert len(answers) == 2, f"{candidate}: 2 rows, {len(answers)} answers"
        assert all(isinstance(answer, dict) and answer for answer in answers), f"{candidate}: an answer is no dictionary or empty"
        json.dumps(answers, allow_nan=False)


@check
def slices_are_positions(subject: Subject) -> None:
    """Slices name existing rows, each once, and none is empty."""
    rows = subject.project.count(subject.test)
    for name, positions in subject.project.slices(subject.test).items():
        found = list(positions)
        assert found, f"slice {name!r} is empty"
        assert len(set(found)) == len(found), f"slice {name!r} names a row twice"
        assert all(0 <= position < rows for position in found), f"slice {name!r} names rows beyond the {rows} there are"


@check
def units_are_one_label_a_row(subject: Subject) -> None:
    """Rows that depend on each other are named by one label a row, the same each time; or each row is on its own."""
    units = subject.project.units(subject.test)
    if units is None:
        return
    rows = subject.project.count(subject.test)
    assert len(units) == rows, f"units gives {len(units)} labels for {rows} rows"
    assert list(units) == list(subject.project.units(subject.test) or ()), "the same rows have other units the second time"
    assert len(set(units)) > 1, "all test rows are one unit, so nothing can be said of other units; give the test set several"


@check
def times_are_one_a_row(subject: Subject) -> None:
    """Rows that carry a time say it in seconds, one a row, also when they are raw; or none does, and there is no season."""
    for what, data in (("test rows", subject.test), ("raw rows", subject.data)):
        times = subject.project.times(data)
        if times is None:
            assert not subject.params.monitor.season, f"{what} carry no time, and params.yaml has a monitor.season"
            continue
        array = np.asarray(times)
        assert array.shape == (subject.project.count(data),), f"{what}: times has shape {array.shape}"
        assert array.dtype.kind == "f", f"{what}: times are {array.dtype}, expected seconds since 1970 as floats"
        assert np.isfinite(array).any(), f"{what}: no time is known"


@check
def watch_gives_channels(subject: Subject) -> None:
    """`watch` gives one-dimensional channels, one value a row, numbers or strings, also for raw rows."""
    model = subject.fits[subject.candidates[0]].model
    for what, data in (("test rows", subject.test), ("raw rows", subject.data)):
        channels = subject.project.watch(model, data)
        assert channels, f"{what}: nothing to watch"
        for name, values in channels.items():
            array = np.asarray(values)
            assert array.shape == (subject.project.count(data),), f"{what}: channel {name!r} has shape {array.shape}"
            assert array.dtype.kind in "fiubUO", f"{what}: channel {name!r} is {array.dtype}, neither numbers nor strings"


@check
def figures_are_drawn(subject: Subject) -> None:
    """At least one PNG figure and one CSV for `dvc plots`, each with something in it."""
    folder = subject.folder / "figures"
    folder.mkdir(parents=True)
    subject.project.figures(_evidence(subject), folder)
    figures, plots = sorted(folder.glob("*.png")), sorted((folder / "plots").glob("*.csv"))
    assert figures, f"no PNG in {sorted(p.name for p in folder.iterdir())}"
    assert plots, "no CSV under plots/"
    for figure in figures:
        assert figure.read_bytes().startswith(b"\x89PNG"), f"{figure.name} is no PNG"
    for plot in plots:
        assert len(plot.read_text().splitlines()) > 1, f"{plot.name} holds no numbers"


@check
def exports_are_judged(subject: Subject) -> None:
    """What is exported for deployment is judged by criteria, each of a name of its own."""
    folder = subject.folder / "exports"
    folder.mkdir(parents=True)
    criteria = subject.project.export(_evidence(subject), folder)
    for one in criteria:
        assert isinstance(one, Criterion), f"export returned {one!r}, expected a Criterion"
    names = [one.name for one in criteria]
    assert len(set(names)) == len(names), f"two criteria of one name: {sorted(names)}"


def _evidence(subject: Subject) -> Evidence[Any, Any]:
    """What the evaluate stage hands over, with the first candidate as the winner."""
    return Evidence(
        data=subject.test,
        truth=subject.project.truth(subject.test),
        predictions={candidate: subject.predict(candidate, subject.test) for candidate in subject.candidates},
        models={candidate: fit.model for candidate, fit in subject.fits.items()},
        winner=subject.candidates[0],
        curves={candidate: fit.curve for candidate, fit in subject.fits.items()},
        seed=subject.params.seed,
        score=subject.score,
    )


def _rows(arrays: Arrays, positions: list[int]) -> dict[str, Any]:
    return {name: np.asarray(values)[np.asarray(positions, dtype=int)] for name, values in arrays.items()}


def _equal(subject: Subject, found: Arrays, expected: Arrays, what: str) -> None:
    """Raise AssertionError unless predictions are the same, numbers within what the project tolerates."""
    relative = subject.project.tolerance
    for name, values in expected.items():
        one, other = np.asarray(found[name]), np.asarray(values)
        assert one.shape == other.shape, f"{what}: {name} has shape {one.shape}, expected {other.shape}"
        if one.dtype.kind in "fc":
            worst = float(np.abs(one - other).max(initial=0.0))
            assert np.allclose(one, other, rtol=relative, atol=relative / 1000, equal_nan=True), (
                f"{what}: {name} differs by up to {worst:g}"
            )
        else:
            assert np.array_equal(one, other), f"{what}: {name} differs"
