"""Rendering of the HTML templates beside this file; whatever is filled in is escaped."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def render_page(name: str, **values: Any) -> str:
    """The template `name`, filled in. Raises jinja2's UndefinedError for a value that is not given."""
    return _environment().get_template(name + ".jinja").render(**values)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["capitalize_first"] = lambda text: str(text)[:1].upper() + str(text)[1:]
    return environment


def number(value: float | None) -> str:
    """A figure in as many digits as people read.

    >>> [number(v) for v in (0.84951, 12.3456, 6042, None, float("nan"))]
    ['0.8495', '12.35', '6,042', '–', '–']
    """
    if value is None or value != value:
        return "–"
    if float(value).is_integer() and abs(value) >= 10:
        return f"{value:,.0f}"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.2f}"
