"""Markdown that is shown in other people's pages: Airflow's approvals, MLflow's notes."""

from __future__ import annotations


def inert(text: str) -> str:
    """Markdown in which names from data stay words: no HTML, no link, no picture fetched from elsewhere.

    >>> inert("| <b>age</b> | ![x](http://elsewhere/y.png) |")
    '| &lt;b>age&lt;/b> | ![x]\\\\(http://elsewhere/y.png) |'
    """
    return text.replace("<", "&lt;").replace("](", "]\\(")
