"""Lost answers are settled, transient trouble passes, and what lasts is told once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sync.errors import StaleRecordError, StoreError, SyncError
from sync.model import InvoiceState, TagKind
from sync.peppol.access_point import Find
from sync.sevdesk.errors import (
    BadAnswerError,
    RateLimitedError,
    RefusedError,
    UnavailableError,
    WriteUnconfirmedError,
)
from sync.store.keys import ORGS
from sync.store.organisation import organisations
from tests.engine.access_point import Behaviour
from tests.engine.crash import Process
from tests.engine.sevdesk import Fault, SevdeskStandIn
from tests.engine.world import (
    ME,
    ORG,
    POLL,
    Engine,
    S,
    World,
    connection,
    events,
    inconsistencies,
    record,
    settled,
    with_one,
)

T = TagKind


# ---- unconfirmed ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("find", "behaviour", "end", "accepted"),
    [
        (Find.OWN_ID, Behaviour.LOST_ACCEPTED, S.SENT, 1),
        (Find.OWN_ID, Behaviour.LOST_NOT_TAKEN, S.SENT, 1),
        (Find.CONTENT, Behaviour.LOST_ACCEPTED, S.SENT, 1),
        (Find.CONTENT, Behaviour.LOST_NOT_TAKEN, S.UNCONFIRMED, 0),
        (Find.NONE, Behaviour.LOST_ACCEPTED, S.UNCONFIRMED, 1),
        (Find.NONE, Behaviour.LOST_NOT_TAKEN, S.UNCONFIRMED, 0),
    ],
)
async def test_a_lost_answer_is_settled_by_what_the_access_point_can(
    world: World, engine: Engine, find: Find, behaviour: Behaviour, end: InvoiceState, accepted: int
) -> None:
    world.provider.find, world.provider.script = find, [behaviour]
    world.sevdesk.add_invoice("1")
    await settled(world, engine)
    found = await record(engine, "1")
    assert (found.state, world.provider.accepted("RE-1")) == (end, accepted)
    assert found.overdue is (end is S.UNCONFIRMED), "a person is asked if nobody else can tell"


async def test_nobody_settles_an_attempt_before_its_deadline(world: World, engine: Engine) -> None:
    world.provider.script = [Behaviour.LOST_NOT_TAKEN]
    world.sevdesk.add_invoice("1")
    await settled(world, engine, seconds=59)
    assert (await record(engine, "1")).state is S.UNCONFIRMED
    await settled(world, engine, seconds=10)
    assert (await record(engine, "1")).state is S.SENT


async def test_an_access_point_that_cannot_be_asked_is_asked_again(
    world: World, engine: Engine
) -> None:
    world.provider.script, world.provider.find_down = [Behaviour.LOST_ACCEPTED], 4
    world.sevdesk.add_invoice("1")
    await settled(world, engine)
    assert (await record(engine, "1")).state is S.SENT


# ---- transient trouble ------------------------------------------------------------------

TRANSIENT = [
    lambda: UnavailableError("503", status="503", message=""),
    lambda: RateLimitedError("429", retry_after=7.0),
    lambda: BadAnswerError("cut off"),
]
CALLS = ["tag_relations", "invoices", "xml", "contact", "add_tag", "remove_tag_relation"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("error", TRANSIENT)
@pytest.mark.parametrize("call", CALLS)
async def test_every_transient_trouble_of_sevdesk_passes(
    world: World, engine: Engine, call: str, error: type[SyncError], after: bool
) -> None:
    world.sevdesk.faults.append(Fault(call, error, times=2, after=after))
    world.sevdesk.add_invoice("1")
    await settled(world, engine)
    assert (await record(engine, "1")).state is S.SENT
    assert world.sevdesk.kinds("1") == [T.SENT]
    assert world.provider.accepted("RE-1") == 1
    assert await inconsistencies(engine) == []


@pytest.mark.parametrize("after", [False, True])
async def test_a_tag_write_whose_answer_was_lost_is_read_back(
    world: World, engine: Engine, after: bool
) -> None:
    error = lambda: WriteUnconfirmedError("timeout", status="", message="")  # noqa: E731
    world.sevdesk.faults.append(Fault("add_tag", error, times=2, after=after))
    world.sevdesk.add_invoice("1")
    await settled(world, engine)
    assert world.sevdesk.kinds("1") == [T.SENT]
    # Not taken, `Uploaded` is not written any more: the invoice is sent by then.
    assert world.sevdesk.calls["add_tag"] == (2 if after else 3)


async def test_a_tag_that_sevdesk_refuses_holds_up_neither_the_invoice_nor_the_others(
    world: World, engine: Engine
) -> None:
    world.sevdesk.add_invoice("1")
    refused = lambda: RefusedError("no", status="400", message="")  # noqa: E731
    world.sevdesk.faults.append(Fault("add_tag", refused, times=10_000))
    await settled(world, engine)
    world.sevdesk.add_invoice("2")
    await settled(world, engine)
    assert (await engine.service.overview(ORG)).counts == {"sent": 2}


async def test_lookups_that_are_down_postpone_and_are_told_once(
    world: World, engine: Engine
) -> None:
    world.sevdesk.add_invoice("1", xml=b"down")
    await settled(world, engine, hours=5)
    found = await record(engine, "1")
    assert (found.state, found.overdue) == (S.IMPORTED, True)
    overdue = [e for e in await events(engine) if e.invoice_id == "1"]
    assert len(overdue) == 3, "imported, postponed with its reason, overdue"


async def test_what_was_not_taken_is_tried_until_it_is(world: World, engine: Engine) -> None:
    world.provider.script = [Behaviour.NOT_TAKEN] * 5
    world.sevdesk.add_invoice("1")
    await settled(world, engine)
    assert (await record(engine, "1")).state is S.SENT
    assert world.provider.requests["RE-1"] == 6
    assert world.provider.accepted("RE-1") == 1


async def test_an_access_point_that_takes_nothing_is_told_once(
    world: World, engine: Engine
) -> None:
    world.provider.otherwise = Behaviour.NOT_TAKEN
    world.sevdesk.add_invoice("1")
    await settled(world, engine, hours=6)
    found = await record(engine, "1")
    assert (found.state, found.overdue) == (S.READY, True)
    entries = [e async for e in engine.service.audit(ORG)]
    assert [e.action for e in entries].count("overdue") == 1


async def test_a_delivery_that_never_ends_is_told_once_and_not_asked_about_for_ever(
    world: World, engine: Engine
) -> None:
    world.poll_every = timedelta(hours=12)
    engine.ports.poll = world.poll_every
    world.provider.otherwise, world.provider.polls = Behaviour.PENDING, 10**9
    world.sevdesk.add_invoice("1")
    await settled(world, engine, days=16)
    found = await record(engine, "1")
    assert (found.state, found.overdue, found.next_at) == (S.SUBMITTED, True, None)
    entries = [e async for e in engine.service.audit(ORG)]
    assert [e.action for e in entries].count("overdue") == 1


# ---- the store in trouble -----------------------------------------------------------------


async def test_a_store_that_fails_at_any_write_loses_nothing(world: World, engine: Engine) -> None:
    world.sevdesk.add_invoice("1")
    for number in range(1, 40):
        process = Process()
        seen = 0

        async def fail_once(name: str, number: int = number) -> None:
            nonlocal seen
            seen += name.startswith("store")
            if seen == number and name.startswith("store"):
                seen += 1
                raise StoreError("the disk is full", code="store.refused")

        process.before = fail_once
        flaky = world.engine(process)
        world.sevdesk.untag("Invoice", "1")
        for _ in range(6):
            try:
                await settled(world, flaky, minutes=6)
            except StoreError:
                await world.after_a_crash()
        found = await record(engine, "1")
        assert (found.state, world.provider.accepted("RE-1")) == (S.SENT, found.generation)
        assert world.sevdesk.kinds("1") == [T.SENT]
        assert await inconsistencies(engine) == []
    assert (await record(engine, "1")).generation >= 39


async def test_a_drain_survives_a_store_that_does_not_answer(world: World, engine: Engine) -> None:
    async def down(name: str) -> None:
        raise StoreError("no answer")

    world.sevdesk.add_invoice("1")
    await engine.poll()
    process = Process()
    process.before = down
    broken = world.engine(process)
    await broken.work()
    world.clock.forward(POLL)
    await settled(world, engine)
    assert (await record(engine, "1")).state is S.SENT


async def test_an_organisation_that_the_list_forgot_is_on_it_after_a_poll(
    world: World, engine: Engine
) -> None:
    """The list is on another node of a cluster; a fail-over there may lose the entry."""
    clients = engine.ports.clients
    await clients.exact.execute_command("SREM", ORGS, ORG)
    assert ORG not in await organisations(clients)
    await engine.poll()
    assert ORG in await organisations(clients)


async def test_a_stale_transition_is_refused(world: World, engine: Engine) -> None:
    await with_one(world, engine, Behaviour.REJECTED)
    store = engine.ports.organisation(ORG)
    old = await record(engine, "1")
    await store.records.put(old)
    with pytest.raises(StaleRecordError):
        await store.records.put(old)


# ---- no silence ---------------------------------------------------------------------------


async def test_a_mistake_in_a_sync_is_told_as_well(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def mistaken(self: SevdeskStandIn) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(SevdeskStandIn, "tag_relations", mistaken)
    run = await engine.poll(trigger=ME)
    assert run is not None
    assert run.error is not None
    assert run.error.code == "internal"
    found = await connection(engine)
    assert (found.failures, found.last_error) == (1, run.error)


async def test_an_access_point_that_loses_every_answer_is_told_once(
    world: World, engine: Engine
) -> None:
    """It is certain each time that it has nothing, and nothing ever comes of it."""
    world.provider.otherwise = Behaviour.LOST_NOT_TAKEN
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await world.run_for(engine, hours=3)
    assert (await record(engine, "1")).overdue
    entries = [e async for e in engine.service.audit(ORG)]
    assert [e.action for e in entries].count("overdue") == 1
