"""Finding out what became of a submission: of one whose answer was lost, of one that was taken."""

from __future__ import annotations

from typing import Final

from sync import delivery, listening
from sync.answers import Answers
from sync.book import Book
from sync.errors import Kind, Reason
from sync.model import InvoiceRecord
from sync.peppol.access_point import (
    Absent,
    CannotTell,
    DeliveryState,
    DeliveryStatus,
    FindOutcome,
)
from sync.ports import Ports
from sync.submitting import company_of, submission_of

OTHER_ACCOUNT: Final = Reason(code="attempt.other_account", kind=Kind.UNKNOWN)


class Settler:
    """Asks about the invoices of one organisation."""

    def __init__(self, ports: Ports, book: Book) -> None:
        """Write into `book`."""
        self._ports = ports
        self._book = book
        self._answers = Answers(ports)

    async def abandon(self, record: InvoiceRecord) -> None:
        """The worker of an attempt is gone: what came of it is unknown."""
        reason = Reason(code="attempt.abandoned", kind=Kind.UNKNOWN)
        await self._book.write(
            record, delivery.lost(record, reason, self._ports.now(), self._ports.policy)
        )

    async def settle(self, record: InvoiceRecord) -> None:
        """Ask the access point whether it has an attempt whose answer was lost."""
        asked = self._ports.now()
        outcome = await self._find(record)
        if isinstance(outcome, CannotTell) and outcome.reason is OTHER_ACCOUNT:
            record = record.model_copy(update={"reason": OTHER_ACCOUNT})
        await self._book.write(record, self._answers.after_find(record, outcome, asked))

    async def _find(self, record: InvoiceRecord) -> FindOutcome:
        """The access point's answer, as far as it can know of the attempt."""
        if self._is_elsewhere(record):
            return CannotTell(OTHER_ACCOUNT)
        company = await company_of(self._book, record.attempt)
        document = await self._book.store.document(record.document_sha256) or b""
        outcome = await self._ports.access_point.find(submission_of(record, document, company))
        if isinstance(outcome, Absent) and self._is_another_account(record, company):
            return CannotTell(OTHER_ACCOUNT)
        return outcome

    async def check(self, record: InvoiceRecord) -> None:
        """Ask how far a submission that was taken has come."""
        if self._is_elsewhere(record):
            status = DeliveryStatus(DeliveryState.UNKNOWN, "")
        else:
            status = await self._ports.access_point.status(_provider_id(record))
        await self._book.write(record, self._answers.after_status(record, status, first=False))

    async def watch(self, record: InvoiceRecord) -> None:
        """Ask about a sent invoice. What comes back never changes that it was delivered."""
        status = await self._ports.access_point.status(_provider_id(record))
        after = self._answers.listened(
            listening.heard(record, status, self._ports.now()), status.retry_after
        )
        await self._book.write(record, after, action=listening.action(record, after))

    def _is_elsewhere(self, record: InvoiceRecord) -> bool:
        """Whether the attempt was made at another provider than the one that is set up now.

        It knows nothing of the attempt, which is no proof that the other one did not take it.
        """
        attempt = record.attempt
        return attempt is not None and attempt.adapter != self._ports.access_point.capabilities.name

    def _is_another_account(self, record: InvoiceRecord, company: str) -> bool:
        """Whether the attempt was made with other credentials, at another address or company.

        What that account does not know another one may have. Attempts from before this was
        noted are believed to be of this one.
        """
        made_by = record.attempt.account if record.attempt else ""
        return bool(made_by) and made_by not in self._ports.account(company)


def _provider_id(record: InvoiceRecord) -> str:
    provider_id = record.attempt.provider_id if record.attempt else None
    if not provider_id:
        raise ValueError("a submitted invoice has no provider id")
    return provider_id
