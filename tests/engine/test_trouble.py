"""Trouble that lasts: tokens that may read and not write, tags that are refused for good, and
heaps that gathered while nobody synced."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from sync.errors import Finding, Reason
from sync.importing import XML_TRIES
from sync.model import (
    ConnectionState,
    EventKind,
    InvoiceState,
    PeppolResponse,
    ResponseKind,
    TagKind,
)
from sync.peppol.access_point import NotRegistered
from sync.ports import NotPrepared, Order, Prepared
from sync.sevdesk.errors import (
    ForbiddenError,
    NotFoundError,
    RefusedError,
    UnauthorizedError,
    UnavailableError,
)
from sync.sevdesk.models import TagRelation
from tests.engine.access_point import Behaviour
from tests.engine.sevdesk import Fault, SevdeskStandIn
from tests.engine.world import ME, ORG, RECEIVER, Engine, World, connection, events, record, told

S = InvoiceState
UNKNOWN = Reason(code="peppol.lookup.not_registered")


async def told_of(engine: Engine) -> list[str]:
    return [e.after for e in await events(engine) if e.kind is EventKind.CONNECTION_CHANGED]


def refuse(world: World, call: str, error: Callable[[], Exception] = ForbiddenError) -> Fault:
    fault = Fault(call, error, times=10**6)
    world.sevdesk.faults.append(fault)
    return fault


def unavailable() -> Exception:
    return UnavailableError("503")


def refused_for_good() -> Exception:
    return RefusedError("400", status="400", message="tag refused", reference="r")


# ---- a token that may read and not write ---------------------------------------------------


@pytest.mark.parametrize("call", ["add_tag", "remove_tag_relation", "xml", "contact"])
async def test_a_token_that_is_refused_on_one_kind_of_call_is_told_once_and_heals_by_itself(
    world: World, engine: Engine, call: str
) -> None:
    await world.run_for(engine, minutes=21)
    before = len(await told_of(engine))
    fault = refuse(world, call)
    world.sevdesk.add_invoice("1")
    await world.run_for(engine, hours=30)
    assert (await told_of(engine))[before:] == ["broken"]
    assert (await connection(engine)).state is ConnectionState.BROKEN
    assert world.sevdesk.calls["invoices"] < 2 * 2 * 35, "probed hourly, not polled"
    fault.times = 0
    await world.run_for(engine, hours=2)
    assert (await told_of(engine))[before:] == ["broken", "active"]
    found = await record(engine, "1")
    assert (found.state, found.tag_trouble) == (S.SENT, None)
    assert sum(world.provider.requests.values()) == 1


async def test_where_tags_may_not_be_written_nothing_new_is_imported(
    world: World, engine: Engine
) -> None:
    await world.run_for(engine, minutes=21)
    fault = refuse(world, "add_tag")
    world.sevdesk.add_invoice("1")
    await world.run_for(engine, minutes=21)
    world.sevdesk.add_invoice("2")
    await world.run_for(engine, hours=5)
    assert world.provider.requests["RE-2"] == 0
    fault.times = 0
    await world.run_for(engine, hours=2)
    assert (await record(engine, "2")).state is S.SENT


async def test_a_tag_that_is_refused_for_itself_proves_nothing_about_the_token(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def add_tag(_: SevdeskStandIn, invoice_id: str, _name: str) -> TagRelation:
        raise refused_for_good() if invoice_id == "1" else ForbiddenError("403")

    await world.run_for(engine, minutes=21)
    monkeypatch.setattr(SevdeskStandIn, "add_tag", add_tag)
    for number in ("1", "2"):
        world.sevdesk.add_invoice(number)
    await world.run_for(engine, minutes=21)
    world.sevdesk.add_invoice("3")
    await world.run_for(engine, hours=5)
    assert world.provider.requests["RE-3"] == 0


async def test_a_token_that_works_again_after_401_heals_at_once(
    world: World, engine: Engine
) -> None:
    await world.run_for(engine, minutes=21)
    fault = refuse(world, "tag_relations", UnauthorizedError)
    await world.run_for(engine, minutes=6)
    fault.times = 0
    world.clock.forward(timedelta(hours=1))
    await engine.poll()
    assert (await connection(engine)).state is ConnectionState.ACTIVE


async def test_a_new_token_ends_the_trial(world: World, engine: Engine) -> None:
    refuse(world, "add_tag")
    world.sevdesk.add_invoice("1")
    await world.run_for(engine, hours=2)
    world.sevdesk.faults.clear()
    await engine.service.connect(ORG, "good-token", ME)
    found = await connection(engine)
    assert (found.state, found.trial) == (ConnectionState.ACTIVE, False)


# ---- a tag that is refused for good --------------------------------------------------------


async def test_a_tag_that_is_refused_for_good_is_told_once_and_goes_away_when_solved(
    world: World, engine: Engine
) -> None:
    fault = Fault("add_tag", refused_for_good, times=10**6)
    world.sevdesk.faults.append(fault)
    world.sevdesk.add_invoice("1")
    await world.run_for(engine, hours=10)
    found = await record(engine, "1")
    assert found.state is S.SENT
    assert found.tag_trouble is not None
    assert found.tag_trouble.code == "sevdesk.refused"
    since = found.tag_trouble_at
    needing = await engine.service.attention(ORG, 0, 10)
    assert [r.invoice_id for r in needing.items] == ["1"]
    count = len(await told(engine, "1"))
    await world.run_for(engine, hours=10)
    assert len(await told(engine, "1")) == count, "told once"
    assert (await record(engine, "1")).tag_trouble_at == since
    fault.times = 0
    await world.run_for(engine, hours=2)
    assert (await record(engine, "1")).tag_trouble is None
    assert (await engine.service.attention(ORG, 0, 10)).total == 0
    assert len(await told(engine, "1")) == count + 1
    assert (await told_of(engine))[-1] != "broken"


async def test_one_refusal_of_a_tag_is_repeated_without_a_word(
    world: World, engine: Engine
) -> None:
    world.sevdesk.faults.append(Fault("add_tag", refused_for_good, times=1))
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await engine.work()
    assert (await record(engine, "1")).tag_failures == 1
    assert (await engine.service.attention(ORG, 0, 10)).total == 0
    await world.run_for(engine, minutes=21)
    assert (await record(engine, "1")).tag_trouble is None


# ---- what needs a person -------------------------------------------------------------------


async def test_all_that_needs_a_person_comes_from_one_list(world: World, engine: Engine) -> None:
    world.provider.script = [Behaviour.DELIVERED, Behaviour.REJECTED]
    for number in ("1", "2", "3"):
        world.sevdesk.add_invoice(number, xml=b"blocked" if number == "3" else b"ok")
        await world.run_for(engine, minutes=21)
    objection = PeppolResponse(
        kind=ResponseKind.INVOICE_RESPONSE, code="RE", text="no", at=world.clock()
    )
    book = engine.ports.organisation(ORG).records
    sent = await record(engine, "1")
    await book.put(sent.model_copy(update={"responses": (objection,)}))
    states = [(await record(engine, i)).state for i in ("1", "2", "3")]
    assert states == [S.SENT, S.FAILED, S.BLOCKED]
    overview = await engine.service.overview(ORG)
    assert [r.invoice_id for r in overview.needs_person] == ["1", "3", "2"]
    assert overview.needs_total == 3
    pages = [await engine.service.attention(ORG, offset, 2) for offset in (0, 2, 4)]
    assert [[r.invoice_id for r in page.items] for page in pages] == [["1", "3"], ["2"], []]
    assert {page.total for page in pages} == {3}


# ---- a heap that gathered ------------------------------------------------------------------


async def test_after_a_reconnect_a_heap_is_asked_about_before_it_is_sent(
    world: World, engine: Engine
) -> None:
    world.sevdesk.add_invoice("old")
    await world.run_for(engine, minutes=21)
    await engine.service.disconnect(ORG, ME)
    for number in range(11):
        world.sevdesk.add_invoice(str(number))
    await engine.service.connect(ORG, "good-token", ME)
    await world.run_for(engine, minutes=21)
    assert (await engine.service.overview(ORG)).counts == {"sent": 1, "waiting": 11}
    assert (await record(engine, "3")).hold == "first_sync"


async def test_what_a_disconnect_withdrew_counts_as_part_of_the_heap(
    world: World, engine: Engine
) -> None:
    await world.run_for(engine, minutes=21)
    for number in range(12):
        world.sevdesk.add_invoice(str(number), xml=b"down")
    await engine.poll()
    await engine.service.disconnect(ORG, ME)
    await world.run_for(engine, hours=2)
    assert (await engine.service.overview(ORG)).counts == {"withdrawn": 12}
    for number in range(12):
        world.sevdesk.edit(str(number))
    await engine.service.connect(ORG, "good-token", ME)
    await world.run_for(engine, hours=1)
    assert (await engine.service.overview(ORG)).counts == {"waiting": 12}
    assert sum(world.provider.requests.values()) == 0


async def test_after_weeks_without_a_sync_a_heap_is_asked_about(
    world: World, engine: Engine
) -> None:
    await world.run_for(engine, minutes=21)
    for number in range(11):
        world.sevdesk.add_invoice(str(number))
    world.clock.forward(timedelta(days=8))
    await world.run_for(engine, minutes=21)
    assert (await engine.service.overview(ORG)).counts == {"waiting": 11}


# ---- warnings ------------------------------------------------------------------------------


async def test_warnings_stay_with_the_invoice_until_it_is_prepared_again(
    world: World, engine: Engine
) -> None:
    warned = tuple(Finding(rule=f"R-{n}") for n in range(12))
    prepare = engine.preparer.prepare

    async def warning(source: bytes, order: Order) -> Prepared | NotPrepared:
        result = await prepare(source, order)
        assert isinstance(result, Prepared)
        return result.model_copy(update={"warnings": warned})

    engine.preparer.prepare = warning  # type: ignore[method-assign]
    world.provider.script = [Behaviour.REJECTED]
    world.sevdesk.add_invoice("1")
    await world.run_for(engine, minutes=21)
    found = await record(engine, "1")
    assert (found.state, len(found.warnings)) == (S.FAILED, 10)
    assert found.warnings[0] == Finding(rule="R-0")
    engine.preparer.prepare = prepare  # type: ignore[method-assign]
    await engine.service.retry(ORG, "1", ME)
    await world.run_for(engine, minutes=21)
    found = await record(engine, "1")
    assert (found.state, found.warnings) == (S.SENT, ())


# ---- what the lookup says -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (NotRegistered(UNKNOWN), "not_registered"),
        (NotRegistered(UNKNOWN, certain=False), "not_confirmed"),
    ],
)
async def test_a_lookup_that_is_not_certain_is_not_called_an_outage(
    engine: Engine, answer: NotRegistered, said: str
) -> None:
    async def look(_: object) -> NotRegistered:
        return answer

    engine.ports.look = look
    assert await engine.service.lookup(RECEIVER) == said


async def test_an_invoice_that_is_listed_and_cannot_be_fetched_is_told_in_the_end(
    world: World, engine: Engine
) -> None:
    """Not with each poll, and not never: sevDesk lists it, and knows no document of it."""
    world.sevdesk.add_invoice("1")
    fault = Fault("xml", lambda: NotFoundError("404", resource="Invoice", message=""), 1000)
    world.sevdesk.faults.append(fault)
    await world.run_for(engine, hours=2)
    found = await record(engine, "1")
    assert found.state is InvoiceState.BLOCKED
    assert await told(engine, "1") == ["blocked"]
    assert world.sevdesk.calls["xml"] == XML_TRIES
    world.sevdesk.faults.clear()
    await engine.service.retry(ORG, "1", ME)
    await world.run_for(engine, minutes=6)
    assert (await record(engine, "1")).state is InvoiceState.SENT


async def test_an_invoice_that_is_deleted_while_it_is_imported_is_forgotten(
    world: World, engine: Engine
) -> None:
    world.sevdesk.add_invoice("1")
    fault = Fault("xml", lambda: NotFoundError("404", resource="Invoice", message=""))
    world.sevdesk.faults.append(fault)
    await engine.poll()
    world.sevdesk.delete("1")
    await engine.poll()
    overview = await engine.service.overview(ORG)
    assert (overview.skipped_total, overview.counts) == (0, {})


# ---- an outage that lasts ------------------------------------------------------------------


async def test_what_waited_for_sevdesk_goes_on_with_the_first_poll_after_an_outage(
    world: World, engine: Engine
) -> None:
    """The waits have doubled up to an hour by then, and that is not how long it may take."""
    await world.run_for(engine, minutes=21)
    world.provider.otherwise, world.provider.polls = Behaviour.PENDING, 4
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await engine.work()
    assert (await record(engine, "1")).state is S.SUBMITTED
    world.sevdesk.add_invoice("2")
    await engine.poll()
    fresh = (await record(engine, "2")).model_copy(update={"refetch": True})
    await engine.ports.organisation(ORG).records.put(fresh)
    fault = refuse(world, "*", unavailable)
    await world.run_for(engine, hours=2)
    assert fault.times < 10**6
    assert (await record(engine, "1")).state is S.SENT  # and its tag waits
    assert (await record(engine, "2")).state is S.IMPORTED  # and is to be read
    fault.times = 0
    await world.run_for(engine, minutes=6)  # one poll and a minute
    assert [world.sevdesk.kinds(number) for number in ("1", "2")] == [[TagKind.SENT]] * 2


async def test_an_access_point_that_is_busy_is_left_alone_when_sevdesk_answers_again(
    world: World, engine: Engine
) -> None:
    """It said how long to wait. sevDesk fails each second poll meanwhile."""
    world.provider.otherwise = Behaviour.NOT_TAKEN
    world.sevdesk.add_invoice("1")
    await world.run_for(engine, hours=2)
    waits_until = (await record(engine, "1")).next_at
    world.sevdesk.faults.append(Fault("invoices", unavailable))
    await engine.poll()
    await engine.poll()
    assert (await connection(engine)).failures == 0
    assert (await record(engine, "1")).next_at == waits_until
