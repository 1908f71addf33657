"""Secrets of the embedded stack: generated once per home, readable by their owner only, never printed."""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.core.files import disk_errors

ADMIN = "admin"
"""Name of the user that is always there, in whose name the commands act."""


class Secrets(BaseModel):
    """What the components of Airflow must share."""

    model_config = ConfigDict(frozen=True)

    jwt: str = Field(default_factory=lambda: secrets.token_urlsafe(48))
    api: str = Field(default_factory=lambda: secrets.token_urlsafe(48))
    fernet: str = Field(default_factory=lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())


def password_file(home: Path) -> Path:
    """Where the passwords are; the format is Airflow's: user to password."""
    return home / "stack" / "airflow-password.json"


def password(home: Path, user: str = ADMIN) -> str:
    """A user's password."""
    found: str = json.loads(password_file(home).read_text())[user]
    return found


def _passwords(home: Path) -> dict[str, str]:
    try:
        return dict(json.loads(password_file(home).read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def load_or_create(home: Path, users: Iterable[str] = (ADMIN,)) -> Secrets:
    """The secrets of this home, with a password for each user; a damaged or missing file is replaced.

    A user without one would get it from Airflow, which prints it into its log. Raises InfrastructureError when nothing can be
    written.
    """
    file = home / "stack" / "secrets.json"
    known = _passwords(home)
    if missing := [user for user in users if user not in known]:
        _write(password_file(home), json.dumps(known | {user: secrets.token_urlsafe(18) for user in missing}))
    try:
        return Secrets.model_validate_json(file.read_text())
    except (OSError, ValidationError):
        made = Secrets()
        _write(file, made.model_dump_json(indent=1))
        return made


def _write(path: Path, text: str) -> None:
    """Write a file that was never, not even for a moment, readable by others."""
    with disk_errors(f"writing {path}"):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_suffix(f".{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "w") as stream:
                stream.write(text)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
