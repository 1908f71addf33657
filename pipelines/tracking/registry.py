"""Promotion, rollback and repair. The ledger decides; MLflow's versions and aliases follow from it.

Order of a promotion: find or make the version, write the ledger entry on condition that the champion is still the one the
decision was made against, set the aliases. Killed after any step, the same promotion run again finds what is there and goes
on; nothing is made twice.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.core import approvals
from pipelines.core.approvals import Answer
from pipelines.core.artifacts import Ref
from pipelines.core.discovery import find_project
from pipelines.core.errors import ConfigError, GateRefused, InfrastructureError, PipelineError, did_you_mean
from pipelines.core.evidence import Decision
from pipelines.core.execution import Context, Session
from pipelines.core.files import scratch_folder
from pipelines.core.graph import Output
from pipelines.core.ledger import Entry, History, Ledger
from pipelines.core.scrub import without_password
from pipelines.core.settings import Settings
from pipelines.core.store import Store
from pipelines.tracking import records
from pipelines.tracking.facts import facts_of
from pipelines.tracking.flavour import Served
from pipelines.tracking.provenance import provenance
from pipelines.tracking.runs import MlflowTracker

if TYPE_CHECKING:
    from pipelines.tracking.versions import Versions

log = logging.getLogger("pipelines")

CLI = "cli"
"""The run of a person's command, which has no id: it moves a champion each time it is given."""
_EXAMPLE_ROWS = 5


def promote(context: Context) -> dict[str, Any]:
    """Carry out a decision; say what has become of it. Started again, it says the same and changes nothing.

    Raises GateRefused when the champion is no longer the one the decision was made against.
    """
    session = context.session
    decision = Decision.model_validate(context.read("decision"))
    model = context.refs("model")[decision.winner]
    answer = approvals.given(session.store, session.run.project, context.ref("decision"), model)
    entry = carried_out(context.history, decision, context.ref("decision"), model, answer)
    if entry is None:
        entry = _carry_out(context, decision, model, answer)
    follow(session.settings, session.run.project, session.store, session.run.model_name)
    return told(entry, session.ledger.history(session.run.project))


def rollback(
    settings: Settings,
    project: str,
    to: int | None = None,
    why: str = "by hand",
    run: str = CLI,
    by: str = "",
    tell: Callable[[str], None] = log.warning,
) -> Entry:
    """Restore an earlier champion: the one before, or version `to`. The one that leaves is not promoted again.

    `run` is what does it: `cli`, or the id of a DAG run, which rolls back once however often its task runs; `by` is the person, and
    where. `tell` gets a sentence when MLflow is down: the champion has moved all the same, and must not be moved again.

    Raises GateRefused when there is nothing to go back to, ConfigError for a version that never was champion.
    """
    find_project(project)
    store = _store(settings)
    history = Ledger(store).history(project)
    done = [e for e in history.entries if e.kind == "rollback" and e.run == run != CLI]
    entry = done[-1] if done else _roll_back(Ledger(store), history, project, to, Entry(kind="rollback", run=run, by=by, why=why))
    follow_if_possible(settings, project, store, tell)
    return entry


def _roll_back(ledger: Ledger, history: History, project: str, to: int | None, asked: Entry) -> Entry:
    champion = history.champion
    if champion is None:
        raise GateRefused(f"{project} has no champion yet, so there is nothing to roll back; `pipelines run {project}` makes one")
    target = history.previous if to is None else history.version(to)
    if target is None:
        raise _nowhere(project, history, champion, to)
    if target.version == champion.version:
        raise ConfigError(f"version {to} is the champion of {project} already; nothing to do")
    restored = {name: getattr(target, name) for name in ("version", "candidate", "model", "lineage")}
    return ledger.append(project, asked.model_copy(update={**restored, "replaced": champion.version}), champion=champion.version)


def _nowhere(project: str, history: History, champion: Entry, to: int | None) -> PipelineError:
    """Why no rollback leads to version `to`, or to any that is left below the champion."""
    served = sorted({e.version for e in history.moves if e.version is not None})
    if to is not None:
        return ConfigError(f"version {to} of {project} never was champion; those that were: {', '.join(map(str, served))}")
    others = ", ".join(str(version) for version in served if version != champion.version)
    if not others:
        return GateRefused(
            f"version {champion.version} is the first champion of {project}; there is none before it to go back to"
        )
    return GateRefused(
        f"no champion of {project} is left before version {champion.version}: what served besides was rolled back or passed over; "
        f"`pipelines rollback {project} --to VERSION` restores any of {others}"
    )


def repair(project: str, settings: Settings | None = None) -> dict[str, Any]:
    """Make MLflow's aliases what the ledger says, whatever moved them; tell what was amiss.

    Returns ``{"aliases": {alias: version}, "moved": {alias: [from, to]}, "lost": [versions MLflow has no more]}``.
    """
    settings = settings or Settings.load()
    store = _store(settings)
    state = _state(settings, project, store)
    moved, lost = _versions(settings, project).point(state["aliases"])
    store.replace(f"registry/{project}.json", json.dumps(state).encode())
    return {"aliases": state["aliases"], "moved": moved, "lost": lost}


def history(project: str, settings: Settings | None = None) -> History:
    """All that was decided about a project's models, oldest first."""
    find_project(project)
    return Ledger(_store(settings or Settings.load())).history(project)


def find(project: str, version: int | str = "champion", settings: Settings | None = None) -> Entry:
    """The entry of a version, given its number or alias. Raises ConfigError that names those there are."""
    past = history(project, settings)
    aliases = derived_aliases(past)
    number = aliases.get(str(version)) if not str(version).isdigit() else int(version)
    known = {e.version: e for e in past.entries if e.kind in ("promotion", "rejection") and e.version is not None}
    entry = None if number is None else past.version(number) or known.get(number)
    if entry is None or entry.model is None:
        names = [*aliases, *(str(n) for n in known)]
        raise ConfigError(f"{project} has no version {str(version)!r}; {did_you_mean(str(version), names)}")
    return entry


def load(project: str, version: int | str = "champion", settings: Settings | None = None) -> Served:
    """A version's model, from the artifact store and verified by its digest; MLflow is not asked."""
    settings = settings or Settings.load()
    entry = find(project, version, settings)
    assert entry.model is not None
    made = find_project(project).project()
    read_from = scratch_folder("model")
    return Served(made, made.model_codec.read(_store(settings).fetch(entry.model, Path(read_from.name))), read_from)


def derived_aliases(history: History) -> dict[str, int]:
    """`champion`, `previous` (where a rollback leads) and `challenger`: the newest winner that was judged and does not serve."""
    champion, previous = history.champion, history.previous
    serving = champion.model.digest if champion and champion.model else None
    refused = [
        e
        for e in history.entries
        if e.kind == "rejection" and e.version is not None and e.model and e.model.digest not in {serving, *history.blocked}
    ]
    entries = {"champion": champion, "previous": previous, "challenger": refused[-1] if refused else None}
    return {alias: entry.version for alias, entry in entries.items() if entry is not None and entry.version is not None}


def follow(settings: Settings, project: str, store: Store, model: str = "") -> None:
    """Let MLflow's aliases follow the ledger; when they are known to do so already, MLflow is not asked.

    `model` is what the versions are registered as: the project's name, other than in a rehearsal.

    Two processes may do this at once: each looks again after it wrote, so the last to write has seen the last entry.
    """
    mark = f"registry/{project}.json"
    while (state := _state(settings, project, store)) != store.read_json(mark):
        _versions(settings, model or project).point(state["aliases"])
        store.replace(mark, json.dumps(state).encode())


def follow_if_possible(settings: Settings, project: str, store: Store, tell: Callable[[str], None]) -> None:
    """`follow`, after a move of a person that stands whatever becomes of MLflow; it is told when it cannot be done now."""
    try:
        follow(settings, project, store)
    except InfrastructureError as error:
        tell(
            f"The champion of {project} has moved, and MLflow's aliases have not: {error}\n"
            f"They follow with the next run of {project} or with `pipelines doctor`; there is nothing to repeat."
        )


def _state(settings: Settings, project: str, store: Store) -> dict[str, Any]:
    return {"tracking": without_password(settings.tracking), "aliases": derived_aliases(Ledger(store).history(project))}


def carried_out(history: History, decision: Decision, ref: Ref, model: Ref, answer: Answer | None) -> Entry | None:
    """The entry by which this decision was carried out with a person's answer, or the champion's when the winner serves already.

    None when there is none yet: the decision is new, a person has answered it since, or the model was promoted by it once and
    serves no longer. The same rows against the same champion are the same decision, whenever they come again.
    """
    champion = history.champion
    serves = champion is not None and champion.model is not None and champion.model.digest == model.digest
    if decision.promote and serves:
        return champion
    same = [e for e in history.entries if (e.decision, e.model, e.approval) == (ref, model, answer)]
    if not same or (same[-1].kind == "promotion" and not serves):
        return None
    return same[-1]


def _carry_out(context: Context, decision: Decision, model: Ref, answer: Answer | None) -> Entry:
    session, history = context.session, context.history
    ledger, project = session.ledger, session.run.project
    blocked = model.digest in history.blocked
    unwanted = _unapproved(session, decision, answer)
    accepted = decision.promote and not blocked and not unwanted
    now = history.champion.version if history.champion else None
    if accepted and now != decision.incumbent:
        raise GateRefused(
            f"{project}: version {now} became champion while this run was compared with version {decision.incumbent}; "
            "nothing was changed. Run evaluate again, so that the new champion is the opponent."
        )
    run_id = MlflowTracker(session.settings).open(session)
    records.remember_run(session)
    lineage = _lineage(context, run_id)
    why = _rolled_back(project, history, model) if blocked else _reason(decision, unwanted)
    versions = _versions(session.settings, session.run.model_name)
    tags = {**lineage, **_verdict_tags(decision.winner, accepted, answer)}
    version = versions.register(session, run_id, model, _example(context), tags, why)
    if accepted or history.version(version) is None:  # it may be there since an earlier decision; what has served stays as it is
        versions.describe(version, tags, why, _outdated(history, version))
    entry = Entry(
        kind="promotion" if accepted else "rejection",
        run=session.run.id,
        as_of=session.run.as_of,
        why=why,
        version=version,
        candidate=decision.winner,
        model=model,
        models=tuple(sorted(ref.digest for ref in context.refs("model").values())),
        decision=context.ref("decision"),
        approval=answer,
        replaced=now if accepted else None,
        artifacts={name: context.ref(name) for name in ("raw", "snapshot", "validation", "leaderboard", "card")},
        lineage=lineage,
        metrics={decision.headline: decision.metric.model_dump()},
    )
    return ledger.append(project, entry, champion=decision.incumbent if accepted else "any")


def _example(context: Context) -> Any:
    """A few rows as a caller sends them, for the signature."""
    return context.project.example(context.read("test"), _EXAMPLE_ROWS)


def _lineage(context: Context, run_id: str) -> dict[str, str]:
    """Provenance of the run, of its data and of each stage."""
    session = context.session
    snapshot = facts_of(_output(session, "snapshot"), context.read("snapshot"), None)[None].tags
    lineage = {**provenance(session), **snapshot, "data.sha256": context.ref("raw").digest, "mlflow.run": run_id}
    before = [node.name for node in session.graph.upstream(context.node)]
    # the artifacts' manifests name whoever wrote the same bytes first, which may have been other code
    return lineage | {f"stage.{name}.fingerprint": context.done[name].fingerprint for name in before}


def _output(session: Session, name: str) -> Output:
    return next(output for output in session.graph.writer(name).writes if output.name == name)


def _unapproved(session: Session, decision: Decision, answer: Answer | None) -> str:
    """What a person has against carrying a promotion out; empty when nobody need be asked or the answer was yes."""
    asked = session.definition.deployment.approval is not None and not session.run.rehearsal
    if not asked or not decision.promote or (answer and answer.approved):
        return ""
    if answer:
        return str(answer)
    project = session.run.project
    return f"awaits approval; approve it in Airflow's DAG {project}_training, or `pipelines promote {project} --why …`"


def _verdict_tags(candidate: str, accepted: bool, answer: Answer | None) -> dict[str, str]:
    tags = {"candidate": candidate, "decision": "accepted" if accepted else "refused"}
    if answer:
        verdict = "approved" if answer.approved else "rejected"
        tags |= {"approval": verdict, "approval.by": answer.by, "approval.at": answer.at.isoformat(), "approval.why": answer.why}
    return tags


def _outdated(history: History, version: int) -> set[str]:
    """Names of the tags that earlier decisions gave a version."""
    earlier = [e for e in history.entries if e.kind in ("promotion", "rejection") and e.version == version]
    return {key for e in earlier for key in (*e.lineage, *_verdict_tags(e.candidate, True, e.approval))}


def _reason(decision: Decision, unapproved: str) -> str:
    """One sentence for people: the headline, and what failed or who objects."""
    failed = [f"{c.name}: wanted {c.wanted}, found {c.found}" for c in decision.criteria if not c.passed]
    against = "; ".join(failed) if not decision.promote else unapproved
    verdict = f"refused: {against}" if against else f"accepted: all {len(decision.criteria)} criteria passed"
    return (
        f"{verdict} ({decision.winner}, {decision.headline} {decision.metric}, data from {decision.source or 'unnamed source'})"
    )


def _rolled_back(project: str, history: History, model: Ref) -> str:
    versions = {e.version for e in history.entries if e.kind == "promotion" and e.model and e.model.digest == model.digest}
    moves = [e for e in history.entries if e.kind == "rollback" and e.replaced in versions]
    return (
        f"refused: this model served as version {moves[-1].replaced} and was rolled back ({moves[-1].why}); "
        f"`pipelines rollback {project} --to {moves[-1].replaced}` restores it"
    )


def told(entry: Entry, history: History) -> dict[str, Any]:
    """The `promotion` artifact. It describes the ledger's entry, so a repeated run tells the same."""
    return {
        "outcome": {"promotion": "promoted", "rejection": "refused"}[entry.kind],
        "version": entry.version,
        "candidate": entry.candidate,
        "model": entry.model.digest if entry.model else None,
        "replaced": entry.replaced,
        "champion": history.champion.version if history.champion else None,
        "reason": entry.why,
        "entry": entry.number,
        "run": entry.run,
    }


def _versions(settings: Settings, project: str) -> Versions:
    """Imported late: the ledger's part of this module works without MLflow."""
    from pipelines.tracking.versions import Versions

    return Versions(settings, project)


def _store(settings: Settings) -> Store:
    return Store.open(settings.store, settings.home / "cache" / "store")
