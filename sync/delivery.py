"""The state machine of a submission: pure functions from a record to the next one.

    imported ──> ready ──> submitting ──> submitted ──> sent
        │  └──> waiting ┘      │  │           └───────> failed
        └──> blocked, failed   │  └──> unconfirmed ──> submitted, ready, sent
                               └──> ready (not taken), failed (refused)

Nothing here reads a clock, a store or a network: the caller passes the time, and a number in
[0, 1) where there is jitter. Every function returns the whole next record; who writes it does
so only if the record is still the one that was read (`version`).

Deadlines say when a *person is told*; they never decide that something failed.

`sent` is final: the document was delivered. Where the access point can tell what the receiver
answers, it is asked for two days more (`watch_at`, `sync.listening`); an answer changes what is
known of the invoice and never its state.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sync.errors import Kind, Reason
from sync.model import Attempt, InvoiceRecord, InvoiceState, TagKind

S = InvoiceState

FINAL = frozenset({S.SENT, S.FAILED, S.WITHDRAWN})
IN_FLIGHT = frozenset({S.SUBMITTING, S.UNCONFIRMED, S.SUBMITTED})
BY_ITSELF = frozenset({S.IMPORTED, S.READY}) | IN_FLIGHT  # go on without a person
RETRYABLE = frozenset({S.FAILED, S.BLOCKED})
UNSENT = frozenset({S.IMPORTED, S.WAITING, S.READY, S.BLOCKED, S.FAILED})

# Reasons of a withdrawal that only a person can take back, by removing the tags.
BY_PERSON = frozenset({"withdrawn.marked_sent", "withdrawn.dismissed"})
FAILED_BEFORE = Reason(code="resumed.failed_before", kind=Kind.PERMANENT)

MAX_BACKOFF = timedelta(hours=1)

# How long a state may last before a person is told (PRODUCT.md: "within a stated time").
TELL_AFTER = {
    S.IMPORTED: timedelta(hours=1),
    S.READY: timedelta(hours=1),
    S.UNCONFIRMED: timedelta(minutes=15),
    S.SUBMITTED: timedelta(hours=48),
}
# How long an unconfirmed or submitted attempt is still asked about after a person was told.
STOP_ASKING_AFTER = timedelta(days=14)
EARLIER = 20  # attempts before the last one that are remembered
SETTLE_CHECKS = 2  # lookups that could not tell before a person is asked


@dataclass(frozen=True)
class Policy:
    """The numbers that an operator can set."""

    retry: timedelta = timedelta(seconds=5)  # first wait; doubles up to an hour
    request_timeout: timedelta = timedelta(seconds=30)  # of one submission, in all

    @property
    def attempt_deadline(self) -> timedelta:
        """Twice the request's timeout: until then the attempt belongs to its worker alone."""
        return 2 * self.request_timeout


class Step(StrEnum):
    """What is to be done about a record now."""

    PREPARE = "prepare"  # fetch if needed, address, convert, check
    SUBMIT = "submit"
    ABANDON = "abandon"  # an attempt whose worker is gone: its outcome is unknown
    SETTLE = "settle"  # ask the access point whether it has the attempt
    CHECK = "check"  # ask for the delivery status
    WATCH = "watch"  # ask what the receiver answered to what was delivered
    TAG = "tag"  # make sevDesk's tag follow the state
    TELL = "tell"  # the deadline passed: a person is told, once


def next_step(record: InvoiceRecord, now: datetime) -> Step | None:
    """What is due for `record` at `now`; nothing if it waits for a time or for a person."""
    if record.state is S.SUBMITTING:
        deadline = record.attempt.deadline if record.attempt else record.state_since
        return Step.ABANDON if now >= deadline else None
    if tag_due(record, now):
        return Step.TAG
    if record.deadline and now >= record.deadline and not record.overdue:
        return Step.TELL
    if record.state is S.SENT:
        return Step.WATCH if record.watch_at and record.watch_at <= now else None
    if record.next_at is None or record.next_at > now:
        return None
    return {
        S.IMPORTED: Step.PREPARE,
        S.READY: Step.SUBMIT,
        S.UNCONFIRMED: Step.SETTLE,
        S.SUBMITTED: Step.CHECK,
    }.get(record.state)


def wake_at(record: InvoiceRecord) -> datetime | None:
    """When `next_step` has something to say, if nothing but time passes."""
    if record.state is S.SUBMITTING:
        return record.attempt.deadline if record.attempt else record.state_since
    times = []
    if record.state in BY_ITSELF and record.next_at:
        times.append(record.next_at)
    if record.state is S.SENT and record.watch_at:
        times.append(record.watch_at)
    if record.deadline and not record.overdue:
        times.append(record.deadline)
    if tag_wanted(record) is not None:
        times.append(record.tag_retry_at or record.state_since)
    return min(times, default=None)


# ---- tags -------------------------------------------------------------------------------


def tag_wanted(record: InvoiceRecord) -> TagKind | None:
    """The tag that sevDesk should get, or None where it already has the right one.

    A send that is repeated keeps `Failed` until its result is known, and a withdrawn invoice
    keeps what it has: its tag keeps it from looking new.
    """
    wanted = {
        S.SENT: TagKind.SENT,
        S.FAILED: TagKind.FAILED,
        S.BLOCKED: TagKind.FAILED,
        S.WITHDRAWN: record.tag or (TagKind.UPLOADED if record.tag_pending else None),
    }.get(record.state, record.tag or TagKind.UPLOADED)
    return None if wanted == record.tag and not record.tag_pending else wanted


def tag_postponed(
    record: InvoiceRecord,
    now: datetime,
    policy: Policy,
    jitter: float,
    *,
    trouble: Reason | None = None,
) -> InvoiceRecord:
    """The tag could not be written: try again later.

    `trouble`: sevDesk refuses it for good. A person is told at the second refusal in a row, once,
    until the tag is written.
    """
    again = trouble is not None and record.tag_failures > 0
    told = record.tag_trouble or (trouble if again else None)
    return record.model_copy(
        update={
            "tag_retry_at": now + backoff(record.tag_failures, policy.retry, jitter),
            "tag_failures": record.tag_failures + 1,
            "tag_trouble": told,
            "tag_trouble_at": record.tag_trouble_at or (now if told else None),
        }
    )


def tag_trouble(record: InvoiceRecord) -> Reason | None:
    """Why sevDesk refuses the tag for good; nothing where no tag is missing any more."""
    return record.tag_trouble if tag_wanted(record) is not None else None


def noticed_at(record: InvoiceRecord) -> datetime | None:
    """Since when a person is to look at an invoice whose state does not say so.

    Its receiver objects to it, or sevDesk refuses its tag.
    """
    if record.objection is not None:
        return record.objection.at
    waits = record.state in (S.FAILED, S.BLOCKED, S.WAITING)
    return record.tag_trouble_at if tag_trouble(record) and not waits else None


def tag_due(record: InvoiceRecord, now: datetime) -> bool:
    """Whether a tag is to be written now."""
    return tag_wanted(record) is not None and (
        record.tag_retry_at is None or record.tag_retry_at <= now
    )


# ---- the way of an import ---------------------------------------------------------------


def enter(
    record: InvoiceRecord,
    state: InvoiceState,
    now: datetime,
    *,
    at: datetime | None = None,
    reason: Reason | None = None,
) -> InvoiceRecord:
    """`record` in another state: clocks and counters start anew, `at` is when it is due."""
    tell = TELL_AFTER.get(state)
    return record.model_copy(
        update={
            "state": state,
            "state_since": now,
            "next_at": at,
            "deadline": now + tell if tell else None,
            "overdue": False,
            "backoff": 0,
            "reason": reason,
            "watch_at": None,
        }
    )


def postpone(
    record: InvoiceRecord,
    now: datetime,
    policy: Policy,
    jitter: float,
    *,
    reason: Reason | None = None,
    retry_after: float | None = None,
) -> InvoiceRecord:
    """Stay in the state and look again later; `retry_after` (seconds) is a lower bound."""
    wait = backoff(record.backoff, policy.retry, jitter)
    if retry_after is not None:
        wait = max(wait, min(timedelta(seconds=max(retry_after, 0.0)), timedelta(days=1)))
    return record.model_copy(
        update={"next_at": now + wait, "backoff": record.backoff + 1, "reason": reason}
    )


def paused(record: InvoiceRecord, now: datetime) -> InvoiceRecord:
    """Nothing is begun for now: look again in an hour. That time is not told as a delay."""
    look = now + MAX_BACKOFF
    tell = TELL_AFTER.get(record.state)
    deadline = look + tell if tell and not record.overdue else record.deadline
    return record.model_copy(update={"next_at": look, "deadline": deadline})


def backoff(failures: int, first: timedelta, jitter: float) -> timedelta:
    """`first` doubled per failure up to an hour, of which 75 to 100 % by `jitter` in [0, 1)."""
    full = min(first * 2 ** min(failures, 20), MAX_BACKOFF)
    return timedelta(seconds=full.total_seconds() * (0.75 + 0.25 * jitter))


def claim(record: InvoiceRecord, attempt: Attempt, now: datetime) -> InvoiceRecord:
    """`ready → submitting`. This record must be durable before the request leaves.

    Backoff and deadline go on from `ready`: an access point that takes nothing for an hour is
    told, however often it was tried in between.
    """
    if record.state is not S.READY:
        raise ValueError(f"cannot claim from {record.state}")
    return record.model_copy(
        update={
            "state": S.SUBMITTING,
            "state_since": now,
            "next_at": attempt.deadline,
            "attempt": attempt,
            "earlier": _ids_so_far(record),
            "attempts": attempt.number,
            "responses": (),
            "force": False,
        }
    )


def accepted(
    record: InvoiceRecord, provider_id: str | None, status: str, now: datetime, policy: Policy
) -> InvoiceRecord:
    """The access point has the document: `submitting | unconfirmed → submitted`."""
    done = enter(record, S.SUBMITTED, now, at=now + policy.retry)
    return _with_attempt(done, provider_id=provider_id, provider_status=status)


def not_taken(
    record: InvoiceRecord,
    now: datetime,
    policy: Policy,
    jitter: float,
    *,
    reason: Reason,
    retry_after: float | None = None,
) -> InvoiceRecord:
    """The request certainly had no effect: back to `ready`, with backoff.

    What only the operator can put right (a wrong key) is told at once and still repeated.
    """
    ready = record.model_copy(update={"state": S.READY, "state_since": now})
    later = postpone(ready, now, policy, jitter, reason=reason, retry_after=retry_after)
    overdue = record.overdue or reason.kind is Kind.PRECONDITION
    return later.model_copy(update={"overdue": overdue})


def refused(record: InvoiceRecord, reason: Reason, now: datetime) -> InvoiceRecord:
    """A definite refusal; nothing was taken or the delivery failed for good."""
    return enter(record, S.FAILED, now, reason=reason)


def lost(record: InvoiceRecord, reason: Reason, now: datetime, policy: Policy) -> InvoiceRecord:
    """The answer was lost: *unknown*, not failed. Nobody settles it before its deadline."""
    at = max(now + policy.retry, record.attempt.deadline if record.attempt else now)
    return _told_in_time(record, enter(record, S.UNCONFIRMED, now, at=at, reason=reason))


def absent(record: InvoiceRecord, now: datetime) -> InvoiceRecord:
    """The access point is certain that it never took the attempt: send it again."""
    return _told_in_time(record, enter(record, S.READY, now, at=now))


def _told_in_time(before: InvoiceRecord, after: InvoiceRecord) -> InvoiceRecord:
    """`after` with the earlier deadline: losing one answer after another is no progress."""
    deadlines = [at for at in (before.deadline, after.deadline) if at is not None]
    return after.model_copy(
        update={"deadline": min(deadlines, default=None), "overdue": before.overdue}
    )


def delivered(record: InvoiceRecord, status: str, now: datetime) -> InvoiceRecord:
    """The access point reports delivery."""
    return _with_attempt(enter(record, S.SENT, now), provider_status=status)


def still_pending(
    record: InvoiceRecord,
    status: str,
    now: datetime,
    policy: Policy,
    jitter: float,
    *,
    retry_after: float | None = None,
) -> InvoiceRecord:
    """Not delivered yet: ask again later, at longer and longer intervals."""
    later = postpone(record, now, policy, jitter, reason=record.reason, retry_after=retry_after)
    return _with_attempt(_asked_long_enough(later, now), provider_status=status)


def unsettled(
    record: InvoiceRecord, now: datetime, policy: Policy, jitter: float, *, hopeless: bool
) -> InvoiceRecord:
    """Still not known whether it was taken: ask again later.

    A person is told before the deadline where asking is `hopeless`.
    """
    later = _asked_long_enough(postpone(record, now, policy, jitter, reason=record.reason), now)
    if record.attempt is not None:
        checks = record.attempt.settle_checks + 1
        attempt = record.attempt.model_copy(update={"settle_checks": checks})
        later = later.model_copy(update={"attempt": attempt})
        hopeless = hopeless and checks >= SETTLE_CHECKS
    return tell(later) if hopeless else later


def _asked_long_enough(record: InvoiceRecord, now: datetime) -> InvoiceRecord:
    """Nobody is asked for ever; a person was told long ago and decides."""
    if now - record.state_since <= STOP_ASKING_AFTER:
        return record
    return tell(record).model_copy(update={"next_at": None})


def tell(record: InvoiceRecord) -> InvoiceRecord:
    """A person is told that it takes too long. The work goes on."""
    return record.model_copy(update={"overdue": True})


# ---- a person's wishes ------------------------------------------------------------------


def retried(record: InvoiceRecord, actor: str, now: datetime) -> InvoiceRecord:
    """Fetch afresh and send: `failed | blocked → imported`, without asking again."""
    again = enter(record, S.IMPORTED, now, at=now)
    return again.model_copy(
        update={"actor": actor, "refetch": True, "hold": "", "candidates": ()} | _unprepared()
    )


def released(record: InvoiceRecord, actor: str, now: datetime) -> InvoiceRecord:
    """Somebody said "send": `waiting → ready`; what was corrected meanwhile is prepared anew."""
    ready = enter(record, S.IMPORTED if record.refetch else S.READY, now, at=now)
    return ready.model_copy(update={"actor": actor, "hold": ""})


def arrived(record: InvoiceRecord, actor: str, now: datetime) -> InvoiceRecord:
    """A person saw it at the receiver: `unconfirmed → sent`."""
    return enter(record, S.SENT, now).model_copy(update={"actor": actor})


def sent_again(record: InvoiceRecord, actor: str, now: datetime) -> InvoiceRecord:
    """A person takes the risk of a second copy: `unconfirmed → ready`."""
    ready = enter(record, S.READY, now, at=now)
    return ready.model_copy(update={"actor": actor, "force": True})


def corrected(record: InvoiceRecord, now: datetime) -> InvoiceRecord:
    """It was changed in sevDesk before it was sent: prepared anew, a waiting one when released.

    That it takes too long is told as early as before.
    """
    if record.state is S.WAITING:
        return record.model_copy(update={"refetch": True})
    again = _told_in_time(record, enter(record, S.IMPORTED, now, at=now))
    return again.model_copy(update={"refetch": True} | _unprepared())


def withdrawn(
    record: InvoiceRecord, reason: Reason, now: datetime, actor: str = ""
) -> InvoiceRecord:
    """It is not to be sent any more."""
    return enter(record, S.WITHDRAWN, now, reason=reason).model_copy(update={"actor": actor})


def resumed(record: InvoiceRecord, run: str, now: datetime) -> InvoiceRecord:
    """A withdrawn invoice is open and wanted again.

    One that an access point had taken and that was not delivered is as failed as before: only
    a person sends it again.
    """
    if record.attempt is not None and record.attempt.provider_id:
        failed = enter(record, S.FAILED, now, reason=FAILED_BEFORE)
        return failed.model_copy(update={"run": run, "actor": ""})
    again = enter(record, S.IMPORTED, now, at=now)
    return again.model_copy(
        update={"run": run, "refetch": True, "actor": "", "candidates": ()} | _unprepared()
    )


def reexported(record: InvoiceRecord, run: str, hold: str, now: datetime) -> InvoiceRecord:
    """All tags were removed by hand: the next import of the same invoice."""
    fresh = enter(record, S.IMPORTED, now, at=now)
    return fresh.model_copy(
        update={
            "generation": record.generation + 1,
            "created_at": now,
            "run": run,
            "hold": hold,
            "refetch": True,
            "actor": "",
            "candidates": (),
            "attempts": 0,
            "earlier": _ids_so_far(record),
            "attempt": None,
            "responses": (),
            "force": False,
            "tag": None,
            "tag_relation": "",
            "tagged_at": None,
            "tag_seen": False,
            "tag_left": False,
            "tag_pending": False,
            "tag_retry_at": None,
            "tag_trouble": None,
            "tag_trouble_at": None,
        }
        | _unprepared()
    )


def succeeding(record: InvoiceRecord, before: InvoiceRecord) -> InvoiceRecord:
    """The new record of an invoice of another account that has the id of `before`."""
    return record.model_copy(
        update={
            "version": before.version,
            "generation": before.generation + 1,
            "earlier": _ids_so_far(before),
        }
    )


def _ids_so_far(record: InvoiceRecord) -> tuple[str, ...]:
    """The access point's ids of all attempts up to now, of which the last few are enough.

    Whoever looks for an attempt by what was sent must not take an earlier one for it.
    """
    provider_id = record.attempt.provider_id if record.attempt else None
    known = (*record.earlier, provider_id) if provider_id else record.earlier
    return known[-EARLIER:]


def _unprepared() -> dict[str, object]:
    return {
        "document_sha256": "",
        "sender": None,
        "receiver": None,
        "document_type": None,
        "rules": "",
        "warnings": (),
    }


def _with_attempt(record: InvoiceRecord, **changes: str | None) -> InvoiceRecord:
    if record.attempt is None:
        return record
    known = {name: value for name, value in changes.items() if value}
    return record.model_copy(update={"attempt": record.attempt.model_copy(update=known)})
