"""What every access point keeps to, whoever it is: one request, no blind repetition, no guess."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from collections.abc import AsyncIterator

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
    LookupDown,
    NotRegistered,
    NotTaken,
    Registered,
    Rejected,
    Unknown,
)
from sync.peppol.wire import Answer, NoAnswerError
from tests.sandbox.access_points import Fault, StandIn
from tests.unit.peppol_providers import (
    NOWHERE,
    PROVIDERS,
    SECONDS,
    SECRET,
    TYPES,
    Provider,
    Scripted,
    by_name,
    connected,
    running,
    said,
)
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

STRANGER = ParticipantId(scheme="0088", value="1548079098355")
LOOKING = [one for one in PROVIDERS if one.name != "phoss-ap"]


@pytest.fixture(params=PROVIDERS, ids=by_name)
def provider(request: pytest.FixtureRequest) -> Provider:
    given: Provider = request.param
    return given


@pytest.fixture
async def service(provider: Provider) -> AsyncIterator[StandIn]:
    async with running(provider.stand_in()) as stand_in:
        yield stand_in


@pytest.fixture
async def adapter(provider: Provider, service: StandIn) -> AsyncIterator[AccessPoint]:
    async with connected(provider.name, service.url) as made:
        yield made


# handing over


async def test_a_document_arrives_byte_for_byte_and_under_its_full_ids(
    provider: Provider, service: StandIn, adapter: AccessPoint
) -> None:
    document_type, document = provider.carries
    sent = submission(document_type=document_type, document=document)
    outcome = await adapter.submit(sent, go, keep)
    assert isinstance(outcome, Accepted)
    assert outcome.status.state is DeliveryState.DELIVERED
    [taken] = service.taken
    assert outcome.provider_id == taken.id
    assert taken.xml == document
    assert (taken.sender.lower(), taken.receiver) == (str(SENDER).lower(), str(RECEIVER))
    assert (taken.document_type, taken.process) == (document_type.id, doctypes.BILLING)


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
    service: StandIn, adapter: AccessPoint, fault: Fault, outcome: type, accepted: int
) -> None:
    service.inject(fault)
    assert isinstance(await adapter.submit(submission(), go, keep), outcome)
    assert service.submissions() == 1
    assert service.count(str(SENDER), "RE-1001") == len(service.taken) == accepted


@pytest.mark.parametrize("fault", [Fault.BUSY, Fault.UNAVAILABLE])
async def test_a_busy_service_tells_how_long_to_wait(
    service: StandIn, adapter: AccessPoint, fault: Fault
) -> None:
    service.inject(fault)
    outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, NotTaken)
    assert outcome.retry_after == 7.0
    assert outcome.reason.kind is Kind.TRANSIENT


async def test_an_answer_that_does_not_come_in_time_is_unknown(
    service: StandIn, adapter: AccessPoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in has the document when the clock jumps: nobody waits, and nobody is too slow."""
    arrived = asyncio.Event()

    async def never(*args: object) -> None:
        arrived.set()
        await asyncio.sleep(1000 * SECONDS)

    monkeypatch.setattr(service, "around", never)
    sending = asyncio.create_task(adapter.submit(submission(), go, keep))
    await arrived.wait()
    with later(SECONDS):
        outcome = await sending
    assert isinstance(outcome, Unknown)
    assert outcome.reason.code == "peppol.access_point.no_answer"


async def test_the_guard_is_asked_once_and_as_the_last_thing(
    provider: Provider, service: StandIn, adapter: AccessPoint
) -> None:
    seen: list[tuple[str, ...]] = []

    def guard() -> None:
        seen.append(tuple(path.rpartition("/")[2] for _, path, _ in service.requests))

    await adapter.submit(submission(), guard, keep)
    assert seen == [provider.before]
    assert len(service.requests) == len(provider.before) + 1


async def test_a_guard_that_refuses_lets_nothing_leave(
    service: StandIn, adapter: AccessPoint
) -> None:
    with pytest.raises(TooLateError):
        await adapter.submit(submission(), stop, keep)
    assert service.taken == []


async def test_a_document_beyond_the_size_limit_is_not_sent(
    service: StandIn, adapter: AccessPoint
) -> None:
    limit = adapter.capabilities.max_document_bytes
    outcome = await adapter.submit(submission(document=b"x" * (limit + 1)), go, keep)
    assert isinstance(outcome, Rejected)
    assert outcome.reason.code == "peppol.access_point.too_large"
    assert outcome.reason.params["limit"] == str(limit)
    assert service.requests == []


async def test_a_wrong_key_is_for_an_administrator_and_proves_nothing(
    provider: Provider, service: StandIn
) -> None:
    async with connected(provider.name, service.url, key="wrong") as adapter:
        outcome = await adapter.submit(submission(), go, keep)
        found = await adapter.find(with_provider_id(submission(), "doc_1"))
    assert isinstance(outcome, Rejected)
    assert outcome.reason.code == "peppol.access_point.unauthorized"
    assert outcome.reason.kind is Kind.PRECONDITION
    assert isinstance(found, CannotTell)


async def test_nobody_there_means_that_nothing_was_taken_and_that_it_may_be_asked_again(
    provider: Provider,
) -> None:
    async with connected(provider.name, NOWHERE) as adapter:
        outcome = await adapter.submit(submission(), go, keep)
        found = await adapter.find(with_provider_id(submission(), "doc_1"))
        status = await adapter.status("doc_1")
        lookup = await adapter.lookup(RECEIVER)
    assert isinstance(outcome, NotTaken)
    assert outcome.reason.code == "peppol.access_point.unreachable"
    assert isinstance(found, CannotTell)
    assert found.temporary
    assert status.state is DeliveryState.UNKNOWN
    assert status.reason is not None
    assert isinstance(lookup, LookupDown)


# what became of it


async def test_a_lost_answer_is_found_and_how_far_it_is(
    service: StandIn, adapter: AccessPoint
) -> None:
    service.inject(Fault.LOST_ANSWER)
    saved, sent = Saved(), submission()
    await adapter.submit(sent, go, saved)
    found = await adapter.find(with_provider_id(sent, saved.id))
    assert isinstance(found, Found)
    assert found.provider_id == service.taken[0].id
    assert found.status.state is DeliveryState.DELIVERED


async def test_delivery_is_pending_until_the_service_says_so(
    service: StandIn, adapter: AccessPoint
) -> None:
    service.register(str(RECEIVER), *TYPES, pending_polls=2)
    outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, Accepted)
    assert outcome.status.state is DeliveryState.PENDING
    states = [(await adapter.status(outcome.provider_id)).state for _ in range(2)]
    assert states == [DeliveryState.PENDING, DeliveryState.DELIVERED]


async def test_a_failed_delivery_has_its_reason(service: StandIn, adapter: AccessPoint) -> None:
    service.register(str(RECEIVER), *TYPES, pending_polls=1, fails="receiver is closed")
    outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, Accepted)
    status = await adapter.status(outcome.provider_id)
    assert status.state is DeliveryState.FAILED
    assert status.reason is not None
    assert status.reason.params["detail"] == "receiver is closed"


async def test_the_status_of_an_unknown_document_is_unknown(adapter: AccessPoint) -> None:
    status = await adapter.status("doc_nowhere")
    assert status.state is DeliveryState.UNKNOWN
    assert status.reason is not None
    assert status.reason.code == "peppol.access_point.not_found"


# looking a receiver up


@pytest.mark.parametrize("provider", LOOKING, ids=by_name, indirect=True)
async def test_lookup_of_a_registered_receiver_lists_what_it_takes(adapter: AccessPoint) -> None:
    assert await adapter.lookup(RECEIVER) == Registered(TYPES)


@pytest.mark.parametrize("provider", LOOKING, ids=by_name, indirect=True)
async def test_lookup_of_an_unknown_receiver_is_uncertain(adapter: AccessPoint) -> None:
    answer = await adapter.lookup(STRANGER)
    assert isinstance(answer, NotRegistered)
    assert not answer.certain


# any answer


NOTHING_SAID: dict[str, Answer | NoAnswerError] = {
    "none": NoAnswerError(sent=True),
    "too long": said(200, None),
    "empty": said(200),
    "cut off": said(200, b'{"success": true, "state": "SENT", "overallSuccess": true, "id": "do'),
    "a page": said(200, b"<html>OK</html>"),
    "a list": said(200, b"[1]"),
    "null": said(200, b"null"),
    "no content": said(204),
    "a redirect": said(307, location="http://127.0.0.1:9/"),
    "500": said(500, b"Internal Server Error"),
    "502": said(502, b"<html>Bad Gateway</html>"),
    "503 without patience": said(503),
    "504": said(504),
}
REFUSED: dict[str, tuple[Answer | NoAnswerError, type]] = {
    "nothing left": (NoAnswerError(sent=False), NotTaken),
    "429": (said(429, retry_after="5"), NotTaken),
    "503 with patience": (said(503, retry_after="5"), NotTaken),
    "401": (said(401), Rejected),
    "402": (said(402), Rejected),
    "403": (said(403), Rejected),
}
ANSWERS = {name: (answer, Unknown) for name, answer in NOTHING_SAID.items()} | REFUSED


@pytest.mark.parametrize("name", ANSWERS)
async def test_each_answer_to_the_hand_over_has_its_outcome(provider: Provider, name: str) -> None:
    answer, outcome = ANSWERS[name]
    wire = Scripted(*provider.ready, answer)
    assert isinstance(await provider.over(wire).submit(submission(), go, keep), outcome)
    assert wire.transfers == 1


@pytest.mark.parametrize("name", ANSWERS)
async def test_no_such_answer_to_a_question_settles_anything(provider: Provider, name: str) -> None:
    answer, _ = ANSWERS[name]
    found = await provider.over(Scripted(answer)).find(with_provider_id(submission(), "doc_1"))
    assert isinstance(found, CannotTell)
    assert found.temporary
    status = await provider.over(Scripted(answer)).status("doc_1")
    assert status.state is DeliveryState.UNKNOWN
    assert status.reason is not None
    assert status.retry_after == getattr(answer, "retry_after", None)
    assert isinstance(await provider.over(Scripted(answer)).lookup(RECEIVER), LookupDown)


# secrets


async def test_no_secret_shows_in_a_log_a_representation_or_an_error(
    service: StandIn, adapter: AccessPoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shown = [repr(adapter)]
    for fault in Fault:
        service.inject(fault)
        shown.append(repr(await adapter.submit(submission(), go, keep)))
    shown.append(repr(await adapter.find(submission())))
    told = caplog.text + "".join(shown) + repr(service.requests)
    assert len(service.requests) >= len(Fault)
    assert CANARY not in told
    assert b64encode(f"{CANARY}:{SECRET}".encode()).decode() not in told
