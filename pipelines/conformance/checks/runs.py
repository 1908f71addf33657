"""The whole chain, in every runner asked for."""

from __future__ import annotations

from typing import Any

from pipelines.conformance.engines import Chain
from pipelines.conformance.subject import NotApplicable, Subject
from pipelines.conformance.suite import check
from pipelines.core.evidence import Decision, Leaderboard

_SAME_BYTES = {"data", "model", "arrays"}
"""Codecs whose artifacts hold nothing that depends on clock or machine: equal runs give equal bytes."""


@check
def chain_runs(subject: Subject, runner: str) -> None:
    """The sample profile runs from raw data to a decision, and promotes its first model."""
    chain = subject.chain(runner)
    missing = {node.name for node in chain.session.graph.nodes} - set(chain.results)
    assert not missing, f"{sorted(missing)} did not run"
    decision = Decision.model_validate(chain.read("evaluate", "decision"))
    refused = "; ".join(f"{one.name}: wanted {one.wanted}, found {one.found}" for one in decision.criteria if not one.passed)
    assert decision.promote, f"the first model was not promoted: {refused}"
    champion = chain.session.ledger.history(subject.definition.name).champion
    assert champion is not None, "decided to promote, but there is no champion"
    assert champion.candidate == decision.winner, f"decided for {decision.winner}, champion is {champion.candidate}"


@check
def runner_agrees_with_in_process(subject: Subject, runner: str) -> None:
    """The runner gives the same artifacts, metrics and decision as the chain in this process."""
    if runner == "in_process":
        raise NotApplicable("it is what the others are compared with")
    same_results(subject.chain(runner), subject.chain("in_process"))


@check
def another_process_agrees(subject: Subject) -> None:
    """A second process, in an installation of its own, gives the same splits, models, metrics and decision."""
    same_results(subject.chain("another_process"), subject.chain("in_process"))


@check
def second_run_reuses(subject: Subject, runner: str) -> None:
    """Run again, every stage is answered from the store, and there is still one version."""
    first = subject.chain(runner)
    again = subject.run_chain(runner)
    acting = {node.name for node in first.session.graph.nodes if not node.stage.reuse}
    assert again.executed <= acting, f"run again: {sorted(again.executed - acting)} although nothing changed"
    entries = first.session.ledger.history(subject.definition.name).entries
    promotions = [entry for entry in entries if entry.kind == "promotion"]
    assert len(promotions) == 1, f"one run, repeated, made {len(promotions)} promotions"


@check
def changed_parameter_reruns_dependants(subject: Subject) -> None:
    """A changed gate reruns what reads the gates and what follows from it, and nothing else."""
    before = subject.chain("in_process")
    overrides = {"gates.slice_rows": subject.params.gates.slice_rows + 1}
    after = subject.run_chain("in_process", overrides=overrides)
    graph = after.session.graph
    must = {node.name for node in graph.nodes if "gates" in node.stage.params}
    may = set(must)
    for node in graph.nodes:
        if not node.stage.reuse or any(parent.name in may for parent in graph.upstream(node)):
            may.add(node.name)
    assert must <= after.executed, f"gates changed, {sorted(must - after.executed)} did not run again"
    assert after.executed <= may, f"gates changed, {sorted(after.executed - may)} ran again for nothing"
    same_results(after, before)


def same_results(found: Chain, expected: Chain) -> None:
    """Raise AssertionError unless two chains gave the same artifacts, metrics and decision."""
    for node in expected.session.graph.nodes:
        for output in node.stage.writes:
            if output.codec in _SAME_BYTES or output.name == "raw":
                one, other = found.ref(node.name, output.name).digest, expected.ref(node.name, output.name).digest
                assert one == other, f"{output.name} of {node.name} differs: {one[:12]}… and {other[:12]}…"
    assert _metrics(found) == _metrics(expected), f"metrics differ: {_metrics(found)} and {_metrics(expected)}"
    assert _decided(found) == _decided(expected), f"decisions differ: {_decided(found)} and {_decided(expected)}"


def _metrics(chain: Chain) -> dict[str, Any]:
    board = Leaderboard.model_validate(chain.read("evaluate", "leaderboard"))
    return {score.candidate: score.metrics for score in board.scores}


def _decided(chain: Chain) -> dict[str, Any]:
    decision = Decision.model_validate(chain.read("evaluate", "decision"))
    criteria = {criterion.name: criterion.passed for criterion in decision.criteria}
    return {"winner": decision.winner, "promote": decision.promote, "metric": decision.metric, "criteria": criteria}
