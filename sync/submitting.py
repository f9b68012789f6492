"""Handing one invoice to the access point: the only step that must not be repeated blindly.

The attempt is on the disk before its request leaves, the request leaves once, and what came of it
is written with some patience. Whatever is not written is settled later (`sync.settling`).
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass

import structlog

from sync import delivery
from sync.answers import Answers
from sync.book import Book
from sync.clock import steady
from sync.errors import Kind, Reason, StaleRecordError, StoreError, SyncError
from sync.model import Attempt, ConnectionState, InvoiceRecord, InvoiceState
from sync.peppol.access_point import NotTaken, Submission, SubmitOutcome, Unknown
from sync.ports import Ports
from sync.store.records import NotDurableError

log = structlog.get_logger(__name__)

OUTCOME_WAITS = (0.1, 0.5, 2.0, 5.0, 0.0)  # seconds between tries to write an outcome


class AttemptExpiredError(SyncError):
    """The worker was held up for so long that its attempt may not leave any more."""

    code = "attempt.expired"
    kind = Kind.TRANSIENT


@dataclass(frozen=True, slots=True)
class Guard:
    """Raises when the attempt is too old to begin its request.

    Asked as the last thing before the bytes leave: a worker may have been paused between its
    claim and here for longer than the attempt's deadline, and others may be settling it.
    """

    started: float  # by the steady clock, before the claim
    seconds: float  # how long after it the request may begin

    def __call__(self) -> None:
        """Raise `AttemptExpiredError`, or do nothing."""
        if steady() - self.started > self.seconds:
            raise AttemptExpiredError("the worker was paused between claim and request")


@dataclass(slots=True)
class Saver:
    """Makes the provider's id of an attempt durable before the hand-over."""

    book: Book
    record: InvoiceRecord

    async def __call__(self, provider_id: str) -> None:
        """Store it. Raises `StaleRecordError` if the attempt is not ours any more, `StoreError`."""
        if self.record.attempt is None:
            raise ValueError("no attempt")
        attempt = self.record.attempt.model_copy(update={"provider_id": provider_id})
        after = self.record.model_copy(update={"attempt": attempt})
        try:
            self.record = await self.book.write(self.record, after, durable=True)
        except NotDurableError as error:
            self.record = error.written
            raise


class Submitter:
    """Submits the invoices of one organisation."""

    def __init__(self, ports: Ports, book: Book) -> None:
        """Write into `book`."""
        self._ports = ports
        self._book = book
        self._answers = Answers(ports)

    async def submit(self, record: InvoiceRecord) -> None:
        """Claim, hand over, and write what came of it. Raises `StaleRecordError`, `StoreError`."""
        started = steady()
        document = await self._book.store.document(record.document_sha256)
        if document is None:
            # Its time was over while it waited for a person: make it again.
            again = delivery.enter(
                record, InvoiceState.IMPORTED, self._ports.now(), at=self._ports.now()
            )
            await self._book.write(record, again.model_copy(update={"refetch": True, "hold": ""}))
            return
        # Whatever can fail is read before the claim: after it, only an answer settles it.
        company = await self._company(record)
        try:
            claimed = await self._claim(record, company)
        except NotDurableError as error:
            await self._keep_outcome(error.written, NotTaken(error.reason))
            return
        policy = self._ports.policy
        guard = Guard(started, policy.attempt_deadline.total_seconds() / 2)
        saver = Saver(self._book, claimed)
        submission = submission_of(claimed, document, company)
        self._ports.under_way.add(submission.attempt_id)
        try:
            outcome = await self._hand_over(submission, guard, saver)
            await self._keep_outcome(saver.record, outcome)
        finally:
            self._ports.under_way.discard(submission.attempt_id)

    async def _keep_outcome(self, claimed: InvoiceRecord, outcome: SubmitOutcome) -> None:
        """Write what came of an attempt. It is worth some patience with the store.

        A poll may note something in the record while the request is under way: the outcome is
        written over that. If the store stays away the attempt is settled later, by asking the
        access point. Raises `StoreError`.
        """
        record = claimed
        for wait in OUTCOME_WAITS:
            try:
                await self._book.write(record, self._answers.after_submit(record, outcome))
                return
            except StaleRecordError:
                record = await self._same_attempt(claimed, outcome)
            except StoreError:
                if not wait:
                    raise
                await asyncio.sleep(wait)
        raise StaleRecordError("the record keeps changing")

    async def _same_attempt(self, claimed: InvoiceRecord, outcome: SubmitOutcome) -> InvoiceRecord:
        """The record as it is now, if it still waits for the outcome of the same attempt.

        Also if it was taken for abandoned meanwhile: what the access point itself says is more
        than anybody can find out. Raises `StaleRecordError` if it does not wait: the outcome was
        written after all, or somebody has settled it.
        """
        record = await self._book.store.records.get(claimed.invoice_id)
        waiting = {InvoiceState.SUBMITTING}
        if not isinstance(outcome, Unknown):
            waiting.add(InvoiceState.UNCONFIRMED)
        waits = record is not None and record.state in waiting
        if record is None or not waits or _attempt_id(record) != _attempt_id(claimed):
            raise StaleRecordError("the attempt is settled")
        return record

    async def _company(self, record: InvoiceRecord) -> str:
        """The organisation's own company. Raises `StaleRecordError` where the invoice's account is
        not connected any more: another account's company is not the one to send it from.
        """
        connection = await self._book.store.connection()
        if connection is None or connection.state is ConnectionState.DISCONNECTED:
            raise StaleRecordError("nobody is connected any more")
        if connection.account != record.account:
            raise StaleRecordError("another account is connected")
        return connection.company

    async def _claim(self, record: InvoiceRecord, company: str) -> InvoiceRecord:
        if not (record.sender and record.receiver and record.document_type):
            raise ValueError("a ready invoice has no addresses")
        now = self._ports.now()
        attempt = Attempt(
            id=str(uuid.uuid4()),
            number=record.attempts + 1,
            adapter=self._ports.access_point.capabilities.name,
            account=self._ports.account(company)[0],
            company=company,
            sender=record.sender,
            receiver=record.receiver,
            document_type=record.document_type,
            sha256=record.document_sha256,
            claimed_at=now,
            deadline=now + self._ports.doubt() + self._ports.policy.attempt_deadline,
            forced=record.force,
        )
        claimed = delivery.claim(record, attempt, now)
        return await self._book.write(record, claimed, durable=True)

    async def _hand_over(self, submission: Submission, guard: Guard, saver: Saver) -> SubmitOutcome:
        """The one request. Whatever happens in it ends as one of four outcomes."""
        try:
            async with asyncio.timeout(self._ports.policy.request_timeout.total_seconds()):
                return await self._ports.access_point.submit(submission, guard, saver)
        except (AttemptExpiredError, StoreError) as error:
            return NotTaken(error.reason)  # raised by guard or save: nothing was handed over
        except Exception as error:
            # Also a bug in an adapter: the request may have left.
            log.exception("submit", org=self._book.org, invoice=saver.record.invoice_id)
            return Unknown(
                Reason(
                    code="attempt.lost", kind=Kind.UNKNOWN, params={"error": type(error).__name__}
                )
            )


async def company_of(book: Book, attempt: Attempt | None) -> str:
    """The company at the provider that an attempt went from; empty: the configured one.

    Of an attempt that does not say it, it is the organisation's own one as of now.
    """
    if attempt is not None and attempt.company is not None:
        return attempt.company
    connection = await book.store.connection()
    return connection.company if connection else ""


def submission_of(record: InvoiceRecord, document: bytes, company: str) -> Submission:
    """The record's attempt as the access point is told of it."""
    attempt = record.attempt
    if attempt is None:
        raise ValueError("no attempt")
    return Submission(
        attempt_id=attempt.id,
        sender=attempt.sender,
        receiver=attempt.receiver,
        document_type=attempt.document_type,
        document=document,
        number=record.number,
        country=record.country,
        claimed_at=attempt.claimed_at,
        company=company,
        provider_id=attempt.provider_id or "",
        earlier=record.earlier,
    )


def _attempt_id(record: InvoiceRecord) -> str:
    return record.attempt.id if record.attempt else ""
