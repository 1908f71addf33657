"""Sending alerts: each once, to every channel, and what could not be sent is tried again with the next.

Channels are Apprise URLs (https://github.com/caronc/apprise) in `PIPELINES_ALERTS`, separated by spaces: ``slack://…``,
``mailto://…``, ``json://host/path`` for a webhook of one's own, and a hundred more. They hold secrets, so they are neither in
deployment.yaml nor in any record or log. Every alert is logged, whatever channels there are.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pipelines.alerts.alert import Alert
from pipelines.core.scrub import CHANNELS
from pipelines.core.store import Store

log = logging.getLogger("pipelines")

TOLD, WAITING, TURNS = "alerts/", "outbox/", "sending/"
"""Where the store has every alert, those that some channel has not had, and who sends which of these just now."""
PATIENCE = timedelta(minutes=1)
"""So long a waiting alert is left to the process that told it first, and to one that is sending it."""
STALE = timedelta(days=1)
"""After so long an alert that reached nobody is not news any more."""


def send(store: Store, alerts: Iterable[Alert]) -> list[Alert]:
    """Send those that were not told before, and what earlier calls could not send; returns the new ones.

    Never raises for a channel's sake.
    """
    channels = os.environ.get(CHANNELS, "").split()
    new = [alert for alert in alerts if _is_new(store, alert, channels)]
    for alert in new:
        log.warning("%s\n%s", alert.title, alert.text)
        _deliver(store, _name(alert), channels)
    for key in store.keys(WAITING):
        _deliver(store, key.removeprefix(WAITING), channels, after=PATIENCE)
    return new


def _is_new(store: Store, alert: Alert, channels: Sequence[str]) -> bool:
    """Whether nobody was told of it; then it waits from now on. First that: killed in between, the next call sends it."""
    if store.read(f"{TOLD}{_name(alert)}") is not None:
        return False
    waiting = {"alert": alert.model_dump(mode="json"), "channels": list(range(len(channels)))}
    store.create(f"{WAITING}{_name(alert)}", json.dumps(waiting).encode())
    return store.create(f"{TOLD}{_name(alert)}", alert.model_dump_json(indent=1).encode())


def _deliver(store: Store, name: str, channels: Sequence[str], after: timedelta = timedelta(0)) -> None:
    """Send a waiting alert of that age to the channels that have not had it, unless another process is just about it."""
    if (turn := _turn(store, name)) is None:
        return
    try:
        if (record := store.read_json(f"{WAITING}{name}")) is not None:  # else another process has sent it
            _try(store, name, record, channels, after)
    finally:
        store.remove(turn)


def _turn(store: Store, name: str) -> str | None:
    """Take the turn to send an alert; its record, or None while another process has it. The turn of one that was killed ends
    after `PATIENCE`: whoever comes then takes the next number, which again only one can have.
    """
    turns, now = store.keys(f"{TURNS}{name}/"), datetime.now(UTC)
    since = store.read(turns[-1]) if turns else None
    if since is not None and timedelta(0) <= now - datetime.fromisoformat(since.decode()) < PATIENCE:
        return None
    number = 1 + int(turns[-1].rpartition("/")[2]) if turns else 1
    mine = f"{TURNS}{name}/{number:06d}"
    return mine if store.create(mine, now.isoformat().encode()) else None


def _try(store: Store, name: str, record: dict[str, Any], channels: Sequence[str], after: timedelta) -> None:
    """Send an alert to the channels that have not had it, known by their place in the list, and keep which these are now."""
    alert = Alert.model_validate(record["alert"])
    age = datetime.now(UTC) - alert.at
    if timedelta(0) <= age < after:  # younger than nothing it is when the clock was set back; then it has waited long enough
        return
    store.create(f"{TOLD}{name}", alert.model_dump_json(indent=1).encode())  # the process that was to do so may have been killed
    missing = [place for place in record["channels"] if place < len(channels)]
    stale = age > STALE
    left = [place for place in missing if stale or not by_apprise(channels[place], alert)]
    then = "a day has passed, it is given up" if stale else "it is tried again with the next"
    for place in left:
        scheme = channels[place].partition("://")[0]
        log.error("the alert %r did not reach channel %d (%s); %s", alert.title, place + 1, scheme, then)
    if left and not stale:
        store.replace(f"{WAITING}{name}", json.dumps({**record, "channels": left}).encode())
    else:
        store.remove(f"{WAITING}{name}")


def by_apprise(channel: str, alert: Alert) -> bool:
    """Send by Apprise; a wrong URL and a silent server are a False, not an error."""
    from apprise import Apprise, NotifyFormat, NotifyType

    level = NotifyType.FAILURE if alert.kind in ("failure", "deadline") else NotifyType.WARNING
    try:
        service = Apprise()
        return bool(service.add(channel)) and bool(
            service.notify(body=alert.text, title=alert.title, notify_type=level, body_format=NotifyFormat.TEXT)
        )
    except Exception:
        log.exception("a channel failed")
        return False


def _name(alert: Alert) -> str:
    return f"{alert.project}/{alert.kind}-{alert.key}.json"
