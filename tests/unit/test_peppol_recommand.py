"""The Recommand adapter against its stand-in: each fault, one request, no blind repetition."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from sync.errors import Kind
from sync.model import ParticipantId
from sync.peppol import doctypes
from sync.peppol.access_point import (
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
from sync.peppol.recommand import Recommand, _outcome, basic
from sync.peppol.wire import Answer, Wire
from tests.sandbox.access_points import Fault, RecommandStandIn
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
async def service() -> AsyncIterator[RecommandStandIn]:
    stand_in = RecommandStandIn(key="key", secret=CANARY, senders=(str(SENDER),))
    stand_in.register(str(RECEIVER), *TYPES)
    await stand_in.start()
    yield stand_in
    await stand_in.stop()


@pytest.fixture
async def adapter(service: RecommandStandIn) -> AsyncIterator[Recommand]:
    async with http() as client:
        wire = Wire(client, service.url, auth=basic("key", CANARY), submit_seconds=5)
        yield Recommand(wire, service.company)


async def test_a_delivered_document_arrives_byte_for_byte(
    service: RecommandStandIn, adapter: Recommand
) -> None:
    sent = submission()
    outcome = await adapter.submit(sent, go, keep)
    assert isinstance(outcome, Accepted)
    assert outcome.status.state is DeliveryState.DELIVERED
    assert service.taken[0].xml == sent.document


async def test_the_envelope_carries_the_full_ids(
    service: RecommandStandIn, adapter: Recommand
) -> None:
    await adapter.submit(submission(document_type=doctypes.XR_UBL_INVOICE), go, keep)
    assert service.taken[0].document_type == doctypes.XR_UBL_INVOICE.id
    assert service.taken[0].process == doctypes.BILLING
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
async def test_each_fault_has_its_outcome_after_one_request(
    service: RecommandStandIn, adapter: Recommand, fault: Fault, outcome: type, accepted: int
) -> None:
    service.inject(fault)
    assert isinstance(await adapter.submit(submission(), go, keep), outcome)
    assert service.submissions() == 1
    assert service.count(str(SENDER), "RE-1001") == accepted


async def test_busy_tells_how_long_to_wait(service: RecommandStandIn, adapter: Recommand) -> None:
    service.inject(Fault.BUSY)
    outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, NotTaken)
    assert outcome.retry_after == 7.0
    assert outcome.reason.kind is Kind.TRANSIENT


async def test_a_refused_connection_is_not_taken() -> None:
    async with http() as client:
        url = f"http://127.0.0.1:{REFUSED_PORT}"
        adapter = Recommand(Wire(client, url, auth=basic("key", CANARY)), "c")
        outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, NotTaken)
    assert outcome.reason.code == "peppol.access_point.unreachable"


async def test_a_slow_answer_is_unknown(service: RecommandStandIn) -> None:
    service.inject(Fault.SLOW)
    async with http() as client:
        wire = Wire(client, service.url, auth=basic("key", CANARY), submit_seconds=0.2)
        outcome = await Recommand(wire, service.company).submit(submission(), go, keep)
    assert isinstance(outcome, Unknown)


async def test_a_guard_that_refuses_lets_nothing_leave(
    service: RecommandStandIn, adapter: Recommand
) -> None:
    class TooLateError(Exception):
        pass

    def guard() -> None:
        raise TooLateError

    with pytest.raises(TooLateError):
        await adapter.submit(submission(), guard, keep)
    assert service.taken == []


async def test_the_guard_is_asked_once_and_before_anything_arrives(
    service: RecommandStandIn, adapter: Recommand
) -> None:
    seen: list[int] = []
    await adapter.submit(submission(), lambda: seen.append(len(service.requests)), keep)
    assert seen == [1]  # the question for the company's sender


async def test_a_wrong_key_is_rejected_for_an_administrator(service: RecommandStandIn) -> None:
    async with http() as client:
        adapter = Recommand(Wire(client, service.url, auth=basic("key", "wrong")), "c_sandbox")
        outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, Rejected)
    assert outcome.reason.code == "peppol.access_point.unauthorized"
    assert outcome.reason.kind is Kind.PRECONDITION


def test_an_unpaid_subscription_is_not_a_wrong_key() -> None:
    body = b'{"success":false,"errors":{"root":["Team X does not have a valid billing profile"]}}'
    outcome = _outcome(Answer(401, httpx.Headers(), body))
    assert isinstance(outcome, Rejected)
    assert outcome.reason.code == "peppol.access_point.subscription"


async def test_a_document_of_another_sender_than_the_envelopes_is_not_handed_over(
    service: RecommandStandIn, adapter: Recommand
) -> None:
    service.senders = ["0246:DE136695976", str(SENDER)]
    outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, Rejected)
    assert outcome.reason.code == "peppol.access_point.sender_not_allowed"
    assert outcome.reason.kind is Kind.PRECONDITION
    assert outcome.reason.params["detail"] == "0246:de136695976"
    assert service.submissions() == 0


async def test_a_service_that_does_not_tell_its_senders_is_used_all_the_same(
    service: RecommandStandIn, adapter: Recommand
) -> None:
    service.senders = []
    assert isinstance(await adapter.submit(submission(), go, keep), Accepted)


async def test_the_companys_sender_is_asked_for_only_now_and_then(
    service: RecommandStandIn, adapter: Recommand
) -> None:
    for number in ("RE-1", "RE-2", "RE-3"):
        await adapter.submit(submission(number), go, keep)
    assert [path for _, path, _ in service.requests if path.endswith("identifiers")] == [
        "/api/v1/companies/c_sandbox/identifiers"
    ]


async def test_an_unknown_company_is_rejected(
    service: RecommandStandIn, adapter: Recommand
) -> None:
    outcome = await adapter.submit(replace(submission(), company="c_other"), go, keep)
    assert isinstance(outcome, Rejected)
    assert outcome.reason.code == "peppol.access_point.company"


async def test_a_failed_validation_is_rejected_with_its_rules(
    service: RecommandStandIn, adapter: Recommand
) -> None:
    service.invalid = {"BuyerReference": ["PEPPOL-EN16931-R003: A buyer reference MUST be there"]}
    outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, Rejected)
    assert outcome.reason.findings[0].rule == "PEPPOL-EN16931-R003"
    assert outcome.reason.findings[0].location == "BuyerReference"


async def test_a_400_without_fields_is_unknown_because_it_may_come_after_sending(
    service: RecommandStandIn, adapter: Recommand
) -> None:
    service.crash_after_sending = True
    assert isinstance(await adapter.submit(submission(), go, keep), Unknown)
    assert len(service.taken) == 1


async def test_a_receiver_that_refuses_is_rejected_with_its_words(
    service: RecommandStandIn, adapter: Recommand
) -> None:
    service.register(str(RECEIVER), *TYPES, rejects=1)
    outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, Rejected)
    assert "rejected the document" in outcome.reason.params["detail"]
    assert isinstance(await adapter.submit(submission(), go, keep), Accepted)


@pytest.mark.parametrize("category", ["NO_SIGNAL_MESSAGE", "TRANSPORT_ERROR", "as4 timeout"])
async def test_a_422_about_an_exchange_without_an_end_is_unknown(
    service: RecommandStandIn, adapter: Recommand, category: str
) -> None:
    service.register(str(RECEIVER), *TYPES, rejects=1, rejection=f"AS4: {category}")
    assert isinstance(await adapter.submit(submission(), go, keep), Unknown)


async def test_success_by_email_is_a_failure_of_peppol() -> None:
    body = b'{"success":true,"id":"doc_1","sentOverPeppol":false,"sentOverEmail":true}'
    outcome = _outcome(Answer(200, httpx.Headers(), body))
    assert isinstance(outcome, Rejected)
    assert outcome.reason.code == "peppol.access_point.sent_by_email"


async def test_a_document_beyond_the_size_limit_is_not_sent(
    service: RecommandStandIn, adapter: Recommand
) -> None:
    outcome = await adapter.submit(submission(document=b"x" * 10_000_001), go, keep)
    assert isinstance(outcome, Rejected)
    assert outcome.reason.code == "peppol.access_point.too_large"
    assert service.requests == []


async def test_delivery_is_pending_until_the_service_says_so(
    service: RecommandStandIn, adapter: Recommand
) -> None:
    service.register(str(RECEIVER), *TYPES, pending_polls=2)
    outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, Accepted)
    assert outcome.status.state is DeliveryState.PENDING
    states = [(await adapter.status(outcome.provider_id)).state for _ in range(2)]
    assert states == [DeliveryState.PENDING, DeliveryState.DELIVERED]


async def test_a_failed_delivery_has_its_reason(
    service: RecommandStandIn, adapter: Recommand
) -> None:
    service.register(str(RECEIVER), *TYPES, pending_polls=1, fails="receiver is closed")
    outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, Accepted)
    status = await adapter.status(outcome.provider_id)
    assert status.state is DeliveryState.FAILED
    assert status.reason is not None
    assert status.reason.params["detail"] == "receiver is closed"


async def test_older_answers_without_a_delivery_status_mean_delivered(
    service: RecommandStandIn, adapter: Recommand
) -> None:
    service.newer = False
    outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, Accepted)
    assert outcome.status.state is DeliveryState.DELIVERED


async def test_the_status_of_an_unknown_document_is_unknown(adapter: Recommand) -> None:
    status = await adapter.status("doc_nowhere")
    assert status.state is DeliveryState.UNKNOWN
    assert status.reason is not None
    assert status.reason.code == "peppol.access_point.not_found"


async def test_a_lost_answer_is_found_by_number_and_receiver(
    service: RecommandStandIn, adapter: Recommand
) -> None:
    service.inject(Fault.LOST_ANSWER)
    sent = submission()
    await adapter.submit(sent, go, keep)
    found = await adapter.find(sent)
    assert isinstance(found, Found)
    assert found.provider_id == service.taken[0].id


async def test_a_lost_answer_of_a_type_the_service_does_not_parse_is_found_by_its_bytes(
    service: RecommandStandIn, adapter: Recommand
) -> None:
    service.inject(Fault.LOST_ANSWER)
    sent = submission(document_type=doctypes.XR_CII, document=cii())
    await adapter.submit(sent, go, keep)
    assert isinstance(await adapter.find(sent), Found)


async def test_finding_nothing_proves_nothing(adapter: Recommand) -> None:
    found = await adapter.find(submission())
    assert isinstance(found, CannotTell)
    assert not found.temporary


async def test_the_same_number_to_another_receiver_is_not_it(
    service: RecommandStandIn, adapter: Recommand
) -> None:
    other = ParticipantId(scheme="0088", value="1548079098355")
    service.register(str(other), *TYPES)
    await adapter.submit(submission(receiver=other), go, keep)
    assert isinstance(await adapter.find(submission()), CannotTell)


async def test_an_earlier_import_of_the_same_number_is_not_it(
    service: RecommandStandIn, adapter: Recommand
) -> None:
    await adapter.submit(submission(), go, keep)
    service.taken[0].at -= timedelta(hours=1)
    assert isinstance(await adapter.find(submission()), CannotTell)


async def test_an_attempt_before_this_one_is_not_it(
    service: RecommandStandIn, adapter: Recommand
) -> None:
    """It failed and was tried again within the minutes by which clocks may differ."""
    await adapter.submit(submission(), go, keep)
    retried = replace(submission(), earlier=(service.taken[0].id,))
    assert isinstance(await adapter.find(retried), CannotTell)


async def test_a_service_that_does_not_answer_may_be_asked_again() -> None:
    async with http() as client:
        wire = Wire(client, f"http://127.0.0.1:{REFUSED_PORT}", auth={})
        found = await Recommand(wire, "c").find(submission())
    assert isinstance(found, CannotTell)
    assert found.temporary


async def test_lookup_of_a_registered_receiver_lists_what_it_takes(adapter: Recommand) -> None:
    assert await adapter.lookup(RECEIVER) == Registered(frozenset(TYPES))


async def test_lookup_of_an_unknown_receiver_is_uncertain(adapter: Recommand) -> None:
    answer = await adapter.lookup(ParticipantId(scheme="0088", value="1548079098355"))
    assert isinstance(answer, NotRegistered)
    assert not answer.certain


async def test_lookup_without_an_answer_is_down() -> None:
    async with http() as client:
        wire = Wire(client, f"http://127.0.0.1:{REFUSED_PORT}", auth={})
        assert isinstance(await Recommand(wire, "c").lookup(RECEIVER), LookupDown)


async def test_no_secret_shows_in_a_log_a_representation_or_an_error(
    service: RecommandStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []
    async with http() as client:
        wire = Wire(client, service.url, auth=basic("key", CANARY))
        adapter = Recommand(wire, service.company)
        for fault in Fault:
            service.inject(fault)
            shown.append(repr(await adapter.submit(submission(), go, keep)))
        shown += [repr(wire), repr(adapter), repr(service.requests)]
    told = caplog.text + "".join(shown)
    assert CANARY not in told
    assert basic("key", CANARY)["authorization"] not in told
