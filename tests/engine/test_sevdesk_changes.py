"""What people change in sevDesk between two polls, and what only looks as if they had.

Tags taken off are a re-export; renamed, deleted, doubled and late ones are not.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from sync.model import ConnectionState, TagKind
from sync.sevdesk.errors import UnavailableError
from tests.engine.access_point import Behaviour
from tests.engine.sevdesk import Fault
from tests.engine.world import ME, ORG, Engine, S, World, connection, events, record, settled

T = TagKind


# ---- re-export --------------------------------------------------------------------------


async def test_removing_all_tags_sends_again_and_only_once(world: World, engine: Engine) -> None:
    world.sevdesk.add_invoice("1")
    await settled(world, engine)
    world.sevdesk.untag("Invoice", "1")
    await settled(world, engine)
    await settled(world, engine)
    found = await record(engine, "1")
    assert (found.state, found.generation) == (S.SENT, 2)
    assert world.provider.accepted("RE-1") == 2
    assert world.sevdesk.kinds("1") == [T.SENT]


async def test_a_renamed_tag_sends_nothing_again(world: World, engine: Engine) -> None:
    world.sevdesk.add_invoice("1")
    await settled(world, engine)
    world.sevdesk.rename_tag("xTool-Peppol-Sent", "Peppol gesendet")
    await settled(world, engine)
    assert world.provider.accepted("RE-1") == 1
    assert world.sevdesk.kinds("1") == [T.SENT]


@pytest.mark.parametrize("by_hand", [T.SENT, T.FAILED])
async def test_a_list_that_lags_does_not_make_us_take_off_the_last_tag(
    world: World, engine: Engine, by_hand: TagKind
) -> None:
    """A tag was taken off, the answer was lost, and the list that is read next still shows it."""
    ask = by_hand is T.FAILED
    await engine.service.configure(ORG, ME, ask_before_sending=ask, sender=None, company="")
    world.sevdesk.add_invoice("1")
    await settled(world, engine)
    account = world.sevdesk
    added = account.tag("Invoice", "1", by_hand.name_for("xTool"))
    account.relations = {added.id: added, **account.relations}  # listed first
    account.remember()
    world.clock.forward(timedelta(seconds=60))
    account.lag = timedelta(seconds=25)
    unavailable = UnavailableError("503", status="503", message="")
    account.faults.append(Fault("remove_tag_relation", lambda: unavailable, after=True))
    await engine.poll()
    for _ in range(4):
        world.clock.forward(timedelta(seconds=5))
        await engine.work()
    assert (account.bare, account.kinds("1")) == ([], [by_hand])


@pytest.mark.parametrize("ask", [False, True])
async def test_one_of_two_tags_taken_off_while_lists_lag_is_no_wish_to_send_again(
    world: World, engine: Engine, ask: bool
) -> None:
    """A person takes off the tag that we keep; a list from before still shows both."""
    await engine.service.configure(ORG, ME, ask_before_sending=ask, sender=None, company="")
    world.sevdesk.add_invoice("1")
    await settled(world, engine)
    account = world.sevdesk
    account.tag("Invoice", "1", T.FAILED.name_for("xTool"))
    kept = T.FAILED if ask else T.SENT
    account.remember()
    world.clock.forward(timedelta(seconds=60))
    account.lag = timedelta(seconds=25)
    account.untag("Invoice", "1", kept.name_for("xTool"))
    world.clock.forward(timedelta(seconds=6))
    for _ in range(60):
        await engine.poll()
        await engine.work()
        world.clock.forward(timedelta(seconds=5))
    assert world.provider.accepted("RE-1") == (0 if ask else 1)
    assert (await record(engine, "1")).generation == 1
    assert len(account.kinds("1")) == 1


async def test_a_list_that_lags_does_not_make_us_take_off_both_of_a_doubled_tag(
    world: World, engine: Engine
) -> None:
    """Which of the two was left stays known, while a list still shows both."""
    world.sevdesk.add_invoice("1")
    await settled(world, engine)
    account = world.sevdesk
    added = account.tag("Invoice", "1", T.SENT.name_for("xTool"))
    account.relations = {added.id: added, **account.relations}  # listed first
    account.remember()
    world.clock.forward(timedelta(seconds=60))
    account.lag = timedelta(seconds=10)
    for _ in range(60):
        await engine.poll()
        await engine.work()
        world.clock.forward(timedelta(seconds=1))
    assert (account.bare, account.kinds("1")) == ([], [T.SENT])
    assert world.provider.accepted("RE-1") == 1


async def test_a_persons_sync_notices_a_renamed_tag_whose_relations_do_not_name_it(
    world: World, engine: Engine
) -> None:
    world.sevdesk.embed_names = False
    world.sevdesk.add_invoice("1")
    await world.run_for(engine, minutes=6)
    world.sevdesk.rename_tag("xTool-Peppol-Sent", "Peppol gesendet")
    await engine.poll(trigger=ME)
    assert world.sevdesk.kinds("1") == [TagKind.SENT]
    assert world.provider.accepted("RE-1") == 1


@pytest.mark.parametrize("resend", [False, True])
async def test_a_deleted_tag_stops_and_asks(world: World, engine: Engine, resend: bool) -> None:
    for number in ("1", "2", "3", "4"):
        world.sevdesk.add_invoice(number)
    await settled(world, engine)
    world.sevdesk.delete_tag("xTool-Peppol-Sent")
    world.sevdesk.add_invoice("5")
    await settled(world, engine)
    held = await connection(engine)
    assert (held.state.value, len(held.held_invoices)) == ("held", 4)
    assert sum(world.provider.requests.values()) == 4
    assert await engine.service.resolve_hold(ORG, ME, resend=resend) is True
    assert await engine.service.resolve_hold(ORG, ME, resend=resend) is False
    await settled(world, engine)
    assert sum(world.provider.requests.values()) == (9 if resend else 5)
    assert all(world.sevdesk.kinds(i) == [T.SENT] for i in ("1", "2", "3", "4", "5"))
    assert (await connection(engine)).state.value == "active"


# ---- what changes meanwhile -------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"),
    [("1000", "withdrawn.paid"), ("100", "withdrawn.draft"), ("50", "withdrawn.not_open")],
)
async def test_an_invoice_that_is_open_no_more_is_withdrawn(
    world: World, engine: Engine, status: str, code: str
) -> None:
    world.sevdesk.add_invoice("1", xml=b"blocked")
    await settled(world, engine)
    world.sevdesk.set_status("1", status)
    await settled(world, engine)
    found = await record(engine, "1")
    assert found.reason is not None
    assert (found.state, found.reason.code) == (S.WITHDRAWN, code)


async def test_a_deleted_invoice_is_withdrawn(world: World, engine: Engine) -> None:
    world.sevdesk.add_invoice("1", xml=b"blocked")
    await settled(world, engine)
    world.sevdesk.delete("1")
    await settled(world, engine)
    found = await record(engine, "1")
    assert found.reason is not None
    assert (found.state, found.reason.code) == (S.WITHDRAWN, "withdrawn.deleted")


async def test_an_invoice_that_was_deleted_after_it_was_sent_needs_no_tag(
    world: World, engine: Engine
) -> None:
    world.provider.script = [Behaviour.PENDING]
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await engine.work()
    world.sevdesk.delete("1")
    await settled(world, engine)
    found = await record(engine, "1")
    assert (found.state, found.tag_pending) == (S.SENT, False)


async def test_a_contact_that_lost_its_tag_withdraws_and_gets_it_back_resumes(
    world: World, engine: Engine
) -> None:
    world.sevdesk.add_invoice("1", xml=b"blocked")
    await settled(world, engine)
    world.sevdesk.untag("Contact", "c1")
    await settled(world, engine)
    assert (await record(engine, "1")).state is S.WITHDRAWN
    world.sevdesk.edit("1")
    world.sevdesk.tag("Contact", "c1", "xTool")
    await settled(world, engine)
    assert (await record(engine, "1")).state is S.SENT
    assert world.sevdesk.kinds("1") == [T.SENT]


async def test_sent_by_hand_is_not_sent(world: World, engine: Engine) -> None:
    world.sevdesk.add_invoice("1", xml=b"blocked")
    await settled(world, engine)
    world.sevdesk.tag("Invoice", "1", "xTool-Peppol-Sent")
    await settled(world, engine)
    found = await record(engine, "1")
    assert found.reason is not None
    assert (found.state, found.reason.code) == (S.WITHDRAWN, "withdrawn.marked_sent")
    assert world.sevdesk.kinds("1") == [T.SENT]
    assert world.provider.requests == Counter()


async def test_a_partly_paid_invoice_in_both_lists_is_one_invoice(
    world: World, engine: Engine
) -> None:
    world.sevdesk.add_invoice("1", status="750")
    await settled(world, engine)
    assert world.provider.accepted("RE-1") == 1


# ---- tags that stay or are doubled, lists that lag ---------------------------------------


async def test_where_sevdesk_removes_no_tags_the_stronger_counts_and_it_is_told_once(
    world: World, engine: Engine
) -> None:
    world.sevdesk.removes = False
    world.sevdesk.add_invoice("1")
    world.sevdesk.add_invoice("2")
    await settled(world, engine)
    before = await record(engine, "1")
    await settled(world, engine)
    assert world.sevdesk.kinds("1") == [T.SENT, T.UPLOADED]
    assert (await record(engine, "1")).version == before.version, "nothing is written for nothing"
    notices = [e for e in await events(engine) if e.after == "removal_refused"]
    assert len(notices) == 1
    assert world.sevdesk.calls["remove_tag_relation"] <= 2


@pytest.mark.parametrize("names", [True, False])
async def test_lists_that_lag_behind_a_write_cause_nothing(
    world: World, engine: Engine, names: bool
) -> None:
    world.sevdesk.embed_names = names
    world.sevdesk.lag = timedelta(seconds=25)
    world.clock.forward(timedelta(minutes=1))
    world.poll_every = timedelta(seconds=30)
    engine.ports.poll = world.poll_every
    for number in ("1", "2", "3", "4"):
        world.sevdesk.add_invoice(number)
        await settled(world, engine, seconds=33)
    await settled(world, engine, minutes=5)
    assert all(world.sevdesk.kinds(i) == [T.SENT] for i in ("1", "2", "3", "4"))
    assert all(world.provider.accepted(f"RE-{i}") == 1 for i in ("1", "2", "3", "4"))
    assert (await connection(engine)).state.value == "active"


async def test_lists_that_lag_behind_several_polls_cause_nothing(
    world: World, engine: Engine
) -> None:
    """However often they are read: a list may be older than the poll before it."""
    world.poll_every = engine.ports.poll = timedelta(seconds=5)
    world.sevdesk.lag = timedelta(seconds=9)
    world.clock.forward(timedelta(minutes=1))
    world.sevdesk.add_invoice("1")
    await settled(world, engine, minutes=3)
    assert world.provider.accepted("RE-1") == 1
    assert world.sevdesk.kinds("1") == [T.SENT]


async def test_the_same_tag_twice_is_put_right(world: World, engine: Engine) -> None:
    world.sevdesk.add_invoice("1")
    await settled(world, engine)
    world.sevdesk.tag("Invoice", "1", "xTool-Peppol-Sent")
    await settled(world, engine)
    assert world.sevdesk.kinds("1") == [T.SENT]


# ---- one of several tags is deleted -----------------------------------------------------


async def test_deleting_one_of_three_tags_sends_nothing_again(world: World, engine: Engine) -> None:
    """Most invoices keep another tag, yet nobody took five tags off by hand."""
    for i in range(5):
        world.sevdesk.add_invoice(f"{i}")
    await world.run_for(engine, minutes=11)
    for i in range(10, 20):
        world.sevdesk.add_invoice(f"{i}", xml=b"blocked")
    await world.run_for(engine, minutes=11)
    before = dict(world.provider.requests)
    world.sevdesk.delete_tag("xTool-Peppol-Sent")
    await world.run_for(engine, minutes=16)
    assert dict(world.provider.requests) == before
    assert (await connection(engine)).state is ConnectionState.HELD


# ---- corrected while it waits -------------------------------------------------------------


@pytest.mark.parametrize("wish", ["send", "send all"])
async def test_an_invoice_that_was_corrected_while_it_waited_is_sent_as_it_is_now(
    world: World, engine: Engine, wish: str
) -> None:
    await engine.service.configure(ORG, ME, ask_before_sending=True, sender=None, company="")
    world.sevdesk.add_invoice("1")
    await world.run_for(engine, minutes=6)
    assert (await record(engine, "1")).state is S.WAITING
    world.sevdesk.edit("1")
    await world.run_for(engine, minutes=6)
    if wish == "send":
        await engine.service.send(ORG, "1", ME)
    else:
        await engine.service.send_all(ORG, ME)
    await engine.work()
    assert (await record(engine, "1")).state is S.SENT
    (taken,) = world.provider.taken.values()
    assert taken.submission.document == b"document of ok 2"


async def test_an_invoice_that_did_not_change_while_it_waited_is_not_read_again(
    world: World, engine: Engine
) -> None:
    await engine.service.configure(ORG, ME, ask_before_sending=True, sender=None, company="")
    world.sevdesk.add_invoice("1")
    await world.run_for(engine, minutes=16)
    world.sevdesk.calls.clear()
    await engine.service.send(ORG, "1", ME)
    await engine.work()
    assert (await record(engine, "1")).state is S.SENT
    assert world.sevdesk.calls.keys() <= {"add_tag", "remove_tag_relation"}


async def test_lists_that_lag_now_and_then_send_nothing_again(world: World, engine: Engine) -> None:
    """A list shows the tag, and the next, of another server, not yet; a person syncs twice."""
    world.sevdesk.remember()
    world.clock.forward(timedelta(hours=1))
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await engine.work()
    for lag in (0, 20):
        world.clock.forward(timedelta(seconds=5))
        world.sevdesk.lag = timedelta(seconds=lag)
        await engine.poll(trigger=ME)
    world.sevdesk.lag = timedelta(0)
    await settled(world, engine)
    assert world.provider.accepted("RE-1") == 1
    assert world.sevdesk.kinds("1") == [TagKind.SENT]
