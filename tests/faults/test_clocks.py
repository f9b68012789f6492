"""Two workers on hosts whose clocks are six minutes apart.

One hands an invoice over; its request is under way for long and the worker is paused meanwhile.
The other one's clock shows that the attempt's deadline passed long ago. It must not settle it: the
access point (phoss-ap) knows nothing of it yet, and would be believed.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.faults.processes import Launcher, Worker
from tests.faults.world import Tenant, World, open_world

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

FAST = 360.0  # seconds


class Gate:
    """Holds submissions before the access point knows of them."""

    def __init__(self, world: World) -> None:
        self.arrived = 0
        self.shut = True
        self.opened = asyncio.Event()
        self._around: Callable[..., Awaitable[web.Response]] = world.access_point.around
        world.access_point.around = self._held  # type: ignore[assignment, method-assign]

    async def _held(self, *args: Any) -> web.Response:
        if self.shut:
            self.arrived += 1
            await self.opened.wait()
        return await self._around(*args)

    def open(self) -> None:
        """Everything goes on."""
        self.shut = False
        self.opened.set()


async def handing_over(world: World, tenant: Tenant, gate: Gate, **clock: Any) -> Worker:
    """A worker that is paused while its request is under way."""
    tenant.add()
    paused = world.start(**clock)
    await world.until(lambda: gate.arrived == 1, 30, "the request is under way")
    paused.send(signal.SIGSTOP)
    return paused


@pytest.mark.parametrize(
    ("by", "one", "two"),
    [
        ("store", 0.0, FAST),
        pytest.param("store", -FAST, 0.0, marks=pytest.mark.slow),
        pytest.param("host", 0.0, FAST, marks=pytest.mark.slow),
    ],
)
async def test_hosts_whose_clocks_differ(
    by: str, one: float, two: float, launcher: Launcher, tmp_path: Path
) -> None:
    """By the store's clock there is no double; that hosts' clocks make one shows the test's worth.

    By the store's clock the second worker has sent another invoice in the meantime, so it has
    looked at everything that it takes for due.
    """
    async with open_world(tmp_path, launcher, "phoss-ap", submit_seconds=20.0) as world:
        tenant = await world.connect()
        await world.finish_first_sync(tenant)
        gate = Gate(world)
        paused = await handing_over(world, tenant, gate, ahead=one, by=by)
        gate.shut = by == "host"
        other = world.start(ahead=two, by=by)
        if by == "host":
            await world.until(lambda: gate.arrived == 2, 30, "it is handed over again")
        else:
            (second,) = tenant.add()
            await world.until(lambda: world.accepted(second) == 1, 30, "the other one works")
        gate.open()
        paused.send(signal.SIGCONT)
        await world.until_quiet(60)
        other.kill()
        await world.check_promises(doubles=1 if by == "host" else 0)
