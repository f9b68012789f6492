"""A pause: nothing new begins, what is on its way is settled, and it goes on where it was."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from sync import delivery
from sync.errors import Reason
from sync.model import RESUMED, ConnectionState, EventKind, InvoiceState, TagKind
from sync.peppol.access_point import Find
from sync.polling import PausedError
from sync.service import Service
from sync.sevdesk.errors import UnauthorizedError
from tests.engine.access_point import Behaviour
from tests.engine.sevdesk import Fault
from tests.engine.world import (
    ME,
    ORG,
    RECEIVER,
    Engine,
    World,
    connection,
    events,
    inconsistencies,
    record,
    told,
)

S = InvoiceState
WHY = Reason(code="connection.unheard", params={"code": "token_revoked"})
WEEK = timedelta(days=7)


async def pause(engine: Engine) -> None:
    assert await engine.service.pause(ORG, WHY)


async def test_nothing_is_asked_of_sevdesk_or_the_access_point(
    world: World, engine: Engine
) -> None:
    await pause(engine)
    world.sevdesk.add_invoice("1")
    await world.run_for(engine, days=8)
    assert not world.sevdesk.calls
    assert not world.provider.requests


@pytest.mark.parametrize("xml", [b"ok", b"down"])
async def test_what_was_imported_before_is_neither_prepared_nor_handed_over(
    world: World, engine: Engine, xml: bytes
) -> None:
    world.provider.otherwise = Behaviour.NOT_TAKEN
    world.sevdesk.add_invoice("1", xml=xml)
    await world.run_for(engine, minutes=6)
    before = await record(engine, "1")
    assert before.state is (S.READY if xml == b"ok" else S.IMPORTED)
    tried = world.provider.requests["RE-1"]
    world.provider.otherwise = Behaviour.DELIVERED
    orders = len(engine.preparer.orders)
    await pause(engine)
    await world.run_for(engine, days=3)
    assert world.provider.requests["RE-1"] == tried
    assert len(engine.preparer.orders) == orders
    after = await record(engine, "1")
    assert (after.state, after.overdue) == (before.state, False), "a pause is no delay"
    assert await inconsistencies(engine) == []


@pytest.mark.parametrize("find", [Find.OWN_ID, Find.NONE])
@pytest.mark.parametrize(
    "behaviour", [Behaviour.PENDING, Behaviour.FAILED_LATER, Behaviour.LOST_ACCEPTED]
)
async def test_what_is_on_its_way_is_settled_and_tagged(
    world: World, engine: Engine, behaviour: Behaviour, find: Find
) -> None:
    world.provider.find, world.provider.polls = find, 5
    world.provider.script = [behaviour]
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await engine.work()
    assert (await record(engine, "1")).state in delivery.IN_FLIGHT
    await pause(engine)
    await world.run_for(engine, days=2)
    found = await record(engine, "1")
    if behaviour is Behaviour.LOST_ACCEPTED and find is Find.NONE:
        assert (found.state, found.overdue) == (S.UNCONFIRMED, True), "a person is asked"
    else:
        failed = behaviour is Behaviour.FAILED_LATER
        assert found.state is (S.FAILED if failed else S.SENT)
        assert found.tag is (TagKind.FAILED if failed else TagKind.SENT)
    assert world.provider.accepted("RE-1") == 1


async def test_what_was_certainly_not_taken_is_not_sent_again_before_it_goes_on(
    world: World, engine: Engine
) -> None:
    world.provider.script = [Behaviour.LOST_NOT_TAKEN]
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await engine.work()
    await pause(engine)
    await world.run_for(engine, days=2)
    assert (await record(engine, "1")).state is S.READY
    assert world.provider.requests["RE-1"] == 1
    await engine.service.resume(ORG, ME)
    await world.run_for(engine, minutes=6)
    assert (await record(engine, "1")).state is S.SENT
    assert world.provider.accepted("RE-1") == 1


async def test_it_goes_on_at_once_with_what_waited_and_what_is_new(
    world: World, engine: Engine
) -> None:
    world.provider.otherwise = Behaviour.NOT_TAKEN
    world.sevdesk.add_invoice("1")
    await world.run_for(engine, minutes=6)
    world.provider.otherwise = Behaviour.DELIVERED
    await pause(engine)
    world.sevdesk.add_invoice("2")
    await world.run_for(engine, hours=30)
    polls = len(engine.jobs.polls)
    assert await engine.service.resume(ORG, "")
    assert engine.jobs.polls[polls:] == [(ORG, True)]
    await world.run_for(engine, minutes=1)
    assert [(await record(engine, i)).state for i in "12"] == [S.SENT, S.SENT]
    assert sum(world.provider.accepted(f"RE-{i}") for i in "12") == 2


async def test_a_heap_that_gathered_is_asked_about(world: World, engine: Engine) -> None:
    await world.run_for(engine, minutes=6)
    await pause(engine)
    for number in range(20):
        world.sevdesk.add_invoice(str(number))
    await world.run_for(engine, days=8)
    await engine.service.resume(ORG, "")
    await world.run_for(engine, minutes=6)
    states = [(await record(engine, str(n))).state for n in range(20)]
    assert states == [S.WAITING] * 20


async def test_it_is_told_and_noted_once(world: World, engine: Engine) -> None:
    before = len(await events(engine))
    began = engine.ports.now()
    assert await engine.service.pause(ORG, WHY)
    assert not await engine.service.pause(ORG, Reason(code="something.else"))
    found = (await connection(engine)).pause
    assert found is not None
    assert (found.reason, found.since) == (WHY, began)
    world.clock.forward(WEEK)
    assert await engine.service.resume(ORG, ME)
    assert not await engine.service.resume(ORG, ME)
    paused, resumed = (await events(engine))[before:]
    assert paused.kind is resumed.kind is EventKind.CONNECTION_CHANGED
    assert (resumed.before, resumed.after, resumed.actor) == (began.isoformat(), RESUMED, ME)
    actions = [entry.action async for entry in engine.service.audit(ORG)]
    assert actions[-2:] == ["paused", "resumed"]


WISHES: dict[str, Callable[[Service], Awaitable[object]]] = {
    "retry": lambda s: s.retry(ORG, "1", ME),
    "retry_all": lambda s: s.retry_all(ORG, ME),
    "send": lambda s: s.send(ORG, "1", ME),
    "send_all": lambda s: s.send_all(ORG, ME),
    "send_again": lambda s: s.send_again(ORG, "1", ME),
    "choose_receiver": lambda s: s.choose_receiver(ORG, "1", RECEIVER, ME),
    "resolve_hold": lambda s: s.resolve_hold(ORG, ME, resend=True),
    "sync_now": lambda s: s.sync_now(ORG, ME),
}


@pytest.mark.parametrize("wish", WISHES)
async def test_a_wish_that_would_not_come_true_is_answered(
    world: World, engine: Engine, wish: str
) -> None:
    world.provider.script = [Behaviour.REJECTED]
    world.sevdesk.add_invoice("1")
    await world.run_for(engine, minutes=6)
    await pause(engine)
    with pytest.raises(PausedError):
        await WISHES[wish](engine.service)
    assert (await record(engine, "1")).state is S.FAILED


async def test_a_sync_that_was_asked_for_before_says_why_it_is_none(
    world: World, engine: Engine
) -> None:
    await pause(engine)
    run = await engine.sync_now("run-asked", ME)
    assert run is not None
    assert run.error is not None
    assert run.error.code == "connection.paused"
    assert not world.sevdesk.calls


async def test_a_connect_ends_it(world: World, engine: Engine) -> None:
    await pause(engine)
    assert (await engine.service.connect(ORG, "good-token", ME)).pause is None
    world.sevdesk.add_invoice("1")
    await world.run_for(engine, minutes=6)
    assert (await record(engine, "1")).state is S.SENT


async def test_a_disconnect_ends_it_and_nothing_is_paused_that_is_not_connected(
    engine: Engine,
) -> None:
    await pause(engine)
    assert await engine.service.disconnect(ORG, ME)
    assert not await engine.service.pause(ORG, WHY)
    assert not await engine.service.resume(ORG, ME)
    assert not await engine.service.pause("T-nobody", WHY)


async def test_what_was_broken_before_is_broken_after(world: World, engine: Engine) -> None:
    fault = Fault("tag_relations", UnauthorizedError, times=10**6)
    world.sevdesk.faults.append(fault)
    await world.run_for(engine, minutes=6)
    assert (await connection(engine)).state is ConnectionState.BROKEN
    await pause(engine)
    await world.run_for(engine, days=1)
    await engine.service.resume(ORG, "")
    assert (await connection(engine)).state is ConnectionState.BROKEN
    fault.times = 0
    await world.run_for(engine, hours=2)
    assert (await connection(engine)).state is ConnectionState.ACTIVE


async def test_an_older_release_that_forgets_it_is_told_again(world: World, engine: Engine) -> None:
    """It writes the connection without what it does not know; whoever paused looks hourly."""
    await pause(engine)
    store = engine.ports.organisation(ORG)
    await store.put_connection((await connection(engine)).model_copy(update={"pause": None}))
    assert await engine.service.pause(ORG, WHY)
    world.sevdesk.add_invoice("1")
    await world.run_for(engine, hours=2)
    assert await told(engine, "1") == []
