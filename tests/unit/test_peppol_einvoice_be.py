"""What only e-invoice.be does: drafts, what it does not carry, settling by a draft's state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from sync.peppol import doctypes
from sync.peppol.access_point import (
    Absent,
    Accepted,
    AccessPoint,
    CannotTell,
    DeliveryState,
    NotTaken,
    Rejected,
)
from sync.peppol.einvoice_be import EInvoiceBe
from sync.peppol.wire import Answer, NoAnswerError
from tests.sandbox.access_points import EInvoiceBeStandIn, Fault
from tests.unit.peppol_providers import SECONDS, Scripted, connected, running, said
from tests.unit.peppol_support import (
    CANARY,
    RECEIVER,
    SENDER,
    Saved,
    TooLateError,
    go,
    keep,
    later,
    stop,
    submission,
    with_provider_id,
)


@pytest.fixture
async def service() -> AsyncIterator[EInvoiceBeStandIn]:
    async with running(EInvoiceBeStandIn(key=CANARY)) as stand_in:
        yield stand_in


@pytest.fixture
async def adapter(service: EInvoiceBeStandIn) -> AsyncIterator[AccessPoint]:
    async with connected("e-invoice-be", service.url) as made:
        yield made


def over(wire: Scripted) -> EInvoiceBe:
    return EInvoiceBe(wire)  # type: ignore[arg-type]


async def test_a_document_is_stored_saved_validated_and_sent(
    service: EInvoiceBeStandIn, adapter: AccessPoint
) -> None:
    saved = Saved()
    outcome = await adapter.submit(submission(), go, saved)
    assert isinstance(outcome, Accepted)
    assert outcome.provider_id == saved.id
    steps = [path.rpartition("/")[2] for _, path, _ in service.requests]
    assert steps == ["ubl", "validate", "send"]


async def test_a_preparation_that_takes_half_the_time_is_given_up_and_nothing_was_taken() -> None:
    asked = asyncio.Event()

    class Silent(Scripted):
        async def ask(self, *args: object, **kwargs: object) -> Answer:
            asked.set()
            return await asyncio.Future()

    wire = Silent()
    sending = asyncio.create_task(over(wire).submit(submission(), go, keep))
    await asked.wait()
    with later(SECONDS / 2):
        outcome = await sending
    assert isinstance(outcome, NotTaken)
    assert outcome.reason.code == "peppol.access_point.unreachable"
    assert wire.transfers == 0


async def test_the_sending_has_the_other_half_of_the_time() -> None:
    wire = Scripted(said(201, {"id": "doc_1"}), said(200, {"is_valid": True}), said(500))
    await over(wire).submit(submission(), go, keep)
    assert (wire.transfers, wire.seconds) == (1, SECONDS / 2)


async def test_a_guard_that_refuses_leaves_a_draft(
    service: EInvoiceBeStandIn, adapter: AccessPoint
) -> None:
    with pytest.raises(TooLateError):
        await adapter.submit(submission(), stop, keep)
    assert service.taken == []
    assert [draft.state for draft in service.drafts.values()] == ["DRAFT"]


async def test_a_save_that_fails_stops_before_the_sending(
    service: EInvoiceBeStandIn, adapter: AccessPoint
) -> None:
    async def save(provider_id: str) -> None:
        raise RuntimeError("not ours any more")

    with pytest.raises(RuntimeError, match="not ours"):
        await adapter.submit(submission(), go, save)
    assert service.submissions() == 0


async def test_a_draft_that_was_sent_already_is_not_sent_again(
    service: EInvoiceBeStandIn, adapter: AccessPoint
) -> None:
    async def send_behind_our_back(provider_id: str) -> None:
        draft = service.drafts[provider_id]
        service._sent(draft, str(SENDER), str(RECEIVER), Fault.NONE)

    outcome = await adapter.submit(submission(), go, send_behind_our_back)
    assert isinstance(outcome, Accepted)
    assert outcome.status.state is DeliveryState.DELIVERED
    assert len(service.taken) == 1


async def test_an_invalid_document_is_rejected_with_its_rules_and_not_sent(
    service: EInvoiceBeStandIn, adapter: AccessPoint
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


async def test_what_is_no_ubl_is_rejected(service: EInvoiceBeStandIn, adapter: AccessPoint) -> None:
    outcome = await adapter.submit(submission(document=b"no xml"), go, keep)
    assert isinstance(outcome, Rejected)
    assert outcome.reason.code == "peppol.access_point.invalid_document"


async def test_a_type_it_does_not_carry_is_not_even_stored(
    service: EInvoiceBeStandIn, adapter: AccessPoint
) -> None:
    outcome = await adapter.submit(submission(document_type=doctypes.XR_CII), go, keep)
    assert isinstance(outcome, Rejected)
    assert outcome.reason.code == "peppol.access_point.unsupported_type"
    assert service.requests == []


async def test_a_sender_of_somebody_else_is_rejected(
    service: EInvoiceBeStandIn, adapter: AccessPoint
) -> None:
    service.senders = {"0208:0202239951"}
    outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, Rejected)
    assert outcome.reason.code == "peppol.access_point.sender_not_allowed"


async def test_an_attempt_without_a_draft_is_certainly_absent(adapter: AccessPoint) -> None:
    assert await adapter.find(submission()) == Absent()


async def test_a_draft_that_was_not_sent_is_deleted_and_then_absent(
    service: EInvoiceBeStandIn, adapter: AccessPoint
) -> None:
    service.inject(Fault.RESET)
    saved, sent = Saved(), submission()
    await adapter.submit(sent, go, saved)
    assert await adapter.find(with_provider_id(sent, saved.id)) == Absent()
    assert service.drafts == {}


async def test_a_document_that_is_gone_is_absent(adapter: AccessPoint) -> None:
    assert await adapter.find(with_provider_id(submission(), "doc_nowhere")) == Absent()


@pytest.mark.parametrize(
    "answer",
    [said(404), said(404, b"404 page not found\n"), said(404, {"error": "no route"})],
    ids=str,
)
async def test_a_404_of_something_in_between_proves_nothing(answer: Answer) -> None:
    """Only the service's own words say that a document is gone."""
    found = await over(Scripted(answer)).find(with_provider_id(submission(), "doc_1"))
    assert isinstance(found, CannotTell)
    assert found.temporary


@pytest.mark.parametrize(
    "answer",
    [
        NoAnswerError(sent=False),
        said(200, {}),
        said(200, {"is_deleted": False}),
        said(400, {"detail": "Only draft documents can be deleted"}),
        said(404, b"404 page not found\n"),
        said(500),
    ],
    ids=str,
)
async def test_a_draft_that_may_not_be_deleted_may_still_be_sent(
    answer: Answer | NoAnswerError,
) -> None:
    """A request that still travels could send it: nothing is certain before it is gone."""
    adapter = over(Scripted(said(200, {"state": "DRAFT"}), answer))
    found = await adapter.find(with_provider_id(submission(), "doc_1"))
    assert isinstance(found, CannotTell)
    assert found.temporary
