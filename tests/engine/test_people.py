"""What people wish, at once and at the wrong moment."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from sync.model import EventKind, InvoiceState, Outcome, TagKind
from sync.peppol.access_point import Find
from sync.sending import Sender
from sync.store.keys import Keys
from tests.engine.access_point import Behaviour
from tests.engine.world import (
    ME,
    ORG,
    RECEIVER,
    Engine,
    S,
    World,
    events,
    record,
    settled,
    with_one,
)

T = TagKind


# ---- clicks -----------------------------------------------------------------------------


async def test_ten_clicks_at_once_are_one_attempt_and_all_are_answered(
    world: World, engine: Engine
) -> None:
    await with_one(world, engine, Behaviour.REJECTED)
    webs = [world.engine() for _ in range(5)]
    decisions = await asyncio.gather(
        *(web.service.retry(ORG, "1", f"U{i}") for i in range(2) for web in webs)
    )
    outcomes = Counter(d.outcome for d in decisions)
    assert outcomes == {Outcome.STARTED: 1, Outcome.ALREADY: 9}
    first = next(d.record for d in decisions if d.outcome is Outcome.STARTED)
    assert first is not None
    assert {d.record.actor for d in decisions if d.record} == {first.actor}
    await asyncio.gather(*(web.work() for web in webs))
    await settled(world, engine)
    assert world.provider.requests["RE-1"] == 2
    assert (await record(engine, "1")).state is S.SENT


async def test_two_workers_on_the_same_invoice_send_it_once(world: World, engine: Engine) -> None:
    world.sevdesk.add_invoice("1")
    await engine.poll()
    others = [world.engine() for _ in range(4)]
    await asyncio.gather(*(Sender(o.ports, ORG).advance("1") for o in others))
    await settled(world, engine)
    assert world.provider.requests["RE-1"] == 1
    assert world.sevdesk.kinds("1") == [T.SENT]


@pytest.mark.parametrize("state", [S.SENT, S.WAITING])
async def test_a_retry_of_what_did_not_fail_is_not_possible(
    world: World, engine: Engine, state: InvoiceState
) -> None:
    if state is S.WAITING:
        await engine.service.configure(ORG, ME, ask_before_sending=True, sender=None, company="")
    await with_one(world, engine)
    decision = await engine.service.retry(ORG, "1", ME)
    assert decision.outcome is Outcome.NOT_POSSIBLE
    assert decision.record is not None
    assert decision.record.state is state


async def test_a_wish_about_an_unknown_invoice_is_answered(engine: Engine) -> None:
    service = engine.service
    for wish in (service.retry, service.send, service.arrived, service.send_again, service.dismiss):
        assert (await wish(ORG, "nothing", ME)).outcome is Outcome.NOT_FOUND
    chosen = await service.choose_receiver(ORG, "nothing", RECEIVER, ME)
    assert chosen.outcome is Outcome.NOT_FOUND


async def test_retry_all_retries_all_that_failed(world: World, engine: Engine) -> None:
    world.provider.script = [Behaviour.REJECTED] * 3
    for number in ("1", "2", "3"):
        world.sevdesk.add_invoice(number)
    await settled(world, engine)
    assert await engine.service.retry_all(ORG, ME) == 3
    assert await engine.service.retry_all(ORG, ME) == 0
    await settled(world, engine)
    assert (await engine.service.overview(ORG)).counts == {"sent": 3}


async def test_a_dismissed_invoice_is_not_sent_and_comes_back_without_its_tags(
    world: World, engine: Engine
) -> None:
    await with_one(world, engine, xml=b"blocked")
    assert (await engine.service.dismiss(ORG, "1", ME)).outcome is Outcome.STARTED
    world.sevdesk.edit("1")
    await settled(world, engine)
    assert (await record(engine, "1")).state is S.WITHDRAWN
    world.sevdesk.untag("Invoice", "1")
    await settled(world, engine)
    assert (await record(engine, "1")).state is S.SENT


async def test_a_person_says_that_an_unconfirmed_invoice_arrived(
    world: World, engine: Engine
) -> None:
    world.provider.find = Find.NONE
    await with_one(world, engine, Behaviour.LOST_ACCEPTED)
    assert (await engine.service.arrived(ORG, "1", ME)).outcome is Outcome.STARTED
    await settled(world, engine)
    assert world.sevdesk.kinds("1") == [T.SENT]
    assert world.provider.accepted("RE-1") == 1


async def test_a_person_takes_the_risk_of_a_second_copy(world: World, engine: Engine) -> None:
    world.provider.find = Find.NONE
    await with_one(world, engine, Behaviour.LOST_ACCEPTED)
    decisions = [await engine.service.send_again(ORG, "1", ME) for _ in range(3)]
    assert [d.outcome for d in decisions] == [Outcome.STARTED, Outcome.ALREADY, Outcome.ALREADY]
    await settled(world, engine)
    assert world.provider.accepted("RE-1") == 2
    found = await record(engine, "1")
    assert found.attempt is not None
    assert (found.state, found.attempt.forced, found.attempt.number) == (S.SENT, True, 2)


async def test_nobody_can_send_again_while_the_request_may_be_under_way(
    world: World, engine: Engine
) -> None:
    world.provider.find, world.provider.script = Find.NONE, [Behaviour.LOST_ACCEPTED]
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await engine.work()
    assert (await record(engine, "1")).state is S.UNCONFIRMED
    decision = await engine.service.send_again(ORG, "1", ME)
    assert decision.outcome is Outcome.NOT_POSSIBLE


async def test_sending_all_releases_what_is_still_being_prepared(
    world: World, engine: Engine
) -> None:
    await engine.service.configure(ORG, ME, ask_before_sending=True, sender=None, company="")
    world.sevdesk.add_invoice("1")
    await settled(world, engine)
    world.sevdesk.add_invoice("2")
    await engine.poll()
    assert await engine.service.send_all(ORG, ME) == 2
    await settled(world, engine)
    assert (await engine.service.overview(ORG)).counts == {"sent": 2}


# ---- a person's sync --------------------------------------------------------------------


async def test_a_persons_sync_is_answered_though_nothing_was_done(
    world: World, engine: Engine
) -> None:
    run = await engine.poll(trigger=ME)
    assert run is not None
    finished = [e for e in await events(engine) if e.kind is EventKind.SYNC_FINISHED]
    assert [(e.run, e.actor) for e in finished] == [(run.id, ME)]


async def test_an_idle_poll_tells_nothing(world: World, engine: Engine) -> None:
    before = len(await events(engine))
    for _ in range(5):
        await engine.poll()
    assert len(await events(engine)) == before


async def test_a_persons_sync_waits_for_the_poll_that_runs(world: World, engine: Engine) -> None:
    store = engine.ports.organisation(ORG)
    async with store.lease(30.0):
        waiting = asyncio.create_task(engine.poll(trigger=ME))
        await asyncio.sleep(0.05)
        assert not waiting.done()
    run = await waiting
    assert run is not None
    assert run.error is None


async def test_a_persons_sync_that_cannot_wait_is_answered(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.polling.PATIENCE", timedelta(0))
    async with engine.ports.organisation(ORG).lease(30.0):
        assert await engine.poll() is None
        run = await engine.poll(trigger=ME)
    assert run is not None
    assert run.error is not None
    assert run.error.code == "sync.busy"


async def test_a_sync_without_a_connection_is_answered(world: World, engine: Engine) -> None:
    await engine.service.disconnect(ORG, ME)
    assert await engine.poll() is None
    run = await engine.poll(trigger=ME)
    assert run is not None
    assert run.error is not None
    assert run.error.code == "connection.none"


async def a_sync_that_died(world: World, engine: Engine) -> None:
    for number in range(6):
        world.sevdesk.add_invoice(str(number))
    engine.ports.stopping = lambda: world.sevdesk.calls["xml"] >= 2
    await engine.poll()


async def finished_runs(engine: Engine) -> list[tuple[str, int, int]]:
    finished = [e for e in await events(engine) if e.kind is EventKind.SYNC_FINISHED]
    runs = [await engine.service.run(ORG, e.run) for e in finished]
    return [(r.trigger, r.to_import, r.imported) for r in runs if r]


async def test_a_sync_that_died_goes_on_as_the_same(world: World, engine: Engine) -> None:
    await a_sync_that_died(world, engine)
    later = world.engine()
    run = await later.poll()
    assert run is not None
    assert await finished_runs(later) == [("poll", 6, 6)]
    assert await later.ports.organisation(ORG).open_run() == ""
    in_run = await later.service.run_invoices(ORG, run.id)
    assert len(in_run) == 6


async def test_a_sync_that_died_is_told_before_that_of_a_person(
    world: World, engine: Engine
) -> None:
    await a_sync_that_died(world, engine)
    later = world.engine()
    await later.poll(trigger=ME)
    assert await finished_runs(later) == [("poll", 6, 2), (ME, 4, 4)]


async def test_a_sync_that_died_is_not_that_of_the_next_connection(
    world: World, engine: Engine
) -> None:
    await a_sync_that_died(world, engine)
    world.clock.forward(timedelta(hours=1))
    later = world.engine()
    await later.service.connect(ORG, "good-token", ME)
    await later.poll()
    assert await finished_runs(later) == [("poll", 6, 2), ("poll", 4, 4)]


async def test_a_persons_sync_that_died_is_told_as_interrupted(
    world: World, engine: Engine
) -> None:
    world.sevdesk.add_invoice("1")
    engine.ports.stopping = lambda: True
    await engine.poll(trigger=ME)
    later = world.engine()
    await later.poll()
    finished = [e for e in await events(engine) if e.kind is EventKind.SYNC_FINISHED]
    run = await later.service.run(ORG, finished[0].run)
    assert run is not None
    assert run.error is not None
    assert (run.trigger, run.error.code) == (ME, "sync.interrupted")


# ---- nobody is left alone -----------------------------------------------------------------


async def test_a_delivery_that_nobody_can_confirm_can_be_ended_by_a_person(
    world: World, engine: Engine
) -> None:
    world.provider.otherwise = Behaviour.PENDING
    world.provider.polls = 10_000
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await world.run_for(engine, hours=49)
    assert (await record(engine, "1")).overdue
    await engine.service.arrived(ORG, "1", ME)
    await engine.work()
    assert (await record(engine, "1")).state is S.SENT
    assert world.sevdesk.kinds("1") == [T.SENT]


async def test_what_is_on_its_way_cannot_be_ended_by_a_person(world: World, engine: Engine) -> None:
    world.provider.otherwise = Behaviour.PENDING
    world.provider.polls = 10_000
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await world.run_for(engine, hours=2)
    for wish in (engine.service.arrived, engine.service.send_again):
        assert (await wish(ORG, "1", ME)).outcome is Outcome.NOT_POSSIBLE
    assert (await record(engine, "1")).state is S.SUBMITTED


async def test_a_person_can_send_again_what_was_never_reported_as_delivered(
    world: World, engine: Engine
) -> None:
    world.provider.otherwise = Behaviour.PENDING
    world.provider.polls = 10_000
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await world.run_for(engine, hours=49)
    world.provider.otherwise = Behaviour.DELIVERED
    assert (await engine.service.send_again(ORG, "1", ME)).outcome is Outcome.STARTED
    await engine.work()
    assert (await record(engine, "1")).state is S.SENT
    assert world.provider.requests["RE-1"] == 2


# ---- impatience ---------------------------------------------------------------------------


async def test_fifty_who_ask_for_a_sync_at_once_start_one(world: World, engine: Engine) -> None:
    """Each of them would wait for the others in a place of its own, of the few that there are."""
    webs = [world.engine() for _ in range(5)]
    found = await asyncio.gather(
        *(web.service.sync_now(ORG, f"U{i}") for i in range(10) for web in webs)
    )
    assert sum(run is not None for run in found) == 1
    assert sum(len(web.jobs.syncs) for web in webs) == 1


async def test_a_sync_can_be_asked_for_again_when_the_last_one_is_over(engine: Engine) -> None:
    for _ in range(2):
        assert await engine.service.sync_now(ORG, ME) is not None
        await engine.poll(trigger=ME)


async def test_a_sync_whose_job_was_lost_can_be_asked_for_again(
    world: World, engine: Engine
) -> None:
    await engine.service.sync_now(ORG, ME)
    redis: Any = engine.ports.clients.redis
    assert 0 < await redis.ttl(f"{Keys(ORG).prefix}asked") <= 30
