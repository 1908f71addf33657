"""What holds for a table as a whole, as a Great Expectations suite with its own rendering of the results.

The import costs seconds, so nothing else imports this module. The tool reports progress and advice on the standard
streams, and its pages load scripts and pictures from the network; here it is silent, and the pages stand on their own.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pandas as pd

from pipelines.core.settings import quiet_environment
from pipelines.core.validation import Check
from pipelines.parts.tabular.schema import Schema

TOOL = "great_expectations"
NUMBER = "number"
"""Key of an expectation's place in the suite among what the tool keeps for us."""


@dataclass(frozen=True)
class Expected:
    """One expectation: what it is called in the report, and its class and arguments in the suite."""

    column: str | None
    rule: str
    kind: str
    arguments: dict[str, Any]


def expected(schema: Schema, rows: pd.DataFrame) -> Iterator[Expected]:
    """What the schema says of the table as a whole; of columns that are there, and of means only if there are rows."""
    yield Expected(None, f"has at least {schema.rows:,} rows", "ExpectTableRowCountToBeBetween", {"min_value": schema.rows})
    target = schema.target
    if rows.empty:
        return
    if target in rows.columns:
        constant = rows[target].nunique() < 2
        yield Expected(
            target, "has more than one value", "ExpectColumnUniqueValueCountToBeBetween", {"column": target, "min_value": 2}
        )
        if schema.balance and not constant:
            low, high = schema.balance
            yield Expected(
                target,
                f"is {schema.positive!r} in {low:.0%} to {high:.0%} of the rows",
                "ExpectColumnMeanToBeBetween",
                {"column": _share(schema), "min_value": low, "max_value": high},
            )
    for column in (schema[str(name)] for name in rows.columns):
        if column.mean:
            low, high = column.mean
            yield Expected(
                column.name,
                f"has a mean from {low:g} to {high:g}",
                "ExpectColumnMeanToBeBetween",
                {"column": column.name, "min_value": low, "max_value": high},
            )
        if column.missing is not None:
            yield Expected(
                column.name,
                f"is missing in at most {column.missing:.1%} of the rows",
                "ExpectColumnProportionOfNonNullValuesToBeBetween",
                {"column": column.name, "min_value": 1 - column.missing},
            )


def judge(rows: pd.DataFrame, schema: Schema) -> tuple[tuple[Check, ...], list[str]]:
    """Verdicts on the table of the rows that passed, and Great Expectations' rendering of them as pieces of HTML."""
    expectations = list(expected(schema, rows))
    if schema.target in rows.columns and schema.balance:
        rows = rows.assign(**{_share(schema): (rows[schema.target] == schema.positive).astype(float)})
    with _silence():
        results = _run(rows, expectations)
        by_number = {result.expectation_config.meta[NUMBER]: result for result in results.results}
        checks = tuple(_verdict(one, by_number[number]) for number, one in enumerate(expectations))
        return checks, _render(results)


def _share(schema: Schema) -> str:
    return f"{schema.target} = {schema.positive}"


def _run(rows: pd.DataFrame, expectations: list[Expected]) -> Any:
    """The suite's results, each with the number of its expectation: the tool returns those that raised out of order."""
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("data").add_dataframe_asset("cleaned rows")
    batch = asset.add_batch_definition_whole_dataframe("all")
    suite = context.suites.add(gx.ExpectationSuite(name="table"))
    for number, one in enumerate(expectations):
        suite.add_expectation(getattr(gx.expectations, one.kind)(**one.arguments, meta={NUMBER: number}))
    definition = context.validation_definitions.add(gx.ValidationDefinition(name="table", data=batch, suite=suite))
    results = definition.run(batch_parameters={"dataframe": rows})
    for result in results.results:  # its pages cannot show numpy's numbers
        if hasattr(observed := result.result.get("observed_value"), "item"):
            result.result["observed_value"] = observed.item()
    return results


def _verdict(one: Expected, result: Any) -> Check:
    observed = result.result.get("observed_value")
    found = f"found {observed:,.4g}" if observed is not None else f"could not be judged: {result.exception_info}"
    return Check(
        tool=TOOL,
        column=one.column,
        rule=one.rule,
        level="table",
        failures=int(not result.success),
        examples=(found,),
    )


def _render(results: Any) -> list[str]:
    """Sections of Great Expectations' page, without the ones on the machine and the hour."""
    from great_expectations.render.renderer import ValidationResultsPageRenderer

    page = ValidationResultsPageRenderer().render(results)
    sections = [section for section in page.sections if section.section_name not in ("Overview", "Run Info")]
    return [
        str(_view().render({"section": section.to_json_dict(), "section_loop": {"index": number}}))
        for number, section in enumerate(sections, 1)
    ]


@cache
def _view() -> Any:
    """What turns a section into HTML; kept, because compiling its templates takes longer than validating."""
    from great_expectations.render.view.view import DefaultJinjaSectionView

    return DefaultJinjaSectionView()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """No telemetry, log lines, warnings or progress bars while the tool works."""
    quiet_environment()
    logger = logging.getLogger("great_expectations")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
