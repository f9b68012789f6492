"""One sync under way: read, plan, carry out.

What is wrong with one invoice does not keep the others waiting; what is wrong with the account
or with sevDesk itself ends the sync.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

import structlog

from sync import delivery, planner
from sync.book import Book
from sync.errors import Kind, Reason, StaleRecordError, SyncError
from sync.importing import Importer
from sync.model import Connection, ConnectionState, InvoiceRecord, SyncRun
from sync.planner import Plan, Snapshot
from sync.ports import Ports, Sevdesk
from sync.reading import Reader, relevant
from sync.sevdesk.errors import NotFoundError, RateLimitedError, SevdeskError
from sync.source import (
    CONTACT_AGE_ASKED,
    PeppolIds,
    Source,
    contact_fact,
    describe,
    is_recent,
    is_refusal,
    is_same,
)
from sync.store.organisation import ContactFact
from sync.tagging import REMOVAL_REFUSED, Tagger, read_relations

log = structlog.get_logger(__name__)

IMPORTS_AT_ONCE = 2  # sevDesk asks for few concurrent requests (facts: limits)
MANY_CONTACTS = 25  # from here one list of all contacts costs less than reading each
MANY_ROWS = 1000  # from here a plan takes more than ten milliseconds
PROOFS = 3  # tags that are tried before a refused connection is believed again
ENOUGH = 3  # calls about single invoices that failed, after which sevDesk itself is in trouble


class Stopped(Exception):  # noqa: N818 - a signal, not an error
    """The process is to end, or the lease is lost; what is left is done by the next poll."""


class Round:
    """One sync of one organisation. `run` has what was done so far, also after an error."""

    def __init__(
        self,
        ports: Ports,
        book: Book,
        run: SyncRun,
        go_on: Callable[[], bool] = lambda: True,
        *,
        kept: bool = False,
    ) -> None:
        """`go_on`: whether the sync may still go on; `kept`: this is the rest of one that began."""
        self._ports = ports
        self._book = book
        self._store = book.store
        self._source = Source(ports, book)
        self._may_go_on = go_on
        self._failures = 0
        self._not_imported: SevdeskError | None = None
        self._before = run.imported  # by a process that died
        self._began = ports.now()  # no record was read before
        self.run = run
        self.kept = kept  # the run is in the store

    async def sync(self, connection: Connection) -> None:
        """Do it all. Raises `Stopped`, `SyncError`."""
        sevdesk = await self._ports.sevdesk(self._book.org)
        await self._same(connection)  # the token may be another account's by now
        if self.run.trigger != "poll":
            await self._keep()
            await PeppolIds(self._ports, self._book).refresh()
        plan = await self._plan(sevdesk, connection)
        self._count(
            seen=plan.considered,
            to_import=self._before + len(plan.imports),
            skipped=plan.skipped,
            foreign=plan.foreign,
        )
        if plan.lost:
            await self._hold(plan.lost, connection)
            return
        if connection.state is ConnectionState.HELD:
            await self._release()
        if connection.state is ConnectionState.BROKEN:
            tagger = Tagger(self._ports, self._book, sevdesk)
            await self._prove(connection, tagger)
        await self._carry_out(plan, sevdesk, connection)

    # ---- read -------------------------------------------------------------------------------

    async def _plan(self, sevdesk: Sevdesk, connection: Connection) -> Plan:
        """What to do. What it was decided from is not kept: carrying it out may take an hour."""
        snapshot = await self._read(sevdesk, connection)
        plan = await _plan_of(snapshot)
        if plan.reexports and not plan.lost:
            # A removal decides that something is sent again, so two readings must agree on it.
            relations, names = await read_relations(self._book, sevdesk)
            relations = relevant(relations, snapshot.rows)
            second = await _plan_of(replace(snapshot, relations=relations, tag_names=names))
            plan = planner.agreed(plan, second)
        return plan

    async def _read(self, sevdesk: Sevdesk, connection: Connection) -> Snapshot:
        reader = Reader(self._book, sevdesk, connection.account, self._go_on)
        by_person = self.run.trigger != "poll"
        reading = await reader.read(afresh=by_person)
        lists = reading.lists
        # An organisation that was erased meanwhile has no records, which says nothing.
        await self._same(connection)
        await self._store.records.expect(reading.expected, lists.ids)
        contacts = await self._store.contacts({row.contact_id for row in lists.rows})
        now = self._ports.now()
        if by_person:  # who was read before may have joined a synced organisation since
            age = CONTACT_AGE_ASKED
            contacts = {i: f for i, f in contacts.items() if is_recent(f, now, age)}
        snapshot = Snapshot(
            connection=connection,
            prefix=self._ports.prefix,
            now=now,
            rows=lists.rows,
            relations=lists.relations,
            tag_names=lists.tag_names,
            parents={i: fact.parent_id for i, fact in contacts.items()},
            records=reading.records,
            unexportable=await self._store.unexportable(),
            unreadable=lists.unreadable,
            complete=lists.complete,
            removes=not await self._store.flag(REMOVAL_REFUSED),
            settles_within=self._ports.settles_within,
            lags_within=self._ports.lags_within,
        )
        return await self._with_parents(sevdesk, snapshot)

    async def _same(self, connection: Connection) -> None:
        """End here where somebody connected anew, or nobody is connected any more."""
        now = await self._store.connection()
        if now is None or not is_same(now, connection):
            raise Stopped

    async def _with_parents(self, sevdesk: Sevdesk, snapshot: Snapshot) -> Snapshot:
        """Read contacts that are met for the first time: their organisation may be tagged."""
        unknown = planner.contacts_to_read(snapshot)
        if not unknown:
            return snapshot
        found: dict[str, ContactFact] = {}
        if len(unknown) >= MANY_CONTACTS:
            now = self._ports.now().timestamp()
            for row in (await sevdesk.contacts()).rows:
                found[row.id] = contact_fact(row, now)
        # Whoever is in no list is deleted, and need not be asked for again.
        for contact_id in unknown:
            if contact_id not in found:
                await self._alone(self._contact(sevdesk, contact_id, found))
        await self._store.put_contacts(found)
        parents = {i: fact.parent_id for i, fact in found.items()}
        return replace(snapshot, parents={**snapshot.parents, **parents})

    async def _contact(
        self, sevdesk: Sevdesk, contact_id: str, found: dict[str, ContactFact]
    ) -> None:
        self._go_on()
        now = self._ports.now().timestamp()
        try:
            found[contact_id] = contact_fact(await sevdesk.contact(contact_id), now)
        except NotFoundError:
            found[contact_id] = ContactFact(contact_id=contact_id, read_at=now)

    # ---- carry out --------------------------------------------------------------------------

    async def _carry_out(self, plan: Plan, sevdesk: Sevdesk, connection: Connection) -> None:
        if plan.imports or plan.reexports:
            await self._keep()
        await self._store.drop_unexportable(*plan.forget)
        for withdraw in plan.withdrawals:
            await self._alone(self._withdraw(withdraw))
        for record in plan.gone:
            await self._alone(self._gone(record))
        for seen in plan.seen:
            await self._alone(self._seen(seen))
        for reexport in plan.reexports:
            await self._alone(self._reexport(reexport))
        for record in plan.resumes:
            await self._alone(self._resume(record, plan.hold))
        for record in plan.changed:
            after = delivery.corrected(record, self._ports.now())
            await self._alone(self._book.write(record, after))
        tagger = Tagger(self._ports, self._book, sevdesk)
        for repair in plan.repairs:
            self._go_on()
            await self._alone(self._repair(tagger, repair))
        await self._import_all(plan, sevdesk, connection)

    async def _alone(self, step: Awaitable[object]) -> SevdeskError | None:
        """A step about one object; its trouble is not the others'.

        A record that changed meanwhile is looked at again by the next poll.
        """
        try:
            await step
        except StaleRecordError:
            log.info("stale record left to the next poll", org=self._book.org)
        except SevdeskError as error:
            self._failures += 1
            if is_refusal(error) or isinstance(error, RateLimitedError):
                raise
            if self._failures >= ENOUGH and error.kind is not Kind.PERMANENT:
                raise
            log.warning("step of a sync failed", org=self._book.org, error=error.reason_code)
            return error
        return None

    async def _withdraw(self, withdraw: planner.Withdraw) -> None:
        after = delivery.withdrawn(withdraw.record, withdraw.reason, self._ports.now())
        if withdraw.tag is not None:
            after = after.model_copy(
                update={
                    "tag": withdraw.tag,
                    "tag_relation": withdraw.relation,
                    "tag_seen": True,
                    "tag_left": False,
                }
            )
        await self._book.write(withdraw.record, after)

    async def _gone(self, record: InvoiceRecord) -> None:
        """It is in no list of open invoices: read it once to learn why."""
        self._go_on()
        error = await self._source.why_gone(record)
        if error is not None:
            after = delivery.withdrawn(record, error.reason, self._ports.now())
            await self._book.write(record, after)

    async def _seen(self, seen: planner.Seen) -> None:
        changes: dict[str, object] = {
            "tag_seen": True,
            "tag": seen.keep,
            "tag_relation": seen.relation,
            "tag_left": False,
            "tag_pending": False,
            "tag_trouble": None,
            "tag_trouble_at": None,
        }
        await self._book.write(seen.record, seen.record.model_copy(update=changes))

    async def _reexport(self, reexport: planner.Reexport) -> None:
        after = delivery.reexported(
            describe(reexport.record, reexport.row), self.run.id, reexport.hold, self._ports.now()
        )
        await self._book.write(reexport.record, after, action="imported again")
        self._count(reexported=self.run.reexported + 1)

    async def _resume(self, record: InvoiceRecord, hold: str) -> None:
        after = delivery.resumed(record, self.run.id, self._ports.now())
        await self._book.write(record, after.model_copy(update={"hold": hold or record.hold}))

    async def _repair(self, tagger: Tagger, repair: planner.Repair) -> None:
        await self._tag(repair.record, tagger.repair(repair))
        self._count(repaired=self.run.repaired + 1)

    async def _tag(self, record: InvoiceRecord, write: Awaitable[object]) -> None:
        try:
            await write
        except SevdeskError as error:
            await self._source.postpone_tag(record.invoice_id, error)
            raise

    async def _prove(self, connection: Connection, tagger: Tagger) -> None:
        """Before anything begins on a connection that was refused: try one tag that was refused.

        Where tags may not be written nothing new is imported. What goes wrong with one invoice
        alone proves nothing, so the next is tried. Raises `SevdeskError`.
        """
        records, tried = self._store.records, 0
        async for record in records.each(await records.scheduled()):
            waits = record.tag_retry_at is not None and delivery.tag_wanted(record) is not None
            if not waits or record.account != connection.account:
                continue
            tried += 1
            proven = await self._alone(self._tag(record, tagger.follow(record))) is None
            if proven or tried == PROOFS:
                return

    async def _import_all(self, plan: Plan, sevdesk: Sevdesk, connection: Connection) -> None:
        importer = Importer(self._ports, self._book, self._source, connection.account, self.run.id)
        skipped = self.run.skipped

        async def one(order: planner.Import) -> None:
            if not self._may():
                return  # without cutting the other import off
            failed = await self._alone(importer.take(order, sevdesk))
            self._not_imported = self._not_imported or failed

        try:
            await _bounded(one, plan.imports, IMPORTS_AT_ONCE)
        finally:
            imported = self._before + importer.imported
            self._count(imported=imported, skipped=skipped + importer.skipped)
        if plan.imports:
            self._go_on()
        if self._not_imported is not None:
            raise self._not_imported

    # ---- the rest ---------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Store the run, so that its progress shows; a run that is never ended is noticed."""
        self.kept = True
        await self._store.put_run(self.run)

    async def _hold(self, lost: tuple[str, ...], met: Connection) -> None:
        """Most tags vanished at once: stop, and ask. Nothing is imported meanwhile.

        `met` is the connection whose tags they are. If it is another version by now, somebody may
        have answered already, and the next poll looks again. What got its tag back while a person
        is asked is missed no more.
        """
        reason = Reason(
            code="connection.tags_lost",
            kind=Kind.PRECONDITION,
            params={"count": str(len(lost))},
        )
        held: dict[str, object] = {"state": ConnectionState.HELD, "reason": reason}
        held["held_invoices"] = lost
        if met.state is not ConnectionState.HELD:
            held["held_at"] = self._began

        def change(connection: Connection) -> Connection | None:
            asked = connection.state is ConnectionState.HELD and connection.held_invoices == lost
            if asked or connection.version != met.version:
                return None
            return connection.model_copy(update=held)

        await self._book.change_connection(change)

    async def _release(self) -> None:
        """The tags that were missed are back."""
        changes = {"state": ConnectionState.ACTIVE, "reason": None, "held_invoices": ()}

        def change(connection: Connection) -> Connection | None:
            held = connection.state is ConnectionState.HELD
            return connection.model_copy(update=changes) if held else None

        await self._book.change_connection(change)

    def _count(self, **changes: int) -> None:
        self.run = self.run.model_copy(update=changes)

    def _may(self) -> bool:
        return self._may_go_on() and not self._ports.stopping()

    def _go_on(self) -> None:
        if not self._may():
            raise Stopped


async def _plan_of(snapshot: Snapshot) -> Plan:
    """The plan; made beside the event loop where there is so much open that others would wait."""
    if len(snapshot.rows) < MANY_ROWS:
        return planner.plan(snapshot)
    return await asyncio.to_thread(planner.plan, snapshot)


async def _bounded[T](
    work: Callable[[T], Awaitable[None]], items: Iterable[T], at_once: int
) -> None:
    """Run `work` for all items, a few at once; the first error ends it all."""
    iterator = iter(items)

    async def worker() -> None:
        for item in iterator:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(worker())
    except BaseExceptionGroup as errors:
        first = errors.exceptions[0]
        raise first if isinstance(first, (SyncError, Stopped)) else errors from None
