"""Every transition of a submission: what it writes, what it keeps, what it forgets."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sync import delivery
from sync.errors import Kind, Reason
from sync.model import InvoiceRecord, InvoiceState
from tests.unit.engine_support import (
    BUSY,
    HOUR,
    LONG_AGO,
    LOST,
    MINUTE,
    NOW,
    POLICY,
    REFUSED,
    SECOND,
    STATES,
    TYPE,
    YOU,
    S,
    T,
    attempt,
    record,
)


def unchanged(before: InvoiceRecord, after: InvoiceRecord, *, but: set[str]) -> bool:
    old, new = before.model_dump(), after.model_dump()
    return {name for name in old if old[name] != new[name]} <= but


# ---- enter and postpone -----------------------------------------------------------------


def test_entering_a_state_starts_its_clocks_anew() -> None:
    before = record(
        S.READY, backoff=4, overdue=True, reason=BUSY, next_at=LONG_AGO, state_since=LONG_AGO
    )
    after = delivery.enter(before, S.SUBMITTED, NOW, at=NOW + MINUTE, reason=LOST)
    assert (after.state, after.state_since, after.next_at) == (S.SUBMITTED, NOW, NOW + MINUTE)
    assert (after.overdue, after.backoff, after.reason) == (False, 0, LOST)


def test_entering_a_state_forgets_the_reason_of_the_last() -> None:
    after = delivery.enter(record(reason=BUSY, next_at=NOW), S.READY, NOW)
    assert (after.reason, after.next_at) == (None, None)


@pytest.mark.parametrize("state", [S.IMPORTED, S.READY])
def test_a_pause_is_looked_at_again_in_an_hour_and_is_no_delay(state: InvoiceState) -> None:
    before = record(state, next_at=NOW, deadline=NOW + MINUTE, backoff=3)
    after = delivery.paused(before, NOW)
    assert unchanged(before, after, but={"next_at", "deadline"})
    assert (after.next_at, after.deadline) == (NOW + HOUR, NOW + 2 * HOUR)


def test_what_was_told_before_a_pause_stays_told() -> None:
    before = record(S.READY, next_at=NOW, deadline=LONG_AGO, overdue=True)
    after = delivery.paused(before, NOW)
    assert (after.next_at, after.deadline, after.overdue) == (NOW + HOUR, LONG_AGO, True)


def test_postponing_stays_and_waits_longer_each_time() -> None:
    first = delivery.postpone(record(S.READY), NOW, POLICY, 0.0, reason=BUSY)
    second = delivery.postpone(first, NOW, POLICY, 0.0)
    assert first.next_at == NOW + timedelta(seconds=3.75)
    assert second.next_at == NOW + timedelta(seconds=7.5)
    assert (first.backoff, second.backoff) == (1, 2)
    assert (first.state, first.reason, second.reason) == (S.READY, BUSY, None)


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [(None, 3.75), (1.0, 3.75), (60.0, 60.0), (-5.0, 3.75), (10.0**9, 86400.0)],
)
def test_retry_after_is_a_lower_bound_of_at_most_a_day(
    retry_after: float | None, seconds: float
) -> None:
    after = delivery.postpone(record(S.READY), NOW, POLICY, 0.0, retry_after=retry_after)
    assert after.next_at == NOW + timedelta(seconds=seconds)


# ---- the way of an import ---------------------------------------------------------------


def test_a_claim_writes_the_attempt_and_keeps_the_clocks_of_ready() -> None:
    before = record(S.READY, backoff=3, deadline=NOW + HOUR, overdue=True, force=True, reason=BUSY)
    made = attempt(number=4)
    after = delivery.claim(before, made, NOW)
    assert (after.state, after.attempt, after.attempts) == (S.SUBMITTING, made, 4)
    assert (after.next_at, after.state_since) == (made.deadline, NOW)
    assert (after.backoff, after.deadline, after.overdue) == (3, NOW + HOUR, True)
    assert after.force is False


@pytest.mark.parametrize("state", [s for s in STATES if s is not S.READY])
def test_only_a_ready_invoice_can_be_claimed(state: InvoiceState) -> None:
    with pytest.raises(ValueError, match="cannot claim"):
        delivery.claim(record(state), attempt(), NOW)


@pytest.mark.parametrize("state", [S.SUBMITTING, S.UNCONFIRMED])
def test_what_the_access_point_took_is_submitted(state: InvoiceState) -> None:
    after = delivery.accepted(record(state, backoff=2), "p-1", "queued", NOW, POLICY)
    assert after.state is S.SUBMITTED
    assert after.attempt is not None
    assert (after.attempt.provider_id, after.attempt.provider_status) == ("p-1", "queued")
    assert (after.next_at, after.backoff) == (NOW + timedelta(seconds=5), 0)


def test_a_provider_id_that_is_known_is_not_lost() -> None:
    known = record(S.SUBMITTING, attempt=attempt(provider_id="p-1", provider_status="x"))
    after = delivery.accepted(known, None, "", NOW, POLICY)
    assert after.attempt is not None
    assert (after.attempt.provider_id, after.attempt.provider_status) == ("p-1", "x")


def test_what_was_not_taken_is_ready_again_after_a_wait() -> None:
    before = record(S.SUBMITTING, backoff=1, deadline=NOW + HOUR)
    after = delivery.not_taken(before, NOW + SECOND, POLICY, 0.0, reason=BUSY)
    assert (after.state, after.state_since, after.reason) == (S.READY, NOW + SECOND, BUSY)
    assert after.next_at == NOW + SECOND + timedelta(seconds=7.5)
    assert (after.backoff, after.deadline, after.overdue) == (2, NOW + HOUR, False)


def test_what_was_not_taken_honours_retry_after() -> None:
    after = delivery.not_taken(
        record(S.SUBMITTING), NOW, POLICY, 0.0, reason=BUSY, retry_after=90.0
    )
    assert after.next_at == NOW + timedelta(seconds=90)


def test_what_only_the_operator_can_put_right_is_told_at_once() -> None:
    reason = Reason(code="peppol.access_point.unauthorized", kind=Kind.PRECONDITION)
    after = delivery.not_taken(record(S.SUBMITTING), NOW, POLICY, 0.0, reason=reason)
    assert (after.state, after.overdue) == (S.READY, True)
    assert after.next_at is not None


def test_who_was_told_already_is_not_told_again_by_the_next_try() -> None:
    before = record(S.SUBMITTING, overdue=True)
    assert delivery.not_taken(before, NOW, POLICY, 0.0, reason=BUSY).overdue is True


def test_a_refusal_is_final() -> None:
    after = delivery.refused(record(S.SUBMITTING), REFUSED, NOW)
    assert (after.state, after.reason, after.next_at) == (S.FAILED, REFUSED, None)


def test_a_lost_answer_is_not_settled_before_the_attempts_deadline() -> None:
    after = delivery.lost(record(S.SUBMITTING), LOST, NOW, POLICY)
    assert (after.state, after.reason, after.next_at) == (S.UNCONFIRMED, LOST, NOW + MINUTE)


def test_a_late_loss_is_settled_after_the_first_wait() -> None:
    late = NOW + MINUTE
    after = delivery.lost(record(S.SUBMITTING), LOST, late, POLICY)
    assert after.next_at == late + timedelta(seconds=5)
    without = delivery.lost(record(S.SUBMITTING, attempt=None), LOST, NOW, POLICY)
    assert without.next_at == NOW + timedelta(seconds=5)


def test_what_is_certainly_not_there_is_sent_again() -> None:
    after = delivery.absent(record(S.UNCONFIRMED, reason=LOST), NOW)
    assert (after.state, after.next_at, after.reason) == (S.READY, NOW, None)


def test_delivery_is_final() -> None:
    after = delivery.delivered(record(S.SUBMITTED, next_at=NOW), "done", NOW)
    assert (after.state, after.next_at) == (S.SENT, None)
    assert after.attempt is not None
    assert after.attempt.provider_status == "done"


def test_delivery_without_an_attempt_is_delivery() -> None:
    assert delivery.delivered(record(S.SUBMITTED, attempt=None), "x", NOW).attempt is None


def test_a_pending_delivery_is_asked_about_at_longer_intervals() -> None:
    first = delivery.still_pending(record(S.SUBMITTED), "queued", NOW, POLICY, 0.0)
    second = delivery.still_pending(first, "sending", NOW, POLICY, 0.0)
    assert (first.next_at, second.next_at) == (
        NOW + timedelta(seconds=3.75),
        NOW + timedelta(seconds=7.5),
    )
    assert second.attempt is not None
    assert second.attempt.provider_status == "sending"


def test_a_pending_delivery_keeps_its_reason_and_honours_retry_after() -> None:
    before = record(S.SUBMITTED, reason=BUSY)
    after = delivery.still_pending(before, "", NOW, POLICY, 0.0, retry_after=60.0)
    assert (after.reason, after.next_at) == (BUSY, NOW + MINUTE)


@pytest.mark.parametrize(("days", "asks"), [(14, True), (14.01, False)])
def test_nobody_is_asked_about_a_delivery_for_ever(days: float, asks: bool) -> None:
    before = record(S.SUBMITTED, state_since=NOW - timedelta(days=days))
    after = delivery.still_pending(before, "", NOW, POLICY, 0.0)
    assert (after.next_at is not None) is asks
    assert after.overdue is not asks


@pytest.mark.parametrize(("days", "asks"), [(14, True), (14.01, False)])
def test_nobody_is_asked_about_an_unconfirmed_attempt_for_ever(days: float, asks: bool) -> None:
    before = record(S.UNCONFIRMED, state_since=NOW - timedelta(days=days))
    after = delivery.unsettled(before, NOW, POLICY, 0.0, hopeless=False)
    assert (after.next_at is not None) is asks
    assert after.overdue is not asks


def test_an_unsettled_attempt_is_asked_about_again_later() -> None:
    after = delivery.unsettled(record(S.UNCONFIRMED, reason=LOST), NOW, POLICY, 0.0, hopeless=False)
    assert (after.state, after.reason, after.overdue) == (S.UNCONFIRMED, LOST, False)
    assert after.next_at == NOW + timedelta(seconds=3.75)
    assert after.attempt is not None
    assert after.attempt.settle_checks == 1


def test_a_person_is_asked_after_two_lookups_that_could_not_tell() -> None:
    first = delivery.unsettled(record(S.UNCONFIRMED), NOW, POLICY, 0.0, hopeless=True)
    second = delivery.unsettled(first, NOW, POLICY, 0.0, hopeless=True)
    assert (first.overdue, second.overdue) == (False, True)


def test_a_person_is_asked_at_once_about_an_attempt_that_nobody_knows() -> None:
    before = record(S.UNCONFIRMED, attempt=None)
    assert delivery.unsettled(before, NOW, POLICY, 0.0, hopeless=True).overdue is True


def test_telling_a_person_changes_nothing_else() -> None:
    before = record(S.READY, next_at=NOW, deadline=NOW)
    after = delivery.tell(before)
    assert after.overdue is True
    assert unchanged(before, after, but={"overdue"})


# ---- a person's wishes ------------------------------------------------------------------

PREPARED: dict[str, Any] = {
    "document_sha256": "d" * 64,
    "sender": YOU,
    "receiver": YOU,
    "document_type": TYPE,
    "rules": "r",
    "candidates": (YOU,),
}
UNPREPARED = {
    "document_sha256": "",
    "sender": None,
    "receiver": None,
    "document_type": None,
    "rules": "",
    "candidates": (),
}


def has(found: InvoiceRecord, values: dict[str, Any]) -> bool:
    return all(getattr(found, name) == value for name, value in values.items())


@pytest.mark.parametrize("state", [S.FAILED, S.BLOCKED])
def test_a_retry_fetches_afresh_and_asks_no_more(state: InvoiceState) -> None:
    before = record(state, hold="ask", reason=REFUSED, **PREPARED)
    after = delivery.retried(before, "U2", NOW)
    assert (after.state, after.next_at, after.actor) == (S.IMPORTED, NOW, "U2")
    assert (after.refetch, after.hold, after.reason) == (True, "", None)
    assert has(after, UNPREPARED)
    assert (after.tag, after.generation) == (T.FAILED, before.generation)


def test_a_release_sends_without_preparing_again() -> None:
    after = delivery.released(record(S.WAITING, hold="ask", **PREPARED), "U2", NOW)
    assert (after.state, after.next_at, after.actor, after.hold) == (S.READY, NOW, "U2", "")
    assert has(after, PREPARED)


def test_what_a_person_saw_at_the_receiver_is_sent() -> None:
    after = delivery.arrived(record(S.UNCONFIRMED, next_at=NOW), "U2", NOW)
    assert (after.state, after.next_at, after.actor) == (S.SENT, None, "U2")


def test_who_takes_the_risk_sends_again() -> None:
    after = delivery.sent_again(record(S.UNCONFIRMED), "U2", NOW)
    assert (after.state, after.next_at) == (S.READY, NOW)
    assert (after.actor, after.force) == ("U2", True)


@pytest.mark.parametrize("actor", ["", "U2"])
def test_a_withdrawal_says_why_and_who(actor: str) -> None:
    before = record(S.READY, next_at=NOW, actor="U9")
    after = delivery.withdrawn(before, REFUSED, NOW, actor)
    assert (after.state, after.reason, after.actor) == (S.WITHDRAWN, REFUSED, actor)
    assert (after.next_at, after.tag) == (None, T.UPLOADED)


def test_a_withdrawal_is_nobodys_unless_it_says_whose() -> None:
    assert delivery.withdrawn(record(actor="U9"), REFUSED, NOW).actor == ""


def test_a_resumed_invoice_is_prepared_afresh_in_the_same_import() -> None:
    before = record(S.WITHDRAWN, actor="U9", **PREPARED)
    after = delivery.resumed(before, "run-2", NOW)
    assert (after.state, after.next_at, after.run) == (S.IMPORTED, NOW, "run-2")
    assert (after.refetch, after.actor, after.generation) == (True, "", before.generation)
    assert has(after, UNPREPARED)
    assert after.tag_relation == "r1"


def test_a_resumed_invoice_that_an_access_point_had_taken_is_as_failed_as_before() -> None:
    taken = record(S.WITHDRAWN, attempt=attempt(provider_id="p-1"), actor="U9", next_at=NOW)
    after = delivery.resumed(taken, "run-2", NOW)
    assert (after.state, after.next_at, after.run) == (S.FAILED, None, "run-2")
    assert after.reason == Reason(code="resumed.failed_before", kind=Kind.PERMANENT)
    assert after.actor == ""


def test_a_resumed_invoice_that_nobody_had_taken_is_sent() -> None:
    tried = record(S.WITHDRAWN, attempt=attempt(provider_id=None))
    assert delivery.resumed(tried, "run-2", NOW).state is S.IMPORTED


def test_a_reexport_is_the_next_import_and_knows_nothing_of_the_last() -> None:
    before = record(
        S.SENT,
        actor="U9",
        attempts=3,
        attempt=attempt(),
        force=True,
        tag_pending=True,
        tag_retry_at=NOW,
        generation=2,
        **PREPARED,
    )
    after = delivery.reexported(before, "run-2", "ask", NOW)
    fresh: dict[str, Any] = {
        "state": S.IMPORTED,
        "next_at": NOW,
        "created_at": NOW,
        "generation": 3,
        "run": "run-2",
        "hold": "ask",
        "refetch": True,
        "actor": "",
        "attempts": 0,
        "attempt": None,
        "force": False,
        "tag": None,
        "tag_relation": "",
        "tagged_at": None,
        "tag_seen": False,
        "tag_pending": False,
        "tag_retry_at": None,
    }
    assert has(after, fresh | UNPREPARED)


# ---- deadlines over several answers, ids of earlier attempts --------------------------------


@pytest.mark.parametrize(("before", "expected"), [(MINUTE, MINUTE), (9 * HOUR, HOUR / 4)])
def test_losing_one_answer_after_another_is_told_by_the_earliest_deadline(
    before: timedelta, expected: timedelta
) -> None:
    found = record(S.SUBMITTING, deadline=NOW + before)
    assert delivery.lost(found, LOST, NOW, POLICY).deadline == NOW + expected


def test_an_attempt_that_was_absent_keeps_the_deadline_of_its_loss() -> None:
    found = record(S.UNCONFIRMED, deadline=NOW + MINUTE)
    assert delivery.absent(found, NOW).deadline == NOW + MINUTE
    assert delivery.absent(record(S.UNCONFIRMED), NOW).deadline == NOW + HOUR


def test_who_was_told_of_a_lost_answer_is_not_told_again_by_the_next() -> None:
    assert delivery.absent(record(S.UNCONFIRMED, overdue=True), NOW).overdue is True
    assert delivery.lost(record(S.SUBMITTING, overdue=True), LOST, NOW, POLICY).overdue is True
    assert delivery.lost(record(S.SUBMITTING), LOST, NOW, POLICY).overdue is False


def test_a_reexport_remembers_the_ids_of_earlier_attempts() -> None:
    again = record(S.SENT, attempt=attempt(provider_id="p-3"), earlier=("p-1", "p-2"))
    assert delivery.reexported(again, "run", "", NOW).earlier == ("p-1", "p-2", "p-3")
    never = record(S.FAILED, attempt=attempt(), earlier=("p-1",))
    assert delivery.reexported(never, "run", "", NOW).earlier == ("p-1",)
    assert delivery.reexported(record(S.SENT), "run", "", NOW).earlier == ()


def test_only_the_last_twenty_ids_are_remembered() -> None:
    many = tuple(f"p-{i}" for i in range(20))
    found = record(S.SENT, attempt=attempt(provider_id="last"), earlier=many)
    assert delivery.reexported(found, "run", "", NOW).earlier == (*many[1:], "last")
