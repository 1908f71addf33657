"""What Airflow needs on SQLite, which has one writer: patience, an API server whose writing requests take turns, and savepoints that
begin a transaction.

Airflow 3.3 commits its log of actions on the API server's event loop, while a request in another thread may hold the write
lock and need that very loop to end. Each then waits for the other until SQLite gives up, one request after the other: eight
runs triggered at once held the database for twenty seconds, and the scheduler died of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

CONNECT = {"timeout": 60}
"""Seconds to wait for the write lock; SQLite's driver gives up after five, and a scheduler that cannot write ends itself."""
CONNECT_ASYNC = dict(CONNECT)
"""A copy, for Airflow adds to the other one what only the synchronous driver takes."""


def whole(connection: Any, _: str) -> None:
    """Before a savepoint: begin a transaction that has the write lock, unless there is one.

    SQLite's driver begins none for a savepoint. The savepoint alone is then a transaction that reads first, which SQLite refuses to
    let write when another process wrote meanwhile, however patient; and its release commits half of what was to be done at once:
    the runs of a backfill that may yet be taken back.
    """
    if connection.dialect.name == "sqlite" and not connection.connection.driver_connection.in_transaction:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class TakeTurns:
    """ASGI middleware that lets one writing request in at a time.

    A request waits for its turn only when its body is there, so that a slow client makes nobody wait.
    """

    def __init__(self, app: Application) -> None:
        self._app = app
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _READING:
            await self._app(scope, receive, send)
            return
        received = [await receive()]
        while received[-1].get("more_body"):
            received.append(await receive())
        waiting = iter(received)

        async def replay() -> Message:
            message = next(waiting, None)
            return await receive() if message is None else message

        async with self._turn:
            await self._app(scope, replay, send)


# here, because each process of Airflow imports this module for `CONNECT`, and some of them nothing else of ours
event.listen(Engine, "savepoint", whole)
