"""The suite itself: the toy passes it, and every check finds the fault it is there to find."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.conformance import CHECKS, Outcome, Report, Subject, cases, check_project, run_check
from pipelines.core.discovery import Definition
from pipelines.core.errors import ConfigError, GateRefused

QUICK = [name for name, check in CHECKS.items() if not check.each_runner and check.body.__module__.split(".")[-1] != "runs"]
"""Checks that run no whole chain."""


def test_the_toy_passes_without_pandas(toy: Definition) -> None:
    told: list[Outcome] = []
    report = check_project("toy", only=QUICK, on_outcome=told.append)
    report.raise_for_failures()
    assert report.ok
    assert [outcome.check for outcome in report.outcomes] == QUICK
    assert list(report.outcomes) == told
    assert {outcome.state for outcome in told} == {"passed"}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_toys_chain_runs_repeats_and_agrees_with_itself(toy: Definition, tmp_path: Path) -> None:
    check_project(toy, only=[name for name in CHECKS if name not in QUICK]).raise_for_failures()


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("runner", ["dvc", "airflow"])
def test_the_toys_chain_is_the_same_in_every_runner(toy: Definition, runner: str) -> None:
    only = [name for name, check in CHECKS.items() if check.each_runner]
    check_project(toy, runners=[runner], only=only).raise_for_failures()


FAULTS = [
    ("definition_is_lint_clean", 'name = "toy"', 'name = "tyo"', "name is 'tyo', but the folder is 'toy'"),
    ("profiles_are_valid", '"linear": Linear, ', "", "candidate 'linear' has no schema in candidate_params"),
    ("profiles_are_valid", "class Linear(Strict)", "class Linear(__import__('pydantic').BaseModel)", "lets unknown keys through"),
    ("loads", '"x": table[:, :2],', '"x": table[:, :2] + np.random.random(),', "two loads of the same files differ"),
    ("rows_can_be_taken", "np.asarray(positions, dtype=int)]", "np.sort(np.asarray(positions, dtype=int))]", "the same position gives different rows"),
    ("nothing_later_is_read", "list(window.positions(len(table)))", "range(len(table))", "half way through the replay"),
    ("nothing_later_is_read", "def probes(self)",
     'def times(self, data):\n        return np.full(len(data["x"]), 1735689600.0)\n\n    def probes(self)',
     "of a window that ends 2024-12-31 23:59 the newest row is of 2025-01-01 00:00"),
    ("load_refuses_bad_files", "(OSError, ValueError) as error", "IndexError as error", "missing files raise FileNotFoundError"),
    ("data_codec_round_trips", "data_codec = Arrays()", "data_codec = Worse()", "rows change when written and read back"),
    ("own_data_pass", 'np.isfinite(data["x"]).all(axis=1)', 'data["x"][:, 0] > 0', "are set aside, more than"),
    ("splits_are_disjoint", "(~test & ~valid, valid, test)", "(~valid, valid, test)", "are in train and in test"),
    ("duplicates_stay_together", "(group.max(initial=-1) + 1)[group.reshape(-1)]", "(len(group))", "are in train and in"),
    ("split_follows_the_seed", "default_rng(seed).random(group", "default_rng().random(group", "differs"),
    ("features_keep_the_rows", "Featured(splits, {", "Featured(Splits(self.take(splits.train, [0]), splits.valid, splits.test), {",
     "rows before and 1 after features"),
    ("exploration_has_a_first_page", '(folder / "index.html").write_text(f"<p>{share', '(folder / "start.html").write_text(f"<p>{share',
     r"explore wrote \['start.html'\] and no index.html"),
    ("fitting_is_deterministic", 'Fit({"weights": weights}', 'Fit({"weights": weights + np.random.random()}', "fitted twice gives two"),
    ("model_codec_round_trips", "model_codec = Arrays()", "model_codec = Worse()", "read back: probability differs by up to"),
    ("predicts_one_row_and_none", ' + model["weights"][2]', ' + data["x"].mean()', "on 1 rows"),
    ("order_of_rows_does_not_matter", ' + model["weights"][2]', ' + np.arange(len(data["x"]))', "on shuffled rows"),
    ("scores_are_finite", '"brier": float(np.mean((p - y) ** 2))', '"brier": float("nan")', "brier"),
    ("scores_are_finite", '"accuracy": ', '"acuracy": ', r"params.yaml names \['accuracy'\], score gives"),
    ("served_rows_are_trained_rows", 'return {"x": x.reshape(-1, 2)}', 'return {"x": x.reshape(-1, 2) * 2}', "on rows read again"),
    ("bad_rows_are_refused", "except (TypeError, ValueError) as error", "except KeyError as error", "not DataError"),
    ("answers_are_plain", '{"probability": float(p)}', '{"probability": np.float32(p)}', "float32 is not JSON serializable"),
    ("slices_are_positions", "np.flatnonzero(right).tolist(),", "[10**9],", "names rows beyond"),
    ("times_are_one_a_row", "def probes(self)", "def times(self, data):\n        return np.zeros(1)\n\n    def probes(self)",
     r"times has shape \(1,\)"),
    ("units_are_one_label_a_row", "def probes(self)", "def units(self, data):\n        return [1, 2]\n\n    def probes(self)",
     "units gives 2 labels for"),
    ("watch_gives_channels", '"x0": data["x"][:, 0]', '"x0": data["x"]', "channel 'x0' has shape"),
    ("figures_are_drawn", '(folder / "pixel.png").write_bytes(_PIXEL)', "pass", "no PNG"),
    ("exports_are_judged", "def probes(self)", 'def export(self, evidence, folder):\n        return ["small"]\n\n    def probes(self)',
     "export returned 'small', expected a Criterion"),
    ("fitting_does_not_see_the_test_rows", "Featured(splits, {",
     'Featured(Splits(*({**p, "x": p["x"] - splits.test["x"].mean(axis=0)} for p in (splits.train, splits.valid, splits.test))), {',
     "features of the train rows change with the test rows"),
    ("features_are_fitted_on_training_rows_only", "Featured(splits, {",
     'Featured(Splits(*({**p, "x": p["x"] - splits.valid["x"].mean(axis=0)} for p in (splits.train, splits.valid, splits.test))), {',
     "features of the train rows change with the validation rows; fit them on splits.train"),
    ("shuffled_labels_give_chance", "Featured(splits, {",
     'Featured(Splits(*({**p, "x": p["x"] + 2.0 * p["y"][:, None]} for p in (splits.train, splits.valid, splits.test))), {',
     "the labels reach the test rows some other way"),
    ("no_input_gives_the_target_away", 'f"x{column}": data["x"][:, column] for column in range(2)',
     'f"x{column}": data["y"] * 2.0 for column in range(2)', "the label follows from 'x0' alone"),
    ("expected_failures_are_known", 'name = "toy"', 'name = "toy"\n    expected_failures: ClassVar = {"lods": "r"}', "names 'lods'; did you mean"),
]  # fmt: skip

WORSE = '''

class Worse(Arrays):
    """Loses a little of each number."""

    def write(self, value: Any, path: Path) -> None:
        super().write({name: np.asarray(column) * 0.999 for name, column in value.items()}, path)


class Toy('''


@pytest.mark.parametrize(("check", "text", "other", "message"), FAULTS)
def test_a_check_finds_its_fault(
    broken_toy: Callable[[str, str], Definition], tmp_path: Path, check: str, text: str, other: str, message: str
) -> None:
    broken_toy("\n\nclass Toy(", WORSE)
    definition = broken_toy(text, other)
    outcome = run_check(Subject(definition, tmp_path / "check"), CHECKS[check])
    assert outcome.state == "failed", outcome
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(outcome.message)


def test_every_quick_check_is_shown_able_to_fail() -> None:
    elsewhere = {"deployment_is_valid", "found_without_import"}
    assert set(QUICK) - elsewhere == {check for check, *_ in FAULTS}


@pytest.mark.parametrize(("tolerance", "state"), [("1e-6", "failed"), ("1e-4", "passed")])
def test_a_project_says_how_exact_its_predictions_are(
    broken_toy: Callable[[str, str], Definition], tmp_path: Path, tolerance: str, state: str
) -> None:
    """A number that depends on the size of the batch in its fifth digit, as in single precision."""
    broken_toy("1 / (1 + np.exp(-score))", "(1 + 2e-5 * (len(score) > 1)) / (1 + np.exp(-score))")
    definition = broken_toy('name = "toy"', f'name = "toy"\n    tolerance = {tolerance}')
    outcome = run_check(Subject(definition, tmp_path / "check"), CHECKS["predicts_one_row_and_none"])
    assert outcome.state == state, outcome.message


def test_a_wrong_deployment_is_found(toy: Definition, tmp_path: Path) -> None:
    deployment = toy.folder / "deployment.yaml"
    deployment.write_text(deployment.read_text() + "profile: fll\n")
    outcome = run_check(Subject(toy, tmp_path / "check"), CHECKS["deployment_is_valid"])
    assert "profile 'fll'; did you mean 'full'?" in outcome.message


def test_a_module_that_cannot_be_imported_fails_its_checks(toy: Definition, tmp_path: Path) -> None:
    (toy.folder / "__init__.py").write_text("import no_such_module\n")
    outcome = run_check(Subject(toy, tmp_path / "check"), CHECKS["loads"])
    assert (outcome.state, outcome.message) == ("failed", "ModuleNotFoundError: No module named 'no_such_module'")


def test_expected_failures_are_strict(broken_toy: Callable[[str, str], Definition], tmp_path: Path) -> None:
    names = '{"loads": "stale reason", "answers_are_plain": "numpy inside"}'
    broken_toy('{"probability": float(p)}', '{"probability": np.float32(p)}')
    definition = broken_toy('name = "toy"', f'name = "toy"\n    expected_failures: ClassVar = {names}')
    subject = Subject(definition, tmp_path / "check")
    expected = run_check(subject, CHECKS["answers_are_plain"])
    assert (expected.state, expected.message, expected.ok) == ("expected failure", "numpy inside", True)
    stale = run_check(subject, CHECKS["loads"])
    assert (stale.state, stale.ok) == ("unexpected pass", False)
    assert "declared to fail (stale reason) and passes; take it out of expected_failures" in stale.message
    with pytest.raises(GateRefused, match=r"toy fails 1 of 2 conformance checks\n  - loads: declared to fail"):
        Report(project="toy", outcomes=(expected, stale)).raise_for_failures()


def test_a_check_without_its_probe_is_skipped_and_says_so(broken_toy: Callable[[str, str], Definition], tmp_path: Path) -> None:
    definition = broken_toy("    def relabel(self", "    def other(self")
    outcome = run_check(Subject(definition, tmp_path / "check"), CHECKS["shuffled_labels_give_chance"])
    assert (outcome.state, outcome.ok) == ("skipped", True)
    assert "do not offer what this check needs" in outcome.message


def test_unknown_checks_and_runners_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"there is no check 'lods'; did you mean 'loads'\?"):
        cases(only=["lods"])
    with pytest.raises(ConfigError, match=r"there is no runner 'airflw'; did you mean 'airflow'\?"):
        cases(["airflw"])


def test_every_check_says_what_it_holds_a_project_to() -> None:
    for check in CHECKS.values():
        assert check.doc.endswith("."), check.name
