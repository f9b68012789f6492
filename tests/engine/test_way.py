"""The way of an invoice over stand-ins, from its import to sent: asked, sent, tagged and told."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from sync.errors import Kind, SyncError
from sync.model import EventKind, TagKind
from sync.sevdesk.errors import (
    BadAnswerError,
    IncompleteEInvoiceError,
    NotAnEInvoiceError,
    RateLimitedError,
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
    S,
    World,
    events,
    inconsistencies,
    record,
    settled,
    told,
)

T = TagKind
IDLE = Counter({"tag_relations": 1, "invoices": 2})


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


# ---- sevDesk's peculiarities ------------------------------------------------------------


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
