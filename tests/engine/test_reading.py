"""A poll reads only what is open, and decides as if it had read everything."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from sync import planner
from sync.book import Book
from sync.delivery import IN_FLIGHT, UNSENT
from sync.errors import Reason
from sync.model import Connection, ConnectionState, InvoiceRecord, InvoiceState, SyncRun, TagKind
from sync.planner import FIRST_SYNC, Plan, Snapshot
from sync.ports import Ports
from sync.reading import Lists, Reader
from sync.sevdesk.errors import ForbiddenError
from sync.store import records
from sync.store.keys import Keys
from sync.store.organisation import Organisation
from sync.store.records import Records
from sync.syncing import Round
from tests.engine.crash import Process
from tests.engine.sevdesk import Fault, SevdeskAccount, SevdeskStandIn, during
from tests.engine.world import ME, ORG, Engine, World, connection, inconsistencies, record
from tests.unit.engine_support import attempt
from tests.unit.engine_support import record as record_in

type Patch = pytest.MonkeyPatch

S = InvoiceState
T = TagKind
IDLE = Counter({"tag_relations": 1, "invoices": 2})
SENT = "xTool-Peppol-Sent"
WORLDS = 250


async def several_sent(world: World, engine: Engine, count: int) -> list[str]:
    """Invoices that were sent, whose tags lists have shown."""
    numbers = [str(number) for number in range(1, count + 1)]
    for number in numbers:
        world.sevdesk.add_invoice(number)
    await world.run_for(engine, minutes=21)
    assert [(await record(engine, number)).state for number in numbers] == [S.SENT] * count
    world.sevdesk.calls.clear()
    return numbers


async def forget_what_was_listed(world: World) -> None:
    """As in an organisation that the release before has written."""
    redis: Any = world.opened[0].redis
    assert await redis.delete(Keys(ORG).listed)


# ---- what it costs ----------------------------------------------------------------------


async def test_an_idle_poll_reads_the_records_of_what_is_open(
    world: World, engine: Engine, monkeypatch: Patch
) -> None:
    numbers = await several_sent(world, engine, 30)
    for number in numbers[2:]:
        world.sevdesk.set_status(number, "1000")
    await engine.poll()
    read: list[str] = []
    parse = records.parse

    def counting(version: str, data: str) -> InvoiceRecord:
        found = parse(version, data)
        read.append(found.invoice_id)
        return found

    monkeypatch.setattr(records, "parse", counting)
    world.sevdesk.calls.clear()
    for _ in range(3):
        await engine.poll()
    assert sorted(read) == ["1", "1", "1", "2", "2", "2"]
    assert world.sevdesk.calls == IDLE + IDLE + IDLE


async def test_what_was_paid_and_is_open_again_costs_one_more_reading_once(
    world: World, engine: Engine
) -> None:
    await several_sent(world, engine, 2)
    world.sevdesk.set_status("1", "1000")
    await engine.poll()
    world.sevdesk.set_status("1", "200")
    world.sevdesk.calls.clear()
    await engine.poll()
    assert world.sevdesk.calls == IDLE + IDLE
    await engine.poll()
    assert world.sevdesk.calls == IDLE + IDLE + IDLE
    assert world.provider.accepted("RE-1") == 1


async def test_what_was_paid_and_is_open_again_can_be_exported_again(
    world: World, engine: Engine
) -> None:
    await several_sent(world, engine, 2)
    world.sevdesk.set_status("1", "1000")
    await engine.poll()
    world.sevdesk.set_status("1", "200")
    world.sevdesk.untag("Invoice", "1")
    await world.run_for(engine, minutes=11)
    assert [world.provider.accepted(f"RE-{number}") for number in (1, 2)] == [2, 1]


async def test_the_first_poll_after_an_upgrade_sees_everything(
    world: World, engine: Engine
) -> None:
    """Of six that were sent four lost their tags, so a person is asked, by the first poll."""
    numbers = await several_sent(world, engine, 6)
    await forget_what_was_listed(world)
    for number in numbers[:4]:
        world.sevdesk.untag("Invoice", number)
    await engine.poll()
    found = await connection(engine)
    assert (found.state, found.held_invoices) == (ConnectionState.HELD, ("1", "2", "3", "4"))
    assert world.sevdesk.calls == IDLE + IDLE
    await engine.poll()
    assert world.sevdesk.calls == IDLE + IDLE + IDLE


async def test_what_is_gone_is_noticed_though_no_list_names_it(
    world: World, engine: Engine
) -> None:
    """It failed, and was paid while the release before looked after the organisation."""
    world.sevdesk.add_invoice("1", xml=b"broken")
    await world.run_for(engine, minutes=6)
    assert (await record(engine, "1")).state is S.FAILED
    await forget_what_was_listed(world)
    world.sevdesk.set_status("1", "1000")
    await engine.poll()
    found = await record(engine, "1")
    assert found.reason is not None
    assert (found.state, found.reason.code) == (S.WITHDRAWN, "withdrawn.paid")


# ---- while lists are read ---------------------------------------------------------------


async def elsewhere(world: World, engine: Engine) -> None:
    """Another worker imports, sends and tags, and sevDesk takes its time for the next list."""
    other = world.engine()
    book = Book(other.ports, ORG)
    run = SyncRun(id="elsewhere", org=ORG, started_at=world.clock())
    await Round(other.ports, book, run).sync(await connection(engine))
    await other.work()
    assert world.sevdesk.kinds("1") == [T.SENT]
    world.clock.forward(timedelta(minutes=1))


def one_reading_is_enough(patch: Patch) -> None:
    """Without the safeguard that a removal of tags needs two readings."""
    patch.setattr(planner, "agreed", lambda first, _second: first)


async def test_a_record_is_never_compared_with_an_older_list(
    world: World, engine: Engine, monkeypatch: Patch
) -> None:
    """It is not known when the tags are listed, and sent and tagged when the invoices are."""
    one_reading_is_enough(monkeypatch)
    world.sevdesk.add_invoice("1")
    during(monkeypatch, "invoices", lambda: elsewhere(world, engine))
    await engine.poll()
    assert world.sevdesk.calls["tag_relations"] == 3, "the other one's, and two of ours"
    await world.run_for(engine, minutes=21)
    assert world.provider.accepted("RE-1") == 1
    assert await inconsistencies(engine) == []


async def test_that_is_what_the_second_reading_is_for(
    world: World, engine: Engine, monkeypatch: Patch
) -> None:
    """The test above, with the lists from before the record: it would be sent twice."""
    one_reading_is_enough(monkeypatch)
    lists, first = Reader.lists, dict[int, Lists]()

    async def once(self: Reader, *, afresh: bool) -> Lists:
        if id(self) not in first:
            first[id(self)] = await lists(self, afresh=afresh)
        return first[id(self)]

    monkeypatch.setattr(Reader, "lists", once)
    world.sevdesk.add_invoice("1")
    during(monkeypatch, "invoices", lambda: elsewhere(world, engine))
    await engine.poll()
    await engine.work()
    assert world.provider.accepted("RE-1") == 2


async def test_a_poll_that_meets_another_connection_imports_nothing(
    world: World, engine: Engine, monkeypatch: Patch
) -> None:
    """Erased and connected anew while lists are read: the records that were known are gone."""
    await several_sent(world, engine, 1)
    await forget_what_was_listed(world)

    async def anew() -> None:
        await engine.ports.organisation(ORG).erase(world.clock())
        await world.engine().service.connect(ORG, "good-token", ME)

    monkeypatch.setattr("sync.store.organisation.ERASE_WAIT", timedelta(seconds=0.1))
    during(monkeypatch, "invoices", anew)
    await engine.poll()
    assert await engine.ports.organisation(ORG).records.all_ids() == set()


# ---- what goes on when a connection heals -----------------------------------------------


async def test_the_tag_of_a_paid_invoice_can_prove_a_connection_and_goes_on_when_it_heals(
    world: World, engine: Engine
) -> None:
    """It is not open any more, so the poll itself does not read its record."""
    world.sevdesk.add_invoice("1")
    await engine.poll()
    refused = Fault("add_tag", ForbiddenError, times=10**6)
    world.sevdesk.faults.append(refused)
    await engine.work()
    assert (await record(engine, "1")).state is S.SENT
    assert (await connection(engine)).state is ConnectionState.BROKEN
    world.sevdesk.set_status("1", "1000")
    world.sevdesk.add_invoice("2")
    await world.run_for(engine, hours=3)
    assert await engine.ports.organisation(ORG).records.get("2") is None, "nothing was proven"
    refused.times = 0
    await world.run_for(engine, hours=2)
    assert (await connection(engine)).state is ConnectionState.ACTIVE
    assert (world.sevdesk.kinds("1"), world.sevdesk.kinds("2")) == ([T.SENT], [T.SENT])


# ---- the same plan as with all records --------------------------------------------------


class RandomWorld:
    """An organisation with invoices in any state, listed or not, known as listed or not."""

    def __init__(self, world: World, ports: Ports, number: int) -> None:
        self.dice = random.Random(number)
        self.world, self.ports = world, ports
        self.org = f"D{number}"
        self.account = SevdeskAccount("100", world.clock)
        self.account.add_contact("c1")
        self.account.add_contact("c2", tagged=False)
        self.ids = [str(n) for n in range(1, self.dice.choice((3, 8, 14, 30)))]
        self.tendency = self.dice.random()  # to have lost the tags

    def chance(self, share: float) -> bool:
        return self.dice.random() < share

    async def snapshot(self) -> tuple[Snapshot, Snapshot]:
        """What a poll reads, and the same with all records of the account."""
        store = self.ports.organisation(self.org)
        met = await store.put_connection(self._connection())
        for invoice_id in self.ids:
            self._invoice(invoice_id)
            if self.chance(0.8):
                await store.records.put(self._record(invoice_id))
        hint = {i for i in (*self.ids, "gone", "paid") if self.chance(self.tendency)}
        await store.records.expect(frozenset(), hint)
        read = await self._read(store, met)
        everything = await store.records.get_many(sorted(await store.records.all_ids()))
        known = {r.invoice_id: r for r in everything if r.account == met.account}
        return read, replace(read, records=known)

    async def _read(self, store: Organisation, met: Connection) -> Snapshot:
        client = SevdeskStandIn({"good-token": self.account}, "good-token", Process())
        run = SyncRun(id="r", org=self.org, started_at=self.world.clock())
        read = await Round(self.ports, Book(self.ports, self.org), run)._read(client, met)
        assert self.account.calls["tag_relations"] <= 2
        listed = {i for i in self.ids if self.account.invoices[i].row.status in planner.OPEN}
        assert (await store.records.open_ids())[0] == listed
        return read

    def _connection(self) -> Connection:
        held = self.chance(0.1)
        ago = self.dice.choice((None, timedelta(minutes=5), timedelta(days=8)))
        return Connection(
            org=self.org,
            account="100",
            account_name="A",
            state=ConnectionState.HELD if held else ConnectionState.ACTIVE,
            held_invoices=tuple(i for i in self.ids if held and self.chance(0.5)),
            connected_by=ME,
            connected_at=self.world.clock(),
            last_sync=None if ago is None else self.world.clock() - ago,
            ask_before_sending=self.chance(0.2),
        )

    def _invoice(self, invoice_id: str) -> None:
        contact = self.dice.choice(("c1", "c1", "c1", "c2"))
        status = self.dice.choice(("200", "200", "750", "1000"))
        self.account.add_invoice(invoice_id, contact, status=status)
        if not self.chance(self.tendency):
            for kind in self.dice.sample(list(T), self.dice.choice((1, 1, 1, 2))):
                self.account.tag("Invoice", invoice_id, kind.name_for("xTool"))

    def _record(self, invoice_id: str) -> InvoiceRecord:
        now, state = self.world.clock(), self.dice.choice(list(S))
        relation = next((r.id for r in self.account.on_invoice(invoice_id)), "r-0")
        recently = now - timedelta(seconds=self.dice.choice((5, 500)))
        mine = self.chance(0.8)
        changes: dict[str, Any] = {
            "org": self.org,
            "account": "100" if self.chance(0.9) else "200",
            "invoice_id": invoice_id,
            "version": 0,
            "number": f"RE-{invoice_id}",
            "revision": self.dice.choice("12"),
            "tag_relation": relation if mine else "",
            "tag_seen": mine or self.chance(0.5),
            "tag_pending": self.chance(0.1),
            "tagged_at": recently,
            "hold": FIRST_SYNC if self.chance(0.7) and state in UNSENT | {S.WITHDRAWN} else "",
            "attempt": attempt() if state in IN_FLIGHT else None,
            "state_since": now,
        }
        if state is S.WITHDRAWN:
            by_person = self.chance(0.3)
            changes["reason"] = Reason(code=f"withdrawn.{'dismissed' if by_person else 'paid'}")
        return record_in(state, **changes)


async def compare(world: World, engine: Engine, worlds: int) -> Counter[str]:
    """Plan over many organisations; how often something was planned of each kind."""
    world.clock.forward(timedelta(days=30))
    planned: Counter[str] = Counter()
    for number in range(worlds):
        read, whole = await RandomWorld(world, engine.ports, number).snapshot()
        plan = planner.plan(read)
        assert plan == planner.plan(whole), number
        planned.update(f.name for f in fields(Plan) if getattr(plan, f.name))
    return planned


async def test_the_plan_is_the_same_as_with_all_records(world: World, engine: Engine) -> None:
    planned = await compare(world, engine, WORLDS)
    never = {f.name for f in fields(Plan)} - planned.keys()
    assert never <= {"skipped", "forget"}, "which are not about records"


async def test_the_pages_of_a_list_are_the_list(world: World, engine: Engine) -> None:
    """Each page reads only as many of the newest as it needs."""
    for number in range(20):
        there = RandomWorld(world, engine.ports, number)
        await there.snapshot()
        found = engine.ports.organisation(there.org).records
        for states in (None, [S.SENT, S.FAILED], [S.SUBMITTED]):
            whole = await found.ids_in(list(S) if states is None else states)
            pages = [await found.page(states, offset, 4) for offset in range(0, 32, 4)]
            assert [r.invoice_id for page in pages for r in page.items] == whole
            assert {page.total for page in pages} == {len(whole)}


def failed_ones_are_left_out(patch: Patch) -> None:
    kept = tuple(state for state in records.MAY_BE_OPEN if state is not S.FAILED)
    patch.setattr(records, "MAY_BE_OPEN", kept)


def unsent_ones_are_left_out(patch: Patch) -> None:
    open_ids = Records.open_ids

    async def listed_only(self: Records) -> tuple[frozenset[str], frozenset[str]]:
        return (await open_ids(self))[0], frozenset()

    patch.setattr(Records, "open_ids", listed_only)


def the_hint_is_believed(patch: Patch) -> None:
    """What is listed and was not expected has no record."""
    known = Reader._known

    async def once(self: Reader, ids: frozenset[str]) -> dict[str, InvoiceRecord]:
        if getattr(self, "asked", False):
            return {}
        self.asked = True  # type: ignore[attr-defined]
        return await known(self, ids)

    patch.setattr(Reader, "_known", once)


def other_accounts_count(patch: Patch) -> None:
    async def all_of(self: Reader, ids: frozenset[str]) -> dict[str, InvoiceRecord]:
        return {r.invoice_id: r async for r in self._records.each(sorted(ids))}

    patch.setattr(Reader, "_known", all_of)


SABOTAGES: list[Callable[[Patch], None]] = [
    failed_ones_are_left_out,
    unsent_ones_are_left_out,
    the_hint_is_believed,
    other_accounts_count,
]


@pytest.mark.parametrize("sabotage", SABOTAGES)
async def test_a_poll_that_reads_too_little_plans_something_else(
    world: World, engine: Engine, monkeypatch: Patch, sabotage: Callable[[Patch], None]
) -> None:
    sabotage(monkeypatch)
    with pytest.raises(AssertionError):
        await compare(world, engine, WORLDS)
