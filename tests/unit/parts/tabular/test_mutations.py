"""Every check is shown able to fail, alone; and the proof itself notices checks that cannot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.core.errors import ConfigError
from pipelines.parts.tabular.checks import judge_table
from pipelines.parts.tabular.loading import read_folder
from pipelines.parts.tabular.mutations import mutations, unproven
from pipelines.parts.tabular.schema import Rule, Schema


def test_every_check_of_a_small_schema_can_fail(raw: pd.DataFrame, schema: Schema) -> None:
    assert unproven(raw, schema) == []
    assert len(list(mutations(raw, schema))) == len(judge_table(raw, schema).report.checks), "one for each"


def test_a_rule_that_always_holds_is_found_out(raw: pd.DataFrame, schema: Schema) -> None:
    always = Rule("nothing is ever wrong", ("age",), lambda rows: pd.Series(True, index=rows.index), broken={"age": "20"})
    [mutation, check] = unproven(raw, replace(schema, rules=(always,), columns=schema.columns))
    assert "rule: nothing is ever wrong: expected one failing check, found []" in mutation
    assert "no mutation breaks ('pandera', None, 'nothing is ever wrong')" in check


def test_rules_state_how_they_break(raw: pd.DataFrame, schema: Schema) -> None:
    silent = Rule("says nothing", ("age",), lambda rows: rows["age"] > 0)
    with pytest.raises(ConfigError, match="says no values that break it"):
        list(mutations(raw, replace(schema, rules=(silent,))))


def test_bad_rows_prove_nothing(raw: pd.DataFrame, schema: Schema) -> None:
    with pytest.raises(ConfigError, match="these rows are no good example: column 'plan'"):
        unproven(raw.assign(plan="gold"), schema)


@pytest.mark.slow
def test_every_check_of_churn_can_fail(mirror: str | None) -> None:
    if mirror is None or not (Path(mirror) / "telco_churn").is_dir():
        pytest.skip("needs the real data; set PIPELINES_MIRROR")
    from pipelines.projects.churn.checks import SCHEMA as CHURN

    everything = read_folder(Path(mirror) / "telco_churn")
    blank = np.flatnonzero(everything["TotalCharges"].str.strip() == "")[:2]
    rows = everything.iloc[np.union1d(blank, np.arange(CHURN.rows + 50))]
    assert unproven(rows, CHURN) == []
