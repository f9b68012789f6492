"""The e-invoice.be adapter against its stand-in: drafts, one sending, settling by state."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from sync.model import ParticipantId
from sync.peppol import doctypes
from sync.peppol.access_point import (
    Absent,
    Accepted,
    CannotTell,
    DeliveryState,
    Found,
    LookupDown,
    NotRegistered,
    NotTaken,
    Registered,
    Rejected,
    Unknown,
)
from sync.peppol.einvoice_be import EInvoiceBe
from sync.peppol.wire import Wire
from tests.sandbox.access_points import EInvoiceBeStandIn, Fault
from tests.unit.peppol_support import (
    CANARY,
    RECEIVER,
    REFUSED_PORT,
    SENDER,
    go,
    http,
    keep,
    submission,
    with_provider_id,
)

TYPES = sorted(doctypes.BIS_UBL)


@dataclass
class Saved:
    """What `save` was called with."""

    id: str = ""

    async def __call__(self, provider_id: str) -> None:
        self.id = provider_id


@pytest.fixture
async def service() -> AsyncIterator[EInvoiceBeStandIn]:
    stand_in = EInvoiceBeStandIn(key=CANARY)
    stand_in.register(str(RECEIVER), *TYPES)
    await stand_in.start()
    yield stand_in
    await stand_in.stop()


@pytest.fixture
async def adapter(service: EInvoiceBeStandIn) -> AsyncIterator[EInvoiceBe]:
    async with http() as client:
        yield EInvoiceBe(
            Wire(client, service.url, auth={"authorization": f"Bearer {CANARY}"}, submit_seconds=8)
        )


async def test_a_document_is_stored_saved_validated_and_sent(
    service: EInvoiceBeStandIn, adapter: EInvoiceBe
) -> None:
    saved, sent = Saved(), submission()
    outcome = await adapter.submit(sent, go, saved)
    assert isinstance(outcome, Accepted)
    assert outcome.provider_id == saved.id
    assert service.taken[0].xml == sent.document
    steps = [path.rpartition("/")[2] for _, path, _ in service.requests]
    assert steps == ["ubl", "validate", "send"]


async def test_both_ids_are_given_so_that_none_is_derived(
    service: EInvoiceBeStandIn, adapter: EInvoiceBe
) -> None:
    await adapter.submit(submission(), go, keep)
    assert service.taken[0].sender == str(SENDER)
    assert service.taken[0].receiver == str(RECEIVER)


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
async def test_each_fault_has_its_outcome_after_one_sending(
    service: EInvoiceBeStandIn, adapter: EInvoiceBe, fault: Fault, outcome: type, accepted: int
) -> None:
    service.inject(fault)
    assert isinstance(await adapter.submit(submission(), go, keep), outcome)
    assert service.submissions() == 1
    assert len(service.taken) == accepted


async def test_the_guard_is_asked_after_the_preparation_and_before_the_sending(
    service: EInvoiceBeStandIn, adapter: EInvoiceBe
) -> None:
    seen: list[list[str]] = []
    await adapter.submit(
        submission(), lambda: seen.append([p for _, p, _ in service.requests]), keep
    )
    assert [[path.rpartition("/")[2] for path in paths] for paths in seen] == [["ubl", "validate"]]


async def test_a_guard_that_refuses_leaves_a_draft(
    service: EInvoiceBeStandIn, adapter: EInvoiceBe
) -> None:
    def guard() -> None:
        raise TimeoutError("too late")

    with pytest.raises(TimeoutError, match="too late"):
        await adapter.submit(submission(), guard, keep)
    assert service.taken == []
    assert [draft.state for draft in service.drafts.values()] == ["DRAFT"]


async def test_a_save_that_fails_stops_before_the_sending(
    service: EInvoiceBeStandIn, adapter: EInvoiceBe
) -> None:
    async def save(provider_id: str) -> None:
        raise RuntimeError("not ours any more")

    with pytest.raises(RuntimeError, match="not ours"):
        await adapter.submit(submission(), go, save)
    assert service.submissions() == 0


async def test_a_draft_that_was_sent_already_is_not_sent_again(
    service: EInvoiceBeStandIn, adapter: EInvoiceBe
) -> None:
    async def send_behind_our_back(provider_id: str) -> None:
        draft = service.drafts[provider_id]
        service._sent(draft, str(SENDER), str(RECEIVER), Fault.NONE)

    outcome = await adapter.submit(submission(), go, send_behind_our_back)
    assert isinstance(outcome, Accepted)
    assert outcome.status.state is DeliveryState.DELIVERED
    assert len(service.taken) == 1


async def test_an_invalid_document_is_rejected_with_its_rules_and_not_sent(
    service: EInvoiceBeStandIn, adapter: EInvoiceBe
) -> None:
    service.issues = [
        {
            "type": "error",
            "rule_id": "BR-02",
            "message": "An Invoice shall have a number",
            "location": "/Invoice",
            "schematron": "EN16931",
        }
    ]
    outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, Rejected)
    assert [finding.rule for finding in outcome.reason.findings] == ["BR-02"]
    assert service.submissions() == 0


async def test_what_is_no_ubl_is_rejected(service: EInvoiceBeStandIn, adapter: EInvoiceBe) -> None:
    outcome = await adapter.submit(submission(document=b"no xml"), go, keep)
    assert isinstance(outcome, Rejected)
    assert outcome.reason.code == "peppol.access_point.invalid_document"


async def test_a_type_it_does_not_carry_is_not_even_stored(
    service: EInvoiceBeStandIn, adapter: EInvoiceBe
) -> None:
    outcome = await adapter.submit(submission(document_type=doctypes.XR_CII), go, keep)
    assert isinstance(outcome, Rejected)
    assert outcome.reason.code == "peppol.access_point.unsupported_type"
    assert service.requests == []


async def test_a_sender_of_somebody_else_is_rejected(
    service: EInvoiceBeStandIn, adapter: EInvoiceBe
) -> None:
    service.senders = {"0208:0202239951"}
    outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, Rejected)
    assert outcome.reason.code == "peppol.access_point.sender_not_allowed"


async def test_a_wrong_key_is_rejected(service: EInvoiceBeStandIn) -> None:
    async with http() as client:
        wire = Wire(client, service.url, auth={"authorization": "Bearer wrong"})
        outcome = await EInvoiceBe(wire).submit(submission(), go, keep)
    assert isinstance(outcome, Rejected)
    assert outcome.reason.code == "peppol.access_point.unauthorized"


async def test_a_refused_connection_is_not_taken() -> None:
    async with http() as client:
        wire = Wire(client, f"http://127.0.0.1:{REFUSED_PORT}", auth={})
        assert isinstance(await EInvoiceBe(wire).submit(submission(), go, keep), NotTaken)


async def test_an_attempt_without_a_draft_is_certainly_absent(adapter: EInvoiceBe) -> None:
    assert await adapter.find(submission()) == Absent()


async def test_a_lost_answer_is_found_by_the_draft(
    service: EInvoiceBeStandIn, adapter: EInvoiceBe
) -> None:
    service.inject(Fault.LOST_ANSWER)
    saved, sent = Saved(), submission()
    await adapter.submit(sent, go, saved)
    found = await adapter.find(with_provider_id(sent, saved.id))
    assert isinstance(found, Found)
    assert found.status.state is DeliveryState.DELIVERED


async def test_a_draft_that_was_not_sent_is_deleted_and_then_absent(
    service: EInvoiceBeStandIn, adapter: EInvoiceBe
) -> None:
    service.inject(Fault.RESET)
    saved, sent = Saved(), submission()
    await adapter.submit(sent, go, saved)
    assert await adapter.find(with_provider_id(sent, saved.id)) == Absent()
    assert service.drafts == {}


async def test_a_document_that_is_gone_is_absent(adapter: EInvoiceBe) -> None:
    assert await adapter.find(with_provider_id(submission(), "doc_nowhere")) == Absent()


async def test_a_service_that_does_not_answer_may_be_asked_again() -> None:
    async with http() as client:
        wire = Wire(client, f"http://127.0.0.1:{REFUSED_PORT}", auth={})
        found = await EInvoiceBe(wire).find(with_provider_id(submission(), "doc_1"))
    assert isinstance(found, CannotTell)
    assert found.temporary


async def test_delivery_is_pending_in_transit(
    service: EInvoiceBeStandIn, adapter: EInvoiceBe
) -> None:
    service.register(str(RECEIVER), *TYPES, pending_polls=2)
    outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, Accepted)
    assert outcome.status.state is DeliveryState.PENDING
    states = [(await adapter.status(outcome.provider_id)).state for _ in range(2)]
    assert states == [DeliveryState.PENDING, DeliveryState.DELIVERED]


async def test_a_failed_delivery_tells_the_timelines_reason(
    service: EInvoiceBeStandIn, adapter: EInvoiceBe
) -> None:
    service.register(str(RECEIVER), *TYPES, pending_polls=1, fails="endpoint certificate expired")
    outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, Accepted)
    status = await adapter.status(outcome.provider_id)
    assert status.reason is not None
    assert status.reason.params["detail"] == "endpoint certificate expired"


async def test_lookup_lists_what_a_receiver_takes(adapter: EInvoiceBe) -> None:
    assert await adapter.lookup(RECEIVER) == Registered(frozenset(TYPES))


async def test_lookup_of_an_unknown_receiver_is_uncertain(adapter: EInvoiceBe) -> None:
    answer = await adapter.lookup(ParticipantId(scheme="0088", value="1548079098355"))
    assert isinstance(answer, NotRegistered)
    assert not answer.certain


async def test_lookup_without_an_answer_is_down() -> None:
    async with http() as client:
        wire = Wire(client, f"http://127.0.0.1:{REFUSED_PORT}", auth={})
        assert isinstance(await EInvoiceBe(wire).lookup(RECEIVER), LookupDown)
