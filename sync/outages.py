"""Outages of the store itself: each organisation is told once, when the store is back.

Every worker process watches the store (`sync.watch`), so all of them see the same outage, each a
little earlier or later than the others. Each notes what it saw in one list; the sweep takes the
list and tells every connected organisation of what it does not know yet. If a process dies in
between, the next sweep goes on.

A process that is started during an outage does not know when it began. If all of them were
restarted, nobody is told of it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from sync.model import ConnectionState, Event, EventKind
from sync.ports import Ports
from sync.store.keys import Keys
from sync.store.organisation import organisations
from sync.store.scripts import OUTAGE

log = structlog.get_logger(__name__)

OUTAGES: Final = "xt:outages"  # sorted set: `<begin>|<end>` by the end (seconds)
NOTICE = timedelta(minutes=1)  # a shorter one is nothing that a person has to know of


async def note_outage(ports: Ports, lasted: timedelta) -> None:
    """The store is back after `lasted`: have people told if that was long. Raises `StoreError`."""
    if lasted < NOTICE:
        return
    redis: Any = ports.clients.redis
    end = ports.now()
    member = f"{(end - lasted).timestamp():.3f}|{end.timestamp():.3f}"
    await redis.zadd(OUTAGES, {member: end.timestamp()})


async def tell_outages(ports: Ports) -> None:
    """Tell all organisations of what was noted. Safe to repeat. Raises `StoreError`."""
    redis: Any = ports.clients.redis
    for member in await redis.zrange(OUTAGES, 0, -1):
        begin, _, end = str(member).partition("|")
        for org in await organisations(ports.clients):
            await _tell(ports, org, float(begin), float(end))
        await redis.zrem(OUTAGES, member)


async def _tell(ports: Ports, org: str, begin: float, end: float) -> None:
    connection = await ports.organisation(org).connection()
    if connection is None or connection.state is ConnectionState.DISCONNECTED:
        return
    since, until = (datetime.fromtimestamp(at, UTC) for at in (begin, end))
    event = Event(
        kind=EventKind.STORE_OUTAGE, at=until, before=since.isoformat(), after=until.isoformat()
    )
    keys = Keys(org)
    told = event.model_dump_json(exclude={"id"})
    args = (keys.prefix, f"{begin:.3f}", f"{end:.3f}", told)
    if await OUTAGE.run(ports.clients.exact, keys.flags, *args):
        log.info("outage of the store is told", org=org)
