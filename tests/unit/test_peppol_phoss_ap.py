"""What only phoss-ap does: our own id, failures that go on by themselves, message level status."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from sync.model import ResponseKind
from sync.peppol import doctypes
from sync.peppol.access_point import (
    Absent,
    Accepted,
    AccessPoint,
    CannotTell,
    DeliveryState,
    Found,
    LookupDown,
    Rejected,
    Unknown,
)
from sync.peppol.phoss_ap import PhossAp
from sync.peppol.wire import Answer
from tests.sandbox.access_points import Fault, PhossApStandIn
from tests.unit.peppol_providers import Scripted, connected, running, said
from tests.unit.peppol_support import (
    CANARY,
    RECEIVER,
    go,
    keep,
    submission,
)


@pytest.fixture
async def service() -> AsyncIterator[PhossApStandIn]:
    async with running(PhossApStandIn(token=CANARY)) as stand_in:
        yield stand_in


@pytest.fixture
async def adapter(service: PhossApStandIn) -> AsyncIterator[AccessPoint]:
    async with connected("phoss-ap", service.url) as made:
        yield made


async def test_the_envelope_carries_our_id_and_the_country(
    service: PhossApStandIn, adapter: AccessPoint
) -> None:
    sent = submission()
    outcome = await adapter.submit(sent, go, keep)
    assert isinstance(outcome, Accepted)
    assert outcome.provider_id == sent.attempt_id
    assert (service.taken[0].own_id, service.taken[0].country) == (sent.attempt_id, "DE")


async def test_a_first_try_that_failed_was_taken_and_goes_on_by_itself(
    service: PhossApStandIn, adapter: AccessPoint
) -> None:
    service.first_try_fails = True
    outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, Accepted)
    assert outcome.status.state is DeliveryState.PENDING
    assert (await adapter.status(outcome.provider_id)).state is DeliveryState.DELIVERED


async def test_a_plain_422_is_unknown_and_then_found_as_rejected(
    service: PhossApStandIn, adapter: AccessPoint
) -> None:
    service.verification_fails = True
    sent = submission()
    assert isinstance(await adapter.submit(sent, go, keep), Unknown)
    found = await adapter.find(sent)
    assert isinstance(found, Found)
    assert found.status.state is DeliveryState.FAILED


async def test_an_unknown_receiver_fails_in_the_end(
    service: PhossApStandIn, adapter: AccessPoint
) -> None:
    service.receivers.clear()
    outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, Accepted)
    status = await adapter.status(outcome.provider_id)
    assert status.state is DeliveryState.FAILED
    assert status.reason is not None
    assert "not registered" in status.reason.params["detail"]


async def test_sending_switched_off_is_for_an_administrator(
    service: PhossApStandIn, adapter: AccessPoint
) -> None:
    service.sending_enabled = False
    outcome = await adapter.submit(submission(), go, keep)
    assert isinstance(outcome, Rejected)
    assert outcome.reason.code == "peppol.access_point.disabled"


async def test_an_id_that_is_used_twice_is_sent_twice_and_then_looks_as_if_it_were_not_there(
    service: PhossApStandIn, adapter: AccessPoint
) -> None:
    """Why no attempt takes over the id of the one before, although receivers could notice it."""
    sent = submission()
    for _ in range(2):
        assert isinstance(await adapter.submit(sent, go, keep), Accepted)
    assert len(service.taken) == 2
    assert isinstance(await adapter.find(sent), Absent)


async def test_what_was_never_stored_is_absent(
    service: PhossApStandIn, adapter: AccessPoint
) -> None:
    service.inject(Fault.RESET)
    sent = submission()
    await adapter.submit(sent, go, keep)
    assert await adapter.find(sent) == Absent()


@pytest.mark.parametrize(
    "answer",
    [
        said(404, b"404 page not found\n"),
        said(404, b"<html><title>404 Not Found</title></html>"),
        said(404, {"status": 404, "error": "Not Found", "path": "/api/outbound/status/x"}),
        said(404, None),
    ],
    ids=str,
)
async def test_a_404_of_something_in_between_proves_nothing(answer: Answer) -> None:
    """A reverse proxy says it while phoss-ap itself is restarted; phoss-ap's own has no body."""
    scripted: Any = Scripted(answer)
    found = await PhossAp(scripted).find(submission())
    assert isinstance(found, CannotTell)
    assert found.temporary


async def test_a_rejection_by_the_receivers_side_is_a_failed_delivery(
    service: PhossApStandIn, adapter: AccessPoint
) -> None:
    sent = submission()
    await adapter.submit(sent, go, keep)
    service.mls[sent.attempt_id] = "received_re"
    status = await adapter.status(sent.attempt_id)
    assert status.state is DeliveryState.FAILED
    assert status.reason is not None
    assert status.reason.code == "peppol.delivery.rejected"
    assert [(one.kind, one.code) for one in status.responses] == [(ResponseKind.MLS, "RE")]


async def test_an_acknowledgement_is_shown(service: PhossApStandIn, adapter: AccessPoint) -> None:
    sent = submission()
    await adapter.submit(sent, go, keep)
    service.mls[sent.attempt_id] = "received_ap"
    status = await adapter.status(sent.attempt_id)
    assert status.state is DeliveryState.DELIVERED
    assert [one.code for one in status.responses] == ["AP"]


async def test_a_400_in_its_own_words_is_rejected(
    service: PhossApStandIn, adapter: AccessPoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = replace(submission(), document_type=doctypes.BIS_INVOICE.model_copy(update={"id": "x"}))
    monkeypatch.setattr("sync.peppol.phoss_ap.qualified_doctype", lambda one: one.id)
    outcome = await adapter.submit(sent, go, keep)
    assert isinstance(outcome, Rejected)
    assert "Failed to parse" in outcome.reason.params["detail"]


async def test_it_has_no_lookup_of_its_own(adapter: AccessPoint) -> None:
    answer = await adapter.lookup(RECEIVER)
    assert isinstance(answer, LookupDown)
    assert not answer.dns
