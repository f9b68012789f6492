"""What becomes of a connection: its token, its account, its end; and an outage."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from sync.connecting import AccountTakenError
from sync.model import ConnectionState, EventKind, ParticipantId, TagKind
from sync.peppol.access_point import FindOutcome, Submission
from sync.sevdesk.errors import ForbiddenError, UnauthorizedError, UnavailableError
from sync.source import NotConnectedError
from sync.store.keys import ORGS, Keys, account_owner
from sync.store.organisation import ERASED, Organisation
from tests.engine.access_point import Behaviour
from tests.engine.sevdesk import Fault
from tests.engine.world import (
    ME,
    ORG,
    RECEIVER,
    Engine,
    S,
    World,
    connection,
    events,
    record,
    settled,
    with_one,
)

T = TagKind
OTHER = "T2"


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
