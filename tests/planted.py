"""Secrets that are planted where people keep them, and the search for them in everything that was written."""

from __future__ import annotations

import contextlib
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

WORDS = {
    "AWS_SECRET_ACCESS_KEY": "planted1AwsSecret",
    "TEAM_API_KEY": "planted2TeamKey",
    "PIPELINES_ALERTS": "planted3Webhook",
    "PIPELINES_STUDY": "planted4Study",
    "SOME_DATABASE": "planted5Database",
    "PIPELINES_MIRROR": "planted6Mirror",
}
"""Where each stands, and the word itself."""


def environment(hook: int, mirror: str | None = None) -> dict[str, str]:
    """Variables with the words in them. `hook` is a port of loopback where nobody need listen; `mirror` host and port, if any."""
    served = {"PIPELINES_MIRROR": f"http://ada:{WORDS['PIPELINES_MIRROR']}@{mirror}"} if mirror else {}
    return {
        "AWS_SECRET_ACCESS_KEY": WORDS["AWS_SECRET_ACCESS_KEY"],
        "TEAM_API_KEY": WORDS["TEAM_API_KEY"],
        "PIPELINES_ALERTS": f"json://127.0.0.1:{hook}/{WORDS['PIPELINES_ALERTS']}",
        "SOME_DATABASE": f"postgresql://ml:{WORDS['SOME_DATABASE']}@db/prices",
        **served,
    }


TALKATIVE = '''
"""The toy, which says all it knows when it fails, as database drivers do."""

import logging
import os
from pathlib import Path

from pipelines.core.errors import InfrastructureError
from pipelines.projects.toy import Toy


class Talkative(Toy):
    name = "talkative"

    def fit(self, candidate, params, train, valid, training):
        tried = Path(os.environ["PIPELINES_HOME"]) / "talkative-was-tried"
        known = [os.environ[name] for name in ("AWS_SECRET_ACCESS_KEY", "TEAM_API_KEY", "SOME_DATABASE", "PIPELINES_ALERTS")]
        if candidate == "linear" and not tried.exists():
            tried.touch()
            logging.getLogger("pipelines").error("refused: %s", known)
            print("refused:", known)
            raise InfrastructureError(f"refused: {known}")
        return super().fit(candidate, params, train, valid, training)


PROJECT = Talkative
'''
"""Source of a project."""


def found(places: Iterable[Path], *said: str) -> dict[str, list[str]]:
    """Which words stand in which files below these folders, by name or content, or in what was said. What is packed is unpacked."""
    files = [path for place in places for path in place.rglob("*") if path.is_file() and not path.is_symlink()]
    held: dict[str, list[str]] = {}
    for path in files:
        parts = [path.name.encode(), *unpacked(path.read_bytes())]
        for word in WORDS.values():
            if any(form in part for form in _forms(word) for part in parts):
                held.setdefault(word, []).append(str(path))
    for word in WORDS.values():
        if any(word in text for text in said):
            held.setdefault(word, []).append("what was said")
    return held


def _forms(word: str) -> tuple[bytes, ...]:
    """A word as text has it, and as numpy's arrays of text do."""
    return word.encode(), word.encode("utf-32-le")


def unpacked(content: bytes) -> Iterator[bytes]:
    """A file's bytes, and those of whatever is packed in it: a zip's members (`.npz` is one), gzip, the values of a parquet table.
    The kind is told by the first bytes, for the store's files have no names that say it.
    """
    yield content
    with contextlib.suppress(zipfile.BadZipFile, OSError, EOFError, zlib.error, pa.ArrowException):  # cut short, or none at all
        if content.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(io.BytesIO(content)) as packed:
                for name in packed.namelist():
                    yield name.encode()
                    yield from unpacked(packed.read(name))
        elif content.startswith(b"\x1f\x8b"):
            yield from unpacked(gzip.decompress(content))
        elif content.startswith(b"PAR1"):
            for column in pq.read_table(pa.BufferReader(content)).columns:
                yield "\n".join(map(str, column.to_pylist())).encode()
