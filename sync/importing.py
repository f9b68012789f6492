"""Importing one invoice: its XML is fetched and kept, its record begins.

An invoice without XML is remembered until it changes, and no message is sent about it. An
e-invoice that sevDesk cannot make becomes a blocked record, because a person must act.
"""

from __future__ import annotations

from sync import delivery
from sync.book import Book
from sync.errors import Kind, StaleRecordError
from sync.model import InvoiceRecord, InvoiceState, Unexportable
from sync.planner import Import
from sync.ports import Ports, Sevdesk
from sync.sevdesk.errors import (
    BadAnswerError,
    IncompleteEInvoiceError,
    InvoiceXmlError,
    NotAnEInvoiceError,
    NotFoundError,
    SevdeskError,
)
from sync.source import Source, describe

XML_TRIES = 3  # polls after which an invoice without XML is shown to a person


class Importer:
    """Imports invoices of one account in one sync. Counts what it did."""

    def __init__(self, ports: Ports, book: Book, source: Source, account: str, run: str) -> None:
        """`account`: sevDesk account that is synced; `run`: id of the sync."""
        self._ports = ports
        self._book = book
        self._source = source
        self._account = account
        self._run = run
        self.imported = 0
        self.skipped = 0

    async def take(self, order: Import, sevdesk: Sevdesk) -> None:
        """Import one. Raises `SevdeskError` for what is not about this invoice alone."""
        try:
            if order.row.e_invoice is False:
                raise NotAnEInvoiceError("the list says so")
            content = await sevdesk.xml(order.row.id)
        except (InvoiceXmlError, BadAnswerError, NotFoundError) as error:
            await self._without_xml(order, error)  # if it was deleted, the next poll forgets it
        else:
            await self._begin(await self._source.keep(self._new(order), content))

    async def _begin(self, record: InvoiceRecord) -> None:
        try:
            await self._book.write(None, record)
        except StaleRecordError:
            if not await self._replaces(record):
                return  # another worker imported it
        self.imported += 1
        await self._book.store.drop_unexportable(record.invoice_id)

    async def _replaces(self, record: InvoiceRecord) -> bool:
        """Whether the record took the place of one that another account left under its id.

        Two installations of sevDesk may use one id. What is on its way is waited for; what is not
        tagged yet keeps its record, as it would look new in its account.
        """
        before = await self._book.store.records.get(record.invoice_id)
        if before is None or before.account == record.account:
            return False
        if before.state in delivery.IN_FLIGHT or delivery.tag_wanted(before) is not None:
            return False
        try:
            await self._book.write(before, delivery.succeeding(record, before))
        except StaleRecordError:
            return False
        return True

    def _new(self, order: Import) -> InvoiceRecord:
        now, row = self._ports.now(), order.row
        blank = InvoiceRecord(
            org=self._book.org,
            account=self._account,
            invoice_id=row.id,
            state_since=now,
            created_at=now,
            run=self._run,
            hold=order.hold,
            number=row.number,
            contact_id=row.contact_id,
        )
        return delivery.enter(describe(blank, row), InvoiceState.IMPORTED, now, at=now)

    async def _without_xml(self, order: Import, error: SevdeskError) -> None:
        known = (await self._book.store.unexportable()).get(order.row.id)
        same = known is not None and known.revision == order.row.revision
        tries = 1 + (known.tries if known is not None and same else 0)
        never = isinstance(error, NotAnEInvoiceError)
        if isinstance(error, IncompleteEInvoiceError) or (tries >= XML_TRIES and not never):
            await self._block(order, error)
            return
        await self._book.store.put_unexportable(
            Unexportable(
                invoice_id=order.row.id,
                revision=order.row.revision,
                number=order.row.number,
                contact_name=order.row.contact_name,
                reason=error.reason,
                tries=tries,
                retry_at=None if never else self._ports.now(),
            )
        )
        self.skipped += 1

    async def _block(self, order: Import, error: SevdeskError) -> None:
        reason = error.reason.model_copy(update={"kind": Kind.PRECONDITION})
        record = delivery.enter(
            self._new(order), InvoiceState.BLOCKED, self._ports.now(), reason=reason
        )
        await self._begin(record)
