"""Status events in any order, late and twice: the end is the same."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from sync import delivery
from sync.answers import Answers
from sync.delivery import Step
from sync.model import InvoiceRecord, InvoiceState
from sync.peppol.access_point import DeliveryState, DeliveryStatus
from sync.peppol.errors import because
from tests.engine.world import Engine
from tests.unit.engine_support import NOW, attempt, record

S = InvoiceState
ORDERS = 10_000
FAILED = because("peppol.delivery.failed", provider="test", detail="closed")
ON_THE_WAY = [
    DeliveryStatus(DeliveryState.PENDING, "queued"),
    DeliveryStatus(DeliveryState.PENDING, "sending"),
    DeliveryStatus(DeliveryState.UNKNOWN, "503"),
    DeliveryStatus(DeliveryState.UNKNOWN, "", retry_after=7.0),
]
ENDS = {
    S.SENT: DeliveryStatus(DeliveryState.DELIVERED, "delivered"),
    S.FAILED: DeliveryStatus(DeliveryState.FAILED, "failed", FAILED),
}


def after(answers: Answers, found: InvoiceRecord, events: list[DeliveryStatus]) -> InvoiceRecord:
    """The record after status answers, each heard only when it is asked for."""
    for event in events:
        due = found.next_at or NOW
        if delivery.next_step(found, max(due, NOW)) is Step.CHECK:
            found = answers.after_status(found, event, first=False)
    return found


@pytest.mark.parametrize("end", ENDS)
async def test_ten_thousand_orders_with_duplicates_end_the_same(
    engine: Engine, end: InvoiceState
) -> None:
    answers, dice = Answers(engine.ports), random.Random(20261122)
    engine.world.clock.to(NOW)
    begin = record(S.SUBMITTED, next_at=NOW, attempt=attempt(provider_id="p-1"))
    ends = set()
    for _ in range(ORDERS):
        events = [
            *dice.choices(ON_THE_WAY, k=dice.randint(0, 6)),
            *[ENDS[end]] * dice.randint(1, 3),
        ]
        dice.shuffle(events)
        final = after(answers, begin, events)
        reason = final.reason.code if final.reason else ""
        ends.add((final.state, reason, final.overdue, final.backoff, final.next_at is None))
    expected = (end, FAILED.code if end is S.FAILED else "", False, 0)
    assert {e[:4] for e in ends} == {expected}
    assert len(ends) == 1


async def test_the_end_does_not_change_when_it_is_heard_again(engine: Engine) -> None:
    answers = Answers(engine.ports)
    begin = record(S.SUBMITTED, next_at=NOW, attempt=attempt(provider_id="p-1"))
    sent = after(answers, begin, [ENDS[S.SENT]])
    again = after(answers, sent, [ENDS[S.FAILED], *ON_THE_WAY, ENDS[S.SENT]])
    assert again == sent
    assert delivery.next_step(again, NOW + timedelta(days=1)) is not Step.CHECK
