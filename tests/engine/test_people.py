"""What people wish, at once and at the wrong moment; and what becomes of a connection."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from sync.connecting import AccountTakenError
from sync.errors import StaleRecordError, StoreError
from sync.model import (
    ConnectionState,
    EventKind,
    InvoiceState,
    Outcome,
    ParticipantId,
    TagKind,
)
from sync.peppol.access_point import Find, FindOutcome, Submission
from sync.sending import Sender
from sync.sevdesk.errors import ForbiddenError, UnauthorizedError, UnavailableError
from sync.source import NotConnectedError
from sync.store.keys import ORGS, Keys, account_owner
from sync.store.organisation import ERASED, Organisation, organisations
from tests.engine.access_point import Behaviour
from tests.engine.crash import Process
from tests.engine.sevdesk import Fault
from tests.engine.world import (
    ME,
    ORG,
    POLL,
    RECEIVER,
    Engine,
    World,
    connection,
    events,
    inconsistencies,
    record,
)

S = InvoiceState
T = TagKind
OTHER = "T2"


async def settled(world: World, engine: Engine, org: str = ORG, **time: float) -> None:
    await world.run_for(engine, org, **(time or {"minutes": 21}))


async def with_one(world: World, engine: Engine, *script: Behaviour, xml: bytes = b"ok") -> None:
    world.provider.script = list(script)
    world.sevdesk.add_invoice("1", xml=xml)
    await settled(world, engine)


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


# ---- the token --------------------------------------------------------------------------


async def told_of(engine: Engine) -> list[str]:
    return [e.after for e in await events(engine) if e.kind is EventKind.CONNECTION_CHANGED]


@pytest.mark.parametrize("error", [UnauthorizedError, ForbiddenError])
async def test_a_refused_token_is_told_once_probed_hourly_and_heals(
    world: World, engine: Engine, error: type[Exception]
) -> None:
    await settled(world, engine)
    before = len(await told_of(engine))
    refusal = Fault("tag_relations", error, times=10**6)
    world.sevdesk.faults.append(refusal)
    world.sevdesk.calls.clear()
    await settled(world, engine, hours=6)
    assert (await told_of(engine))[before:] == ["broken"]
    assert 6 <= world.sevdesk.calls["tag_relations"] <= 7
    refusal.times = 0
    world.sevdesk.add_invoice("1")
    await settled(world, engine, hours=2)
    assert (await told_of(engine))[before:] == ["broken", "active"]
    assert (await record(engine, "1")).state is S.SENT


async def test_a_token_that_is_refused_while_tagging_breaks_the_connection_and_the_tag_follows(
    world: World, engine: Engine
) -> None:
    world.provider.script = [Behaviour.PENDING]
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await engine.work()
    world.sevdesk.token = "renewed"
    await settled(world, engine, minutes=2)
    assert (await record(engine, "1")).state is S.SENT
    assert (await connection(engine)).state is ConnectionState.BROKEN
    assert world.sevdesk.kinds("1") == [T.UPLOADED]
    world.accounts["renewed"] = world.sevdesk
    await engine.service.connect(ORG, "renewed", ME)
    await settled(world, engine, minutes=1)
    assert world.sevdesk.kinds("1") == [T.SENT]


async def test_a_held_connection_can_break_and_is_held_again_when_it_heals(
    world: World, engine: Engine
) -> None:
    for number in ("1", "2", "3"):
        world.sevdesk.add_invoice(number)
    await settled(world, engine)
    world.sevdesk.delete_tag("xTool-Peppol-Sent")
    await engine.poll()
    refusal = Fault("tag_relations", UnauthorizedError, times=1)
    world.sevdesk.faults.append(refusal)
    await engine.poll()
    assert (await connection(engine)).state is ConnectionState.BROKEN
    await settled(world, engine, hours=2)
    assert (await connection(engine)).state is ConnectionState.HELD
    assert world.provider.requests == Counter({"RE-1": 1, "RE-2": 1, "RE-3": 1})


async def test_an_outage_is_told_once_when_it_lasts_and_once_when_it_is_over(
    world: World, engine: Engine
) -> None:
    await settled(world, engine)
    before = len(await told_of(engine))
    down = Fault("invoices", lambda: UnavailableError("503", status="503", message=""), times=10**6)
    world.sevdesk.faults.append(down)
    await engine.poll()
    assert (await told_of(engine))[before:] == []
    await settled(world, engine, hours=2)
    assert (await told_of(engine))[before:] == ["active"]
    assert (await connection(engine)).last_error is not None
    down.times = 0
    await settled(world, engine, hours=1)
    assert (await told_of(engine))[before:] == ["active", "active"]
    assert (await connection(engine)).last_error is None


async def test_a_single_poll_that_fails_is_not_told(world: World, engine: Engine) -> None:
    before = len(await told_of(engine))
    fault = Fault("invoices", lambda: UnavailableError("503", status="503", message=""))
    world.sevdesk.faults.append(fault)
    await settled(world, engine)
    assert (await told_of(engine))[before:] == []


# ---- disconnect, replace, erase -----------------------------------------------------------


async def test_a_disconnect_erases_the_token_and_sends_nothing_more(
    world: World, engine: Engine
) -> None:
    world.sevdesk.add_invoice("1")
    await engine.poll()
    assert await engine.service.disconnect(ORG, ME) is True
    assert await engine.service.disconnect(ORG, ME) is False
    await settled(world, engine)
    assert await engine.ports.organisation(ORG).token() is None
    found = await record(engine, "1")
    assert found.reason is not None
    assert (found.state, found.reason.code) == (S.WITHDRAWN, "withdrawn.disconnected")
    assert world.provider.requests == Counter()
    with pytest.raises(NotConnectedError):
        await engine.connecting.open(ORG)


async def test_a_reconnect_takes_up_what_the_disconnect_left(world: World, engine: Engine) -> None:
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await engine.service.disconnect(ORG, ME)
    await settled(world, engine)
    await engine.service.connect(ORG, "good-token", ME)
    await settled(world, engine)
    assert (await record(engine, "1")).state is S.SENT
    assert world.sevdesk.kinds("1") == [T.SENT]


async def test_what_left_before_a_disconnect_ends_and_is_tagged_after_the_reconnect(
    world: World, engine: Engine
) -> None:
    world.provider.script = [Behaviour.PENDING]
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await engine.work()
    await engine.service.disconnect(ORG, ME)
    await settled(world, engine)
    assert (await record(engine, "1")).state is S.SENT
    await engine.service.connect(ORG, "good-token", ME)
    await settled(world, engine)
    assert world.sevdesk.kinds("1") == [T.SENT]
    assert world.provider.accepted("RE-1") == 1


async def test_another_accounts_token_is_never_used_for_an_invoice(
    world: World, engine: Engine
) -> None:
    await with_one(world, engine, xml=b"blocked")
    other = world.add_account("200", "other-token")
    await engine.service.connect(ORG, "other-token", ME)
    await engine.service.retry(ORG, "1", ME)
    await settled(world, engine)
    found = await record(engine, "1")
    assert found.reason is not None
    assert (found.state, found.reason.code) == (S.WITHDRAWN, "withdrawn.account_replaced")
    assert set(other.calls) <= {
        "bookkeeping_version",
        "account",
        "custom_field_settings",
        "tag_relations",
        "invoices",
    }


async def test_an_account_belongs_to_one_organisation(world: World, engine: Engine) -> None:
    with pytest.raises(AccountTakenError):
        await engine.service.connect(OTHER, "good-token", ME)
    assert await engine.service.connection(OTHER) is None
    await engine.service.disconnect(ORG, ME)
    assert (await engine.service.connect(OTHER, "good-token", ME)).account == "100"
    with pytest.raises(AccountTakenError):
        await engine.service.connect(ORG, "good-token", ME)


async def test_of_many_organisations_that_connect_one_account_at_once_at_most_one_has_it(
    world: World,
) -> None:
    engines = [world.engine() for _ in range(6)]
    await asyncio.gather(
        *(e.service.connect(f"T{i}", "good-token", ME) for i, e in enumerate(engines)),
        return_exceptions=True,
    )
    alive = [i for i in range(6) if await engines[0].service.connection(f"T{i}") is not None]
    assert len(alive) <= 1
    owner = await engines[0].ports.organisation("T0").account_owner("100")
    assert owner in ("", *(f"T{i}" for i in alive)) or not alive


async def test_a_token_that_is_refused_saves_nothing(world: World) -> None:
    engine = world.engine()
    with pytest.raises(UnauthorizedError):
        await engine.service.connect(ORG, "bad-token", ME)
    redis = engine.ports.clients.redis
    assert await redis.dbsize() == 0


async def test_a_replaced_account_is_free_for_others(world: World, engine: Engine) -> None:
    world.add_account("200", "other-token")
    await engine.service.connect(ORG, "other-token", ME)
    assert (await engine.service.connect(OTHER, "good-token", ME)).account == "100"


async def test_erasing_leaves_no_key(world: World, engine: Engine) -> None:
    await with_one(world, engine)
    await engine.poll(trigger=ME)
    await engine.service.erase(ORG)
    await engine.service.erase(ORG)
    redis = engine.ports.clients.redis
    assert await redis.keys("*") == [ERASED]  # that it is to be looked at again, and nothing else


async def test_erasing_under_a_poll_leaves_no_key(world: World, engine: Engine) -> None:
    for number in range(20):
        world.sevdesk.add_invoice(str(number))
    poll = asyncio.create_task(engine.poll())
    while world.sevdesk.calls["xml"] < 3:  # noqa: ASYNC110 - a counter, not an event
        await asyncio.sleep(0)
    await engine.service.erase(ORG)
    await poll
    redis = engine.ports.clients.redis
    left = [k for k in await redis.keys("*") if not k.startswith(Keys(ORG).prefix + "doc:")]
    assert left == [ERASED]


async def test_erasing_leaves_other_organisations_alone(world: World, engine: Engine) -> None:
    world.add_account("200", "other-token").add_contact("c9")
    await engine.service.connect(OTHER, "other-token", ME)
    await engine.service.erase(ORG)
    redis = engine.ports.clients.redis
    assert await redis.execute_command("SMEMBERS", ORGS) == {OTHER}
    assert await redis.get(account_owner("200")) == OTHER
    assert await engine.service.connection(OTHER) is not None


async def test_an_organisations_tokens_reach_its_own_account_only(
    world: World, engine: Engine
) -> None:
    other = world.add_account("200", "other-token")
    other.add_contact("c9")
    other.add_invoice("1", "c9", number="RE-other")
    world.sevdesk.add_invoice("1")
    await engine.service.connect(OTHER, "other-token", ME)
    await settled(world, engine)
    await settled(world, engine, OTHER)
    assert (await record(engine, "1")).number == "RE-1"
    assert (await record(engine, "1", OTHER)).number == "RE-other"
    assert world.sevdesk.foreign_tokens == other.foreign_tokens == []


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


# ---- another account ------------------------------------------------------------------------

OWN = ParticipantId(scheme="0204", value="991-01234-44")


async def with_own_settings(engine: Engine) -> None:
    await engine.service.configure(ORG, ME, ask_before_sending=True, sender=OWN, company="c9")


@pytest.mark.parametrize("disconnected", [False, True])
async def test_another_account_is_not_sent_from_as_the_firm_before(
    world: World, engine: Engine, disconnected: bool
) -> None:
    world.add_account("200", "other-token")
    await with_own_settings(engine)
    if disconnected:
        await engine.service.disconnect(ORG, ME)
    after = await engine.service.connect(ORG, "other-token", ME)
    assert (after.sender, after.company) == (None, "")
    assert after.ask_before_sending is True, "this is not about the firm"


@pytest.mark.parametrize("disconnected", [False, True])
async def test_the_same_account_keeps_its_sender_and_company(
    engine: Engine, disconnected: bool
) -> None:
    await with_own_settings(engine)
    if disconnected:
        await engine.service.disconnect(ORG, ME)
    after = await engine.service.connect(ORG, "good-token", ME)
    assert (after.sender, after.company) == (OWN, "c9")


async def test_what_was_known_of_the_contacts_of_another_account_is_forgotten(
    world: World, engine: Engine
) -> None:
    """Another installation of sevDesk may use the same ids."""
    world.add_account("200", "other-token")
    await with_one(world, engine)
    store = engine.ports.organisation(ORG)
    await store.put_receiver("c1", RECEIVER)
    assert await store.contact("c1") is not None
    await engine.service.connect(ORG, "good-token", ME)
    assert await store.contact("c1") is not None, "the same account"
    await engine.service.connect(ORG, "other-token", ME)
    assert await store.contact("c1") is None
    assert await store.receiver("c1") is None


async def test_an_attempt_is_looked_for_at_the_company_that_it_went_from(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the organisation has another one by then."""
    world.add_account("200", "other-token")
    engine.ports.account = lambda company: (f"mark of {company}",)
    await engine.service.configure(ORG, ME, ask_before_sending=False, sender=None, company="c9")
    world.provider.script = [Behaviour.LOST_ACCEPTED]
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await engine.work()
    asked: list[str] = []
    find = engine.ports.access_point.find

    async def noted(submission: Submission) -> FindOutcome:
        asked.append(submission.company)
        return await find(submission)

    monkeypatch.setattr(engine.ports.access_point, "find", noted)
    await engine.service.connect(ORG, "other-token", ME)
    await settled(world, engine)
    assert set(asked) == {"c9"}
    assert (await record(engine, "1")).state is S.SENT


async def test_nothing_leaves_from_the_company_of_another_account(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody replaces the account between the look at it and the claim."""
    world.add_account("200", "other-token")
    world.sevdesk.add_invoice("1")
    await engine.poll()
    document = Organisation.document

    async def replaced_first(self: Organisation, sha256: str) -> bytes | None:
        if sha256 and (await record(engine, "1")).state is S.READY:
            monkeypatch.setattr(Organisation, "document", document)
            await engine.connecting.connect(ORG, "other-token", ME)
        return await document(self, sha256)

    monkeypatch.setattr(Organisation, "document", replaced_first)
    await settled(world, engine)
    assert world.provider.requests == Counter()
    found = await record(engine, "1")
    assert found.reason is not None
    assert (found.state, found.reason.code) == (S.WITHDRAWN, "withdrawn.account_replaced")
