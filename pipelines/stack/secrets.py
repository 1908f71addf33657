"""Secrets of the embedded stack: generated once per home, readable by their owner only, never printed."""

from __future__ import annotations

import base64
import json
import os
import secrets
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.core.store import disk_errors

ADMIN = "admin"
"""Name of the one user of the embedded Airflow."""


class Secrets(BaseModel):
    """What the components of Airflow must share, and the admin's password."""

    model_config = ConfigDict(frozen=True)

    jwt: str = Field(default_factory=lambda: secrets.token_urlsafe(48))
    api: str = Field(default_factory=lambda: secrets.token_urlsafe(48))
    fernet: str = Field(default_factory=lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())


def password_file(home: Path) -> Path:
    """Where the admin's password is; the format is Airflow's: user to password."""
    return home / "stack" / "airflow-password.json"


def password(home: Path) -> str:
    """The admin's password."""
    found: str = json.loads(password_file(home).read_text())[ADMIN]
    return found


def load_or_create(home: Path) -> Secrets:
    """The secrets of this home; a damaged or missing file is replaced. Raises InfrastructureError when nothing can be written."""
    file = home / "stack" / "secrets.json"
    try:
        password(home)
    except (OSError, ValueError, KeyError):
        _write(password_file(home), json.dumps({ADMIN: secrets.token_urlsafe(18)}))
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
