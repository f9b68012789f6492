"""What only Recommand does: the company's sender, 400 and 422, e-mail, looking by content."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sync.errors import Kind
from sync.model import ParticipantId
from sync.peppol import doctypes
from sync.peppol.access_point import (
    Accepted,
    AccessPoint,
    CannotTell,
    DeliveryState,
    Found,
    Rejected,
    Unknown,
)
from sync.peppol.recommand import Recommand, _outcome
from tests.sandbox.access_points import Fault, RecommandStandIn
from tests.unit.peppol_providers import (
    COMPANY,
    SECRET,
    TYPES,
    Scripted,
    connected,
    running,
    said,
)
from tests.unit.peppol_support import (
    CANARY,
    RECEIVER,
    SENDER,
    cii,
    go,
    keep,
    submission,
    ubl,
)


@pytest.fixture
async def service() -> AsyncIterator[RecommandStandIn]:
    async with running(
        RecommandStandIn(key=CANARY, secret=SECRET, senders=(str(SENDER),))
    ) as stand_in:
        yield stand_in


@pytest.fixture
async def adapter(service: RecommandStandIn) -> AsyncIterator[AccessPoint]:
    async with connected("recommand", service.url) as made:
        yield made


def test_an_unpaid_subscription_is_not_a_wrong_key() -> None:
    told = ["Team X does not have a valid billing profile"]
    outcome = _outcome(said(401, {"success": False, "errors": {"root": told}}))
    assert isinstance(outcome, Rejected)
    assert outcome.reason.code == "peppol.access_point.subscription"


async def test_a_document_of_another_sender_than_the_envelopes_is_not_handed_over(
    service: RecommandStandIn, adapter: AccessPoint
) -> None:
    service.senders = ["0246:DE136695976", str(SENDER)]
    outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, Rejected)
    assert outcome.reason.code == "peppol.access_point.sender_not_allowed"
    assert outcome.reason.kind is Kind.PRECONDITION
    assert outcome.reason.params["detail"] == "0246:de136695976"
    assert service.submissions() == 0


async def test_a_service_that_does_not_tell_its_senders_is_used_all_the_same(
    service: RecommandStandIn, adapter: AccessPoint
) -> None:
    service.senders = []
    assert isinstance(await adapter.submit(submission(), go, keep), Accepted)


async def test_the_companys_sender_is_asked_for_only_now_and_then(
    service: RecommandStandIn, adapter: AccessPoint
) -> None:
    for number in ("RE-1", "RE-2", "RE-3"):
        await adapter.submit(submission(number), go, keep)
    assert [path for _, path, _ in service.requests if path.endswith("identifiers")] == [
        "/api/v1/companies/c_sandbox/identifiers"
    ]


async def test_an_unknown_company_is_rejected(
    service: RecommandStandIn, adapter: AccessPoint
) -> None:
    outcome = await adapter.submit(replace(submission(), company="c_other"), go, keep)
    assert isinstance(outcome, Rejected)
    assert outcome.reason.code == "peppol.access_point.company"


async def test_a_failed_validation_is_rejected_with_its_rules(
    service: RecommandStandIn, adapter: AccessPoint
) -> None:
    service.invalid = {"BuyerReference": ["PEPPOL-EN16931-R003: A buyer reference MUST be there"]}
    outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, Rejected)
    assert outcome.reason.findings[0].rule == "PEPPOL-EN16931-R003"
    assert outcome.reason.findings[0].location == "BuyerReference"


async def test_a_400_without_fields_is_unknown_because_it_may_come_after_sending(
    service: RecommandStandIn, adapter: AccessPoint
) -> None:
    service.crash_after_sending = True
    assert isinstance(await adapter.submit(submission(), go, keep), Unknown)
    assert len(service.taken) == 1


async def test_a_receiver_that_refuses_is_rejected_with_its_words(
    service: RecommandStandIn, adapter: AccessPoint
) -> None:
    service.register(str(RECEIVER), *TYPES, rejects=1)
    outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, Rejected)
    assert "rejected the document" in outcome.reason.params["detail"]
    assert isinstance(await adapter.submit(submission(), go, keep), Accepted)


@pytest.mark.parametrize("category", ["NO_SIGNAL_MESSAGE", "TRANSPORT_ERROR", "as4 timeout"])
async def test_a_422_about_an_exchange_without_an_end_is_unknown(
    service: RecommandStandIn, adapter: AccessPoint, category: str
) -> None:
    service.register(str(RECEIVER), *TYPES, rejects=1, rejection=f"AS4: {category}")
    assert isinstance(await adapter.submit(submission(), go, keep), Unknown)


def test_success_by_email_is_a_failure_of_peppol() -> None:
    answer = said(200, {"success": True, "id": "d", "sentOverPeppol": False, "sentOverEmail": True})
    outcome = _outcome(answer)
    assert isinstance(outcome, Rejected)
    assert outcome.reason.code == "peppol.access_point.sent_by_email"


@pytest.mark.parametrize("change", [{"success": False}, {"success": "true"}, {"id": ""}])
def test_a_200_that_does_not_say_success_and_an_id_is_unknown(change: dict[str, object]) -> None:
    record = {"success": True, "id": "doc_1", "deliveryStatus": "delivered"}
    assert isinstance(_outcome(said(200, record)), Accepted)
    assert isinstance(_outcome(said(200, record | change)), Unknown)


async def test_older_answers_without_a_delivery_status_mean_delivered(
    service: RecommandStandIn, adapter: AccessPoint
) -> None:
    service.newer = False
    outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, Accepted)
    assert outcome.status.state is DeliveryState.DELIVERED


async def test_a_lost_answer_of_a_type_the_service_does_not_parse_is_found_by_its_bytes(
    service: RecommandStandIn, adapter: AccessPoint
) -> None:
    service.inject(Fault.LOST_ANSWER)
    sent = submission(document_type=doctypes.XR_CII, document=cii())
    await adapter.submit(sent, go, keep)
    assert isinstance(await adapter.find(sent), Found)


async def test_other_bytes_of_a_type_the_service_does_not_parse_are_not_it(
    adapter: AccessPoint,
) -> None:
    another = submission(document_type=doctypes.XR_CII, document=cii("RE-1002"))
    await adapter.submit(another, go, keep)
    sent = submission(document_type=doctypes.XR_CII, document=cii())
    assert isinstance(await adapter.find(sent), CannotTell)


async def test_another_number_to_the_same_receiver_is_not_it(adapter: AccessPoint) -> None:
    await adapter.submit(submission("RE-10011"), go, keep)
    assert isinstance(await adapter.find(submission("RE-1001")), CannotTell)


async def test_the_same_number_in_another_document_is_not_it(adapter: AccessPoint) -> None:
    """Deleted in sevDesk and written anew under its number, or another seller's: not yet sent."""
    await adapter.submit(submission(document=ubl() + b"<!-- of before -->"), go, keep)
    assert isinstance(await adapter.find(submission()), CannotTell)


@pytest.mark.parametrize("xml", [None, "", ubl().decode() + "\n"])
async def test_a_number_is_enough_where_the_service_does_not_show_the_document(
    xml: str | None,
) -> None:
    sent = submission()
    row = {
        "id": "doc_1",
        "receiverId": str(sent.receiver),
        "docTypeId": f"busdox-docid-qns::{sent.document_type.id}",
        "deliveryStatus": "delivered",
        "parsed": {"invoiceNumber": sent.number},
    }
    listed, one = said(200, {"documents": [row]}), said(200, {"document": {**row, "xml": xml}})
    wire: Any = Scripted(listed, one)
    assert isinstance(await Recommand(wire, COMPANY).find(sent), Found)


async def test_a_document_that_cannot_be_read_now_is_asked_for_again() -> None:
    sent = submission()
    row = {
        "id": "doc_1",
        "receiverId": str(sent.receiver),
        "docTypeId": f"busdox-docid-qns::{sent.document_type.id}",
        "parsed": {"invoiceNumber": sent.number},
    }
    wire: Any = Scripted(said(200, {"documents": [row]}), said(500))
    found = await Recommand(wire, COMPANY).find(sent)
    assert isinstance(found, CannotTell)
    assert found.temporary


async def test_finding_nothing_proves_nothing(adapter: AccessPoint) -> None:
    found = await adapter.find(submission())
    assert isinstance(found, CannotTell)
    assert not found.temporary


async def test_the_same_number_to_another_receiver_is_not_it(
    service: RecommandStandIn, adapter: AccessPoint
) -> None:
    other = ParticipantId(scheme="0088", value="1548079098355")
    service.register(str(other), *TYPES)
    await adapter.submit(submission(receiver=other), go, keep)
    assert isinstance(await adapter.find(submission()), CannotTell)


async def test_an_earlier_import_of_the_same_number_is_not_it(
    service: RecommandStandIn, adapter: AccessPoint
) -> None:
    await adapter.submit(submission(), go, keep)
    service.taken[0].at -= timedelta(hours=1)
    assert isinstance(await adapter.find(submission()), CannotTell)


async def test_an_attempt_before_this_one_is_not_it(
    service: RecommandStandIn, adapter: AccessPoint
) -> None:
    """It failed and was tried again within the minutes by which clocks may differ."""
    await adapter.submit(submission(), go, keep)
    retried = replace(submission(), earlier=(service.taken[0].id,))
    assert isinstance(await adapter.find(retried), CannotTell)
