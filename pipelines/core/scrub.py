"""Keep secrets out of everything that is written: tags, parameters, reports, logs, error messages, the diff.

A secret comes from the environment, never from a parameter: parameters are written to runs, tags and reports on purpose, so one
that looks like a secret is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from pipelines.core.errors import ConfigError

_SECRET_NAME = re.compile(
    r"PASSWORD|PASSWD|SECRET|TOKEN(?!S|IZ)|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIAL|FERNET", re.IGNORECASE
)
CHANNELS = "PIPELINES_ALERTS"
"""URLs whose every part may be a token."""
_SHORTEST = 6
"""Shorter values would blank out ordinary words."""
_URL_PASSWORD = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@]*):([^\s/@]+)@", re.IGNORECASE)
_ASSIGNMENT = re.compile(rf"(\b\w*(?:{_SECRET_NAME.pattern})\w*\s*[:=]\s*)(['\"]?)[^\s'\",;]+\2", re.IGNORECASE)
_TOKEN = re.compile(r"(?=[^\d]*\d)(?=[^A-Za-z]*[A-Za-z])[\w-]{8,}")
"""A part of an address that looks drawn by lot: letters and digits, no dot, eight or more."""

MASK = "***"


def scrub(text: str, environ: Mapping[str, str] | None = None) -> str:
    """`text` without the secrets of the environment, passwords in URLs and secret-looking assignments.

    >>> scrub("refused: hunter2hunter2", {"DB_PASSWORD": "hunter2hunter2"})
    'refused: ***'
    >>> scrub("refused: hunter2hunter2", {"DB": "postgresql://ml:hunter2hunter2@db/mlflow"})
    'refused: ***'
    >>> scrub("postgresql://ml:s3cr3t@db/mlflow", {})
    'postgresql://ml:***@db/mlflow'
    >>> scrub("api_key: abc123, seed: 7", {})
    'api_key: ***, seed: 7'
    >>> scrub("max_tokens: 512", {})
    'max_tokens: 512'
    """
    for value in secret_values(environ):
        text = text.replace(value, MASK)
    return _ASSIGNMENT.sub(rf"\1{MASK}", without_password(text))


def without_password(text: str) -> str:
    """URLs in `text` without their passwords."""
    return _URL_PASSWORD.sub(rf"\1:{MASK}@", text)


def secret_values(environ: Mapping[str, str] | None = None) -> list[str]:
    """What must be seen nowhere, longest first: values of secret-looking variables, passwords in the URLs of any variable, and
    the channels of `PIPELINES_ALERTS` with their tokens.

    >>> secret_values({"PIPELINES_ALERTS": "slack://T0K3N0NE1/T0K3NTWO2", "HOME": "/home/ada"})
    ['slack://T0K3N0NE1/T0K3NTWO2', 'T0K3N0NE1', 'T0K3NTWO2']
    """
    return list(_secrets_in(tuple((os.environ if environ is None else environ).items())))


@lru_cache(maxsize=8)
def _secrets_in(environment: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """Every tag and parameter is scrubbed, a hundred for a run; the environment is looked through once."""
    env = dict(environment)
    found = {value for name, value in env.items() if _SECRET_NAME.search(name)}
    for value in env.values():
        found |= {form for _, password in _URL_PASSWORD.findall(value) for form in (password, unquote(password))}
    for channel in env.get(CHANNELS, "").split():
        found |= {channel, *_TOKEN.findall(channel.partition("://")[2])}
    return tuple(sorted((value for value in found if len(value) >= _SHORTEST), key=lambda value: (-len(value), value)))


def refuse_secrets(overrides: Mapping[str, Any]) -> None:
    """Raise ConfigError, which does not repeat the value, for a parameter that looks like a secret."""
    for name, value in overrides.items():
        if _SECRET_NAME.search(name) or _URL_PASSWORD.search(str(value)):
            raise ConfigError(
                f"{name} looks like a secret, and parameters are written to runs, tags and reports; nothing was kept. Give it as an "
                "environment variable that the project reads"
            )
        if isinstance(value, Mapping):
            refuse_secrets({f"{name}.{key}": inner for key, inner in value.items()})
