"""Working off what is due for the invoices of an organisation.

The due set in the store says which invoice is to be looked at when. A job is only the hint that
there may be something in it: one drain per organisation and process takes what is due, a few at
once, until nothing is left, so that no organisation takes all the room there is.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from sync.errors import StoreError
from sync.ports import Ports
from sync.sending import Sender
from sync.store.keys import Keys
from sync.store.scripts import CLAIM_DUE

log = structlog.get_logger(__name__)

AT_ONCE = 8  # invoices of one organisation in work in one process
TAKEN_FOR = timedelta(seconds=30)  # a dead worker's invoices are looked at again after this


class Drain:
    """The drains of one process."""

    def __init__(self, ports: Ports) -> None:
        """Nothing is under way yet."""
        self._ports = ports
        self._active: set[str] = set()
        self._again: set[str] = set()
        self._held: dict[tuple[str, str], bool] = {}  # in work -> somebody else wanted it too

    async def run(self, org: str) -> None:
        """Work off what is due now for `org`; at once if a drain is at it already."""
        if org in self._active:
            self._again.add(org)
            return
        self._active.add(org)
        try:
            await self._until_done(org)
        finally:
            self._active.discard(org)
        try:
            await self._hint_next(org)
        except StoreError as error:
            log.info("hint lost", org=org, hint="delivery", error=error.reason_code)

    async def _until_done(self, org: str) -> None:
        while True:
            self._again.discard(org)
            async with asyncio.TaskGroup() as group:
                self._one_more(org, group, AT_ONCE)
            if org not in self._again or self._ports.stopping():
                return

    def _one_more(self, org: str, group: asyncio.TaskGroup, room: int) -> None:
        if room:
            group.create_task(self._one_after_another(org, group, room - 1))

    async def _one_after_another(self, org: str, group: asyncio.TaskGroup, room: int) -> None:
        """Take one, then the next; whoever finds a first one calls the next worker.

        Mostly one invoice is due: the store is then asked three times, not `AT_ONCE` times.
        """
        sender = Sender(self._ports, org)
        while not self._ports.stopping():
            try:
                taken = await self.take(org, 1)
                if not taken:
                    return
                self._one_more(org, group, room)
                room = 0
                await self._advance(sender, taken[0])
            except StoreError as error:
                log.info("store trouble", org=org, error=error.reason_code)
                return

    async def _advance(self, sender: Sender, invoice_id: str) -> None:
        """Go on with one invoice; not twice at once in this process.

        Each transition says anew when the invoice is due, often at once, so it is taken again
        while it is worked on. Two at it would ask sevDesk for the same twice.
        """
        key = (sender.org, invoice_id)
        if key in self._held:
            self._held[key] = True
            return
        self._held[key] = True
        try:
            while self._held[key]:
                self._held[key] = False
                await sender.advance(invoice_id)
        finally:
            del self._held[key]

    async def take(self, org: str, count: int) -> list[str]:
        """Some invoices for which something is due; nobody else gets them for a while."""
        now = self._ports.now()
        ids = await CLAIM_DUE.run(
            self._ports.clients.exact,
            Keys(org).due,
            str(now.timestamp()),
            str((now + TAKEN_FOR).timestamp()),
            count,
        )
        return [str(i) for i in ids]

    async def _hint_next(self, org: str) -> None:
        """A hint for the time at which something is due next."""
        at = await next_due(self._ports, org)
        if at is not None:
            await self._ports.jobs.hint_delivery(org, at)


async def next_due(ports: Ports, org: str) -> datetime | None:
    """When something is due next for an invoice of `org`."""
    redis: Any = ports.clients.redis
    first = await redis.zrange(Keys(org).due, 0, 0, withscores=True)
    return datetime.fromtimestamp(float(first[0][1]), UTC) if first else None
