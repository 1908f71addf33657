"""What a person sees who is asked whether a model may be promoted, and what becomes of the answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipelines.core import approvals
from pipelines.core.alarms import Alarms
from pipelines.core.approvals import Answer
from pipelines.core.artifacts import Ref
from pipelines.core.errors import ConfigError
from pipelines.core.evidence import Decision, Leaderboard
from pipelines.core.execution import Session
from pipelines.core.ledger import Entry
from pipelines.tracking import records, registry
from pipelines.tracking.markdown import inert


def review(session: Session) -> str | None:
    """The evidence for this run's decision as Markdown; None when nobody need be asked.

    That is so in a rehearsal, when the gates refused, when the decision was answered or carried out before, or when the winner
    was rolled back.
    """
    run, found = session.run, _results(session)
    if run.rehearsal:
        return None
    ref, model = found["decision"], found["model"]
    decision = Decision.model_validate(session.read(ref))
    history, answer = session.ledger.history(run.project), approvals.given(session.store, run.project, ref, model)
    asked = decision.promote and answer is None and model.digest not in history.blocked
    done = registry.carried_out(history, decision, ref, model, answer)
    if not asked or (done and done.kind == "promotion"):
        return None
    board = Leaderboard.model_validate(session.read(found["leaderboard"]))
    parts = [
        _headline(decision, history.champion),
        _metrics(decision, board),
        _criteria(decision),
        _slices(decision),
        _data(session, found["snapshot"], history.champion),
        _drift(session),
    ]
    return inert("\n\n".join(part for part in parts if part))


def answered(session: Session, answer: Answer) -> Answer:
    """Keep an answer to this run's decision; the one that stands."""
    found = _results(session)
    return approvals.give(session.store, session.run.project, found["decision"], found["model"], answer)


def _results(session: Session) -> dict[str, Ref]:
    """`decision`, `leaderboard`, `snapshot`, and the winner's `model`."""
    found = records.results(session.store, session.run.project, session.run.id)
    if "evaluate" not in found:
        raise ConfigError(f"run {session.run.id} has no decision yet: the stage evaluate comes first")
    refs = {**found["evaluate"].outputs, "snapshot": found["ingest"].outputs["snapshot"]}
    winner = Decision.model_validate(session.read(refs["decision"])).winner
    return {**refs, "model": found[f"train-{winner}"].outputs["model"]}


def _headline(decision: Decision, champion: Entry | None) -> str:
    said = f"**{decision.winner}**: {decision.headline} {decision.metric}, data from {decision.source or 'an unnamed source'}."
    if champion is None:
        return f"{said} There is no champion yet."
    if decision.comparison is None:
        return f"{said} Version {champion.version} serves; it could not be compared on these rows."
    return (
        f"{said} Against version {decision.comparison.incumbent}, which serves, it gains {decision.comparison.gain} on the same "
        f"rows; it is better with probability {decision.comparison.probability_better:.2f}."
    )


def _metrics(decision: Decision, board: Leaderboard) -> str:
    shown = [score for score in board.scores if score.candidate in (decision.winner, "champion")]
    names = dict.fromkeys(name for score in shown for name in score.metrics)
    rows = [[name, *(str(score.metrics.get(name, "")) for score in shown)] for name in names]
    title = f"#### Metrics on {board.rows:,} test rows, {board.confidence:.0%} intervals"
    return f"{title}\n\n{_table(['metric', *(score.candidate for score in shown)], rows)}"


def _criteria(decision: Decision) -> str:
    rows = [["✓" if c.passed else "✗", c.name, c.wanted, c.found] for c in decision.criteria]
    return f"#### Criteria\n\n{_table(['', 'criterion', 'wanted', 'found'], rows)}"


def _slices(decision: Decision) -> str:
    rows = [
        [s.name, f"{s.rows:,}", str(s.metrics[decision.headline]), "" if s.judged else "too few rows to judge"]
        for s in decision.slices
        if decision.headline in s.metrics
    ]
    return f"#### Slices\n\n{_table(['slice', 'rows', decision.headline, ''], rows)}" if rows else ""


def _data(session: Session, snapshot: Ref, champion: Entry | None) -> str:
    now = _told(session.read(snapshot))
    before = _told(session.read(champion.artifacts["snapshot"])) if champion and "snapshot" in champion.artifacts else {}
    rows = [[key, before.get(key, ""), value] for key, value in now.items()]
    return f"#### Data\n\n{_table(['', 'of the champion', 'of this model'], rows)}"


def _told(snapshot: Mapping[str, Any]) -> dict[str, str]:
    """What a snapshot is, for people."""
    files = [f"{name} {digest[:12]}" for name, digest in snapshot["files"].items()]
    return {
        "source": str(snapshot["source"]),
        "origin": str(snapshot["origin"]),
        "until": str(snapshot["window"]["end"])[:10],
        "files, sha256": ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else ""),
    }


def _drift(session: Session) -> str:
    alarms = Alarms(session.store, session.run.project)
    answers = set(alarms.of(session.run.id))
    told = [event.verdict for event in alarms.events() if event.verdict and answers.intersection(event.alarms)]
    lines = [f"- {verdict.window}: {', '.join(verdict.channels)}; {verdict.recommendation}" for verdict in told]
    return "\n".join(["#### Drift alarms behind this run\n", *lines]) if lines else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; what stands in its cells cannot end them."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines)
