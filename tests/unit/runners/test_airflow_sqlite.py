"""Writing requests to the API server take turns on SQLite; a savepoint there is part of a transaction."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pipelines.runners.airflow_sqlite import TakeTurns  # and with it the savepoints' transactions


class Server:
    """An application that notes who is inside it; a request leaves when it may."""

    def __init__(self) -> None:
        self.inside: list[str] = []
        self.bodies: dict[str, bytes] = {}
        self.may_leave = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.inside.append(scope["path"])
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message.get("more_body", False)
        self.bodies[scope["path"]] = body
        await self.may_leave.wait()
        self.inside.remove(scope["path"])
        await send({"type": "http.response.body"})


class Client:
    """Requests whose bodies arrive piece by piece."""

    def __init__(self, server: Server) -> None:
        self.app = TakeTurns(server)

    def request(self, method: str, path: str, *pieces: bytes, held: asyncio.Event | None = None) -> asyncio.Task[None]:
        left = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
        left.append({"type": "http.request", "body": b"", "more_body": False})

        async def receive() -> Any:
            if held:
                await held.wait()
            return left.pop(0)

        async def send(message: Any) -> None: ...

        return asyncio.create_task(self.app({"type": "http", "method": method, "path": path}, receive, send))


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_one_writes_at_a_time_and_readers_wait_for_nobody() -> None:
    async def scene() -> None:
        server = Server()
        client = Client(server)
        asked = [client.request("POST", "/a"), client.request("PATCH", "/b"), client.request("GET", "/c")]
        await settle()
        assert sorted(server.inside) == ["/a", "/c"]
        server.may_leave.set()
        await asyncio.gather(*asked)
        assert (server.inside, sorted(server.bodies)) == ([], ["/a", "/b", "/c"])

    asyncio.run(scene())


def test_a_body_arrives_whole_and_a_slow_one_keeps_nobody_waiting() -> None:
    async def scene() -> None:
        server, held = Server(), asyncio.Event()
        client = Client(server)
        slow = client.request("POST", "/slow", b"on", b"e", held=held)
        quick = client.request("POST", "/quick", b"two")
        await settle()
        assert server.inside == ["/quick"]
        server.may_leave.set()
        held.set()
        await asyncio.gather(slow, quick)
        assert server.bodies == {"/quick": b"two", "/slow": b"one"}

    asyncio.run(scene())


def test_a_request_that_fails_gives_its_turn_away() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError(scope["path"])

    async def scene() -> None:
        client = Client(Server())
        client.app = TakeTurns(broken)
        failures = await asyncio.gather(client.request("POST", "/a"), client.request("POST", "/b"), return_exceptions=True)
        assert [str(failure) for failure in failures] == ["/a", "/b"]

    asyncio.run(asyncio.wait_for(scene(), 10))


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "dag_run"
    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str]


def test_a_savepoint_has_the_write_lock_and_commits_nothing(tmp_path: Path) -> None:
    """What Airflow does to make a backfill: a run after the other, each in a savepoint, all or none."""
    engine = create_engine(f"sqlite:///{tmp_path / 'airflow.db'}", connect_args={"timeout": 0.1})
    Base.metadata.create_all(engine)
    with Session(engine) as session, Session(engine) as other:
        session.connection().exec_driver_sql("PRAGMA journal_mode=WAL")
        for number in (1, 2):
            with session.begin_nested():
                assert session.get(Row, number) is None
                session.add(Row(id=number, state="queued"))
                session.flush()
            assert other.query(Row).all() == [], "the half of it is not to be seen"
            other.add(Row(id=9, state="of another"))
            with pytest.raises(OperationalError, match="locked"):
                other.flush()
            other.rollback()
        session.rollback()
        assert other.query(Row).all() == []
