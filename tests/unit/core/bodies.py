"""Bodies of the small stages in test_execution.py."""

from __future__ import annotations

import errno
import os
from typing import Any

from pipelines.core.errors import DataError
from pipelines.core.execution import Context

calls: list[str] = []


def make(context: Context) -> dict[str, Any]:
    calls.append("make")
    return {"number": 1, "note": "n"}


def make_do(context: Context) -> dict[str, Any]:
    calls.append("make_do")
    context.lasting = False
    return {"number": 1, "note": "n"}


def double(context: Context) -> dict[str, Any]:
    calls.append(f"double-{context.candidate}")
    return {"doubled": context.read("number") * 2}


def total(context: Context) -> dict[str, Any]:
    calls.append("total")
    context.progress(1, 1, "summed")
    return {"total": sum(context.read("doubled").values())}


def refuse(context: Context) -> dict[str, Any]:
    raise DataError("column 'x': is never negative: 3 rows", outputs={"number": {"failed": 3}})


def full(context: Context) -> dict[str, Any]:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def memory(context: Context) -> dict[str, Any]:
    raise MemoryError


def forgetful(context: Context) -> dict[str, Any]:
    return {"number": 1}


def talkative(context: Context) -> dict[str, Any]:
    return {"number": 1, "note": "n", "more": 2}


def curious(context: Context) -> dict[str, Any]:
    return {"number": context.candidate, "note": ""}
