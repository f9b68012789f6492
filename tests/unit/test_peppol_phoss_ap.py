"""The phoss-ap adapter against its stand-in: our own id, and failures that go on by themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from sync.model import ResponseKind
from sync.peppol import doctypes
from sync.peppol.access_point import (
    Absent,
    Accepted,
    CannotTell,
    DeliveryState,
    Found,
    LookupDown,
    NotTaken,
    Rejected,
    Unknown,
)
from sync.peppol.phoss_ap import PhossAp
from sync.peppol.wire import Wire
from tests.sandbox.access_points import Fault, PhossApStandIn
from tests.unit.peppol_support import (
    CANARY,
    RECEIVER,
    REFUSED_PORT,
    SENDER,
    cii,
    go,
    http,
    keep,
    submission,
)

TYPES = [one.id for one in doctypes.SENDABLE]


@pytest.fixture
async def service() -> AsyncIterator[PhossApStandIn]:
    stand_in = PhossApStandIn(token=CANARY)
    stand_in.register(str(RECEIVER), *TYPES)
    await stand_in.start()
    yield stand_in
    await stand_in.stop()


@pytest.fixture
async def adapter(service: PhossApStandIn) -> AsyncIterator[PhossAp]:
    async with http() as client:
        yield PhossAp(Wire(client, service.url, auth={"x-token": CANARY}, submit_seconds=5))


async def test_the_envelope_carries_our_ids(service: PhossApStandIn, adapter: PhossAp) -> None:
    sent = submission(document_type=doctypes.XR_CII, document=cii())
    outcome = await adapter.submit(sent, go, keep)
    assert isinstance(outcome, Accepted)
    assert outcome.provider_id == sent.attempt_id
    taken = service.taken[0]
    assert (taken.own_id, taken.country, taken.xml) == (sent.attempt_id, "DE", sent.document)
    assert taken.sender == str(SENDER).lower()
    assert taken.document_type == doctypes.XR_CII.id
    assert taken.process == doctypes.BILLING


@pytest.mark.parametrize(("fault", "outcome", "accepted"), [
    (Fault.NONE, Accepted, 1),
    (Fault.LOST_ANSWER, Unknown, 1),
    (Fault.ERROR_BEFORE, Unknown, 0),
    (Fault.ERROR_AFTER, Unknown, 1),
    (Fault.RESET, Unknown, 0),
    (Fault.BUSY, NotTaken, 0),
    (Fault.UNAVAILABLE, NotTaken, 0),
    (Fault.GARBAGE, Unknown, 1),
    (Fault.SLOW, Accepted, 1),
])  # fmt: skip
async def test_each_fault_has_its_outcome_after_one_request(
    service: PhossApStandIn, adapter: PhossAp, fault: Fault, outcome: type, accepted: int
) -> None:
    service.inject(fault)
    assert isinstance(await adapter.submit(submission(), go, keep), outcome)
    assert service.submissions() == 1
    assert len(service.taken) == accepted


async def test_a_first_try_that_failed_was_taken_and_goes_on_by_itself(
    service: PhossApStandIn, adapter: PhossAp
) -> None:
    service.first_try_fails = True
    outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, Accepted)
    assert outcome.status.state is DeliveryState.PENDING
    assert (await adapter.status(outcome.provider_id)).state is DeliveryState.DELIVERED


async def test_a_plain_422_is_unknown_and_then_found_as_rejected(
    service: PhossApStandIn, adapter: PhossAp
) -> None:
    service.verification_fails = True
    sent = submission()
    assert isinstance(await adapter.submit(sent, go, keep), Unknown)
    found = await adapter.find(sent)
    assert isinstance(found, Found)
    assert found.status.state is DeliveryState.FAILED


async def test_an_unknown_receiver_fails_in_the_end(
    service: PhossApStandIn, adapter: PhossAp
) -> None:
    service.receivers.clear()
    outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, Accepted)
    status = await adapter.status(outcome.provider_id)
    assert status.state is DeliveryState.FAILED
    assert status.reason is not None
    assert "not registered" in status.reason.params["detail"]


async def test_sending_switched_off_is_for_an_administrator(
    service: PhossApStandIn, adapter: PhossAp
) -> None:
    service.sending_enabled = False
    outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, Rejected)
    assert outcome.reason.code == "peppol.access_point.disabled"


async def test_a_wrong_token_is_rejected(service: PhossApStandIn) -> None:
    async with http() as client:
        adapter = PhossAp(Wire(client, service.url, auth={"x-token": "wrong"}))
        outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, Rejected)
    assert outcome.reason.code == "peppol.access_point.unauthorized"


async def test_a_refused_connection_is_not_taken() -> None:
    async with http() as client:
        adapter = PhossAp(Wire(client, f"http://127.0.0.1:{REFUSED_PORT}", auth={}))
        assert isinstance(await adapter.submit(submission(), go, keep), NotTaken)


async def test_a_lost_answer_is_found_by_our_own_id(
    service: PhossApStandIn, adapter: PhossAp
) -> None:
    service.inject(Fault.LOST_ANSWER)
    sent = submission()
    await adapter.submit(sent, go, keep)
    found = await adapter.find(sent)
    assert isinstance(found, Found)
    assert found.status.state is DeliveryState.DELIVERED


async def test_an_id_that_is_used_twice_is_sent_twice_and_then_looks_as_if_it_were_not_there(
    service: PhossApStandIn, adapter: PhossAp
) -> None:
    """Why no attempt takes over the id of the one before, although receivers could notice it."""
    sent = submission()
    for _ in range(2):
        assert isinstance(await adapter.submit(sent, go, keep), Accepted)
    assert len(service.taken) == 2
    assert isinstance(await adapter.find(sent), Absent)


async def test_what_was_never_stored_is_absent(service: PhossApStandIn, adapter: PhossAp) -> None:
    service.inject(Fault.RESET)
    sent = submission()
    await adapter.submit(sent, go, keep)
    assert await adapter.find(sent) == Absent()


async def test_a_service_that_does_not_answer_may_be_asked_again() -> None:
    async with http() as client:
        adapter = PhossAp(Wire(client, f"http://127.0.0.1:{REFUSED_PORT}", auth={}))
        found = await adapter.find(submission())
    assert isinstance(found, CannotTell)
    assert found.temporary


async def test_a_wrong_token_while_looking_for_it_proves_nothing(service: PhossApStandIn) -> None:
    async with http() as client:
        adapter = PhossAp(Wire(client, service.url, auth={"x-token": "wrong"}))
        assert isinstance(await adapter.find(submission()), CannotTell)


async def test_a_rejection_by_the_receivers_side_is_a_failed_delivery(
    service: PhossApStandIn, adapter: PhossAp
) -> None:
    sent = submission()
    await adapter.submit(sent, go, keep)
    service.mls[sent.attempt_id] = "received_re"
    status = await adapter.status(sent.attempt_id)
    assert status.state is DeliveryState.FAILED
    assert status.reason is not None
    assert status.reason.code == "peppol.delivery.rejected"
    assert [(one.kind, one.code) for one in status.responses] == [(ResponseKind.MLS, "RE")]


async def test_an_acknowledgement_is_shown(service: PhossApStandIn, adapter: PhossAp) -> None:
    sent = submission()
    await adapter.submit(sent, go, keep)
    service.mls[sent.attempt_id] = "received_ap"
    status = await adapter.status(sent.attempt_id)
    assert status.state is DeliveryState.DELIVERED
    assert [one.code for one in status.responses] == ["AP"]


async def test_a_400_in_its_own_words_is_rejected(
    service: PhossApStandIn, adapter: PhossAp, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = replace(submission(), document_type=doctypes.BIS_INVOICE.model_copy(update={"id": "x"}))
    monkeypatch.setattr("sync.peppol.phoss_ap.qualified_doctype", lambda one: one.id)
    outcome = await adapter.submit(sent, go, keep)
    assert isinstance(outcome, Rejected)
    assert "Failed to parse" in outcome.reason.params["detail"]


async def test_it_has_no_lookup_of_its_own(adapter: PhossAp) -> None:
    assert isinstance(await adapter.lookup(RECEIVER), LookupDown)
