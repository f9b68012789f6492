"""What the receiver answers after the delivery: it is kept, told, and never changes the state."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sync.model import InvoiceRecord, ResponseKind
from sync.peppol.access_point import DeliveryState, Response
from tests.engine.access_point import Provider
from tests.engine.world import ORG, Engine, S, World, events, inconsistencies, record

RECEIVED = Response(ResponseKind.MLS, "AB")
REJECTED = Response(ResponseKind.INVOICE_RESPONSE, "RE", "Wrong order number")
ACCEPTED = Response(ResponseKind.INVOICE_RESPONSE, "AP")


@pytest.fixture
async def sent(world: World, engine: Engine) -> InvoiceRecord:
    """An invoice that was delivered a minute ago by an access point that tells answers."""
    world.provider.tells = True
    world.sevdesk.add_invoice("1")
    await world.run_for(engine, minutes=1)
    found = await record(engine, "1")
    assert found.state is S.SENT
    return found


async def answers(engine: Engine) -> list[tuple[str, str]]:
    return [(r.kind.value, r.code) for r in (await record(engine, "1")).responses]


async def test_a_late_rejection_by_the_buyer_is_kept_and_needs_a_person(
    world: World, engine: Engine, sent: InvoiceRecord
) -> None:
    world.provider.responses = (RECEIVED, REJECTED)
    await world.run_for(engine, hours=4)
    found = await record(engine, "1")
    assert found.state is S.SENT
    assert [r.code for r in found.responses] == ["AB", "RE"]
    assert found.objection is not None
    assert found.objection.text == "Wrong order number"
    overview = await engine.service.overview(ORG)
    assert [r.invoice_id for r in overview.needs_person] == ["1"]
    assert await inconsistencies(engine) == []


async def test_each_new_answer_is_told_once(
    world: World, engine: Engine, sent: InvoiceRecord
) -> None:
    before = len(await events(engine))
    for responses in ((RECEIVED,), (RECEIVED, REJECTED)):
        world.provider.responses = responses
        await world.run_for(engine, hours=6)
    later = (await events(engine))[before:]
    assert [(e.invoice_id, e.before, e.after) for e in later] == [("1", "sent", "sent")] * 2


async def test_the_audit_list_names_the_answer(
    world: World, engine: Engine, sent: InvoiceRecord
) -> None:
    world.provider.responses = (REJECTED,)
    await world.run_for(engine, hours=4)
    actions = [entry.action async for entry in engine.service.audit(ORG)]
    assert actions.count("invoice response RE") == 1


async def test_a_buyer_who_accepts_in_the_end_needs_nobody(
    world: World, engine: Engine, sent: InvoiceRecord
) -> None:
    world.provider.responses = (REJECTED,)
    await world.run_for(engine, hours=4)
    world.provider.responses = (REJECTED, ACCEPTED)
    await world.run_for(engine, hours=12)
    assert (await record(engine, "1")).objection is None
    assert (await engine.service.overview(ORG)).needs_person == ()


async def test_a_delivery_that_is_taken_back_is_a_rejection(
    world: World, engine: Engine, sent: InvoiceRecord
) -> None:
    for taken in world.provider.taken.values():
        taken.end = DeliveryState.FAILED
    await world.run_for(engine, hours=4)
    assert (await record(engine, "1")).state is S.SENT
    assert await answers(engine) == [("message level status", "RE")]


async def test_it_asks_seldom_and_after_two_days_never_again(
    world: World, engine: Engine, sent: InvoiceRecord
) -> None:
    world.provider.status_calls = 0
    await world.run_for(engine, days=3)
    asked = world.provider.status_calls
    assert 10 <= asked <= 40
    assert (await record(engine, "1")).watch_at is None
    await world.run_for(engine, days=3)
    assert world.provider.status_calls == asked


async def test_an_access_point_that_is_down_is_asked_again(
    world: World, engine: Engine, sent: InvoiceRecord
) -> None:
    world.provider.responses = (REJECTED,)
    world.provider.status_down = 3
    await world.run_for(engine, hours=12)
    assert await answers(engine) == [("invoice response", "RE")]


async def test_where_nothing_is_told_nobody_asks(world: World, engine: Engine) -> None:
    world.sevdesk.add_invoice("1")
    await world.run_for(engine, minutes=1)
    world.provider.status_calls = 0
    await world.run_for(engine, days=3)
    assert world.provider.status_calls == 0


async def test_a_re_export_begins_without_the_answers_to_the_first(
    world: World, engine: Engine, sent: InvoiceRecord
) -> None:
    world.provider.responses = (REJECTED,)
    await world.run_for(engine, hours=4)
    world.provider = Provider()
    world.sevdesk.untag("Invoice", "1")
    engine = world.engine()
    await world.run_for(engine, minutes=10)
    found = await record(engine, "1")
    assert (found.generation, found.state, found.responses) == (2, S.SENT, ())
    assert found.state_since - sent.state_since > timedelta(hours=3)
