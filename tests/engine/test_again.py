"""Sent again only what a person asked for, whatever lists, polls and other people do meanwhile."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest

from sync.book import Book
from sync.model import Connection, InvoiceState, TagKind
from sync.service import Change, Service
from sync.sevdesk.errors import UnavailableError
from sync.sevdesk.models import TagRelation
from sync.syncing import Round
from tests.engine.access_point import Behaviour
from tests.engine.crash import Crash, Process
from tests.engine.sevdesk import Fault, SevdeskAccount
from tests.engine.world import ME, ORG, Engine, World, connection, record

S = InvoiceState
T = TagKind
SENT = "xTool-Peppol-Sent"


async def several_sent(world: World, engine: Engine, count: int) -> list[str]:
    """Invoices that were sent, whose tags lists have shown."""
    numbers = [str(number) for number in range(1, count + 1)]
    for number in numbers:
        world.sevdesk.add_invoice(number)
    await world.run_for(engine, minutes=21)
    assert [world.provider.accepted(f"RE-{number}") for number in numbers] == [1] * count
    return numbers


async def test_of_two_readings_each_removal_must_be_in_both(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person removes the tags of one invoice; the second list, read meanwhile, lacks another."""
    account = world.sevdesk
    numbers = await several_sent(world, engine, 4)
    account.untag("Invoice", "1")
    lists: list[int] = []

    def second_lacks_one() -> tuple[TagRelation, ...]:
        lists.append(1)
        lacks = "2" if len(lists) == 2 else ""
        return tuple(r for r in account.relations.values() if r.object_id != lacks)

    monkeypatch.setattr(account, "listed", second_lacks_one)
    await engine.poll()
    assert len(lists) == 2
    await world.run_for(engine, minutes=21)
    assert [world.provider.accepted(f"RE-{number}") for number in numbers] == [2, 1, 1, 1]
    assert (await record(engine, "2")).generation == 1


# ---- most tags vanished at once ---------------------------------------------------------


async def held(world: World, engine: Engine, count: int = 4) -> list[str]:
    """Invoices that were sent, and of which the tag was deleted: a person is asked."""
    numbers = await several_sent(world, engine, count)
    world.sevdesk.delete_tag(SENT)
    await engine.poll()
    assert (await connection(engine)).held_invoices == tuple(numbers)
    return numbers


async def test_what_got_its_tag_back_meanwhile_is_not_sent_again_with_the_rest(
    world: World, engine: Engine
) -> None:
    """One of them was tagged again by hand: it is missed no more when the answer comes."""
    numbers = await held(world, engine)
    world.sevdesk.tag("Invoice", "2", SENT)
    await engine.poll()
    assert await engine.service.resolve_hold(ORG, ME, resend=True)
    await world.run_for(engine, minutes=21)
    assert [world.provider.accepted(f"RE-{number}") for number in numbers] == [2, 1, 2, 2]


async def test_what_was_retried_meanwhile_is_not_sent_again_with_the_rest(
    world: World, engine: Engine
) -> None:
    world.provider.otherwise = Behaviour.FAILED_LATER
    for number in ("1", "2", "3"):
        world.sevdesk.add_invoice(number)
    await world.run_for(engine, minutes=21)
    world.provider.otherwise = Behaviour.DELIVERED
    world.sevdesk.delete_tag("xTool-Peppol-Failed")
    await engine.poll()
    assert len((await connection(engine)).held_invoices) == 3
    await engine.service.retry(ORG, "2", ME)
    await engine.work()
    assert world.sevdesk.kinds("2") == [T.SENT]
    assert await engine.service.resolve_hold(ORG, ME, resend=True)
    await world.run_for(engine, minutes=21)
    assert [world.provider.accepted(f"RE-{number}") for number in ("1", "2", "3")] == [2, 2, 2]


async def test_a_poll_from_before_the_answer_does_not_ask_again(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a second person would answer the same question, and all be sent once more."""
    numbers = await held(world, engine)
    other, hold = world.engine(), Round._hold

    async def late(self: Round, lost: tuple[str, ...], met: Connection) -> None:
        await other.service.resolve_hold(ORG, ME, resend=True)
        await hold(self, lost, met)

    with monkeypatch.context() as patch:
        patch.setattr(Round, "_hold", late)
        await engine.poll()
    await engine.work()
    assert await other.service.resolve_hold(ORG, "U2", resend=True) is False
    await world.run_for(engine, minutes=21)
    assert [world.provider.accepted(f"RE-{number}") for number in numbers] == [2] * 4


async def test_a_poll_between_the_answer_and_its_end_makes_no_third_copy(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The poll met records that were not imported again yet, and may ask for them again."""
    numbers = await held(world, engine)
    other, for_lost = world.engine(), Service._for_lost

    async def slowly(self: Service, held: Connection | None, change: Change) -> None:
        await engine.poll()
        await for_lost(self, held, change)

    with monkeypatch.context() as patch:
        patch.setattr(Service, "_for_lost", slowly)
        await other.service.resolve_hold(ORG, ME, resend=True)
    await engine.work()
    world.clock.forward(timedelta(seconds=1))
    await other.service.resolve_hold(ORG, "U2", resend=True)
    await world.run_for(engine, minutes=21)
    assert [world.provider.accepted(f"RE-{number}") for number in numbers] == [2] * 4


# ---- ask before sending -----------------------------------------------------------------


async def test_what_is_wanted_again_is_asked_about_where_the_organisation_is_asked(
    world: World, engine: Engine
) -> None:
    """Imported before the setting, withdrawn, and wanted again after it."""
    world.sevdesk.add_invoice("1", xml=b"blocked")
    await world.run_for(engine, minutes=6)
    world.sevdesk.untag("Contact", "c1")
    await world.run_for(engine, minutes=6)
    assert (await record(engine, "1")).state is S.WITHDRAWN
    await engine.service.configure(ORG, ME, ask_before_sending=True, sender=None, company="")
    world.sevdesk.edit("1")
    world.sevdesk.tag("Contact", "c1", "xTool")
    await world.run_for(engine, minutes=6)
    assert (await record(engine, "1")).state is S.WAITING
    assert world.provider.accepted("RE-1") == 0


# ---- a removal, and another wish --------------------------------------------------------


class DiesOnceSent(Process):
    """A process that dies when it has noted what came of a submission."""

    submitted = False

    def reach(self, name: str) -> None:
        super().reach(name)
        self.submitted = self.submitted or name == "after access point submit"
        if self.submitted and name == "after store transition":
            self.dead = True
            raise Crash("noted, and nothing more")


async def test_a_removal_and_a_retry_are_one_more_copy_also_where_the_worker_dies(
    world: World, engine: Engine
) -> None:
    """Both ask for the same. What went out is tagged first, and that tag can be removed again."""
    world.provider.script = [Behaviour.FAILED_LATER]
    world.sevdesk.add_invoice("1")
    await world.run_for(engine, minutes=6)
    assert world.sevdesk.kinds("1") == [T.FAILED]
    world.sevdesk.untag("Invoice", "1")
    await engine.service.retry(ORG, "1", ME)
    process = DiesOnceSent()
    with contextlib.suppress(Crash, BaseExceptionGroup):
        await world.engine(process).work()
    assert process.dead
    await world.after_a_crash()
    await engine.poll()
    await world.run_for(engine, minutes=6)
    assert world.provider.accepted("RE-1") == 2
    assert world.sevdesk.kinds("1") == [T.SENT]


# ---- another account --------------------------------------------------------------------


async def with_the_same_id(world: World, engine: Engine) -> SevdeskAccount:
    """Another installation of sevDesk is connected, which has an invoice of the same id."""
    other = world.add_account("200", "other-token")
    other.add_contact("c9")
    other.add_invoice("1", "c9", number="X-1")
    await engine.service.connect(ORG, "other-token", ME)
    return other


async def test_an_id_that_another_account_used_is_imported_all_the_same(
    world: World, engine: Engine
) -> None:
    await several_sent(world, engine, 1)
    other = await with_the_same_id(world, engine)
    await world.run_for(engine, minutes=21)
    found = await record(engine, "1")
    assert (found.account, found.number, found.state) == ("200", "X-1", S.SENT)
    assert (found.generation, other.calls["xml"]) == (2, 1)
    assert (world.provider.accepted("RE-1"), world.provider.accepted("X-1")) == (1, 1)
    await engine.service.connect(ORG, "good-token", ME)
    await world.run_for(engine, minutes=21)
    assert (world.provider.accepted("RE-1"), world.provider.accepted("X-1")) == (1, 1)


@pytest.mark.parametrize("tagged", [False, True])
async def test_what_is_on_its_way_from_another_account_keeps_its_record(
    world: World, engine: Engine, tagged: bool
) -> None:
    """Also what is sent and not tagged: without its record it would look new there."""
    world.provider.polls = 10 if tagged else 0
    world.provider.script = [Behaviour.PENDING]
    world.sevdesk.add_invoice("1")
    broken = Fault("add_tag", lambda: UnavailableError("503", status="503", message=""), 99)
    if not tagged:
        world.sevdesk.faults.append(broken)
    await engine.poll()
    await engine.work()
    await with_the_same_id(world, engine)
    await world.run_for(engine, minutes=6)
    assert (await record(engine, "1")).account == "100"
    world.sevdesk.faults.clear()
    await engine.service.connect(ORG, "good-token", ME)
    await world.run_for(engine, hours=3)
    assert world.provider.accepted("RE-1") == 1
    assert world.sevdesk.kinds("1") == [T.SENT]


# ---- another document -------------------------------------------------------------------


@pytest.mark.parametrize("waits_for", ["access point", "look-up"])
async def test_what_is_corrected_while_it_waits_is_sent_as_it_is_now(
    world: World, engine: Engine, waits_for: str
) -> None:
    """The access point takes nothing, or nobody can look the receiver up, for half an hour."""
    world.provider.otherwise = Behaviour.NOT_TAKEN
    world.sevdesk.add_invoice("1", xml=b"down" if waits_for == "look-up" else b"ok")
    await world.run_for(engine, minutes=21)
    assert (await record(engine, "1")).state in (S.READY, S.IMPORTED)
    world.sevdesk.edit("1", xml=b"ok corrected")
    await world.run_for(engine, minutes=11)
    world.provider.otherwise = Behaviour.DELIVERED
    await world.run_for(engine, hours=2)
    documents = [taken.submission.document for taken in world.provider.taken.values()]
    assert documents == [b"document of ok corrected 2"]
    assert world.sevdesk.calls["xml"] == 2


async def test_a_number_leads_to_the_newest_invoice_that_has_it(
    world: World, engine: Engine
) -> None:
    """The first was deleted in sevDesk and written anew; news of it still come in."""
    world.sevdesk.add_invoice("1", number="RE-7")
    await world.run_for(engine, minutes=6)
    world.sevdesk.delete("1")
    world.provider.script = [Behaviour.FAILED_LATER]
    world.sevdesk.add_invoice("2", number="RE-7")
    await world.run_for(engine, minutes=6)
    first = await record(engine, "1")
    book = Book(engine.ports, ORG)
    await book.write(first, first.model_copy(update={"watch_at": None, "overdue": True}))
    found = await engine.service.by_number(ORG, "re-7")
    assert found is not None
    assert (found.invoice_id, found.state) == ("2", S.FAILED)


async def test_a_number_leads_to_no_invoice_that_has_another_one_by_now(
    world: World, engine: Engine
) -> None:
    """Two drafts were given each other's numbers before they were sent again."""
    for invoice_id in ("1", "2"):
        world.sevdesk.add_invoice(invoice_id, xml=b"blocked")
    await world.run_for(engine, minutes=6)
    book = Book(engine.ports, ORG)
    for invoice_id, number in (("1", "RE-3"), ("2", "RE-1")):
        before = await record(engine, invoice_id)
        await book.write(before, before.model_copy(update={"number": number}))
    found = [await engine.service.by_number(ORG, number) for number in ("RE-1", "RE-2", "RE-3")]
    assert [one.invoice_id if one else None for one in found] == ["2", None, "1"]
