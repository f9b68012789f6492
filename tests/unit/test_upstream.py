from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from sync.sevdesk.client import SevdeskClient
from sync.sevdesk.transport import build_http
from sync.store.redis import Clients
from sync.upstream import Care, careful
from tests.sandbox.seed import TOKEN, Seeded, seed_company
from tests.sandbox.sevdesk import SevdeskStandIn

LIMIT = 40  # requests a second that the stand-in takes
TASKS, ROUNDS = 8, 20
# When the machine stalls, all tasks that wait wake at once; that says nothing of the pace.
AT_ONCE = TASKS + 2


@pytest.fixture
async def sevdesk() -> AsyncIterator[SevdeskStandIn]:
    async with SevdeskStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def seeded(sevdesk: SevdeskStandIn) -> Seeded:
    return seed_company(sevdesk)


async def test_a_limited_account_wastes_few_requests_and_answers_all(
    clients: Clients, sevdesk: SevdeskStandIn, seeded: Seeded
) -> None:
    """Twice as fast as sevDesk takes it, by eight tasks of two workers."""
    sevdesk.limit_rate(LIMIT, burst=AT_ONCE)
    cares = [Care(clients, "T1", 2 * LIMIT) for _ in range(2)]
    async with build_http() as http:
        calls = [
            careful(SevdeskClient(http, sevdesk.base_url, TOKEN, c.pace, hold=c.hold), c)
            for c in cares
        ]

        async def read(place: int) -> None:
            for _ in range(ROUNDS):
                await calls[place % 2].invoice(seeded.unpaid[0].id)

        await asyncio.gather(*(read(place) for place in range(TASKS)))
    wasted = len(sevdesk.log) - sevdesk.accepted
    assert sevdesk.accepted == TASKS * ROUNDS
    assert wasted <= 0.05 * len(sevdesk.log)
