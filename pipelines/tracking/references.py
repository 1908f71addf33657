"""A champion's drift reference, frozen after the fact: a person has promoted what the gate had refused, or the run that promoted was
killed before its last stage. Nothing is trained and nobody is promoted: the stage `baseline` runs on what that run has left.
"""

from __future__ import annotations

from pipelines.core.artifacts import Ref, StageResult
from pipelines.core.errors import DataError
from pipelines.core.execution import Results, Session, execute, save
from pipelines.core.graph import Node
from pipelines.core.ledger import Entry, Ledger
from pipelines.core.run import Run
from pipelines.core.settings import Settings
from pipelines.tracking import records, registry

PROMOTE = "promote"
"""The stage whose word is not taken from the run's records: what has become of its version since stands in the history."""


def freeze(settings: Settings, project: str) -> Ref | None:
    """The reference of the version that serves, now in the history; None when it has one already, or nobody serves.

    Raises DataError when the store no longer has the rows or the models of the run that made the version.
    """
    store = Session(Run(project=project), settings=settings).store
    past = Ledger(store).history(project)
    champion = past.champion
    if champion is None or past.baseline is not None:
        return None
    asked, _ = records.asked(store, project, champion.run)
    session, done = Session(asked, settings=settings), records.results(store, project, champion.run)
    baseline, promote = session.graph.node("baseline"), session.graph.node(PROMOTE)
    if not _left(session, champion, baseline, done):
        raise DataError(
            f"the store no longer has what run {champion.run} tested version {champion.version} on; drift can be checked again from "
            f"the next champion on, or at once after `pipelines rollback {project}` to one that has a reference"
        )
    outputs = save(session, promote, {"promotion": registry.told(champion, past)}, champion.run)
    done[promote.name] = StageResult(node=promote.name, fingerprint=champion.run, outputs=outputs)
    return execute(session, baseline, done).outputs["baseline"]


def _left(session: Session, champion: Entry, baseline: Node, done: Results) -> bool:
    """Whether all that the stage looks at is on record and in the store: of the models the champion's alone."""
    before = [node for name in baseline.stage.reads for node in session.graph.nodes_of(session.graph.writer(name))]
    if {node.name for node in before if node.name != PROMOTE} - set(done) or champion.model is None:
        return False
    read = [ref for result in done.values() for name, ref in result.outputs.items() if name in baseline.stage.reads]
    return session.store.keep([champion.model, *(ref for ref in read if ref.name not in ("model", "promotion"))])
