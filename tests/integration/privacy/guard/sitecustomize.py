"""Writes down and refuses every attempt of this process to look up or to reach another machine.

Python imports it at the start of each process that has this folder on PYTHONPATH, children included. `ATTEMPTS` names the
file, a line per attempt.
"""

import os
import socket
import sys

LOCAL = {"", "localhost", "0.0.0.0", "::", "::1", socket.gethostname()}
EVENTS = {"socket.getaddrinfo": 0, "socket.gethostbyname": 0, "socket.gethostbyaddr": 0, "socket.connect": 1, "socket.sendto": 1}
"""Audit event to the place of the host or address among its arguments."""


def refuse(event: str, arguments: tuple) -> None:  # type: ignore[type-arg]
    if event not in EVENTS:
        return
    host = arguments[EVENTS[event]]
    if isinstance(host, tuple):  # an Internet address; sockets of other families have other forms and stay on the machine
        host = host[0]
    elif event in {"socket.connect", "socket.sendto"}:
        return
    name = host.decode() if isinstance(host, bytes) else str(host or "")
    if name in LOCAL or name.startswith("127."):
        return
    with open(os.environ["ATTEMPTS"], "a") as file:
        file.write(f"{event} {name}: {' '.join(sys.argv)}\n")
    raise OSError(f"{name} is not on this machine")


sys.addaudithook(refuse)
