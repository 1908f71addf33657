"""Search for parameters with Optuna: seeded, pruned fold by fold, bounded by trials and time, resumable after a kill."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipelines.core.contract import Training
from pipelines.core.errors import ConfigError, InfrastructureError

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

Values = dict[str, Any]

WARM_UP = 4
"""Complete trials before the pruner may stop one."""


def search(
    folds: Callable[[Values], Iterator[float]],
    space: Callable[[Any], Values],
    start: Mapping[str, Any],
    training: Training,
) -> tuple[Values, list[dict[str, Any]]]:
    """The best values found, and every trial.

    `folds` yields the score of one fold after the other for some values, so that a hopeless trial is stopped between two
    folds. The first trial is `start`, hence the result is never worse than that in cross-validation. A study that a killed
    process left in `training.study` is continued, and comes to the values it would have come to undisturbed, because each
    trial's sampler is seeded by its position. Only reaching `training.seconds` makes the result depend on the machine.

    Raises ConfigError for a storage URL that is none, InfrastructureError when the storage does not answer.
    """
    import optuna
    from optuna.trial import TrialState

    with _storage_errors(training.study):
        study = _open(training)
        first = space(optuna.trial.FixedTrial(dict(start)))
        if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.WAITING)):
            study.enqueue_trial(first)
        deadline = time.monotonic() + training.seconds
        while (done := len(_finished(study))) < training.trials and (done == 0 or time.monotonic() < deadline):
            study.sampler = optuna.samplers.TPESampler(n_startup_trials=WARM_UP, seed=training.seed + done)
            _run(study, folds, space)
            training.progress(done + 1, training.trials, f"best {training.metric} {study.best_value:.4f}")
        return space(optuna.trial.FixedTrial(study.best_params)), [_entry(trial) for trial in _finished(study)]


def _run(study: Study, folds: Callable[[Values], Iterator[float]], space: Callable[[Any], Values]) -> None:
    """One trial, fold by fold, stopped as soon as the pruner has seen enough."""
    import optuna

    trial = study.ask()
    scores: list[float] = []
    for score in folds(space(trial)):
        scores.append(score)
        trial.report(sum(scores) / len(scores), len(scores))
        if trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return
    study.tell(trial, sum(scores) / len(scores))


def _open(training: Training) -> Study:
    """The study, with what a killed process left unfinished marked as failed."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=_storage(training.study),
        study_name=training.study_name,
        direction="maximize" if training.greater_is_better else "minimize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=WARM_UP, n_warmup_steps=1),
        load_if_exists=True,
    )
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return study


def _finished(study: Study) -> list[FrozenTrial]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _entry(trial: FrozenTrial) -> dict[str, Any]:
    return {
        "number": trial.number,
        "value": trial.value if trial.state.name == "COMPLETE" else trial.intermediate_values[max(trial.intermediate_values)],
        "state": trial.state.name.lower(),
        "params": dict(trial.params),
    }


@contextmanager
def _storage_errors(url: str) -> Iterator[None]:
    """What a database does to a search, as an error of ours that names the place and no password."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

    try:
        yield
    except (ArgumentError, NoSuchModuleError) as error:
        raise ConfigError(
            f"the studies' storage is no URL of a database ({error}); expected PIPELINES_STUDY to be such as "
            "postgresql+psycopg2://user@host/database, sqlite:///file or journal:///file"
        ) from None
    except (DBAPIError, StorageInternalError) as error:
        cause = error.__cause__ or error
        raise InfrastructureError(
            f"the studies' storage {make_url(url).render_as_string()} does not answer: {str(cause).splitlines()[0]}; start it, or "
            "point PIPELINES_STUDY to another, and run again: finished trials are kept"
        ) from error


def _storage(url: str) -> Any:
    """`journal:///path` as a journal file, anything else as Optuna takes it; an empty URL keeps the study in memory."""
    scheme, _, path = url.partition("://")
    if scheme in {"journal", "file"}:
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        return JournalStorage(JournalFileBackend(path))
    return url or None
