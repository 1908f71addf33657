"""Keep secrets out of everything that is logged: tags, parameters, error messages, the diff."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

_SECRET_NAME = re.compile(
    r"PASSWORD|PASSWD|SECRET|TOKEN(?!S|IZ)|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIAL|FERNET", re.IGNORECASE
)
_SHORTEST = 6
"""Shorter values would blank out ordinary words."""
_URL_PASSWORD = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@]*):[^\s/@]+@", re.IGNORECASE)
_ASSIGNMENT = re.compile(rf"(\b\w*(?:{_SECRET_NAME.pattern})\w*\s*[:=]\s*)(['\"]?)[^\s'\",;]+\2", re.IGNORECASE)

MASK = "***"


def scrub(text: str, environ: Mapping[str, str] | None = None) -> str:
    """`text` without values of secret-looking environment variables, passwords in URLs and secret-looking assignments.

    >>> scrub("refused: hunter2hunter2", {"DB_PASSWORD": "hunter2hunter2"})
    'refused: ***'
    >>> scrub("postgresql://ml:s3cr3t@db/mlflow", {})
    'postgresql://ml:***@db/mlflow'
    >>> scrub("api_key: abc123, seed: 7", {})
    'api_key: ***, seed: 7'
    >>> scrub("max_tokens: 512", {})
    'max_tokens: 512'
    """
    for name, value in (os.environ if environ is None else environ).items():
        if _SECRET_NAME.search(name) and len(value) >= _SHORTEST:
            text = text.replace(value, MASK)
    return _ASSIGNMENT.sub(rf"\1{MASK}", without_password(text))


def without_password(text: str) -> str:
    """URLs in `text` without their passwords."""
    return _URL_PASSWORD.sub(rf"\1:{MASK}@", text)
