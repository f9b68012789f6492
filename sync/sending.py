"""One invoice on its way: does what `delivery.next_step` says, one step and one write at a time.

A crash at any point leaves a record from which the next worker goes on. The only step that must
not be repeated blindly is the submission, and its attempt is on the disk before it begins.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from datetime import datetime

import structlog

from sync import delivery, listening
from sync.book import Book
from sync.clock import steady
from sync.delivery import Step
from sync.errors import Kind, Reason, StaleRecordError, StoreError, SyncError
from sync.model import Attempt, Connection, ConnectionState, InvoiceRecord, InvoiceState
from sync.peppol.access_point import (
    Absent,
    Accepted,
    CannotTell,
    DeliveryState,
    DeliveryStatus,
    FindOutcome,
    Found,
    NotTaken,
    Rejected,
    Submission,
    SubmitOutcome,
    Unknown,
)
from sync.ports import NotPrepared, Ports, Prepared
from sync.source import Source, SourceGoneError
from sync.store.records import NotDurableError
from sync.tagging import Tagger

log = structlog.get_logger(__name__)

OUTCOME_WAITS = (0.1, 0.5, 2.0, 5.0, 0.0)  # seconds between tries to write an outcome
KEPT_WARNINGS = 10  # of a document
MAX_STEPS = 20  # of one visit; more would be a loop that `next_step` must not have
OTHER_ACCOUNT = Reason(code="attempt.other_account", kind=Kind.UNKNOWN)
NEEDS_ACCOUNT = frozenset({Step.PREPARE, Step.SUBMIT, Step.TAG})  # not after a disconnect


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


class Sender:
    """The invoices of one organisation."""

    def __init__(self, ports: Ports, org: str) -> None:
        """Work for `org`."""
        self._ports = ports
        self._book = Book(ports, org)
        self._source = Source(ports, self._book)
        self.org = org

    async def advance(self, invoice_id: str) -> None:
        """Go on with one invoice until nothing is due for it now.

        Never raises for what is wrong with the invoice, sevDesk or the access point; raises
        `StoreError` when the store is the trouble.
        """
        for _ in range(MAX_STEPS):
            record = await self._book.store.records.get(invoice_id)
            step = delivery.next_step(record, self._ports.now()) if record else None
            if record is None or step is None or self._is_under_way(step, record):
                return
            try:
                await self._take(step, record)
            except StaleRecordError:
                continue  # somebody else went on with it: look again
        log.error("too many steps", org=self.org, invoice=invoice_id)

    def _is_under_way(self, step: Step, record: InvoiceRecord) -> bool:
        """Whether an attempt that looks abandoned is this process's own and still runs.

        It does when the clock was put forward meanwhile. Its request ends within seconds.
        """
        attempt = record.attempt
        return step is Step.ABANDON and attempt is not None and attempt.id in self._ports.under_way

    async def _take(self, step: Step, record: InvoiceRecord) -> None:
        steps = {
            Step.PREPARE: self._prepare,
            Step.SUBMIT: self._submit,
            Step.ABANDON: self._abandon,
            Step.SETTLE: self._settle,
            Step.CHECK: self._check,
            Step.WATCH: self._watch,
            Step.TAG: self._tag,
            Step.TELL: self._tell,
        }
        connection = await self._book.store.connection() if step in NEEDS_ACCOUNT else None
        try:
            if step in NEEDS_ACCOUNT and (reason := _no_account(connection, record)):
                await self._without_account(step, record, reason)
            else:
                await steps[step](record)
        except StoreError:
            raise
        except SyncError as error:
            await self._after_error(step, record, error, connection)
        except Exception:
            log.exception("step failed", org=self.org, invoice=record.invoice_id, step=step.value)
            unknown = SyncError("see the log", kind=Kind.TRANSIENT)
            await self._after_error(step, record, unknown, connection)

    async def _after_error(
        self, step: Step, record: InvoiceRecord, error: SyncError, connection: Connection | None
    ) -> None:
        """Try the step again later. A tag is no reason to hold up the invoice itself.

        `connection` is the one that the step was begun with.
        """
        log.warning(
            "postponed",
            org=self.org,
            invoice=record.invoice_id,
            step=step.value,
            error=error.reason_code,
            detail=str(error),
        )
        if connection is not None:
            await self._source.connection_trouble(error, connection)
        if step is Step.TAG:
            await self._source.postpone_tag(record.invoice_id, error)
            return
        if step is Step.WATCH:
            await self._book.write(record, self._listening(record, error.retry_after))
            return
        later = delivery.postpone(
            record,
            self._now(),
            self._ports.policy,
            self._ports.jitter(),
            reason=error.reason,
            retry_after=error.retry_after,
        )
        await self._book.write(record, later)

    async def _without_account(self, step: Step, record: InvoiceRecord, reason: Reason) -> None:
        """Nothing is sent that nobody is connected for; a connect and a poll take it up again."""
        if step is Step.TAG:
            await self._source.postpone_tag(record.invoice_id)
        else:
            await self._book.write(record, delivery.withdrawn(record, reason, self._now()))

    def _now(self) -> datetime:
        return self._ports.now()

    # ---- prepare ----------------------------------------------------------------------------

    async def _prepare(self, record: InvoiceRecord) -> None:
        try:
            current, content = await self._source.content(record)
            order = await self._source.order(current)
        except SourceGoneError as error:
            await self._book.write(
                record, delivery.withdrawn(record, error.reason, self._now(), record.actor)
            )
            return
        except SyncError as error:
            if error.kind is Kind.TRANSIENT or self._source.is_connection(error):
                raise
            await self._book.write(
                record, self._unprepared(record, NotPrepared(reason=error.reason))
            )
            return
        result = await self._ports.preparer.prepare(content, order)
        current = current.model_copy(update={"refetch": False})  # all was read just now
        if isinstance(result, NotPrepared):
            await self._book.write(record, self._unprepared(current, result))
        else:
            await self._book.store.put_document(result.sha256, result.content)
            await self._book.write(record, self._prepared(current, result))

    def _prepared(self, record: InvoiceRecord, result: Prepared) -> InvoiceRecord:
        now = self._now()
        state = InvoiceState.WAITING if record.hold else InvoiceState.READY
        entered = delivery.enter(record, state, now, at=None if record.hold else now)
        return entered.model_copy(
            update={
                "refetch": False,
                "document_sha256": result.sha256,
                "sender": result.sender,
                "receiver": result.receiver,
                "document_type": result.document_type,
                "country": result.country,
                "rules": result.rules,
                "candidates": (),
                "warnings": result.warnings[:KEPT_WARNINGS],
            }
        )

    def _unprepared(self, record: InvoiceRecord, result: NotPrepared) -> InvoiceRecord:
        """By the reason's kind: try again later, ask a person, or give up."""
        now, reason = self._now(), result.reason
        if reason.kind in (Kind.TRANSIENT, Kind.UNKNOWN):
            return delivery.postpone(
                record, now, self._ports.policy, self._ports.jitter(), reason=reason
            )
        blocked = reason.kind is Kind.PRECONDITION
        state = InvoiceState.BLOCKED if blocked else InvoiceState.FAILED
        ended = delivery.enter(record, state, now, reason=reason)
        return ended.model_copy(
            update={"refetch": False, "candidates": result.candidates, "rules": result.rules}
            | {"warnings": ()}
        )

    # ---- submit -----------------------------------------------------------------------------

    async def _submit(self, record: InvoiceRecord) -> None:
        started = steady()
        document = await self._book.store.document(record.document_sha256)
        if document is None:
            # Its time was over while it waited for a person: make it again.
            again = delivery.enter(record, InvoiceState.IMPORTED, self._now(), at=self._now())
            await self._book.write(record, again.model_copy(update={"refetch": True, "hold": ""}))
            return
        # Whatever can fail is read before the claim: after it, only an answer settles it.
        company = await self._company()
        try:
            claimed = await self._claim(record, company)
        except NotDurableError as error:
            await self._keep_outcome(error.written, NotTaken(error.reason))
            return
        policy = self._ports.policy
        guard = Guard(started, policy.attempt_deadline.total_seconds() / 2)
        saver = _Saver(self._book, claimed)
        submission = _submission(claimed, document, company)
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
                await self._book.write(record, self._after_submit(record, outcome))
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

    async def _claim(self, record: InvoiceRecord, company: str) -> InvoiceRecord:
        if not (record.sender and record.receiver and record.document_type):
            raise ValueError("a ready invoice has no addresses")
        now = self._now()
        attempt = Attempt(
            id=str(uuid.uuid4()),
            number=record.attempts + 1,
            adapter=self._ports.access_point.capabilities.name,
            account=self._ports.account(company)[0],
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

    async def _hand_over(
        self, submission: Submission, guard: Guard, saver: _Saver
    ) -> SubmitOutcome:
        """The one request. Whatever happens in it ends as one of four outcomes."""
        try:
            async with asyncio.timeout(self._ports.policy.request_timeout.total_seconds()):
                return await self._ports.access_point.submit(submission, guard, saver)
        except (AttemptExpiredError, StoreError) as error:
            return NotTaken(error.reason)  # raised by guard or save: nothing was handed over
        except Exception as error:
            # Also a bug in an adapter: the request may have left.
            log.exception("submit", org=self.org, invoice=saver.record.invoice_id)
            return Unknown(
                Reason(
                    code="attempt.lost", kind=Kind.UNKNOWN, params={"error": type(error).__name__}
                )
            )

    async def _company(self) -> str:
        connection = await self._book.store.connection()
        return connection.company if connection else ""

    def _after_submit(self, record: InvoiceRecord, outcome: SubmitOutcome) -> InvoiceRecord:
        now, policy, jitter = self._now(), self._ports.policy, self._ports.jitter()
        match outcome:
            case Accepted(provider_id, status):
                return self._taken(record, provider_id, status)
            case NotTaken(reason, retry_after):
                return delivery.not_taken(
                    record, now, policy, jitter, reason=reason, retry_after=retry_after
                )
            case Rejected(reason) if reason.kind is Kind.PRECONDITION:
                return delivery.not_taken(record, now, policy, jitter, reason=reason)
            case Rejected(reason):
                return delivery.refused(record, reason, now)
            case Unknown(reason):
                return delivery.lost(record, reason, now, policy)

    def _taken(
        self, record: InvoiceRecord, provider_id: str, status: DeliveryStatus
    ) -> InvoiceRecord:
        taken = delivery.accepted(
            record, provider_id, status.provider_status, self._now(), self._ports.policy
        )
        return self._after_status(taken, status, first=True)

    # ---- settle and check -------------------------------------------------------------------

    async def _abandon(self, record: InvoiceRecord) -> None:
        reason = Reason(code="attempt.abandoned", kind=Kind.UNKNOWN)
        await self._book.write(
            record, delivery.lost(record, reason, self._now(), self._ports.policy)
        )

    async def _settle(self, record: InvoiceRecord) -> None:
        company = await self._company()
        if self._is_elsewhere(record):
            outcome: FindOutcome = CannotTell(OTHER_ACCOUNT)
        else:
            document = await self._book.store.document(record.document_sha256) or b""
            outcome = await self._ports.access_point.find(_submission(record, document, company))
        if isinstance(outcome, Absent) and self._is_another_account(record, company):
            outcome = CannotTell(OTHER_ACCOUNT)
        await self._book.write(record, self._after_find(record, outcome))

    def _after_find(self, record: InvoiceRecord, outcome: FindOutcome) -> InvoiceRecord:
        now = self._now()
        if isinstance(outcome, Found):
            return self._taken(record, outcome.provider_id, outcome.status)
        deadline = record.attempt.deadline if record.attempt else now
        if isinstance(outcome, Absent) and now >= deadline:
            return delivery.absent(record, now)
        hopeless = isinstance(outcome, CannotTell) and not outcome.temporary
        if isinstance(outcome, CannotTell) and outcome.reason is OTHER_ACCOUNT:
            record = record.model_copy(update={"reason": OTHER_ACCOUNT})
        return delivery.unsettled(
            record, now, self._ports.policy, self._ports.jitter(), hopeless=hopeless
        )

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

    async def _check(self, record: InvoiceRecord) -> None:
        if self._is_elsewhere(record):
            status = DeliveryStatus(DeliveryState.UNKNOWN, "")
        else:
            status = await self._ports.access_point.status(_provider_id(record))
        await self._book.write(record, self._after_status(record, status, first=False))

    def _after_status(
        self, record: InvoiceRecord, status: DeliveryStatus, *, first: bool
    ) -> InvoiceRecord:
        now = self._now()
        record = listening.heard(record, status, now)
        if status.state is DeliveryState.DELIVERED:
            return self._listening(delivery.delivered(record, status.provider_status, now))
        if status.state is DeliveryState.FAILED:
            reason = status.reason or Reason(code="peppol.delivery.failed")
            return delivery.refused(record, reason, now)
        if first:
            return record
        return delivery.still_pending(
            record,
            status.provider_status,
            now,
            self._ports.policy,
            self._ports.jitter(),
            retry_after=status.retry_after,
        )

    # ---- what the receiver answers ------------------------------------------------------------

    async def _watch(self, record: InvoiceRecord) -> None:
        """Ask about a sent invoice. What comes back never changes that it was delivered."""
        status = await self._ports.access_point.status(_provider_id(record))
        after = self._listening(listening.heard(record, status, self._now()), status.retry_after)
        await self._book.write(record, after, action=listening.action(record, after))

    def _listening(self, record: InvoiceRecord, retry_after: float | None = None) -> InvoiceRecord:
        """When to ask next what the receiver answers, where the access point tells."""
        policy, jitter = self._ports.policy, self._ports.jitter()
        tells = self._ports.access_point.capabilities.tells_responses
        now = self._now()
        return listening.watched(record, now, policy, jitter, tells=tells, retry_after=retry_after)

    # ---- tags and telling -------------------------------------------------------------------

    async def _tag(self, record: InvoiceRecord) -> None:
        sevdesk = await self._ports.sevdesk(self.org)
        await Tagger(self._ports, self._book, sevdesk).follow(record)

    async def _tell(self, record: InvoiceRecord) -> None:
        await self._book.write(record, delivery.tell(record), action="overdue")


def _no_account(connection: Connection | None, record: InvoiceRecord) -> Reason | None:
    """Why nothing may be done with the invoice's account: it is not connected any more."""
    if connection is None or connection.state is ConnectionState.DISCONNECTED:
        return Reason(code="withdrawn.disconnected")
    if connection.account != record.account:
        return Reason(code="withdrawn.account_replaced")
    return None


def _provider_id(record: InvoiceRecord) -> str:
    provider_id = record.attempt.provider_id if record.attempt else None
    if not provider_id:
        raise ValueError("a submitted invoice has no provider id")
    return provider_id


def _submission(record: InvoiceRecord, document: bytes, company: str) -> Submission:
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


@dataclass(slots=True)
class _Saver:
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
