"""What an access point's answer makes of a record. Nothing is written here.

The transitions themselves are `sync.delivery`'s; this says which of them an answer means.
"""

from __future__ import annotations

from datetime import datetime

from sync import delivery, listening
from sync.errors import Kind, Reason
from sync.model import InvoiceRecord
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
    SubmitOutcome,
    Unknown,
)
from sync.ports import Ports


class Answers:
    """By the clock, the policy and the access point of one process."""

    def __init__(self, ports: Ports) -> None:
        """Nothing of `ports` is changed, and nobody is asked."""
        self._ports = ports

    def after_submit(self, record: InvoiceRecord, outcome: SubmitOutcome) -> InvoiceRecord:
        """A submission ended."""
        now, policy, jitter = self._ports.now(), self._ports.policy, self._ports.jitter()
        match outcome:
            case Accepted(provider_id, status):
                return self.taken(record, provider_id, status)
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

    def taken(
        self, record: InvoiceRecord, provider_id: str, status: DeliveryStatus
    ) -> InvoiceRecord:
        """The access point has it."""
        taken = delivery.accepted(
            record, provider_id, status.provider_status, self._ports.now(), self._ports.policy
        )
        return self.after_status(taken, status, first=True)

    def after_find(
        self, record: InvoiceRecord, outcome: FindOutcome, asked: datetime
    ) -> InvoiceRecord:
        """A look-up was answered; `asked`: when the question left.

        Only to a question from after the attempt's deadline is "absent" the last word.
        """
        now = self._ports.now()
        if isinstance(outcome, Found):
            return self.taken(record, outcome.provider_id, outcome.status)
        deadline = record.attempt.deadline if record.attempt else asked
        if isinstance(outcome, Absent) and asked >= deadline:
            return delivery.absent(record, now)
        hopeless = isinstance(outcome, CannotTell) and not outcome.temporary
        return delivery.unsettled(
            record, now, self._ports.policy, self._ports.jitter(), hopeless=hopeless
        )

    def after_status(
        self, record: InvoiceRecord, status: DeliveryStatus, *, first: bool
    ) -> InvoiceRecord:
        """How far it is; `first`: told along with the acceptance, not as an answer to a poll."""
        now = self._ports.now()
        record = listening.heard(record, status, now)
        if status.state is DeliveryState.DELIVERED:
            return self.listened(delivery.delivered(record, status.provider_status, now))
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

    def listened(self, record: InvoiceRecord, retry_after: float | None = None) -> InvoiceRecord:
        """When to ask next what the receiver answers, where the access point tells."""
        policy, jitter = self._ports.policy, self._ports.jitter()
        tells = self._ports.access_point.capabilities.tells_responses
        now = self._ports.now()
        return listening.watched(record, now, policy, jitter, tells=tells, retry_after=retry_after)
