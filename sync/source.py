"""What sevDesk knows of one invoice: its document, its contact, and whether it is still open."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from sync import delivery, planner
from sync.book import Book
from sync.errors import Kind, SyncError
from sync.model import Connection, ConnectionState, InvoiceRecord, ParticipantId
from sync.ports import Order, Ports
from sync.sevdesk.errors import (
    ForbiddenError,
    NotFoundError,
    RefusedError,
    UnauthorizedError,
)
from sync.sevdesk.models import ContactRow, CustomFieldSetting, InvoiceRow
from sync.store.organisation import ContactFact

PEPPOL_ID_FIELD = "peppol id"  # name of the contact field in sevDesk, casefolded
# For so long a contact is not read again. Its number may be corrected in sevDesk, and an invoice
# must not go to whom the old one belongs.
CONTACT_AGE = timedelta(days=1)
CONTACT_AGE_ASKED = timedelta(minutes=1)  # when a person syncs: does it belong to one by now?
PROBE = timedelta(hours=1)  # how often a refused token is tried again
FIELD_AGE = timedelta(minutes=10)  # custom fields are read at most this often
# … but for a contact that is met for the first time: nobody fills in a new contact and writes an
# invoice to it faster than this.
NEW_CONTACT_AGE = timedelta(seconds=15)


class NotConnectedError(SyncError):
    """The organisation has no sevDesk token."""

    code = "connection.none"
    kind = Kind.PRECONDITION


class SourceGoneError(SyncError):
    """The invoice is not open any more: paid, cancelled, deleted or back to a draft."""

    code = "withdrawn.not_open"


class Source:
    """Reads for one organisation."""

    def __init__(self, ports: Ports, book: Book) -> None:
        """Read with the organisation's token."""
        self._ports = ports
        self._book = book

    async def content(self, record: InvoiceRecord) -> tuple[InvoiceRecord, bytes]:
        """The XML, and the record as the invoice is now.

        Fetched afresh after a retry. Raises `SourceGoneError`, `SevdeskError`.
        """
        kept = None if record.refetch else await self._book.store.document(record.source_sha256)
        if kept is not None:
            return record, kept
        sevdesk = await self._ports.sevdesk(self._book.org)
        row = await self._row(record)
        content = await sevdesk.xml(record.invoice_id)
        return await self.keep(describe(record, row), content), content

    async def keep(self, record: InvoiceRecord, content: bytes) -> InvoiceRecord:
        """Store the XML and note its hash."""
        sha256 = hashlib.sha256(content).hexdigest()
        await self._book.store.put_document(sha256, content)
        return record.model_copy(update={"source_sha256": sha256})

    async def _row(self, record: InvoiceRecord) -> InvoiceRow:
        sevdesk = await self._ports.sevdesk(self._book.org)
        try:
            row = await sevdesk.invoice(record.invoice_id)
        except NotFoundError as error:
            raise SourceGoneError("deleted", code="withdrawn.deleted") from error
        if not planner.is_open(row):
            raise gone(row)
        return row

    async def why_gone(self, record: InvoiceRecord) -> SourceGoneError | None:
        """Why an invoice is in no list any more; None if it is open after all."""
        try:
            await self._row(record)
        except SourceGoneError as error:
            return error
        return None

    async def order(self, record: InvoiceRecord) -> Order:
        """What is known of the contact and of the organisation itself.

        A person is reached as the organisation that he or she belongs to, unless the person's
        own contact says something else.
        """
        connection = await self._book.store.connection()
        ids = [record.contact_id]
        fact = await self._contact(record.contact_id, fresh=record.refetch)
        vat_number, buyer_reference = fact.vat_number, fact.buyer_reference
        if fact.parent_id:
            ids.append(fact.parent_id)
            parent = await self._contact(fact.parent_id, fresh=record.refetch)
            vat_number = vat_number or parent.vat_number
            buyer_reference = buyer_reference or parent.buyer_reference
        return Order(
            sender=(connection.sender if connection else None) or self._ports.sender,
            chosen=await self._chosen(ids),
            peppol_id=await self._peppol_id(ids, fresh=record.refetch),
            vat_number=vat_number,
            buyer_reference=buyer_reference,
            fresh=record.refetch,
        )

    async def _chosen(self, contact_ids: list[str]) -> ParticipantId | None:
        for contact_id in contact_ids:
            chosen = await self._book.store.receiver(contact_id)
            if chosen is not None:
                return chosen
        return None

    async def _contact(self, contact_id: str, *, fresh: bool) -> ContactFact:
        # Several invoices of a contact that is met for the first time ask for it once.
        async with self._ports.locks("contact", self._book.org, contact_id):
            known = await self._book.store.contact(contact_id)
            if known is not None and not fresh and is_recent(known, self._ports.now(), CONTACT_AGE):
                return known
            return await self._read_contact(contact_id)

    async def _read_contact(self, contact_id: str) -> ContactFact:
        try:
            sevdesk = await self._ports.sevdesk(self._book.org)
            row = await sevdesk.contact(contact_id)
        except NotFoundError:
            return ContactFact(contact_id=contact_id)
        fact = contact_fact(row, self._ports.now().timestamp())
        await self._book.store.put_contacts({fact.contact_id: fact})
        return fact

    async def _peppol_id(self, contact_ids: list[str], *, fresh: bool) -> str:
        """The contact's own field "Peppol ID", in accounts that have such a field."""
        fields = PeppolIds(self._ports, self._book)
        if fresh:
            await fields.refresh()
        for contact_id in contact_ids:
            fact = await self._book.store.contact(contact_id)
            value = await fields.of(contact_id, met=fact.read_at if fact else 0.0)
            if value:
                return value
        return ""

    # ---- trouble ----------------------------------------------------------------------------

    def is_connection(self, error: SyncError) -> bool:
        """Whether an error is about the organisation's connection, not about one invoice."""
        return is_refusal(error) or isinstance(error, NotConnectedError)

    async def connection_trouble(self, error: SyncError, met: Connection) -> None:
        """A refused token stops the organisation's sync, with one message.

        `met` is the connection with which the error was met: a token that somebody has replaced
        meanwhile says nothing of the new one. A connection on trial stays broken, without another
        message.
        """
        if not is_refusal(error):
            return
        probe_at = self._ports.now() + PROBE

        def change(connection: Connection) -> Connection | None:
            if connection.state is ConnectionState.DISCONNECTED or not is_same(connection, met):
                return None
            if connection.state is ConnectionState.BROKEN and not connection.trial:
                return None
            broken = {"state": ConnectionState.BROKEN, "reason": error.reason, "trial": False}
            return connection.model_copy(update=broken | {"next_sync": probe_at})

        await self._book.change_connection(change, told=_another_state)

    async def postpone_tag(self, invoice_id: str, error: SyncError | None = None) -> None:
        """Try the tag again later; a write that was begun has changed the record meanwhile.

        `error`: why it could not be written, where sevDesk was asked.
        """
        record = await self._book.store.records.get(invoice_id)
        if record is None:
            return
        now, jitter = self._ports.now(), self._ports.jitter()
        trouble = error.reason if error is not None and self._is_for_good(error) else None
        later = delivery.tag_postponed(record, now, self._ports.policy, jitter, trouble=trouble)
        await self._book.write(record, later)

    def _is_for_good(self, error: SyncError) -> bool:
        """Whether the same request is refused again: about this invoice, not the connection."""
        return error.kind is Kind.PERMANENT and not self.is_connection(error)


def is_same(one: Connection, other: Connection) -> bool:
    """Whether nobody connected anew in between: the account and the token are the same."""
    return (one.account, one.connected_at) == (other.account, other.connected_at)


def _another_state(before: Connection, after: Connection) -> bool:
    return before.state is not after.state


def is_refusal(error: SyncError | None) -> bool:
    """Whether sevDesk refuses the token."""
    return isinstance(error, (UnauthorizedError, ForbiddenError))


def gone(row: InvoiceRow) -> SourceGoneError:
    """Why a row is not open, by its status."""
    code = {"100": "withdrawn.draft", "1000": "withdrawn.paid"}.get(row.status)
    return SourceGoneError(f"status {row.status}", code=code or "withdrawn.not_open")


def describe(record: InvoiceRecord, row: InvoiceRow) -> InvoiceRecord:
    """The record with what a list says of the invoice."""
    return record.model_copy(
        update={
            "number": row.number,
            "contact_id": row.contact_id,
            "contact_name": row.contact_name or record.contact_name,
            "invoice_type": row.invoice_type,
            "invoice_date": row.invoice_date,
            "due_date": row.due_date,
            "currency": row.currency,
            "gross": row.gross if row.gross is not None else record.gross,
            "revision": row.revision,
        }
    )


def is_recent(fact: ContactFact, now: datetime, age: timedelta) -> bool:
    """Whether a contact was read not longer ago than `age`."""
    return fact.read_at > (now - age).timestamp()


def contact_fact(row: ContactRow, read_at: float) -> ContactFact:
    """What is kept of a contact."""
    return ContactFact(
        contact_id=row.id,
        name=row.name,
        parent_id=row.parent_id,
        vat_number=row.vat_number,
        buyer_reference=row.buyer_reference,
        read_at=read_at,
    )


class PeppolIds:
    """The values of the contact field "Peppol ID" of one organisation.

    Whether the account has such a field is asked when it is connected, when a person syncs and
    when a person retries; most accounts have none, and pay no request for it otherwise.
    """

    def __init__(self, ports: Ports, book: Book) -> None:
        """Read with the organisation's token, keep in its store."""
        self._ports = ports
        self._book = book

    async def of(self, contact_id: str, *, met: float) -> str:
        """The value for a contact, empty if there is none; it was first read at `met` (unix)."""
        fields = await self._book.store.cached("peppol_fields")
        if not fields:
            return ""
        async with self._ports.locks("peppol_ids", self._book.org):
            return (await self._values(frozenset(fields), met)).get(contact_id, "")

    async def refresh(self) -> None:
        """Ask whether the account has the field. An account without custom fields has not."""
        sevdesk = await self._ports.sevdesk(self._book.org)
        try:
            rows = (await sevdesk.custom_field_settings()).rows
        except (NotFoundError, RefusedError):
            rows = ()
        found = {r.id: "1" for r in rows if PEPPOL_ID_FIELD in _names(r)}
        await self._book.store.cache("peppol_fields", found, self._ports.now())
        await self._book.store.drop_cache("peppol_ids")

    async def _values(self, fields: frozenset[str], met: float) -> dict[str, str]:
        now = self._ports.now()
        first_read = datetime.fromtimestamp(met, UTC)
        since = max(now - FIELD_AGE, min(first_read, now - NEW_CONTACT_AGE))
        kept = await self._book.store.cached("peppol_ids", since)
        if kept is not None:
            return kept
        sevdesk = await self._ports.sevdesk(self._book.org)
        found = {
            row.contact_id: row.value
            for row in (await sevdesk.custom_fields()).rows
            if row.setting_id in fields and row.value.strip()
        }
        await self._book.store.cache("peppol_ids", found, self._ports.now())
        return found


def _names(setting: CustomFieldSetting) -> tuple[str, str]:
    return (setting.name.strip().casefold(), setting.identifier.strip().casefold())
