"""What comes back over the network: pure functions."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sync import delivery, listening
from sync.delivery import Policy, Step
from sync.model import InvoiceRecord, PeppolResponse, ResponseKind
from sync.peppol.access_point import DeliveryState, DeliveryStatus, Response
from tests.unit.engine_support import HOUR, MINUTE, NOW, S, attempt, record

MLS, BUYER = ResponseKind.MLS, ResponseKind.INVOICE_RESPONSE
POLICY = Policy()


def sent(*answers: tuple[ResponseKind, str]) -> InvoiceRecord:
    told = tuple(PeppolResponse(kind=kind, code=code, at=NOW) for kind, code in answers)
    return record(S.SENT, state_since=NOW, responses=told, attempt=attempt(provider_id="p-1"))


def status(
    *answers: tuple[ResponseKind, str], state: DeliveryState = DeliveryState.DELIVERED
) -> DeliveryStatus:
    return DeliveryStatus(state, "word", responses=tuple(Response(k, c) for k, c in answers))


@pytest.mark.parametrize(
    ("answers", "objection"),
    [
        ((), None),
        (((MLS, "AP"),), None),
        (((MLS, "RE"),), "RE"),
        (((MLS, "AP"), (BUYER, "RE")), "RE"),
        (((BUYER, "UQ"),), "UQ"),
        (((BUYER, "RE"), (BUYER, "AP")), None),
        (((BUYER, "AP"), (BUYER, "RE")), "RE"),
        (((BUYER, "RE"), (MLS, "AP")), "RE"),
        (((MLS, "<script>"),), None),
    ],
)
def test_the_last_word_of_each_side_counts(
    answers: tuple[tuple[ResponseKind, str], ...], objection: str | None
) -> None:
    found = sent(*answers).objection
    assert (found.code if found else None) == objection


def test_an_invoice_that_is_not_sent_has_no_objection() -> None:
    failed = sent((MLS, "RE")).model_copy(update={"state": S.FAILED})
    assert failed.objection is None


def test_an_answer_that_is_told_again_is_not_new() -> None:
    before = sent((MLS, "AB"), (BUYER, "UQ"))
    assert listening.heard(before, status((MLS, "AB"), (BUYER, "UQ")), NOW) is before


def test_an_answer_that_came_a_second_time_is_new() -> None:
    before = sent((BUYER, "UQ"), (BUYER, "IP"))
    after = listening.heard(before, status((BUYER, "UQ"), (BUYER, "IP"), (BUYER, "UQ")), NOW)
    assert [r.code for r in after.responses] == ["UQ", "IP", "UQ"]


def test_an_access_point_that_tells_the_last_answer_only_adds_to_the_others() -> None:
    after = listening.heard(sent((MLS, "AB")), status((MLS, "RE")), NOW)
    assert [r.code for r in after.responses] == ["AB", "RE"]


def test_endless_answers_are_bounded() -> None:
    many = status(*[(BUYER, f"X{number}") for number in range(1000)])
    after = listening.heard(sent(), many, NOW)
    assert len(after.responses) == listening.MAX_RESPONSES
    assert listening.heard(after, many, NOW) == after


def test_a_pending_delivery_that_fails_is_not_an_answer() -> None:
    submitted = sent().model_copy(update={"state": S.SUBMITTED})
    assert listening.heard(submitted, status(state=DeliveryState.FAILED), NOW) is submitted


@pytest.mark.parametrize(
    ("age", "wait"),
    [(timedelta(0), MINUTE), (HOUR, 30 * MINUTE), (20 * HOUR, 6 * HOUR), (47 * HOUR, HOUR)],
)
def test_the_waits_grow_with_the_age_and_end_after_two_days(
    age: timedelta, wait: timedelta
) -> None:
    watched = listening.watched(sent(), NOW + age, POLICY, 1.0)
    assert watched.watch_at == NOW + age + wait


def test_after_two_days_nothing_is_due_any_more() -> None:
    watched = listening.watched(sent(), NOW + timedelta(days=2), POLICY, 1.0)
    assert watched.watch_at is None
    assert delivery.wake_at(watched) is None


def test_it_waits_as_long_as_the_access_point_asks() -> None:
    watched = listening.watched(sent(), NOW, POLICY, 1.0, retry_after=7200)
    assert watched.watch_at == NOW + 2 * HOUR


def test_without_an_id_at_the_access_point_nobody_is_asked() -> None:
    blind = sent().model_copy(update={"attempt": attempt()})
    assert listening.watched(blind, NOW, POLICY, 1.0).watch_at is None


def test_a_sent_invoice_is_due_when_it_is_to_be_watched() -> None:
    watched = listening.watched(sent(), NOW, POLICY, 1.0)
    assert delivery.wake_at(watched) == watched.watch_at == NOW + MINUTE
    assert delivery.next_step(watched, NOW) is None
    assert delivery.next_step(watched, NOW + MINUTE) is Step.WATCH


@pytest.mark.parametrize("state", [state for state in S if state is not S.SENT])
def test_no_other_state_is_watched(state: S) -> None:
    other = record(state, watch_at=NOW, next_at=None, deadline=None)
    assert delivery.next_step(other, NOW) is not Step.WATCH


def test_a_re_export_forgets_the_watch() -> None:
    watched = listening.watched(sent((BUYER, "RE")), NOW, POLICY, 1.0)
    again = delivery.reexported(watched, "run", "", NOW)
    assert (again.watch_at, again.responses) == (None, ())


@pytest.mark.parametrize(
    ("state", "due"), [(S.SUBMITTED, True), (S.SENT, True), (S.FAILED, False), (S.READY, False)]
)
def test_a_call_makes_due_what_it_may_be_about(state: S, due: bool) -> None:
    waiting = record(state, next_at=NOW + HOUR, watch_at=NOW + HOUR, deadline=None)
    called = listening.called_back(waiting, NOW)
    assert listening.listens(waiting) is due
    assert (delivery.wake_at(called) == NOW) is due
