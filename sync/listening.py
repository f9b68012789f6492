"""What comes back over the network after an invoice was handed over; pure functions.

The receiver's access point answers with a message level status, the buyer perhaps with an invoice
response, minutes or days after the delivery. Neither changes the state: what was delivered stays
sent, and a person is told what the receiver has against it.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from sync.delivery import Policy
from sync.model import InvoiceRecord, InvoiceState, PeppolResponse, ResponseKind
from sync.peppol.access_point import DeliveryState, DeliveryStatus

WATCH_FOR = timedelta(days=2)  # after the delivery
LONGEST_WATCH = timedelta(hours=6)  # between two questions
MAX_RESPONSES = 50  # of one attempt that are kept
REJECTED = "RE"  # as OpenPeppol's code lists have it


def watched(
    record: InvoiceRecord,
    now: datetime,
    policy: Policy,
    jitter: float,
    *,
    tells: bool = True,
    retry_after: float | None = None,
) -> InvoiceRecord:
    """Ask later what the receiver of a sent invoice answers; after `WATCH_FOR` never again.

    Each wait is half of the time since the delivery: answers come soon or after days. `tells`:
    whether the access point can tell; `retry_after` (seconds) is a lower bound.
    """
    age = now - record.state_since
    known = record.attempt is not None and bool(record.attempt.provider_id)
    if age >= WATCH_FOR or not tells or not known:
        return record.model_copy(update={"watch_at": None})
    wait = min(max(age / 2, 12 * policy.retry), LONGEST_WATCH) * (0.75 + 0.25 * jitter)
    if retry_after is not None:
        wait = max(wait, min(timedelta(seconds=max(retry_after, 0.0)), LONGEST_WATCH))
    return record.model_copy(update={"watch_at": min(now + wait, record.state_since + WATCH_FOR)})


def heard(record: InvoiceRecord, status: DeliveryStatus, now: datetime) -> InvoiceRecord:
    """`record` with the answers of the network that it did not have yet.

    The access point may tell all of them each time, or the last one only, so the same answer is
    new where it is told more often than it is kept.
    """
    kept = Counter((one.kind, one.code, one.text) for one in record.responses)
    fresh = []
    for kind, code, text in _told(record, status):
        kept[kind, code, text] -= 1
        if kept[kind, code, text] < 0:
            fresh.append(PeppolResponse(kind=kind, code=code, text=text, at=now))
    if not fresh:
        return record
    return record.model_copy(update={"responses": (*record.responses, *fresh)[:MAX_RESPONSES]})


def _told(record: InvoiceRecord, status: DeliveryStatus) -> list[tuple[ResponseKind, str, str]]:
    told = [(one.kind, one.code, one.text) for one in status.responses]
    if not told and record.state is InvoiceState.SENT and status.state is DeliveryState.FAILED:
        # The network takes its word back: for people that is a rejection by the receiver.
        return [(ResponseKind.MLS, REJECTED, status.provider_status)]
    return told


def action(before: InvoiceRecord, after: InvoiceRecord) -> str:
    """What the audit list calls new answers; empty where there are none."""
    fresh = after.responses[len(before.responses) :]
    return ", ".join(f"{one.kind.value} {one.code}" for one in fresh)


def called_back(record: InvoiceRecord, now: datetime) -> InvoiceRecord:
    """The access point says that it has news of the invoice: ask it now."""
    if record.state is InvoiceState.SUBMITTED:
        return record.model_copy(update={"next_at": now})
    if record.state is InvoiceState.SENT and record.watch_at:
        return record.model_copy(update={"watch_at": now})
    return record


def listens(record: InvoiceRecord) -> bool:
    """Whether a call of the access point about the last attempt would be of use."""
    return record.state is InvoiceState.SUBMITTED or (
        record.state is InvoiceState.SENT and record.watch_at is not None
    )
