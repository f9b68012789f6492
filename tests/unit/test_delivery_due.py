"""What is due of a submission, and when: its step, its tag, its deadline, its next wait."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync import delivery
from sync.delivery import Policy, Step
from sync.model import InvoiceRecord, InvoiceState, TagKind
from tests.unit.engine_support import (
    HOUR,
    LONG_AGO,
    MINUTE,
    NOW,
    SECOND,
    STATES,
    S,
    T,
    attempt,
    record,
)

# ---- the sets ---------------------------------------------------------------------------


def test_the_sets_of_states_are_those_of_the_design() -> None:
    assert {S.SENT, S.FAILED, S.WITHDRAWN} == delivery.FINAL
    assert {S.SUBMITTING, S.UNCONFIRMED, S.SUBMITTED} == delivery.IN_FLIGHT
    assert {S.IMPORTED, S.READY, *delivery.IN_FLIGHT} == delivery.BY_ITSELF
    assert {S.FAILED, S.BLOCKED} == delivery.RETRYABLE
    assert {S.IMPORTED, S.WAITING, S.READY, S.BLOCKED, S.FAILED} == delivery.UNSENT
    assert {"withdrawn.marked_sent", "withdrawn.dismissed"} == delivery.BY_PERSON


def test_nothing_that_may_have_been_sent_counts_as_unsent() -> None:
    assert not delivery.UNSENT & (delivery.IN_FLIGHT | {S.SENT, S.WITHDRAWN})


@pytest.mark.parametrize(
    ("state", "hours"),
    [(S.IMPORTED, 1), (S.READY, 1), (S.UNCONFIRMED, 0.25), (S.SUBMITTED, 48)],
)
def test_a_state_that_goes_on_by_itself_is_told_after_its_time(
    state: InvoiceState, hours: float
) -> None:
    assert delivery.enter(record(), state, NOW).deadline == NOW + timedelta(hours=hours)


@pytest.mark.parametrize("state", [S.WAITING, S.BLOCKED, S.SENT, S.FAILED, S.WITHDRAWN])
def test_a_state_that_is_told_at_once_has_no_deadline(state: InvoiceState) -> None:
    assert delivery.enter(record(), state, NOW).deadline is None


def test_the_attempt_belongs_to_its_worker_for_twice_the_timeout() -> None:
    assert Policy().attempt_deadline == timedelta(seconds=60)
    assert Policy(request_timeout=timedelta(seconds=7)).attempt_deadline == timedelta(seconds=14)


def test_the_first_wait_is_five_seconds() -> None:
    assert Policy().retry == timedelta(seconds=5)


# ---- next_step --------------------------------------------------------------------------

DUE = {
    S.IMPORTED: Step.PREPARE,
    S.READY: Step.SUBMIT,
    S.UNCONFIRMED: Step.SETTLE,
    S.SUBMITTED: Step.CHECK,
}


@pytest.mark.parametrize("state", STATES)
def test_a_state_that_is_due_has_its_step_and_the_others_none(state: InvoiceState) -> None:
    found = delivery.next_step(record(state, next_at=NOW), NOW)
    assert found is DUE.get(state)


@pytest.mark.parametrize("state", DUE)
def test_nothing_is_due_before_its_time(state: InvoiceState) -> None:
    assert delivery.next_step(record(state, next_at=NOW + SECOND), NOW) is None


@pytest.mark.parametrize("state", DUE)
def test_nothing_is_due_without_a_time(state: InvoiceState) -> None:
    assert delivery.next_step(record(state, next_at=None), NOW) is None


@pytest.mark.parametrize("after", [timedelta(0), SECOND])
def test_an_attempt_is_abandoned_at_its_deadline(after: timedelta) -> None:
    found = record(S.SUBMITTING, next_at=NOW)
    assert delivery.next_step(found, NOW + MINUTE + after) is Step.ABANDON


def test_an_attempt_is_its_workers_alone_before_the_deadline() -> None:
    untagged = record(S.SUBMITTING, next_at=LONG_AGO, deadline=LONG_AGO, tag=None, tag_pending=True)
    assert delivery.next_step(untagged, NOW + MINUTE - SECOND) is None


def test_a_claim_without_an_attempt_is_abandoned_at_once() -> None:
    found = record(S.SUBMITTING, attempt=None)
    assert delivery.next_step(found, NOW) is Step.ABANDON
    assert delivery.wake_at(found) == NOW


def test_a_tag_comes_before_everything_else() -> None:
    found = record(S.READY, next_at=NOW, deadline=NOW, tag=None)
    assert delivery.next_step(found, NOW) is Step.TAG


def test_a_deadline_is_told_before_the_work_goes_on() -> None:
    found = record(S.READY, next_at=NOW, deadline=NOW)
    assert delivery.next_step(found, NOW) is Step.TELL


def test_a_deadline_is_told_once() -> None:
    found = record(S.READY, next_at=NOW, deadline=NOW, overdue=True)
    assert delivery.next_step(found, NOW) is Step.SUBMIT


def test_a_deadline_is_not_told_before_it_passed() -> None:
    found = record(S.READY, next_at=NOW, deadline=NOW + SECOND)
    assert delivery.next_step(found, NOW) is Step.SUBMIT


# ---- tags -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "tag", "wanted"),
    [
        (S.IMPORTED, None, T.UPLOADED),
        (S.IMPORTED, T.UPLOADED, None),
        (S.IMPORTED, T.FAILED, None),  # a retry keeps it until the result is known
        (S.READY, None, T.UPLOADED),
        (S.SUBMITTED, None, T.UPLOADED),
        (S.SUBMITTED, T.FAILED, None),
        (S.SENT, T.UPLOADED, T.SENT),
        (S.SENT, T.FAILED, T.SENT),
        (S.SENT, T.SENT, None),
        (S.FAILED, T.UPLOADED, T.FAILED),
        (S.FAILED, T.FAILED, None),
        (S.BLOCKED, None, T.FAILED),
        (S.BLOCKED, T.UPLOADED, T.FAILED),
        (S.WAITING, None, T.UPLOADED),
        (S.WITHDRAWN, None, None),
        (S.WITHDRAWN, T.UPLOADED, None),
        (S.WITHDRAWN, T.SENT, None),
    ],
)
def test_the_tag_follows_the_state(
    state: InvoiceState, tag: TagKind | None, wanted: TagKind | None
) -> None:
    assert delivery.tag_wanted(record(state, tag=tag)) is wanted


@pytest.mark.parametrize(
    ("state", "tag", "wanted"),
    [
        (S.SENT, T.SENT, T.SENT),
        (S.IMPORTED, T.UPLOADED, T.UPLOADED),
        (S.WITHDRAWN, T.FAILED, T.FAILED),
        (S.WITHDRAWN, None, T.UPLOADED),
    ],
)
def test_a_write_that_was_begun_is_ended(
    state: InvoiceState, tag: TagKind | None, wanted: TagKind
) -> None:
    assert delivery.tag_wanted(record(state, tag=tag, tag_pending=True)) is wanted


@pytest.mark.parametrize(("at", "due"), [(None, True), (NOW, True), (NOW + SECOND, False)])
def test_a_tag_that_failed_waits_for_its_time(at: Any, due: bool) -> None:
    assert delivery.tag_due(record(S.SENT, tag=None, tag_retry_at=at), NOW) is due


def test_no_tag_is_due_where_the_right_one_is_there() -> None:
    assert delivery.tag_due(record(S.SENT, tag_retry_at=LONG_AGO), NOW) is False


# ---- wake_at ----------------------------------------------------------------------------


def test_it_wakes_at_the_earliest_of_its_times() -> None:
    found = record(S.READY, next_at=NOW + HOUR, deadline=NOW + MINUTE)
    assert delivery.wake_at(found) == NOW + MINUTE
    assert delivery.wake_at(found.model_copy(update={"overdue": True})) == NOW + HOUR
    assert delivery.wake_at(found.model_copy(update={"next_at": NOW})) == NOW


def test_it_wakes_for_its_tag_at_the_time_of_the_next_try() -> None:
    found = record(S.SENT, tag=None, tag_retry_at=NOW + MINUTE)
    assert delivery.wake_at(found) == NOW + MINUTE
    assert delivery.wake_at(found.model_copy(update={"tag_retry_at": None})) == NOW


def test_it_does_not_wake_for_a_state_that_waits_for_a_person() -> None:
    assert delivery.wake_at(record(S.BLOCKED, next_at=NOW)) is None


TIMES = st.none() | st.integers(-100, 100).map(lambda s: NOW + timedelta(seconds=s))
RECORDS = st.builds(
    lambda state, times, tag, flags: record(
        state,
        next_at=times[0],
        deadline=times[1],
        tag_retry_at=times[2],
        tag=tag,
        overdue=flags[0],
        tag_pending=flags[1],
        attempt=attempt() if flags[2] else None,
        state_since=NOW - timedelta(seconds=200),
    ),
    st.sampled_from(STATES),
    st.tuples(TIMES, TIMES, TIMES),
    st.none() | st.sampled_from(list(TagKind)),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
)


@given(RECORDS)
def test_whatever_is_not_due_wakes_later_or_never(found: InvoiceRecord) -> None:
    if delivery.next_step(found, NOW) is None:
        at = delivery.wake_at(found)
        assert at is None or at > NOW


@given(RECORDS)
def test_whatever_is_due_was_woken(found: InvoiceRecord) -> None:
    if delivery.next_step(found, NOW) is not None:
        at = delivery.wake_at(found)
        assert at is not None
        assert at <= NOW


@given(RECORDS)
def test_something_is_due_when_it_wakes(found: InvoiceRecord) -> None:
    at = delivery.wake_at(found)
    if at is not None:
        assert delivery.next_step(found, max(at, NOW)) is not None


# ---- backoff ----------------------------------------------------------------------------


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True), st.integers(1, 7200))
def test_a_wait_is_between_three_quarters_and_all_of_the_doubled_first_up_to_an_hour(
    failures: int, jitter: float, first: int
) -> None:
    full = min(first * 2 ** min(failures, 40), 3600)
    wait = delivery.backoff(failures, timedelta(seconds=first), jitter).total_seconds()
    assert 0.75 * full - 1e-3 <= wait <= full + 1e-3


def test_the_waits_are_the_documented_ones() -> None:
    waits = [delivery.backoff(n, timedelta(seconds=5), 0.0) for n in range(3)]
    assert [w.total_seconds() for w in waits] == [3.75, 7.5, 15.0]
    assert delivery.backoff(0, timedelta(seconds=4), 0.5).total_seconds() == 3.5
    assert delivery.backoff(99, timedelta(seconds=1), 0.0) == timedelta(minutes=45)
