"""Invoice records: read them, and change them one transition at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Set
from datetime import datetime
from typing import Any

from sync import delivery, listening
from sync.errors import StaleRecordError, StoreError
from sync.model import AuditEntry, Event, InvoiceRecord, InvoiceState, Page
from sync.store.keys import Keys
from sync.store.redis import Clients
from sync.store.scripts import TRANSITION

CHUNK = 100  # records read with one pipeline, and parsed in one turn of the event loop
MAY_BE_OPEN = tuple(s for s in InvoiceState if s in delivery.UNSENT | delivery.IN_FLIGHT)


class NotDurableError(StoreError):
    """A record was written, and is not safe yet: what must not be lost cannot begin."""

    def __init__(self, written: InvoiceRecord) -> None:
        """`written`: the record with its new version."""
        super().__init__("the store's disk or replica is too slow")
        self.written = written


class Records:
    """The records of one organisation."""

    def __init__(self, clients: Clients, org: str) -> None:
        """Read and write with `clients`."""
        self._clients = clients
        # redis-py types every command as "awaitable or not", so its types are of no help here.
        self._redis: Any = clients.redis
        self._keys = Keys(org)
        self.org = org

    async def get(self, invoice_id: str) -> InvoiceRecord | None:
        """The record, or None. Raises `StoreError`."""
        found = await self.get_many([invoice_id])
        return found[0] if found else None

    async def get_many(self, invoice_ids: Iterable[str]) -> list[InvoiceRecord]:
        """The records that exist, in the order of the ids."""
        return [record async for record in self.each(invoice_ids)]

    async def each(self, invoice_ids: Iterable[str]) -> AsyncIterator[InvoiceRecord]:
        """The records that exist, in the order of the ids, read a few at a time."""
        ids = list(invoice_ids)
        for start in range(0, len(ids), CHUNK):
            if start:
                await asyncio.sleep(0)  # whatever the connection has buffered, others have a turn
            pipe = self._redis.pipeline(transaction=False)
            for invoice_id in ids[start : start + CHUNK]:
                pipe.hmget(self._keys.record(invoice_id), "v", "d")
            for version, data in await pipe.execute():
                if data is not None:
                    yield parse(version, data)

    async def all_ids(self) -> set[str]:
        """The ids of all records."""
        return set(await self._redis.smembers(self._keys.records))

    async def open_ids(self) -> tuple[frozenset[str], frozenset[str]]:
        """What the last poll found listed, and what is neither sent nor withdrawn; at one moment.

        The first is only as good as that poll was; the second is what the transitions say.
        """
        pipe = self._redis.pipeline(transaction=True)
        pipe.smembers(self._keys.listed)
        for state in MAY_BE_OPEN:
            pipe.zrange(self._keys.state(state), 0, -1)
        listed, *by_state = await pipe.execute()
        return frozenset(listed), frozenset(i for ids in by_state for i in ids)

    async def expect(self, before: Set[str], now: Set[str]) -> None:
        """Let the next poll find `now` as listed; `before` is what this one found."""
        pipe = self._redis.pipeline(transaction=False)
        for ids in _chunks(sorted(now - before)):
            pipe.sadd(self._keys.listed, *ids)
        for ids in _chunks(sorted(before - now)):
            pipe.srem(self._keys.listed, *ids)
        if now != before:
            await pipe.execute()

    async def by_number(self, number: str) -> InvoiceRecord | None:
        """The newest import with that invoice number, whatever its upper or lower case."""
        invoice_id = await self._redis.hget(self._keys.numbers, number.strip().casefold())
        return await self.get(invoice_id) if invoice_id else None

    async def put(
        self,
        record: InvoiceRecord,
        *,
        event: Event | None = None,
        audit: AuditEntry | None = None,
        durable: bool = False,
        not_due_before: datetime | None = None,
    ) -> InvoiceRecord:
        """Write the next version of a record that was read at `record.version`.

        `not_due_before`: until then nobody else is to take it up, as something is under way.
        With `durable` it returns only when the write is on the disk and on a replica, where the
        server can tell and has one; it raises `NotDurableError` when it is not in time, or when
        the record is another one by then. Raises `StaleRecordError` if somebody was faster,
        `StoreError` if it is not known whether it was written: then read the record again.
        """
        key = self._keys.record(record.invoice_id)
        wake = delivery.wake_at(record)
        if wake is not None and not_due_before is not None:
            wake = max(wake, not_due_before)
        noticed = delivery.noticed_at(record)
        data = record.model_dump_json(exclude={"version"})
        version = await TRANSITION.run(
            self._clients.exact,
            key,
            self._keys.prefix,
            record.invoice_id,
            str(record.version),
            record.state.value,
            record.run,
            data,
            str(record.state_since.timestamp()),
            "" if wake is None else str(wake.timestamp()),
            record.number.casefold(),
            event.model_dump_json(exclude={"id"}) if event else "",
            audit.model_dump_json(exclude={"id"}) if audit else "",
            (record.attempt.provider_id or "") if record.attempt else "",
            "1" if listening.listens(record) else "",
            "" if noticed is None else str(noticed.timestamp()),
        )
        if int(version) < 0:
            raise StaleRecordError(f"invoice {record.invoice_id} changed since it was read")
        written = record.model_copy(update={"version": int(version)})
        if durable and not await self._is_safe(key, data):
            raise NotDurableError(written)
        return written

    async def _is_safe(self, key: str, data: str) -> bool:
        """Whether what was written survives; not if the store goes away meanwhile."""
        try:
            return not await self._clients.secure(key, data)
        except StoreError:
            return False

    async def noticed(self) -> list[str]:
        """Ids of what a person is to look at though its state does not say so, newest first.

        See `delivery.noticed_at`: a receiver objects, or sevDesk refuses a tag.
        """
        return [str(i) for i in await self._redis.zrange(self._keys.noticed, 0, -1, desc=True)]

    async def by_provider_id(self, provider_id: str) -> InvoiceRecord | None:
        """The invoice that the access point may have news of, by its own id."""
        invoice_id = await self._redis.hget(self._keys.providers, provider_id)
        return await self.get(str(invoice_id)) if invoice_id else None

    async def counts(self) -> dict[str, int]:
        """How many invoices are in each state."""
        pipe = self._redis.pipeline(transaction=False)
        for state in InvoiceState:
            pipe.zcard(self._keys.state(state))
        numbers = await pipe.execute()
        return {s.value: int(n) for s, n in zip(InvoiceState, numbers, strict=True) if n}

    async def ids_in(
        self, states: Collection[InvoiceState], newest: int | None = None
    ) -> list[str]:
        """All ids in some states, newest first; or of each state so many of the newest."""
        pipe = self._redis.pipeline(transaction=False)
        ordered = list(states)
        end = -1 if newest is None else newest - 1
        for state in ordered:
            pipe.zrange(self._keys.state(state), 0, end, desc=True, withscores=True)
        answers = await pipe.execute() if ordered else []
        pairs = [pair for answer in answers for pair in answer]
        # As the server does: of several of one time it takes the greatest id for the newest.
        pairs.sort(key=lambda pair: (float(pair[1]), pair[0]), reverse=True)
        return [str(i) for i, _ in pairs]

    async def page(self, states: Collection[InvoiceState] | None, offset: int, limit: int) -> Page:
        """A part of the list of invoices in `states` (None: all), newest change first."""
        wanted = list(InvoiceState) if states is None else states
        ids = await self.ids_in(wanted, newest=max(1, offset + limit))
        items = await self.get_many(ids[offset : offset + limit])
        counts = await self.counts()
        total = sum(counts.get(state.value, 0) for state in wanted)
        return Page(items=tuple(items), total=total, offset=offset)

    async def due(self, before: float, limit: int = 1000) -> list[str]:
        """Ids of invoices for which something was due before a time (unix seconds)."""
        found = await self._redis.zrange(
            self._keys.due, "-inf", before, byscore=True, offset=0, num=limit
        )
        return [str(i) for i in found]

    async def scheduled(self) -> list[str]:
        """Ids of all invoices for which something is due at some time, the next first."""
        return [str(i) for i in await self._redis.zrange(self._keys.due, 0, -1)]

    async def run_invoices(self, run_id: str, limit: int) -> list[InvoiceRecord]:
        """The invoices that a sync imported, in the order of their import."""
        ids = await self._redis.zrange(self._keys.run_invoices(run_id), 0, limit - 1)
        return await self.get_many(str(i) for i in ids)


def _chunks(ids: list[str], size: int = 1000) -> list[list[str]]:
    return [ids[start : start + size] for start in range(0, len(ids), size)]


def parse(version: str, data: str) -> InvoiceRecord:
    """A stored record; the version stands beside it, so that the script can count."""
    return InvoiceRecord.model_validate_json(data).model_copy(update={"version": int(version)})
