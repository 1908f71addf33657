"""Choosing ports on loopback."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

from pipelines.stack.environment import HOST, Ports


def choose(wanted: Ports, say: Callable[[str], None]) -> Ports:
    """The wanted ports, each replaced by a free one when something else listens there or is to; `say` tells which."""
    chosen: dict[str, int] = {}
    for name, port in wanted.model_dump().items():
        holder = next((other for other in chosen if chosen[other] == port), None if is_free(port) else "another program")
        chosen[name] = port if holder is None else free()
        if holder:
            say(f"port {port} is taken by {holder}; {name} gets port {chosen[name]}")
    return Ports(**chosen)


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free() -> int:
    """A port nobody listens on."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
