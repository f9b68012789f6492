"""One invoice on its way: does what `delivery.next_step` says, one step and one write at a time.

A crash at any point leaves a record from which the next worker goes on. Here an invoice is
prepared and tagged; it is handed over in `sync.submitting`, and `sync.settling` asks the access
point what became of it.
"""

from __future__ import annotations

from datetime import datetime

import structlog

from sync import delivery
from sync.answers import Answers
from sync.book import Book
from sync.delivery import Step
from sync.errors import Kind, Reason, StaleRecordError, StoreError, SyncError
from sync.model import Connection, ConnectionState, InvoiceRecord, InvoiceState
from sync.ports import NotPrepared, Ports, Prepared
from sync.settling import Settler
from sync.source import Source, SourceGoneError
from sync.submitting import Submitter
from sync.tagging import Tagger

log = structlog.get_logger(__name__)

KEPT_WARNINGS = 10  # of a document
MAX_STEPS = 20  # of one visit; more would be a loop that `next_step` must not have
NEEDS_ACCOUNT = frozenset({Step.PREPARE, Step.SUBMIT, Step.TAG})  # not after a disconnect
BEGINS = frozenset({Step.PREPARE, Step.SUBMIT})  # not while the organisation is paused


class Sender:
    """The invoices of one organisation."""

    def __init__(self, ports: Ports, org: str) -> None:
        """Work for `org`."""
        self._ports = ports
        self._book = Book(ports, org)
        self._source = Source(ports, self._book)
        self._answers = Answers(ports)
        self._submitter = Submitter(ports, self._book)
        self._settler = Settler(ports, self._book)
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
            Step.SUBMIT: self._submitter.submit,
            Step.ABANDON: self._settler.abandon,
            Step.SETTLE: self._settler.settle,
            Step.CHECK: self._settler.check,
            Step.WATCH: self._settler.watch,
            Step.TAG: self._tag,
            Step.TELL: self._tell,
        }
        connection = await self._book.store.connection() if step in NEEDS_ACCOUNT else None
        try:
            if step in NEEDS_ACCOUNT and (reason := _no_account(connection, record)):
                await self._without_account(step, record, reason)
            elif step in BEGINS and connection is not None and connection.pause is not None:
                await self._book.write(record, delivery.paused(record, self._now()))
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
            await self._book.write(record, self._answers.listened(record, error.retry_after))
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
