"""Markdown that is shown in other people's pages: Airflow's approvals, MLflow's notes."""

from __future__ import annotations


def inert(text: str) -> str:
    """Markdown in which names from data stay words: no HTML, no picture fetched from elsewhere, no link but an address that is
    written out. A link's place stands behind its brackets or, of a reference, in a definition `[name]: place`: neither is left.

    >>> inert("| <b>age</b> | ![x](http://elsewhere/y.png) |")
    '| &lt;b>age&lt;/b> | ![x]\\\\(http://elsewhere/y.png) |'
    >>> inert("[x]: http://elsewhere/y.png")
    '[x]\\\\: http://elsewhere/y.png'
    """
    return text.replace("<", "&lt;").replace("](", "]\\(").replace("]:", "]\\:")
