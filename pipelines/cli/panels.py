"""A run's result for people, from the document that `result.document` makes. One function a part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from pipelines.cli.result import PAGES, refused
from pipelines.core.evidence import CAUTION

Document = Mapping[str, Any]
GOOD, BAD, WARN, FAINT = "green", "red", "yellow", "dim"


def show(document: Document, console: Console) -> None:
    """Print a run's result."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for make in PARTS:
        for label, content in make(document):
            grid.add_row(label, content)
            grid.add_row("", "")
    console.print(Rule(_title(document), align="left", style=FAINT))
    console.print()
    console.print(grid)
    _show_links(document, console)
    console.print(_footer(document))


Part = tuple[str, RenderableType]


def verdict(document: Document) -> Iterator[Part]:
    """What happened, in a line."""
    promotion, decision = document["promotion"], document["decision"]
    if document["verdict"]:
        found = document["verdict"]
        style = GOOD if found["outcome"] == "no drift" else WARN
        yield "Verdict", Text.assemble((found["outcome"], f"bold {style}"), f"  {found['recommendation']}")
    elif refused(document):
        keeps = f"version {document['champion']['version']} keeps serving" if document["champion"] else "there is no champion yet"
        yield "Refused", Text.assemble((_objection(decision, promotion), f"bold {BAD}"), f"; {keeps}")
    elif promotion:
        yield "Outcome", Text(_outcome(document), style=f"bold {GOOD}")


def _objection(decision: Mapping[str, Any], promotion: Mapping[str, Any] | None) -> str:
    """What stands against the winner: the criteria it failed, or, where it passed them all, why it was not promoted."""
    failed = [criterion["name"] for criterion in decision["criteria"] if not criterion["passed"]]
    if failed or not promotion:
        return f"{decision['winner']} failed: {', '.join(failed)}"
    return f"{decision['winner']} passed the gate and was not promoted: {promotion['reason'].removeprefix('refused: ')}"


def _outcome(document: Document) -> str:
    champion, promotion = document["champion"], document["promotion"]
    now = f"version {champion['version']} ({champion['candidate']}) is the champion" if champion else "there is no champion"
    nothing_new = all(stage["reused"] for stage in document["stages"])
    return f"{'nothing has changed' if nothing_new else promotion['outcome']}: {now}"


def data(document: Document) -> Iterator[Part]:
    """Source, hash and extent of the data; a simulator or stand-in is labelled where nobody can miss it."""
    snapshot = document["data"]
    if not snapshot:
        return
    caution = CAUTION.get(snapshot["source"])
    what = Text.assemble(
        (f" {snapshot['source']}: {caution} ".upper(), "bold white on red") if caution else "",
        " " if caution else "",
        (str(snapshot.get("dataset") or "own files"), "bold"),
        f" from {snapshot['source']}: {snapshot['origin']}",
    )
    lines = [what, *(Text(f"{name}  sha256 {digest[:16]}…", style=FAINT) for name, digest in snapshot["files"].items())]
    lines += [Text(f"note: {note}", style=FAINT) for note in snapshot.get("notes") or ()]
    lines += [Text(f"did not answer: {tried}", style=FAINT) for tried in snapshot.get("tried") or ()]
    yield "Data", Group(*lines)


def window(document: Document) -> Iterator[Part]:
    info = document["window"]
    if info:
        label = f" ({CAUTION[info['source']].upper()})" if info["source"] in CAUTION else ""
        replayed = ", replayed" if info.get("replayed") else ""
        lines = [Text(f"{info['window']}: {info['rows']:,} rows from {info['source']}{replayed}{label}")]
        lines += [Text(note, style=WARN) for note in [info.get("note")] if note]
        yield "Window", Group(*lines)


def validation(document: Document) -> Iterator[Part]:
    report = document["validation"]
    if report:
        yield "Validation", validation_summary(report)


def validation_summary(report: Mapping[str, Any]) -> RenderableType:
    """Rows, checks and what failed, of a validation report."""
    from pipelines.core.validation import Report

    judged = Report.model_validate(report)
    failed, tools = judged.failed, sorted({check.tool for check in judged.checks})
    passed = len(judged.checks) - len(failed)
    head = Text.assemble(
        ("✗ " if failed else "✓ ", WARN if failed else GOOD),
        f"{judged.rows:,} rows; {passed} of {len(judged.checks)} checks passed ({', '.join(tools)}); ",
        f"{judged.quarantined:,} rows set aside",
    )
    return Group(head, *(Text(f"  {check.sentence()}", style=WARN) for check in failed))


def features(document: Document) -> Iterator[Part]:
    """Columns and rows, and each table of numbers the project has in its report, such as an ablation."""
    report = document["features"]
    if not report:
        return
    columns = [f"{len(report['columns'])} columns"] if "columns" in report else []
    said = "; ".join([*columns, *(f"{count:,} {name} rows" for name, count in report.get("rows", {}).items())])
    tables = [
        _numbers(name, table)
        for name, table in report.items()
        if name != "columns" and isinstance(table, Mapping) and all(isinstance(row, Mapping) for row in table.values())
    ]
    yield "Features", Group(Text(said), *tables)


def _numbers(name: str, table: Mapping[str, Mapping[str, float]]) -> Table:
    """Rows of named numbers; what a row does not have is left blank."""
    heads = list(dict.fromkeys(head for row in table.values() for head in row))
    shown = Table(name, *heads, box=None, padding=(0, 2, 0, 0), header_style=FAINT)
    for label, row in table.items():
        shown.add_row(
            label, *(f"{row[head]:{',' if isinstance(row[head], int) else '.4f'}}" if head in row else "" for head in heads)
        )
    return shown


def leaderboard(document: Document) -> Iterator[Part]:
    """Metrics down, models across: the winner first, the champion it met last."""
    board = document["leaderboard"]
    if not board:
        return
    scores = sorted(board["scores"], key=lambda score: score["rank"] or 1_000)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(f"{board['rows']:,} test rows", style="")
    for score in scores:
        table.add_column(Text.assemble(_medal(score), score["candidate"]), justify="left")
    table.add_row(f"valid {board['metric']}", *(number(score["valid"]) for score in scores), style=FAINT, end_section=False)
    metrics = list(dict.fromkeys([board["metric"], *(name for score in scores for name in score["metrics"])]))
    for name in metrics:
        cells = [_estimate(score["metrics"].get(name)) for score in scores]
        table.add_row(name, *cells, style="bold" if name == board["metric"] else "")
    table.add_row("latency, one row", *(f"{score['latency_ms']:.1f} ms" for score in scores), style=FAINT)
    table.add_row("size", *(f"{score['model_mb']:.2f} MB" for score in scores), style=FAINT)
    caption = f"{board['confidence']:.0%} bootstrap intervals; ranked on validation rows, judged on test rows"
    yield "Leaderboard", Group(table, Text(caption, style=FAINT))


def _medal(score: Mapping[str, Any]) -> tuple[str, str]:
    return {1: ("★ ", GOOD), 0: ("♔ ", WARN)}.get(score["rank"], (f"{score['rank']} ", FAINT))


def decision(document: Document) -> Iterator[Part]:
    """Each criterion with its evidence."""
    found = document["decision"]
    if not found:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style=FAINT)
    for column in ("", "criterion", "wanted", "found"):
        table.add_column(column, overflow="fold")
    for criterion in found["criteria"]:
        passed = criterion["passed"]
        mark = Text("✓", style=GOOD) if passed else Text("✗", style=f"bold {BAD}")
        table.add_row(mark, criterion["name"], criterion["wanted"], criterion["found"], style="" if passed else BAD)
    lines: list[RenderableType] = [table]
    if comparison := found["comparison"]:
        gain = comparison["gain"]
        lines.append(
            Text(
                f"against version {comparison['incumbent']}: {found['headline']} better by {number(gain['value'])} ({interval(gain)}); "
                f"better in {comparison['probability_better']:.0%} of resamples",
                style=FAINT,
            )
        )
    yield "Gate", Group(*lines)


def champion(document: Document) -> Iterator[Part]:
    now, promotion = document["champion"], document["promotion"] or {}
    if not now:
        yield "Champion", Text("none yet", style=WARN)
        return
    line = f"{document['project']} version {now['version']} ({now['candidate']}), since {now['since'][:16].replace('T', ' ')} UTC"
    if promotion.get("replaced") is not None:
        line += f", in place of version {promotion['replaced']}"
    yield "Champion", Text(line)


def baseline(document: Document) -> Iterator[Part]:
    """What windows are compared with from now on; nothing where nothing was ever promoted."""
    if document["baseline"]:
        done = "frozen" if document["promotion"] and document["promotion"]["outcome"] == "promoted" else "as before"
        yield "Baseline", Text(f"drift reference {done}, {document['baseline'][:16]}…")


def drift(document: Document) -> Iterator[Part]:
    """Channels that moved, the strongest first."""
    found = document["drift"]
    if not found or not found["channels"]:
        return
    channels = sorted(found["channels"], key=lambda channel: (not channel["drifted"], channel["p_value"], -channel["effect"]))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style=FAINT)
    for column, justify in (("", "left"), ("channel", "left"), ("kind", "left"), ("effect", "right"), ("p", "right")):
        table.add_column(column, justify="right" if justify == "right" else "left")
    for channel in channels[:10]:
        mark = Text("drift", style=f"bold {WARN}") if channel["drifted"] else Text("·", style=FAINT)
        table.add_row(mark, channel["name"], channel["kind"], number(channel["effect"]), number(channel["p_value"]))
    more = f"; {len(channels) - 10} more channels in the drift report" if len(channels) > 10 else ""
    caption = f"{found['rows']:,} rows against {found['reference_rows']:,}; {found['method']}; false alarms {found['false_alarm_rate']:.0%}"
    yield "Drift", Group(table, Text(caption + more, style=FAINT))


def _show_links(document: Document, console: Console) -> None:
    """Where to look further, one whole address a line, so that it can be copied."""
    for name, place in document["links"].items():
        url = place if "://" in place else f"file://{place}"
        line = Text.assemble((f"{PAGES.get(name, name.replace('_', ' ')):<14}", "bold"), (place, f"link {url}"))
        console.print(line, soft_wrap=True)
    console.print()


PARTS: tuple[Callable[[Document], Iterator[Part]], ...] = (
    verdict,
    data,
    window,
    validation,
    features,
    leaderboard,
    decision,
    drift,
    champion,
    baseline,
)


def _title(document: Document) -> Text:
    overrides = "".join(f", {key}={value}" for key, value in document["overrides"].items())
    what = "" if document["chain"] == "training" else f" · {document['chain']}"
    return Text.assemble(
        (document["title"], "bold"), f"{what} · {document['profile']}{overrides} · as of {document['as_of'][:10]}"
    )


def _footer(document: Document) -> Text:
    stages = document["stages"]
    reused = sum(stage["reused"] for stage in stages)
    return Text(f"{document['run']} · {len(stages)} stages, {reused} reused · {document['seconds']:.1f} s", style=FAINT)


def number(value: float | None) -> str:
    """A figure at the precision people read: four decimals below ten, fewer above.

    >>> [number(0.84951), number(12.345), number(1234.5), number(None)]
    ['0.8495', '12.35', '1,234', '–']
    """
    if value is None or value != value:
        return "–"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}" if abs(value) < 1000 else f"{value:,.0f}"


def interval(estimate: Mapping[str, float]) -> str:
    """An estimate's interval, short enough for a table of models.

    >>> interval({"low": 0.83081, "high": 0.8758}), interval({"low": -0.004, "high": 21.5})
    ('.831–.876', '-.004–21.50')
    """
    return f"{_short(estimate['low'])}–{_short(estimate['high'])}"


def _short(value: float) -> str:
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else number(value) if abs(value) >= 10 else f"{value:.2f}"


def _estimate(estimate: Mapping[str, float] | None) -> Text:
    if estimate is None:
        return Text("–", style=FAINT)
    return Text.assemble(number(estimate["value"]), (f" {interval(estimate)}", FAINT))
