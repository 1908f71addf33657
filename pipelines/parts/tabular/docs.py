"""A validation report as a folder of plain pages: no script, nothing from the network, no date, no path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import pandas as pd

from pipelines.core.validation import Check, Report

LISTED = 2_000
"""Quarantined rows written to quarantine.csv, so that a report stays small."""

_STYLE = r"""
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1c2530;background:#fff}
table{border-collapse:collapse;width:100%;margin:1rem 0}td,th{padding:.35rem .6rem;border-bottom:1px solid #dfe4ea;text-align:left;vertical-align:top}
th{font-weight:600}code{font-size:.9em}.ok{color:#1a7f4b}.no{color:#b3261e;font-weight:600}.aside{color:#9a6700;font-weight:600}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}small{color:#5b6672}
.fa-check-circle::before{content:"\2713 passed";color:#1a7f4b}.fa-times::before,.fa-exclamation-triangle::before{content:"\2717 failed";color:#b3261e}
@media(prefers-color-scheme:dark){body{background:#14181d;color:#dfe4ea}td,th{border-color:#333c46}}
"""


def write(folder: Path, report: Report, raw: pd.DataFrame, faults: Mapping[int, Sequence[str]], sections: Sequence[str]) -> None:
    """index.html with every check, expectations.html as Great Expectations renders it, quarantine.csv with rows set aside."""
    (folder / "index.html").write_text(_index(report), encoding="utf-8")
    (folder / "expectations.html").write_text(
        page("Great Expectations: the table as a whole", '<p><a href="index.html">All checks</a></p>' + "\n".join(sections)),
        encoding="utf-8",
    )
    listed = list(faults)[:LISTED]
    quarantine = raw.iloc[listed].copy()
    quarantine.insert(0, "row", listed)
    quarantine.insert(1, "broken_rules", ["; ".join(faults[position]) for position in listed])
    quarantine.to_csv(folder / "quarantine.csv", index=False)


def _index(report: Report) -> str:
    failed = len(report.failed)
    verdict = f'<span class="no">{failed} failed</span>' if failed else '<span class="ok">all passed</span>'
    shown = f" (the first {LISTED:,} are listed)" if report.quarantined > LISTED else ""
    return page(
        "Validation",
        f"<p>{report.rows:,} rows, {len(report.checks)} checks: {verdict}. "
        f'{report.quarantined:,} rows break row rules{shown}: <a href="quarantine.csv">quarantine.csv</a>. '
        f'The table as a whole: <a href="expectations.html">expectations</a>. '
        "Rows count from 0, among those that had arrived.</p>"
        + _table("Failed", sorted(report.failed, key=lambda check: check.level == "row"))
        + _table("Passed", [check for check in report.checks if check.passed]),
    )


def _table(title: str, checks: Sequence[Check]) -> str:
    if not checks:
        return ""
    rows = "\n".join(
        f"<tr><td>{_verdict(check)}</td><td>{escape(check.column or 'the data set')}</td><td>{escape(check.rule)}</td>"
        f"<td>{check.failures:,}</td><td>{'<br>'.join(escape(example) for example in check.examples)}</td>"
        f"<td><small>{check.tool}, {check.level}</small></td></tr>"
        for check in checks
    )
    head = "<tr><th></th><th>column</th><th>rule</th><th>failures</th><th>found</th><th>checked by</th></tr>"
    return f"<h2>{title}</h2><table>{head}{rows}</table>"


def _verdict(check: Check) -> str:
    if check.passed:
        return '<span class="ok">passed</span>'
    return '<span class="no">stops the run</span>' if check.level == "table" else '<span class="aside">rows set aside</span>'


def page(title: str, body: str) -> str:
    """A whole HTML page; `body` is HTML, the title is not."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style></head>'
        f"<body><h1>{escape(title)}</h1>{body}</body></html>\n"
    )
