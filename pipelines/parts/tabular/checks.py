"""A schema carried out on a table: Pandera for columns and rows, Great Expectations for the whole, one report of ours.

::

    raw cells ── parse ──▶ types ── Pandera ──▶ rows that pass ── Great Expectations ──▶ cleaned
                             │                        │                    │
                       unusable column           row set aside       table not healthy
                       (stops the run)           (quarantine)         (stops the run)
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipelines.core.contract import Checked
from pipelines.core.files import scratch
from pipelines.core.validation import Report
from pipelines.parts.tabular import docs, row_rules, table_rules
from pipelines.parts.tabular.parse import parse, settle
from pipelines.parts.tabular.schema import Schema


@dataclass(frozen=True)
class Judgement:
    """What a schema says of one table."""

    cleaned: pd.DataFrame
    """The declared columns in their types, without the rows that break a row rule."""
    report: Report
    faults: Mapping[int, Sequence[str]]
    """Row position to the row rules it breaks."""
    sections: Sequence[str]
    """Great Expectations' rendering of its results."""


def check_table(raw: pd.DataFrame, schema: Schema) -> Checked[pd.DataFrame]:
    """Judge a table by its schema and write the docs, into a new temporary folder that is the caller's to remove."""
    raw = raw.reset_index(drop=True)
    found = judge_table(raw, schema)
    folder = Path(tempfile.mkdtemp(prefix="data-docs-", dir=scratch()))
    docs.write(folder, found.report, raw, found.faults, found.sections)
    return Checked(found.cleaned, found.report, folder)


def judge_table(raw: pd.DataFrame, schema: Schema) -> Judgement:
    """Judge a table by its schema, everything at once; never raises for what the data are like.

    Of rows with the same id the first is kept.
    """
    raw = raw.reset_index(drop=True)
    parsed = parse(raw, schema)
    judged = row_rules.judge(raw, parsed, schema)
    good = parsed.frame.drop(index=list(judged.faults)).reset_index(drop=True)
    usable = good.drop(columns=[name for name in judged.broken if name in good.columns])
    about_table, sections = table_rules.judge(usable, schema)
    report = Report(rows=len(raw), quarantined=len(judged.faults), checks=(*judged.checks, *about_table))
    return Judgement(settle(good, schema), report, judged.faults, sections)
