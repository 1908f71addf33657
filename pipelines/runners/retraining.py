"""What every runner does about drift alarms: a training run claims those that are open before it begins, and when it has ended
it answers them, or opens them again where it failed. Only a run of the whole chain does so, for nothing less decides.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from pipelines.core.alarms import Alarms
from pipelines.core.execution import Session
from pipelines.tracking import open_runs

log = logging.getLogger("pipelines")


def claim(session: Session) -> tuple[str, ...]:
    """Take the open alarms for a training run; those it has now. Before the run is tracked, so that its tags name them."""
    if session.graph_name != "training":
        return ()
    claimed = _alarms(session).claim(session.run)
    if claimed:
        log.info("retraining for drift alarms: %s", ", ".join(claimed))
    return claimed


def finish(session: Session, failed: Sequence[str] = ()) -> None:
    """Say what became of the run's alarms: answered, or open again where stages have failed."""
    if session.graph_name == "training":
        _alarms(session).finish(session.run, None if failed else "trained, judged and decided", failed)


def due(session: Session) -> tuple[str, ...]:
    """Alarms for which a training run should be started now; none for a run that looks back."""
    policy = session.definition.deployment.retraining
    if session.run.looks_back or policy is None:
        return ()
    over = open_runs.over(session.store, session.run.project)
    return _alarms(session).due(session.run.as_of, policy, over)


def _alarms(session: Session) -> Alarms:
    return Alarms(session.store, session.run.project)
