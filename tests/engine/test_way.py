"""The way of an invoice over stand-ins: what is asked, sent, tagged and told."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from sync.errors import Kind, SyncError
from sync.model import EventKind, InvoiceState, TagKind
from sync.peppol.access_point import Find
from sync.sevdesk.errors import (
    BadAnswerError,
    IncompleteEInvoiceError,
    NotAnEInvoiceError,
    RateLimitedError,
    RefusedError,
    UnavailableError,
    WriteUnconfirmedError,
    XmlRefusedError,
)
from sync.sevdesk.models import CustomField, CustomFieldSetting
from sync.store.organisation import RUN_DAYS
from tests.engine.access_point import Behaviour
from tests.engine.sevdesk import Fault
from tests.engine.world import (
    ME,
    ORG,
    POLL,
    Engine,
    World,
    connection,
    events,
    inconsistencies,
    record,
    told,
)

S = InvoiceState
T = TagKind
IDLE = Counter({"tag_relations": 1, "invoices": 2})


async def settled(world: World, engine: Engine, **time: float) -> None:
    await world.run_until(engine, world.clock() + timedelta(**(time or {"minutes": 21})))


# ---- requests ---------------------------------------------------------------------------


async def test_an_idle_poll_costs_three_requests(world: World, engine: Engine) -> None:
    world.sevdesk.add_invoice("1")
    await settled(world, engine)
    world.sevdesk.calls.clear()
    await engine.poll()
    await engine.work()
    assert world.sevdesk.calls == IDLE


async def test_an_imported_and_sent_invoice_costs_four_more_and_one_for_its_new_contact(
    world: World, engine: Engine
) -> None:
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await engine.work()
    more = {"xml": 1, "add_tag": 2, "remove_tag_relation": 1, "contact": 1}
    assert world.sevdesk.calls == IDLE + Counter(more)


async def test_a_contact_is_asked_for_once(world: World, engine: Engine) -> None:
    for number in ("1", "2", "3"):
        world.sevdesk.add_invoice(number)
        await engine.poll()
        await engine.work()
    assert world.sevdesk.calls["contact"] == 1
    assert world.sevdesk.calls["xml"] == 3


async def test_a_contact_that_is_gone_is_asked_for_once(world: World, engine: Engine) -> None:
    world.sevdesk.add_invoice("1", "deleted")
    for _ in range(3):
        await engine.poll()
    assert world.sevdesk.calls["contact"] == 1


async def test_many_new_contacts_are_read_as_one_list(world: World, engine: Engine) -> None:
    for number in range(25):
        contact = world.sevdesk.add_contact(f"p{number}", tagged=False, parent="c1")
        world.sevdesk.add_invoice(str(number), contact)
    await engine.poll()
    assert (world.sevdesk.calls["contacts"], world.sevdesk.calls["contact"]) == (1, 0)
    assert len(await engine.ports.organisation(ORG).records.all_ids()) == 25


async def test_tags_without_names_are_listed_once(world: World, engine: Engine) -> None:
    world.sevdesk.embed_names = False
    world.sevdesk.add_invoice("1")
    await settled(world, engine)
    world.sevdesk.calls.clear()
    await engine.poll()
    assert world.sevdesk.calls == IDLE
    assert world.sevdesk.kinds("1") == [T.SENT]


async def test_an_invoice_without_xml_is_asked_for_again_only_when_it_changes(
    world: World, engine: Engine
) -> None:
    world.sevdesk.add_invoice("1", xml=None)
    await settled(world, engine)
    assert world.sevdesk.calls["xml"] == 1
    world.sevdesk.edit("1")
    await settled(world, engine)
    assert world.sevdesk.calls["xml"] == 2
    assert (await record(engine, "1")).state is S.SENT


# ---- from import to sent ----------------------------------------------------------------


async def test_what_is_sent_is_tagged_and_told(world: World, engine: Engine) -> None:
    world.sevdesk.add_invoice("1")
    await settled(world, engine)
    assert (await record(engine, "1")).state is S.SENT
    assert world.sevdesk.kinds("1") == [T.SENT]
    assert world.provider.accepted("RE-1") == 1
    assert await told(engine, "1") == ["imported", "ready", "submitting", "sent"]
    assert await inconsistencies(engine) == []


async def test_sent_is_tagged_only_when_it_is_delivered(world: World, engine: Engine) -> None:
    world.provider.script = [Behaviour.PENDING]
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await engine.work()
    assert (await record(engine, "1")).state is S.SUBMITTED
    assert world.sevdesk.kinds("1") == [T.UPLOADED]
    await settled(world, engine, minutes=1)
    assert world.sevdesk.kinds("1") == [T.SENT]


async def test_one_digest_tells_of_a_sync_that_did_something(world: World, engine: Engine) -> None:
    world.sevdesk.add_invoice("1")
    world.sevdesk.add_invoice("2")
    await settled(world, engine)
    finished = [e for e in await events(engine) if e.kind is EventKind.SYNC_FINISHED]
    assert len(finished) == 1
    run = await engine.service.run(ORG, finished[0].run)
    assert run is not None
    assert (run.to_import, run.imported, run.counts) == (2, 2, {"sent": 2})


async def test_a_failed_delivery_is_tagged_and_told_and_a_retry_fetches_afresh(
    world: World, engine: Engine
) -> None:
    world.provider.script = [Behaviour.FAILED_LATER]
    world.sevdesk.add_invoice("1")
    await settled(world, engine)
    assert (await record(engine, "1")).state is S.FAILED
    assert world.sevdesk.kinds("1") == [T.FAILED]
    world.sevdesk.edit("1", xml=b"ok corrected")
    await engine.service.retry(ORG, "1", ME)
    await settled(world, engine)
    found = await record(engine, "1")
    assert (found.state, found.actor) == (S.SENT, ME)
    assert world.sevdesk.kinds("1") == [T.SENT]
    documents = [t.submission.document for t in world.provider.taken.values()]
    assert documents == [b"document of ok 1", b"document of ok corrected 2"]


async def test_a_blocked_invoice_is_tagged_failed_and_goes_on_with_a_chosen_receiver(
    world: World, engine: Engine
) -> None:
    world.sevdesk.add_invoice("1", xml=b"blocked")
    await settled(world, engine)
    found = await record(engine, "1")
    assert (found.state, world.sevdesk.kinds("1")) == (S.BLOCKED, [T.FAILED])
    assert found.reason is not None
    assert found.reason.kind is Kind.PRECONDITION
    await engine.service.choose_receiver(ORG, "1", found.candidates[0], ME)
    await settled(world, engine)
    assert (await record(engine, "1")).state is S.SENT
    assert world.sevdesk.kinds("1") == [T.SENT]


async def test_a_broken_document_fails_without_being_sent(world: World, engine: Engine) -> None:
    world.sevdesk.add_invoice("1", xml=b"broken")
    await settled(world, engine)
    assert (await record(engine, "1")).state is S.FAILED
    assert world.provider.requests == Counter()


async def test_an_incomplete_e_invoice_is_blocked_and_goes_on_when_it_is_complete(
    world: World, engine: Engine
) -> None:
    world.sevdesk.add_invoice("1")
    world.sevdesk.faults.append(Fault("xml", lambda: IncompleteEInvoiceError("IBAN")))
    await settled(world, engine)
    assert (await record(engine, "1")).state is S.BLOCKED
    await engine.service.retry(ORG, "1", ME)
    await settled(world, engine)
    assert (await record(engine, "1")).state is S.SENT


@pytest.mark.parametrize("error", [XmlRefusedError, lambda: BadAnswerError("garbage")])
async def test_one_invoice_without_xml_holds_up_no_other_and_is_told_after_three_polls(
    world: World, engine: Engine, error: type[SyncError]
) -> None:
    world.sevdesk.add_invoice("1")
    world.sevdesk.add_invoice("2")
    world.sevdesk.faults.append(Fault("xml", error, times=3, about="1"))
    await engine.poll()
    await engine.work()
    assert (await record(engine, "2")).state is S.SENT
    await settled(world, engine, minutes=11)
    assert (await record(engine, "1")).state is S.BLOCKED


async def test_the_custom_field_of_a_contact_is_its_peppol_id(world: World, engine: Engine) -> None:
    world.sevdesk.fields["7"] = CustomFieldSetting("7", " Peppol ID ")
    world.sevdesk.values.append(CustomField("1", "c1", "7", "9930:DE1"))
    world.sevdesk.add_invoice("1")
    await engine.poll(trigger=ME)
    await engine.work()
    assert engine.preparer.orders[-1].peppol_id == "9930:DE1"


async def test_the_peppol_id_of_a_new_customer_is_read_although_the_fields_were_read_just_before(
    world: World, engine: Engine
) -> None:
    world.sevdesk.fields["7"] = CustomFieldSetting("7", "Peppol ID")
    world.sevdesk.values.append(CustomField("1", "c1", "7", "9930:DE1"))
    world.sevdesk.add_invoice("1")
    await engine.poll(trigger=ME)
    await engine.work()
    await world.run_for(engine, minutes=1)
    world.sevdesk.add_contact("c2")
    world.sevdesk.values.append(CustomField("2", "c2", "7", "9930:DE2"))
    world.sevdesk.add_invoice("2", "c2")
    await engine.poll()
    await engine.work()
    assert engine.preparer.orders[-1].peppol_id == "9930:DE2"


async def test_an_organisation_that_asks_waits_for_a_person(world: World, engine: Engine) -> None:
    await engine.service.configure(ORG, ME, ask_before_sending=True, sender=None, company="")
    world.sevdesk.add_invoice("1")
    await settled(world, engine)
    assert (await record(engine, "1")).state is S.WAITING
    assert world.sevdesk.kinds("1") == [T.UPLOADED]
    await engine.service.send(ORG, "1", ME)
    await settled(world, engine)
    assert (await record(engine, "1")).state is S.SENT


async def test_a_large_first_sync_sends_nothing_before_a_person_says_so(world: World) -> None:
    engine = world.engine()
    for number in range(12):
        world.sevdesk.add_invoice(str(number))
    await engine.service.connect(ORG, "good-token", ME)
    await settled(world, engine)
    overview = await engine.service.overview(ORG)
    assert overview.counts == {"waiting": 12}
    assert sum(world.provider.requests.values()) == 0
    assert await engine.service.send_all(ORG, ME) == 12
    await settled(world, engine)
    assert (await engine.service.overview(ORG)).counts == {"sent": 12}


async def test_an_interrupted_first_sync_still_asks(world: World) -> None:
    engine = world.engine()
    for number in range(12):
        world.sevdesk.add_invoice(str(number))
    await engine.service.connect(ORG, "good-token", ME)
    world.sevdesk.faults += [Fault("xml", lambda: RateLimitedError("429"))] * 2
    xml_calls = 0

    def stop_after_three() -> bool:
        return world.sevdesk.calls["xml"] >= 3

    engine.ports.stopping = stop_after_three
    await engine.poll()
    xml_calls = world.sevdesk.calls["xml"]
    assert 0 < xml_calls < 12
    world.sevdesk.faults.clear()
    engine = world.engine()
    await settled(world, engine)
    assert (await engine.service.overview(ORG)).counts == {"waiting": 12}


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


# ---- sevDesk's peculiarities ------------------------------------------------------------


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
    world.sevdesk.lag = timedelta(seconds=10)
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


async def test_a_row_without_an_account_belongs_to_the_connected_one(
    world: World, engine: Engine
) -> None:
    world.sevdesk.id = ""
    world.sevdesk.add_invoice("1")
    await settled(world, engine)
    assert (await record(engine, "1")).account == "100"


async def test_an_invoice_that_is_no_e_invoice_by_its_row_costs_no_request(
    world: World, engine: Engine
) -> None:
    row = world.sevdesk.add_invoice("1", xml=None)
    world.sevdesk.faults.append(Fault("xml", NotAnEInvoiceError))
    assert row.e_invoice is None
    await engine.poll()
    overview = await engine.service.overview(ORG)
    assert (overview.skipped_total, overview.counts) == (1, {})


def test_runs_are_kept_as_long_as_documented() -> None:
    assert RUN_DAYS == 90
    assert timedelta(minutes=5) == POLL
