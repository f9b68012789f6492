"""One poll of one organisation: read, plan, carry out.

Records are read *before* the lists, so that whatever changed meanwhile is seen by its version:
a transition decided on an older record is refused, and the next poll looks again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import timedelta

import structlog

from sync import delivery, planner
from sync.book import Book
from sync.errors import Kind, Reason, StaleRecordError, SyncError
from sync.model import (
    Connection,
    ConnectionState,
    Event,
    EventKind,
    InvoiceRecord,
    InvoiceState,
    SyncRun,
    Unexportable,
)
from sync.planner import Plan, Snapshot
from sync.ports import Ports, Sevdesk
from sync.sevdesk.errors import (
    ForbiddenError,
    IncompleteEInvoiceError,
    InvoiceXmlError,
    NotAnEInvoiceError,
    NotFoundError,
    UnauthorizedError,
)
from sync.sevdesk.models import InvoiceRow, TagRelation
from sync.source import PeppolIds, Source, contact_fact, describe
from sync.store.organisation import Lease
from sync.tagging import Tagger

log = structlog.get_logger(__name__)

LEASE_SECONDS = 30.0
PROBE = timedelta(hours=1)  # how often a refused token is tried again
IMPORTS_AT_ONCE = 2  # sevDesk asks for few concurrent requests (facts: limits)
MANY_CONTACTS = 25  # from here one list of all contacts costs less than reading each
XML_TRIES = 3  # polls after which an invoice without XML is shown to a person


class Stopped(Exception):  # noqa: N818 - a signal, not an error
    """The process is to end; what is left is done by the next poll."""


class Poller:
    """Polls one organisation."""

    def __init__(self, ports: Ports, org: str) -> None:
        """Work for `org`."""
        self._ports = ports
        self._book = Book(ports, org)
        self._store = self._book.store
        self._source = Source(ports, self._book)
        self.org = org

    async def poll(self, run_id: str, trigger: str = "poll") -> SyncRun | None:
        """Sync once. None if there is nothing to sync or somebody is at it.

        Raises `StoreError`; every other trouble is in the run and in the connection.
        """
        connection = await self._store.connection()
        if connection is None or not self._may_poll(connection, trigger):
            return None
        async with self._store.lease(LEASE_SECONDS) as lease:
            if lease is None:
                return None
            async with _renewed(lease):
                return await self._run(connection, run_id, trigger)

    def _may_poll(self, connection: Connection, trigger: str) -> bool:
        if connection.state is ConnectionState.BROKEN:
            due = connection.next_sync is None or self._ports.now() >= connection.next_sync
            return due or trigger != "poll"
        return connection.state in (ConnectionState.ACTIVE, ConnectionState.HELD)

    async def _run(self, connection: Connection, run_id: str, trigger: str) -> SyncRun:
        run = SyncRun(id=run_id, org=self.org, trigger=trigger, started_at=self._ports.now())
        work = _Work(self._ports, self._book, self._source, run)
        error: SyncError | None = None
        try:
            await work.sync(connection)
        except (Stopped, StaleRecordError):
            log.info("poll ends early", org=self.org, run=run_id)
            return work.run
        except SyncError as caught:
            if caught.reason_code.startswith("store."):
                raise
            error = caught
        finished = work.run.model_copy(
            update={"finished_at": self._ports.now(), "error": error.reason if error else None}
        )
        await self._finish(finished, error)
        return finished

    async def _finish(self, run: SyncRun, error: SyncError | None) -> None:
        if error is not None:
            log.warning("poll failed", org=self.org, error=error.reason_code, detail=str(error))
            await self._source.connection_trouble(error)
        if did_something(run):
            event = Event(
                kind=EventKind.SYNC_FINISHED, at=self._ports.now(), run=run.id, actor=run.trigger
            )
            await self._store.put_run(run, event)
            await self._book.hint_notify()
        await self._note(error)

    async def _note(self, error: SyncError | None) -> None:
        """Write into the connection when it was synced and when it will be.

        A token that works again heals the connection. An outage is told once when it lasts for
        a second poll, and once more when it is over.
        """
        for _ in range(5):
            connection = await self._store.connection()
            if connection is None or connection.state is ConnectionState.DISCONNECTED:
                return
            try:
                await self._write_note(connection, error)
                return
            except StaleRecordError:
                continue

    async def _write_note(self, connection: Connection, error: SyncError | None) -> None:
        now = self._ports.now()
        changes: dict[str, object] = {
            "next_sync": now + (PROBE if is_refusal(error) else self._ports.poll),
            "last_error": error.reason if error else None,
        }
        if error is None:
            changes |= {"last_sync": now}
        healed = error is None and connection.state is ConnectionState.BROKEN
        if healed:
            changes |= {"state": ConnectionState.ACTIVE, "reason": None}
        after = connection.model_copy(update=changes)
        if healed or outage_told(connection, after):
            await self._book.write_connection(after)
        else:
            await self._store.put_connection(after)
        if healed:
            await wake_postponed(self._ports, self._book)


def is_refusal(error: SyncError | None) -> bool:
    """Whether sevDesk refuses the token."""
    return isinstance(error, (UnauthorizedError, ForbiddenError))


def outage_told(before: Connection, after: Connection) -> bool:
    """Whether a person sees a difference: trouble that begins to last, or is over."""
    if is_broken(before) or is_broken(after):
        return False  # told when the state changed
    return (before.last_error is None) != (after.last_error is None)


def is_broken(connection: Connection) -> bool:
    """Whether the token is refused."""
    return connection.state is ConnectionState.BROKEN


def did_something(run: SyncRun) -> bool:
    """Whether a run is kept and told: it changed something, or a person asked for it."""
    changed = run.to_import or run.imported or run.reexported
    return bool(changed) or run.trigger != "poll"


async def wake_postponed(ports: Ports, book: Book) -> None:
    """Let everything that waited for the connection go on now."""
    now = ports.now()
    for invoice_id in await book.store.records.ids_in(list(InvoiceState)):
        record = await book.store.records.get(invoice_id)
        if record is None:
            continue
        changes: dict[str, object] = {}
        if record.tag_retry_at is not None:
            changes["tag_retry_at"] = now
        if record.state in (InvoiceState.IMPORTED, InvoiceState.READY):
            changes["next_at"] = now
        if changes:
            await _quietly(book.write(record, record.model_copy(update=changes)))


class _Work:
    """One poll under way: counts into `run` what it does."""

    def __init__(self, ports: Ports, book: Book, source: Source, run: SyncRun) -> None:
        self._ports = ports
        self._book = book
        self._store = book.store
        self._source = source
        self.run = run

    async def sync(self, connection: Connection) -> None:
        sevdesk = await self._ports.sevdesk(self._book.org)
        if self.run.trigger != "poll":
            await PeppolIds(self._ports, self._book).refresh()
        snapshot = await self._read(sevdesk, connection)
        plan = planner.plan(snapshot)
        if plan.reexports and not plan.lost:
            # A removal decides that something is sent again, so two readings must agree on it.
            plan = planner.plan(replace(snapshot, relations=await self._relations(sevdesk)))
        self._count(
            seen=plan.considered,
            to_import=len(plan.imports),
            skipped=plan.skipped,
            foreign=plan.foreign,
        )
        if plan.lost:
            await self._hold(connection, plan.lost)
            return
        if connection.state is ConnectionState.HELD:
            await self._release(connection)
        await self._carry_out(plan, sevdesk)

    # ---- read -------------------------------------------------------------------------------

    async def _read(self, sevdesk: Sevdesk, connection: Connection) -> Snapshot:
        records = await self._records(connection)
        names = await self._store.tag_names()
        relations = await self._relations(sevdesk)
        if planner.unknown_tags(relations, names):
            names = {tag.id: tag.name for tag in (await sevdesk.tags()).rows}
            await self._store.put_tag_names(names)
        open_, partly = await sevdesk.invoices(200), await sevdesk.invoices(750)
        broken = (*open_.broken, *partly.broken)
        snapshot = Snapshot(
            connection=connection,
            prefix=self._ports.prefix,
            now=self._ports.now(),
            rows=_each_once((*open_.rows, *partly.rows)),
            relations=relations,
            tag_names=names,
            parents={i: f.parent_id for i, f in (await self._store.contacts()).items()},
            records=records,
            unexportable=await self._store.unexportable(),
            unreadable=frozenset(b.id for b in broken if b.id),
            complete=all(b.id for b in broken),
            settles_within=self._ports.settles_within,
        )
        return await self._with_parents(sevdesk, snapshot)

    async def _records(self, connection: Connection) -> dict[str, InvoiceRecord]:
        ids = await self._store.records.all_ids()
        records = await self._store.records.get_many(sorted(ids))
        return {r.invoice_id: r for r in records if r.account == connection.account}

    async def _relations(self, sevdesk: Sevdesk) -> tuple[TagRelation, ...]:
        listing = await sevdesk.tag_relations()
        if listing.broken:
            # A relation that cannot be read would look like a tag that a person removed.
            raise SyncError(
                "unreadable tag relations",
                code="sevdesk.bad_answer",
                kind=Kind.TRANSIENT,
                problem="tag relations",
            )
        return listing.rows

    async def _with_parents(self, sevdesk: Sevdesk, snapshot: Snapshot) -> Snapshot:
        """Read contacts that are met for the first time: their organisation may be tagged."""
        unknown = planner.contacts_to_read(snapshot)
        if not unknown:
            return snapshot
        now = self._ports.now().timestamp()
        if len(unknown) >= MANY_CONTACTS:
            found = [contact_fact(row, now) for row in (await sevdesk.contacts()).rows]
        else:
            found = []
            for contact_id in unknown:
                self._go_on()
                try:
                    found.append(contact_fact(await sevdesk.contact(contact_id), now))
                except NotFoundError:
                    continue
        facts = {fact.contact_id: fact for fact in found}
        await self._store.put_contacts(facts)
        parents = {i: fact.parent_id for i, fact in facts.items()}
        return replace(snapshot, parents={**snapshot.parents, **parents})

    # ---- carry out --------------------------------------------------------------------------

    async def _carry_out(self, plan: Plan, sevdesk: Sevdesk) -> None:
        if plan.imports or plan.reexports:
            await self._store.put_run(self.run)
        await self._store.drop_unexportable(*plan.forget)
        for withdraw in plan.withdrawals:
            await _quietly(self._withdraw(withdraw))
        for record in plan.gone:
            await _quietly(self._gone(record))
        for seen in plan.seen:
            await _quietly(self._seen(seen))
        for reexport in plan.reexports:
            await _quietly(self._reexport(reexport))
        for record in plan.resumes:
            await _quietly(self._resume(record))
        tagger = Tagger(self._ports, self._book, sevdesk)
        for repair in plan.repairs:
            self._go_on()
            await _quietly(self._repair(tagger, repair))
        await self._import_all(plan, sevdesk)

    async def _withdraw(self, withdraw: planner.Withdraw) -> None:
        after = delivery.withdrawn(withdraw.record, withdraw.reason, self._ports.now())
        if withdraw.tag is not None:
            after = after.model_copy(update={"tag": withdraw.tag, "tag_seen": True})
        await self._book.write(withdraw.record, after)

    async def _gone(self, record: InvoiceRecord) -> None:
        """It is in no list of open invoices: read it once to learn why."""
        self._go_on()
        error = await self._source.why_gone(record)
        if error is not None:
            after = delivery.withdrawn(record, error.reason, self._ports.now())
            await self._book.write(record, after)

    async def _seen(self, seen: planner.Seen) -> None:
        record = seen.record
        changes: dict[str, object] = {"tag_seen": True, "tag": seen.keep, "tag_pending": False}
        if seen.keep != record.tag:
            changes["tag_relation"] = ""  # of another tag
        await self._book.write(record, record.model_copy(update=changes))

    async def _reexport(self, reexport: planner.Reexport) -> None:
        after = delivery.reexported(
            describe(reexport.record, reexport.row), self.run.id, reexport.hold, self._ports.now()
        )
        await self._book.write(reexport.record, after, action="imported again")
        self._count(reexported=self.run.reexported + 1)

    async def _resume(self, record: InvoiceRecord) -> None:
        await self._book.write(record, delivery.resumed(record, self.run.id, self._ports.now()))

    async def _repair(self, tagger: Tagger, repair: planner.Repair) -> None:
        await tagger.repair(repair)
        self._count(repaired=self.run.repaired + 1)

    async def _import_all(self, plan: Plan, sevdesk: Sevdesk) -> None:
        async def one(order: planner.Import) -> None:
            self._go_on()
            await self._import(order, sevdesk)

        await _bounded(one, plan.imports, IMPORTS_AT_ONCE)

    async def _import(self, order: planner.Import, sevdesk: Sevdesk) -> None:
        row = order.row
        try:
            if row.e_invoice is False:
                raise NotAnEInvoiceError("the list says so")
            content = await sevdesk.xml(row.id)
        except InvoiceXmlError as error:
            await self._without_xml(order, error)
            return
        except NotFoundError:
            return  # deleted since it was listed
        record = await self._source.keep(self._new(order), content)
        await self._begin(record)

    async def _begin(self, record: InvoiceRecord) -> None:
        try:
            await self._book.write(None, record)
        except StaleRecordError:
            return  # another worker imported it
        await self._store.drop_unexportable(record.invoice_id)
        self._count(imported=self.run.imported + 1)

    def _new(self, order: planner.Import) -> InvoiceRecord:
        now, row = self._ports.now(), order.row
        blank = InvoiceRecord(
            org=self._book.org,
            account=row.account,
            invoice_id=row.id,
            state_since=now,
            created_at=now,
            run=self.run.id,
            hold=order.hold,
            number=row.number,
            contact_id=row.contact_id,
        )
        return delivery.enter(describe(blank, row), InvoiceState.IMPORTED, now, at=now)

    async def _without_xml(self, order: planner.Import, error: InvoiceXmlError) -> None:
        """Not an e-invoice: remembered. An e-invoice that sevDesk cannot make: a person acts."""
        row = order.row
        known = (await self._store.unexportable()).get(row.id)
        same = known is not None and known.revision == row.revision
        tries = 1 + (known.tries if known is not None and same else 0)
        incomplete = isinstance(error, IncompleteEInvoiceError) or tries >= XML_TRIES
        if not isinstance(error, NotAnEInvoiceError) and incomplete:
            record = self._new(order)
            reason = error.reason.model_copy(update={"kind": Kind.PRECONDITION})
            blocked = delivery.enter(record, InvoiceState.BLOCKED, self._ports.now(), reason=reason)
            await self._begin(blocked)
            return
        again = None if isinstance(error, NotAnEInvoiceError) else self._ports.now()
        await self._store.put_unexportable(
            Unexportable(
                invoice_id=row.id,
                revision=row.revision,
                number=row.number,
                contact_name=row.contact_name,
                reason=error.reason,
                tries=tries,
                retry_at=again,
            )
        )
        self._count(skipped=self.run.skipped + 1)

    # ---- the rest ---------------------------------------------------------------------------

    async def _hold(self, connection: Connection, lost: tuple[str, ...]) -> None:
        """Most tags vanished at once: stop, and ask. Nothing is imported meanwhile."""
        if connection.state is ConnectionState.HELD:
            return
        reason = Reason(
            code="connection.tags_lost",
            kind=Kind.PRECONDITION,
            params={"count": str(len(lost))},
        )
        held = connection.model_copy(
            update={"state": ConnectionState.HELD, "reason": reason, "held_invoices": lost}
        )
        await self._book.write_connection(held)

    async def _release(self, connection: Connection) -> None:
        """The tags that were missed are back."""
        changes = {"state": ConnectionState.ACTIVE, "reason": None, "held_invoices": ()}
        await self._book.write_connection(connection.model_copy(update=changes))

    def _count(self, **changes: int) -> None:
        self.run = self.run.model_copy(update=changes)

    def _go_on(self) -> None:
        if self._ports.stopping():
            raise Stopped


def _each_once(rows: Iterable[InvoiceRow]) -> tuple[InvoiceRow, ...]:
    """An invoice that was partly paid between the two lists is in both: the later one counts."""
    return tuple({row.id: row for row in rows}.values())


async def _quietly(step: Awaitable[object]) -> None:
    """A record that changed meanwhile is looked at again by the next poll."""
    try:
        await step
    except StaleRecordError:
        log.info("stale record left to the next poll")


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
        raise errors.exceptions[0] from None


class _renewed:  # noqa: N801 - a context manager, used like a function
    """Renew a lease as long as the block runs."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._renew())

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / 3)
            try:
                await self._lease.renew()
            except SyncError:
                log.warning("lease not renewed")
