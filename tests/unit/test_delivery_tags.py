"""Tags that could not be written, what a person is to look at, and records that follow others."""

from __future__ import annotations

from datetime import datetime

import pytest

from sync import delivery
from sync.delivery import Step
from sync.errors import Kind, Reason
from sync.model import InvoiceState, PeppolResponse, ResponseKind
from tests.unit.engine_support import HOUR, LONG_AGO, MINUTE, NOW, POLICY, S, T, attempt, record

FORBIDDEN = Reason(code="sevdesk.refused", kind=Kind.PERMANENT)
OTHER = Reason(code="sevdesk.gone", kind=Kind.PERMANENT)
RETRY = POLICY.retry


def test_a_tag_is_tried_again_at_longer_and_longer_intervals() -> None:
    found = record(S.SENT, tag=T.UPLOADED)
    for failures in range(4):
        found = delivery.tag_postponed(found, NOW, POLICY, 1.0)
        assert found.tag_failures == failures + 1
        assert found.tag_retry_at == NOW + RETRY * 2**failures
        assert (found.tag_trouble, found.tag_trouble_at) == (None, None)


def test_a_tag_that_is_refused_is_told_at_its_second_refusal_and_keeps_its_first_time() -> None:
    once = delivery.tag_postponed(
        record(S.SENT, tag=T.UPLOADED), LONG_AGO, POLICY, 1.0, trouble=FORBIDDEN
    )
    assert (once.tag_trouble, once.tag_trouble_at) == (None, None)
    twice = delivery.tag_postponed(once, NOW, POLICY, 1.0, trouble=FORBIDDEN)
    assert (twice.tag_trouble, twice.tag_trouble_at) == (FORBIDDEN, NOW)
    again = delivery.tag_postponed(twice, NOW + HOUR, POLICY, 1.0, trouble=OTHER)
    assert (again.tag_trouble, again.tag_trouble_at) == (FORBIDDEN, NOW)
    away = delivery.tag_postponed(twice, NOW + HOUR, POLICY, 1.0)
    assert (away.tag_trouble, away.tag_trouble_at) == (FORBIDDEN, NOW)


def test_a_refused_tag_is_trouble_until_no_tag_is_missing() -> None:
    missing = record(S.SENT, tag=T.UPLOADED, tag_trouble=FORBIDDEN, tag_trouble_at=NOW)
    assert delivery.tag_trouble(missing) == FORBIDDEN
    assert delivery.tag_trouble(missing.model_copy(update={"tag": T.SENT})) is None


@pytest.mark.parametrize(
    ("state", "at"),
    [
        (S.SENT, NOW),
        (S.SUBMITTED, NOW),
        (S.FAILED, None),  # whose state says so already
        (S.BLOCKED, None),
        (S.WAITING, None),
    ],
)
def test_a_person_looks_at_a_refused_tag_where_the_state_does_not_say_so(
    state: InvoiceState, at: datetime | None
) -> None:
    found = record(state, tag=None, tag_trouble=FORBIDDEN, tag_trouble_at=NOW)
    assert delivery.noticed_at(found) == at
    assert delivery.noticed_at(record(state)) is None


def test_an_objection_is_looked_at_before_a_refused_tag() -> None:
    objects = PeppolResponse(kind=ResponseKind.INVOICE_RESPONSE, code="RE", at=LONG_AGO)
    found = record(S.SENT, tag=None, tag_trouble=FORBIDDEN, tag_trouble_at=NOW)
    objected = found.model_copy(update={"responses": (objects,)})
    assert objected.objection is not None
    assert delivery.noticed_at(objected) == LONG_AGO


def test_only_a_sent_invoice_is_watched_when_its_time_has_come() -> None:
    watched = record(S.SENT, watch_at=NOW)
    assert delivery.next_step(watched, NOW) is Step.WATCH
    assert delivery.wake_at(watched) == NOW
    later = record(S.SENT, watch_at=NOW + MINUTE)
    assert delivery.next_step(later, NOW) is None
    assert delivery.wake_at(later) == NOW + MINUTE
    assert delivery.wake_at(record(S.FAILED, watch_at=NOW)) is None


def test_a_claim_remembers_the_attempts_before_it() -> None:
    before = record(S.READY, attempt=attempt(provider_id="p-2"), earlier=("p-1",))
    claimed = delivery.claim(before, attempt(id="a-2", number=2), NOW)
    assert claimed.earlier == ("p-1", "p-2")


def test_what_was_corrected_while_it_waited_is_prepared_anew() -> None:
    waits = record(S.WAITING, hold="ask")
    assert delivery.released(waits, "U1", NOW).state is S.READY
    corrected = delivery.corrected(waits, NOW)
    assert corrected.state is S.WAITING
    assert delivery.released(corrected, "U1", NOW).state is S.IMPORTED


def test_the_record_of_another_account_follows_the_one_that_had_its_id() -> None:
    before = record(
        S.SENT,
        version=7,
        generation=3,
        earlier=("p-1",),
        attempt=attempt(provider_id="p-2"),
    )
    found = delivery.succeeding(record(version=0, account="200"), before)
    assert (found.version, found.generation) == (7, 4)
    assert (found.earlier, found.account) == (("p-1", "p-2"), "200")


def test_a_retry_after_in_the_past_is_no_wait_of_its_own() -> None:
    quick = POLICY.__class__(retry=RETRY / 1000)
    found = delivery.postpone(record(S.READY), NOW, quick, 1.0, retry_after=-5.0)
    assert found.next_at == NOW + RETRY / 1000


@pytest.mark.parametrize("overdue", [False, True])
def test_a_pause_moves_the_deadline_only_of_what_was_not_told(overdue: bool) -> None:
    found = record(S.READY, deadline=NOW + MINUTE, overdue=overdue)
    moved = delivery.paused(found, NOW).deadline
    assert moved == (NOW + MINUTE if overdue else NOW + 2 * HOUR)
    told = record(S.WAITING, deadline=None)
    assert delivery.paused(told, NOW).deadline is None
