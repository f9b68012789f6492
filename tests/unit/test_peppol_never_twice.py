"""Each adapter, driven as the engine drives it: whatever fails, at most one is accepted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sync.peppol.access_point import (
    Absent,
    Accepted,
    AccessPoint,
    CannotTell,
    FindOutcome,
    Found,
    NotTaken,
    SubmitOutcome,
    Unknown,
)
from tests.sandbox.access_points import Fault, StandIn
from tests.sandbox.access_points.base import TAKES
from tests.unit.peppol_providers import PROVIDERS, Provider, by_name, connected, running
from tests.unit.peppol_support import Saved, go, submission, with_provider_id

BY_ID = [one for one in PROVIDERS if one.name != "recommand"]


@asynccontextmanager
async def meeting(provider: Provider, *faults: Fault) -> AsyncIterator[tuple[StandIn, AccessPoint]]:
    """An adapter and its service, which goes like this."""
    async with running(provider.stand_in()) as service:
        service.slow_seconds = 0.01
        service.inject(*faults)
        async with connected(provider.name, service.url) as adapter:
            yield service, adapter


async def attempt(adapter: AccessPoint) -> SubmitOutcome | FindOutcome:
    """The outcome of one attempt with an id of its own; an unknown one is settled."""
    saved, one = Saved(), submission()
    outcome = await adapter.submit(one, go, saved)
    if isinstance(outcome, Unknown):
        return await adapter.find(with_provider_id(one, saved.id))
    return outcome


@pytest.mark.parametrize("provider", PROVIDERS, ids=by_name)
@pytest.mark.parametrize(
    "second", [Fault.NONE, Fault.LOST_ANSWER, Fault.ERROR_BEFORE, Fault.ERROR_AFTER]
)
@pytest.mark.parametrize("first", list(Fault))
async def test_two_faults_in_a_row_end_in_at_most_one(
    provider: Provider, first: Fault, second: Fault
) -> None:
    async with meeting(provider, first, second) as (service, adapter):
        for _ in range(3):
            outcome = await attempt(adapter)
            if not isinstance(outcome, (NotTaken, Absent)):
                break
    assert isinstance(outcome, (Accepted, Found, CannotTell))
    told_taken = isinstance(outcome, (Accepted, Found))
    assert len(service.taken) <= 1
    assert not told_taken or len(service.taken) == 1


@pytest.mark.parametrize("provider", BY_ID, ids=by_name)
@pytest.mark.parametrize("fault", list(Fault))
async def test_a_provider_that_finds_by_id_never_needs_a_person(
    provider: Provider, fault: Fault
) -> None:
    async with meeting(provider, fault) as (_, adapter):
        outcome = await attempt(adapter)
    assert not isinstance(outcome, CannotTell)
    assert (fault in TAKES) == isinstance(outcome, (Accepted, Found))
