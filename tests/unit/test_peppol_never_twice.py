"""Each adapter, driven as the engine drives it: whatever fails, at most one is accepted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest

from sync.peppol import doctypes
from sync.peppol.access_point import (
    Absent,
    Accepted,
    AccessPoint,
    CannotTell,
    Found,
    NotTaken,
    Submission,
    Unknown,
)
from sync.peppol.registry import Account, access_point
from tests.sandbox.access_points import (
    EInvoiceBeStandIn,
    Fault,
    PhossApStandIn,
    RecommandStandIn,
    StandIn,
)
from tests.sandbox.access_points.base import TAKES
from tests.unit.peppol_support import RECEIVER, go, http, submission

SERVICES: dict[str, Callable[[], StandIn]] = {
    "recommand": lambda: RecommandStandIn(key="k", secret="k", company="k"),
    "e-invoice-be": lambda: EInvoiceBeStandIn(key="k"),
    "phoss-ap": lambda: PhossApStandIn(token="k"),
}


def adapter_for(provider: str, client: httpx.AsyncClient, service: StandIn) -> AccessPoint:
    account = Account(provider, service.url, "k", "k", "k", submit_seconds=2, ask_seconds=2)
    return access_point(client, account)


async def attempt(adapter: AccessPoint) -> tuple[Submission, object]:
    """One attempt with an id of its own, and its outcome; an unknown one is settled."""
    saved: list[str] = []

    async def save(provider_id: str) -> None:
        saved.append(provider_id)

    one = submission()
    outcome: object = await adapter.submit(one, go, save)
    if isinstance(outcome, Unknown):
        one = replace(one, provider_id=saved[-1] if saved else "")
        outcome = await adapter.find(one)
    return one, outcome


@pytest.mark.parametrize("provider", sorted(SERVICES))
@pytest.mark.parametrize(
    "second", [Fault.NONE, Fault.LOST_ANSWER, Fault.ERROR_BEFORE, Fault.ERROR_AFTER]
)
@pytest.mark.parametrize("first", list(Fault))
async def test_two_faults_in_a_row_end_in_at_most_one(
    provider: str, first: Fault, second: Fault
) -> None:
    service = SERVICES[provider]()
    service.slow_seconds = 0.01
    service.register(str(RECEIVER), *(one.id for one in doctypes.SENDABLE))
    await service.start()
    service.inject(first, second)
    async with http() as client:
        adapter = adapter_for(provider, client, service)
        for _ in range(3):
            _, outcome = await attempt(adapter)
            if not isinstance(outcome, (NotTaken, Absent)):
                break
    await service.stop()
    assert isinstance(outcome, (Accepted, Found, CannotTell))
    told_taken = isinstance(outcome, (Accepted, Found))
    assert len(service.taken) <= 1
    assert not told_taken or len(service.taken) == 1


@pytest.mark.parametrize("provider", ["e-invoice-be", "phoss-ap"])
@pytest.mark.parametrize("fault", list(Fault))
async def test_a_provider_that_finds_by_id_never_needs_a_person(
    provider: str, fault: Fault
) -> None:
    service = SERVICES[provider]()
    service.slow_seconds = 0.01
    service.register(str(RECEIVER), *(one.id for one in doctypes.SENDABLE))
    await service.start()
    service.inject(fault)
    async with http() as client:
        _, outcome = await attempt(adapter_for(provider, client, service))
    await service.stop()
    assert not isinstance(outcome, CannotTell)
    assert (fault in TAKES) == isinstance(outcome, (Accepted, Found))
