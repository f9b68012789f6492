"""All that `bot` may ask of `sync`. Every call is safe to repeat.

A person's wish about an invoice is one transition: the first of ten clicks makes it, the others
are told who was first.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Collection
from datetime import date

from sync import delivery
from sync.book import Book
from sync.connecting import Connecting
from sync.delivery import RETRYABLE
from sync.errors import Reason, StaleRecordError
from sync.model import (
    AuditEntry,
    Connection,
    ConnectionState,
    Decision,
    Event,
    InvoiceRecord,
    InvoiceState,
    Outcome,
    Overview,
    Page,
    ParticipantId,
    StoredDocument,
    SyncRun,
)
from sync.pausing import Pausing
from sync.peppol.access_point import LookupDown, NotRegistered, Registered
from sync.polling import wake_postponed
from sync.ports import Ports
from sync.sevdesk.models import Account
from sync.store.organisation import Organisation

TRIES = 8  # of a transition against others on the same record
NEEDS_PERSON = (InvoiceState.FAILED, InvoiceState.BLOCKED, InvoiceState.WAITING)
UNSURE = (InvoiceState.UNCONFIRMED, InvoiceState.SUBMITTED)
SHOWN = 10
LOOKED_THROUGH = 500  # records, for those that nobody can say of whether they arrived

type Change = Callable[[InvoiceRecord], InvoiceRecord]


def _unsure(record: InvoiceRecord) -> bool:
    """Whether a person decides what became of it: what was accepted is first waited for."""
    return record.state is InvoiceState.UNCONFIRMED or record.overdue


class Service:
    """The one door between Slack and the rest."""

    def __init__(self, ports: Ports, connecting: Connecting, web_url: str) -> None:
        """`web_url`: sevDesk's web application, for links."""
        self._ports = ports
        self._pausing = Pausing(ports)
        self._connecting = connecting
        self._web_url = web_url.rstrip("/")

    def _store(self, org: str) -> Organisation:
        return self._ports.organisation(org)

    def _book(self, org: str) -> Book:
        return Book(self._ports, org)

    # ---- connection -------------------------------------------------------------------------

    async def check_token(self, org: str, token: str) -> Account:
        """Whose token it is; nothing is saved.

        Raises `SevdeskError`, `AccountTakenError`.
        """
        return await self._connecting.check(org, token)

    async def connect(self, org: str, token: str, actor: str) -> Connection:
        """Check the token, save it encrypted, start polling."""
        connection = await self._connecting.connect(org, token, actor)
        await wake_postponed(self._ports, self._book(org))
        await self._ports.jobs.hint_poll(org, soon=True)
        return connection

    async def connection(self, org: str) -> Connection | None:
        """The connection, if there is one."""
        found = await self._store(org).connection()
        return None if found is None or found.state is ConnectionState.DISCONNECTED else found

    async def former(self, org: str) -> Connection | None:
        """The connection, also after it was ended; None: there never was one, or it was erased."""
        return await self._store(org).connection()

    async def configure(
        self,
        org: str,
        actor: str,
        *,
        ask_before_sending: bool,
        sender: ParticipantId | None,
        company: str,
    ) -> Connection:
        """Change how the organisation's invoices are sent. Raises `NotConnectedError`."""
        changes = {"ask_before_sending": ask_before_sending, "sender": sender, "company": company}
        return await self._connecting.change(org, actor, "settings", changes)

    async def disconnect(self, org: str, actor: str) -> bool:
        """Stop syncing and erase the token; records stay. False if nothing was connected."""
        return await self._connecting.disconnect(org, actor)

    async def pause(self, org: str, reason: Reason) -> bool:
        """Begin nothing new; what is on its way is settled. False: it is so already."""
        return await self._pausing.pause(org, reason)

    async def resume(self, org: str, actor: str) -> bool:
        """Go on after a pause. False: there was none."""
        return await self._pausing.resume(org, actor)

    async def erase(self, org: str) -> None:
        """Delete everything that is stored of the organisation."""
        await self._store(org).erase(self._ports.now())

    async def erase_later(self, org: str) -> None:
        """Have everything deleted within moments, by whichever process. One durable write."""
        await self._store(org).erase_later(self._ports.now())

    # ---- sync -------------------------------------------------------------------------------

    async def sync_now(self, org: str, actor: str) -> str | None:
        """Start a sync; its id, or None if one is under way. Raises `PausedError`."""
        await self._pausing.require_none(org)
        store = self._store(org)
        if await store.polling() or not await store.ask_for_sync():
            return None
        run_id = uuid.uuid4().hex
        await self._ports.jobs.sync_now(org, run_id, actor)
        return run_id

    async def run(self, org: str, run_id: str) -> SyncRun | None:
        """A sync, with the number of its invoices in each state as of now."""
        return await self._store(org).run(run_id)

    async def run_invoices(self, org: str, run_id: str, limit: int = 50) -> list[InvoiceRecord]:
        """The first invoices that a sync imported."""
        return await self._store(org).records.run_invoices(run_id, limit)

    # ---- reading ----------------------------------------------------------------------------

    async def overview(self, org: str) -> Overview:
        """What status and Home tab show."""
        store = self._store(org)
        needing = await self.attention(org, 0, SHOWN)
        skipped = sorted((await store.unexportable()).values(), key=lambda u: u.number)
        return Overview(
            connection=await self.connection(org),
            counts=await store.records.counts(),
            needs_person=needing.items,
            needs_total=needing.total,
            skipped=tuple(skipped[-SHOWN:]),
            skipped_total=len(skipped),
            last_run=await store.last_run(),
            running=await store.polling(),
        )

    async def attention(self, org: str, offset: int, limit: int) -> Page:
        """What needs a person: nobody can say whether it arrived, its receiver objects to it or
        sevDesk refuses its tag, it failed, is blocked or waits."""
        records = self._store(org).records
        unsure = await records.page(UNSURE, 0, LOOKED_THROUGH)
        asked = (r.invoice_id for r in unsure.items if r.overdue)
        noticed, waiting = await records.noticed(), await records.ids_in(NEEDS_PERSON)
        ids = list(dict.fromkeys((*asked, *noticed, *waiting)))
        items = await records.get_many(ids[offset : offset + limit])
        return Page(items=tuple(items), total=len(ids), offset=offset)

    async def invoices(
        self, org: str, states: Collection[InvoiceState] | None, offset: int, limit: int
    ) -> Page:
        """Invoices in some states (None: all), newest change first."""
        return await self._store(org).records.page(states, offset, limit)

    async def invoice(self, org: str, invoice_id: str) -> InvoiceRecord | None:
        """One invoice."""
        return await self._store(org).records.get(invoice_id)

    async def by_number(self, org: str, number: str) -> InvoiceRecord | None:
        """The newest invoice with a number."""
        return await self._store(org).records.by_number(number)

    async def documents(self, org: str, invoice_id: str) -> list[StoredDocument]:
        """The document as sevDesk gave it and as it was (or will be) sent, while they are kept."""
        store = self._store(org)
        record = await store.records.get(invoice_id)
        if record is None:
            return []
        sent = record.attempt.sha256 if record.attempt else record.document_sha256
        found = []
        for kind, sha256 in (("original", record.source_sha256), ("sent", sent)):
            content = await store.document(sha256)
            if content is not None:
                name = f"{record.number}-{kind}.xml"
                found.append(
                    StoredDocument(kind=kind, filename=name, sha256=sha256, content=content)
                )
        return found

    async def pdf(self, org: str, invoice_id: str) -> StoredDocument:
        """The PDF as sevDesk makes it now. Raises `SevdeskError`, `NotConnectedError`."""
        pdf = await (await self._ports.sevdesk(org)).pdf(invoice_id)
        return StoredDocument(kind="pdf", filename=pdf.filename, sha256="", content=pdf.content)

    def audit(self, org: str) -> AsyncIterator[AuditEntry]:
        """The audit list, oldest first."""
        return self._store(org).audit()

    async def note(self, org: str, entry: AuditEntry) -> None:
        """Append to the audit list."""
        await self._store(org).note(entry)

    async def events(self, org: str, after: str, limit: int = 500) -> list[Event]:
        """What happened after a stream id, oldest first."""
        return await self._store(org).events(after, limit)

    async def trim_events(self, org: str, up_to: str) -> None:
        """Forget events that were told."""
        await self._store(org).trim_events(up_to)

    async def waiting_events(self, org: str) -> int:
        """How many events were not told."""
        return await self._store(org).waiting_events()

    async def keep_events(self, org: str, newest: int) -> None:
        """Forget all but the newest, though they were not told."""
        await self._store(org).keep_events(newest)

    def invoice_url(self, invoice_id: str) -> str:
        """The invoice in sevDesk's web application."""
        return f"{self._web_url}/fi/detail/type/RE/id/{invoice_id}"

    async def lookup(self, participant: ParticipantId) -> str:
        """Whether a participant can be reached: registered, not_registered, not_confirmed (the
        access point does not say it for certain) or down."""
        match await self._ports.look(participant):
            case Registered():
                return "registered"
            case NotRegistered(certain=True):
                return "not_registered"
            case NotRegistered():
                return "not_confirmed"
            case LookupDown():
                return "down"

    # ---- a person's wishes: what sends something raises `PausedError` ---------------------------

    async def retry(self, org: str, invoice_id: str, actor: str) -> Decision:
        """Fetch a failed or blocked invoice afresh and send it."""
        await self._pausing.require_none(org)
        return await self._decide(
            org, invoice_id, RETRYABLE, lambda r: delivery.retried(r, actor, self._ports.now())
        )

    async def retry_all(self, org: str, actor: str) -> int:
        """All of them; how many were started."""
        await self._pausing.require_none(org)
        ids = await self._store(org).records.ids_in(RETRYABLE)
        return await self._started([await self.retry(org, i, actor) for i in ids])

    async def send(self, org: str, invoice_id: str, actor: str) -> Decision:
        """Send an invoice that waits for it."""
        await self._pausing.require_none(org)
        waiting = {InvoiceState.WAITING}
        return await self._decide(
            org, invoice_id, waiting, lambda r: delivery.released(r, actor, self._ports.now())
        )

    async def send_all(self, org: str, actor: str, *, since: date | None = None) -> int:
        """Send all that wait, or those dated `since` or later; how many were started.

        What is still being prepared for the same question is sent without asking again.
        """
        await self._pausing.require_none(org)
        records = self._store(org).records
        ids = await records.ids_in([InvoiceState.WAITING, InvoiceState.IMPORTED])
        decisions = []
        for record in await records.get_many(ids):
            if since is not None and (record.invoice_date is None or record.invoice_date < since):
                continue
            if record.state is InvoiceState.WAITING:
                decisions.append(await self.send(org, record.invoice_id, actor))
            elif record.hold:
                decisions.append(await self._unhold(org, record.invoice_id, actor))
        return await self._started(decisions)

    async def _unhold(self, org: str, invoice_id: str, actor: str) -> Decision:
        changes = {"hold": "", "actor": actor}
        return await self._decide(
            org, invoice_id, {InvoiceState.IMPORTED}, lambda r: r.model_copy(update=changes)
        )

    async def choose_receiver(
        self, org: str, invoice_id: str, participant: ParticipantId, actor: str
    ) -> Decision:
        """Remember the receiver for the contact, and send a blocked or failed invoice to it."""
        await self._pausing.require_none(org)
        record = await self.invoice(org, invoice_id)
        if record is None:
            return Decision(outcome=Outcome.NOT_FOUND)
        await self._store(org).put_receiver(record.contact_id, participant)
        entry = AuditEntry(
            at=self._ports.now(),
            actor=actor,
            action="receiver chosen",
            invoice_id=invoice_id,
            number=record.number,
            detail=str(participant),
        )
        await self.note(org, entry)
        return await self.retry(org, invoice_id, actor)

    async def arrived(self, org: str, invoice_id: str, actor: str) -> Decision:
        """A person saw the invoice at its receiver, and nobody else can say that it arrived."""

        def change(record: InvoiceRecord) -> InvoiceRecord:
            return delivery.arrived(record, actor, self._ports.now()) if _unsure(record) else record

        return await self._decide(org, invoice_id, UNSURE, change)

    async def send_again(self, org: str, invoice_id: str, actor: str) -> Decision:
        """A person takes the risk that the receiver gets an invoice twice.

        Of one that is unconfirmed, or that the access point took and never reports on.
        """
        await self._pausing.require_none(org)
        now = self._ports.now()

        def change(record: InvoiceRecord) -> InvoiceRecord:
            if record.attempt is not None and now < record.attempt.deadline:
                return record  # its request may still be under way
            return delivery.sent_again(record, actor, now) if _unsure(record) else record

        return await self._decide(org, invoice_id, UNSURE, change)

    async def dismiss(self, org: str, invoice_id: str, actor: str) -> Decision:
        """A person does not want it sent."""
        reason = Reason(code="withdrawn.dismissed")
        return await self._decide(
            org,
            invoice_id,
            set(NEEDS_PERSON),
            lambda r: delivery.withdrawn(r, reason, self._ports.now(), actor),
        )

    async def resolve_hold(self, org: str, actor: str, *, resend: bool) -> bool:
        """Most tags vanished at once: write them again, or import the invoices again."""
        await self._pausing.require_none(org)
        connection = await self.connection(org)
        if connection is None or connection.state is not ConnectionState.HELD:
            return False
        # Killed half-way, a restored tag is restored again, which changes nothing. A second
        # import would be one more document, so it begins only when nobody else decides any more;
        # what is left of it after a kill is noticed as lost by the next poll.
        if resend:
            decided = await self._unhold_all(org, actor, "sent again after tags were lost")
            await self._for_lost(connection if decided else None, self._again)
        else:
            await self._for_lost(connection, self._tagged_again)
            decided = await self._unhold_all(org, actor, "tags restored")
        if decided:
            await self._ports.jobs.sync_now(org, uuid.uuid4().hex, actor)
        return decided

    async def _unhold_all(self, org: str, actor: str, action: str) -> bool:
        """End the hold; False if somebody else did."""
        changes = {"state": ConnectionState.ACTIVE, "reason": None, "held_invoices": ()}

        def change(connection: Connection) -> Connection | None:
            held = connection.state is ConnectionState.HELD
            return connection.model_copy(update=changes) if held else None

        book = self._book(org)
        return await book.change_connection(change, action=action, actor=actor) is not None

    async def _for_lost(self, held: Connection | None, change: Change) -> None:
        """Change each record whose tag is still missed as it was when a person was asked.

        What was imported or tagged since then was decided otherwise: by a retry, or by the first
        of two who answered while a poll asked again.
        """
        if held is None:
            return
        since = held.held_at

        def if_missed(record: InvoiceRecord) -> InvoiceRecord:
            times = (record.created_at, record.tagged_at)
            later = since is not None and any(at is not None and at >= since for at in times)
            return record if later else change(record)

        for invoice_id in held.held_invoices:
            await self._decide(held.org, invoice_id, set(InvoiceState), if_missed)

    def _again(self, record: InvoiceRecord) -> InvoiceRecord:
        """The next import, unless its last one is still under way."""
        if record.state in delivery.IN_FLIGHT:
            return self._tagged_again(record)
        return delivery.reexported(record, "", record.hold, self._ports.now())

    def _tagged_again(self, record: InvoiceRecord) -> InvoiceRecord:
        """As if no tag had ever been written, so that it is."""
        lost = {"tag": None, "tag_relation": "", "tagged_at": None, "tag_retry_at": None}
        return record.model_copy(update=lost | {"tag_seen": False, "tag_left": False})

    async def _decide(
        self, org: str, invoice_id: str, states: Collection[InvoiceState], change: Change
    ) -> Decision:
        """One transition from one of `states`, however many ask for it at once."""
        book = self._book(org)
        for attempt in range(TRIES):
            record = await book.store.records.get(invoice_id)
            if record is None:
                return Decision(outcome=Outcome.NOT_FOUND)
            if record.state not in states:
                on_its_way = record.state in delivery.BY_ITSELF or record.state in delivery.FINAL
                already = bool(attempt) or (bool(record.actor) and on_its_way)
                outcome = Outcome.ALREADY if already else Outcome.NOT_POSSIBLE
                return Decision(outcome=outcome, record=record)
            after = change(record)
            if after == record:
                return Decision(outcome=Outcome.NOT_POSSIBLE, record=record)
            try:
                written = await book.write(record, after)
            except StaleRecordError:
                continue
            return Decision(outcome=Outcome.STARTED, record=written)
        return Decision(outcome=Outcome.NOT_POSSIBLE, record=record)

    async def _started(self, decisions: list[Decision]) -> int:
        return sum(d.outcome is Outcome.STARTED for d in decisions)
