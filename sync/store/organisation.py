"""Everything else that is kept of an organisation: connection, runs, lists, documents."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from sync.errors import StaleRecordError, StoreError
from sync.model import (
    AuditEntry,
    Connection,
    Event,
    Frozen,
    ParticipantId,
    SyncRun,
    Unexportable,
)
from sync.store.keys import ORGS, Keys, account_owner
from sync.store.records import Records
from sync.store.redis import Clients
from sync.store.scripts import CLAIM_OWNER, CONNECTION, FLAG, RELEASE, RENEW

RUN_DAYS = 90
CONTACTS_AT_ONCE = 500  # parsed in one turn of the event loop
ASKED_SECONDS = 30  # after this a sync that was asked for and did not begin is given up
OPEN_RUN = "open_run"  # flag: the run that began and has not ended
ERASE_WAIT = timedelta(seconds=15)  # for a poll that runs; it renews its lease every ten
ERASED = "xt:erased"  # sorted set: `<org>|<seconds>`, to be erased once more at a time (seconds)
# Whoever was at work when an organisation was erased may end with a write: of a contact, of a
# document. The longest step is a call of sevDesk with its repeats, or the making of a document.
ERASE_AGAIN = (timedelta(minutes=1), timedelta(minutes=15))
ERASE_NOW = timedelta(0)
ERASE = "-"  # instead of a ciphertext: delete the token
MAX_DOCUMENT = 64 * 1024 * 1024  # of a stored document, unpacked


class ContactFact(Frozen):
    """What is remembered of a sevDesk contact, so that it is asked for once."""

    contact_id: str
    name: str = ""
    parent_id: str = ""
    vat_number: str = ""
    buyer_reference: str = ""
    read_at: float = 0.0  # unix seconds


class Organisation:
    """The store of one organisation. Every call raises `StoreError`."""

    def __init__(self, clients: Clients, org: str, keep_documents: timedelta) -> None:
        """`keep_documents`: how long documents are kept after they were stored or sent."""
        self.org = org
        self.keys = Keys(org)
        self.records = Records(clients, org)
        self._clients = clients
        # redis-py types every command as "awaitable or not", so its types are of no help here.
        self._redis: Any = clients.redis
        self._exact: Any = clients.exact
        self._blobs: Any = clients.blobs
        self._keep = keep_documents

    # ---- connection -----------------------------------------------------------------------

    async def connection(self) -> Connection | None:
        """The connection, in whatever state, or None if there never was one."""
        version, data = await self._redis.hmget(self.keys.connection, ["v", "d"])
        if data is None:
            return None
        return Connection.model_validate_json(data).model_copy(update={"version": int(version)})

    async def put_connection(
        self,
        connection: Connection,
        *,
        token: str = "",
        event: Event | None = None,
        audit: AuditEntry | None = None,
    ) -> Connection:
        """Write the next version. `token`: ciphertext to store, `ERASE`, or empty to keep.

        Raises `StaleRecordError` if somebody was faster.
        """
        version = await CONNECTION.run(
            self._exact,
            self.keys.connection,
            self.keys.prefix,
            str(connection.version),
            connection.model_dump_json(exclude={"version"}),
            token,
            event.model_dump_json(exclude={"id"}) if event else "",
            audit.model_dump_json(exclude={"id"}) if audit else "",
        )
        if int(version) < 0:
            raise StaleRecordError("the connection changed since it was read")
        await self._redis.sadd(ORGS, self.org)
        if not connection.version:
            await self.keep()
        return connection.model_copy(update={"version": int(version)})

    async def token(self) -> str | None:
        """The sevDesk token's ciphertext."""
        found = await self._redis.get(self.keys.token)
        return None if found is None else str(found)

    async def put_token(self, ciphertext: str) -> None:
        """Replace the ciphertext, after the key was changed."""
        await self._exact.set(self.keys.token, ciphertext, xx=True)

    async def account_owner(self, account: str) -> str:
        """The organisation that has a sevDesk account, or empty."""
        return str(await self._redis.get(account_owner(account)) or "")

    async def claim_account(self, account: str) -> str:
        """Take a sevDesk account; returns the organisation that has it afterwards."""
        return str(await CLAIM_OWNER.run(self._exact, account_owner(account), self.org))

    async def release_account(self, account: str) -> None:
        """Give the account back, if it is ours."""
        await RELEASE.run(self._exact, account_owner(account), self.org)

    # ---- runs -----------------------------------------------------------------------------

    async def put_run(self, run: SyncRun, event: Event | None = None) -> None:
        """Store a run's own figures (its counts by state are kept by the transitions)."""
        pipe = self._exact.pipeline(transaction=True)
        age = timedelta(days=RUN_DAYS)
        pipe.set(self.keys.run(run.id), run.model_dump_json(exclude={"counts"}), ex=age)
        pipe.expire(self.keys.run_counts(run.id), age)
        pipe.expire(self.keys.run_invoices(run.id), age)
        if event is None:
            pipe.hset(self.keys.flags, OPEN_RUN, run.id)
        else:
            pipe.hdel(self.keys.flags, OPEN_RUN)
            pipe.set(self.keys.last_run, run.id)
            pipe.xadd(self.keys.events, {"d": event.model_dump_json(exclude={"id"})})
        await pipe.execute()

    async def run(self, run_id: str) -> SyncRun | None:
        """A run with its counts."""
        data = await self._redis.get(self.keys.run(run_id))
        if data is None:
            return None
        counts = await self._redis.hgetall(self.keys.run_counts(run_id))
        kept = {state: int(n) for state, n in counts.items() if int(n) > 0}
        return SyncRun.model_validate_json(data).model_copy(update={"counts": kept})

    async def open_run(self) -> str:
        """Id of the run that was stored last and is not finished, or empty."""
        return await self.flag(OPEN_RUN)

    async def run_size(self, run_id: str) -> int:
        """How many invoices belong to a run."""
        return int(await self._redis.zcard(self.keys.run_invoices(run_id)))

    async def drop_run(self, run_id: str) -> None:
        """Forget a run that did nothing."""
        pipe = self._exact.pipeline(transaction=True)
        pipe.delete(self.keys.run(run_id))
        pipe.hdel(self.keys.flags, OPEN_RUN)
        await pipe.execute()

    async def last_run(self) -> SyncRun | None:
        """The newest run that was told."""
        run_id = await self._redis.get(self.keys.last_run)
        return await self.run(str(run_id)) if run_id else None

    @asynccontextmanager
    async def lease(
        self, seconds: float, wait: timedelta = timedelta(0)
    ) -> AsyncIterator[Lease | None]:
        """Be the only one who polls; None if somebody is at it, and still is after `wait`.

        The lease saves requests, no more: two polls at once are harmless, because every
        transition is refused when the record was changed.
        """
        lease = Lease(self._clients, self.keys.lease, seconds)
        if not await lease.take_within(wait.total_seconds()):
            yield None
            return
        try:
            yield lease
        finally:
            await lease.release()

    async def ask_for_sync(self) -> bool:
        """False if somebody asked just before and that sync has not begun yet."""
        asked = await self._exact.set(f"{self.keys.prefix}asked", "1", nx=True, ex=ASKED_SECONDS)
        return bool(asked)

    async def sync_begins(self) -> None:
        """The sync that was asked for is here: the next one may be asked for."""
        await self._redis.delete(f"{self.keys.prefix}asked")

    async def polling(self) -> bool:
        """Whether a poll is under way."""
        return bool(await self._redis.exists(self.keys.lease))

    # ---- small lists ----------------------------------------------------------------------

    async def unexportable(self) -> dict[str, Unexportable]:
        """Invoices without XML, by id."""
        found = await self._redis.hgetall(self.keys.unexportable)
        return {k: Unexportable.model_validate_json(v) for k, v in found.items()}

    async def put_unexportable(self, entry: Unexportable) -> None:
        """Remember an invoice without XML until it changes."""
        await self._redis.hset(self.keys.unexportable, entry.invoice_id, entry.model_dump_json())

    async def drop_unexportable(self, *invoice_ids: str) -> None:
        """Forget some."""
        if invoice_ids:
            await self._redis.hdel(self.keys.unexportable, *invoice_ids)

    async def contacts(self, contact_ids: Iterable[str]) -> dict[str, ContactFact]:
        """What is known of these contacts, by id."""
        ids = list(contact_ids)
        found: dict[str, ContactFact] = {}
        for start in range(0, len(ids), CONTACTS_AT_ONCE):
            if start:
                await asyncio.sleep(0)
            some = ids[start : start + CONTACTS_AT_ONCE]
            facts = await self._redis.hmget(self.keys.contacts, some)
            known = ((i, data) for i, data in zip(some, facts, strict=True) if data is not None)
            found |= {i: ContactFact.model_validate_json(data) for i, data in known}
        return found

    async def contact(self, contact_id: str) -> ContactFact | None:
        """What is known of one contact."""
        return (await self.contacts([contact_id])).get(contact_id)

    async def put_contacts(self, facts: Mapping[str, ContactFact]) -> None:
        """Remember contacts."""
        if facts:
            mapping = {k: v.model_dump_json() for k, v in facts.items()}
            await self._redis.hset(self.keys.contacts, mapping=mapping)

    async def receiver(self, contact_id: str) -> ParticipantId | None:
        """The Peppol id that a person chose for a contact."""
        found = await self._redis.hget(self.keys.receivers, contact_id)
        return ParticipantId.parse(found) if found else None

    async def put_receiver(self, contact_id: str, participant: ParticipantId) -> None:
        """Remember a person's choice."""
        await self._exact.hset(self.keys.receivers, contact_id, str(participant))

    async def forget_contacts(self) -> None:
        """Another account is connected: what was known by the ids of the one before means nothing.

        Two installations of sevDesk may use one id.
        """
        keys = self.keys
        caches = (keys.cache("peppol_fields"), keys.cache("peppol_ids"))
        await self._redis.unlink(keys.contacts, keys.receivers, keys.tag_names, *caches)

    async def tag_names(self) -> dict[str, str]:
        """Names of tags by sevDesk id."""
        return dict(await self._redis.hgetall(self.keys.tag_names))

    async def put_tag_names(self, names: Mapping[str, str]) -> None:
        """Replace what is known of tags."""
        pipe = self._exact.pipeline(transaction=True)
        pipe.delete(self.keys.tag_names)
        if names:
            pipe.hset(self.keys.tag_names, mapping=dict(names))
        await pipe.execute()

    async def flag(self, name: str) -> str:
        """A small fact, empty if unknown."""
        return str(await self._redis.hget(self.keys.flags, name) or "")

    async def set_flag(self, name: str, value: str, event: Event) -> bool:
        """Note a small fact and tell of it, once; False if it was known already."""
        told = event.model_dump_json(exclude={"id"})
        args = (self.keys.prefix, name, value, told)
        return bool(await FLAG.run(self._exact, self.keys.flags, *args))

    async def cached(self, name: str, since: datetime | None = None) -> dict[str, str] | None:
        """A small table that was kept, unless it is older than `since`."""
        found = await self._redis.get(self.keys.cache(name))
        if found is None:
            return None
        kept = json.loads(found)
        if since is not None and kept["at"] < since.timestamp():
            return None
        return dict(kept["values"])

    async def cache(self, name: str, values: Mapping[str, str], now: datetime) -> None:
        """Keep a small table."""
        kept = json.dumps({"at": now.timestamp(), "values": dict(values)})
        await self._redis.set(self.keys.cache(name), kept)

    async def drop_cache(self, name: str) -> None:
        """Forget a small table."""
        await self._redis.delete(self.keys.cache(name))

    # ---- documents ------------------------------------------------------------------------

    async def put_document(self, sha256: str, content: bytes) -> None:
        """Keep a document's bytes under their hash."""
        packed = zlib.compress(content, 6)
        await self._blobs.set(self.keys.document(sha256), packed, ex=self._keep)

    async def document(self, sha256: str) -> bytes | None:
        """A document's bytes, or None when its time is over."""
        packed = await self._blobs.get(self.keys.document(sha256)) if sha256 else None
        if packed is None:
            return None
        unpack = zlib.decompressobj()
        content = unpack.decompress(packed, MAX_DOCUMENT)
        if unpack.unconsumed_tail:
            raise StoreError("a stored document is larger than any that was stored")
        return content

    # ---- streams --------------------------------------------------------------------------

    async def add_event(self, event: Event) -> None:
        """Tell `bot` something that no record holds."""
        await self._exact.xadd(self.keys.events, {"d": event.model_dump_json(exclude={"id"})})

    async def events(self, after: str, limit: int) -> list[Event]:
        """Events after a stream id, oldest first."""
        start = f"({after}" if after else "-"
        rows = await self._redis.xrange(self.keys.events, min=start, count=limit)
        return [
            Event.model_validate_json(fields["d"]).model_copy(update={"id": str(stream_id)})
            for stream_id, fields in rows
        ]

    async def trim_events(self, up_to: str) -> None:
        """Drop events up to and including a stream id."""
        milliseconds, _, sequence = up_to.partition("-")
        after = f"{milliseconds}-{int(sequence or 0) + 1}"
        await self._redis.execute_command("XTRIM", self.keys.events, "MINID", after)

    async def waiting_events(self) -> int:
        """How many were not dropped yet."""
        return int(await self._redis.xlen(self.keys.events))

    async def keep_events(self, newest: int) -> None:
        """Drop all but the newest."""
        await self._redis.execute_command("XTRIM", self.keys.events, "MAXLEN", newest)

    async def note(self, entry: AuditEntry) -> None:
        """Append to the audit list."""
        await self._exact.xadd(self.keys.audit, {"d": entry.model_dump_json(exclude={"id"})})

    async def audit(self) -> AsyncIterator[AuditEntry]:
        """The whole audit list, oldest first."""
        after = "-"
        while True:
            rows = await self._redis.xrange(self.keys.audit, min=after, count=500)
            for stream_id, fields in rows:
                entry = AuditEntry.model_validate_json(fields["d"])
                yield entry.model_copy(update={"id": str(stream_id)})
            if not rows:
                return
            after = f"({rows[-1][0]}"

    # ---- the end --------------------------------------------------------------------------

    async def erase(self, now: datetime) -> None:
        """Delete everything of the organisation, `bot`'s keys included. Safe to repeat.

        `erase_again` does it once more, for what is still being written now, and in case that
        this process dies before the end; unless the organisation comes back (`keep`).
        """
        await self._erase_at(now, *ERASE_AGAIN)
        await self._erase()
        await self._redis.zrem(ERASED, self._again(ERASE_NOW))

    async def erase_later(self, now: datetime) -> None:
        """Have everything deleted by the next sweep, if nobody does it before. Safe to repeat."""
        await self._erase_at(now, ERASE_NOW, *ERASE_AGAIN)

    async def _erase_at(self, now: datetime, *after: timedelta) -> None:
        times = {self._again(one): (now + one).timestamp() for one in after}
        await self._exact.zadd(ERASED, times)

    def _again(self, after: timedelta) -> str:
        return f"{self.org}|{after.total_seconds():.0f}"

    async def keep(self) -> None:
        """The organisation is back after it was erased: what it stores from now on stays."""
        times = (ERASE_NOW, *ERASE_AGAIN)
        await self._redis.zrem(ERASED, *(self._again(after) for after in times))

    async def _erase(self) -> None:
        connection = await self.connection()
        if connection is not None:
            await self.release_account(connection.account)
        # Without a connection no import begins. A poll that runs gets the time to notice.
        await self._exact.unlink(self.keys.connection, self.keys.token)
        async with self.lease(ERASE_WAIT.total_seconds(), ERASE_WAIT):
            await self._unlink_all()
        await self._unlink_all()  # what a worker wrote while the first pass ran
        await self._redis.srem(ORGS, self.org)

    async def _unlink_all(self) -> None:
        async for key in self._redis.scan_iter(match=_literal(self.keys.prefix) + "*", count=1000):
            await self._exact.unlink(key)


class Lease:
    """A key that expires unless its holder renews it."""

    def __init__(self, clients: Clients, key: str, seconds: float) -> None:
        """Nothing is taken yet."""
        self._client: Any = clients.exact
        self._key = key
        self._milliseconds = int(seconds * 1000)
        self._token = uuid.uuid4().hex

    async def take(self) -> bool:
        """Whether it is ours now."""
        return bool(await self._client.set(self._key, self._token, nx=True, px=self._milliseconds))

    async def take_within(self, seconds: float) -> bool:
        """Whether it is ours within some seconds."""
        give_up = time.monotonic() + seconds
        while not await self.take():
            if time.monotonic() >= give_up:
                return False
            await asyncio.sleep(min(0.2, seconds))
        return True

    async def renew(self) -> bool:
        """Extend it; False if it was lost."""
        return bool(await RENEW.run(self._client, self._key, self._token, self._milliseconds))

    async def release(self) -> None:
        """Give it back."""
        await RELEASE.run(self._client, self._key, self._token)


async def organisations(clients: Clients) -> set[str]:
    """All organisations that were ever connected and not erased."""
    redis: Any = clients.redis
    return {str(org) for org in await redis.smembers(ORGS)}


async def erase_again(clients: Clients, now: datetime) -> None:
    """Erase what was written while organisations were erased, when it is time."""
    redis: Any = clients.redis
    due = await redis.zrange(ERASED, "-inf", now.timestamp(), byscore=True)
    for member in due:
        org, _, after = str(member).rpartition("|")
        store = Organisation(clients, org, timedelta(0))
        back = await store.connection()
        erased_at = float(await redis.zscore(ERASED, member) or 0) - float(after)
        if back is None or back.connected_at.timestamp() < erased_at:
            await store._erase()  # noqa: SLF001 - of this module
        await redis.zrem(ERASED, member)


def _literal(text: str) -> str:
    """`text` with the signs escaped that mean something in a MATCH pattern."""
    return "".join(f"\\{c}" if c in "*?[]^-\\" else c for c in text)
