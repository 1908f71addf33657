"""What a name from data can do to a page that shows it as Markdown: nothing."""

from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt

from pipelines.tracking.markdown import inert

PLACE = "http://elsewhere/y.png"


@pytest.mark.parametrize(
    "name",
    [
        f"![x]({PLACE})",
        f"[x]({PLACE})",
        f"![x][b]\n\n[b]: {PLACE}",
        f"![b]\n\n[b]: {PLACE}",
        f"![b][]\n\n> [b]:\n> {PLACE}",
        f"[x][b]\n\n[b]: <{PLACE}>",
        f"\\[x]({PLACE}) \\\\[x]({PLACE})",
        f"![x][b\\]]\n\n[b\\]]: {PLACE}",
        f"<{PLACE}>",
        f"<img src={PLACE}>",
        "x: [0.85, 0.95]",
    ],
)
def test_a_name_brings_no_picture_link_or_html_into_a_page(name: str) -> None:
    page = MarkdownIt("commonmark").enable("table").render(inert(f"#### Drift\n\n- 2025: {name}\n\nretrain"))
    assert set(re.findall(r"<(\w+)", page)) <= {"h4", "ul", "li", "p", "blockquote"}


def test_intervals_read_as_ever() -> None:
    assert inert("| auc | 0.9000 [0.8500, 0.9500] |") == "| auc | 0.9000 [0.8500, 0.9500] |"
