"""Choosing ports on loopback."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

from pipelines.stack.environment import HOST, Ports


def choose(wanted: Ports, say: Callable[[str], None]) -> Ports:
    """The wanted ports, each replaced by a free one when something else listens there; `say` tells which."""
    chosen = {}
    for name, port in wanted.model_dump().items():
        chosen[name] = port if is_free(port) else free()
        if chosen[name] != port:
            say(f"port {port} is taken by another program; {name} gets port {chosen[name]}")
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
