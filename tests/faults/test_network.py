"""A network that goes bad in eight ways, before sevDesk or the access point.

While it is bad invoices come in. After it is good again everything is done within one poll and a
minute, nothing twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.faults.line import Line, Trouble
from tests.faults.processes import Launcher
from tests.faults.test_crash_matrix import PROVIDERS
from tests.faults.world import World, open_world

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

BAD_SECONDS = 3.0
RECOVERY_SECONDS = 1 + 60  # one poll of these worlds, and a minute
TROUBLES = tuple(trouble for trouble in Trouble if trouble is not Trouble.NONE)
SWALLOWING = (Trouble.DOWN, Trouble.RESET, Trouble.TIMEOUT)  # nothing arrives behind the line


async def put_line(world: World, setting: str) -> Line:
    """Let the workers reach a stand-in through a line."""
    parts = urlsplit(world.settings[setting])
    assert parts.port is not None
    line = Line(parts.port)
    await line.start()
    world.settings[setting] = parts._replace(netloc=f"127.0.0.1:{line.port}").geturl()
    return line


async def run_trouble(
    directory: Path, launcher: Launcher, setting: str, trouble: Trouble, provider: str = "phoss-ap"
) -> float:
    """Invoices come while the line is bad; how long the recovery took."""
    name = f"{setting}-{provider}-{trouble.name}".lower()
    async with open_world(directory / name, launcher, provider) as world:
        line = await put_line(world, setting)
        try:
            tenant = await world.connect()
            await world.finish_first_sync(tenant)
            world.start()
            tenant.add(2)
            await world.until_quiet()
            await line.become(trouble)
            tenant.add(5)
            sent = len(world.access_point.taken)
            await asyncio.sleep(BAD_SECONDS)  # the fault itself
            met = lambda: bool(line.hits) or trouble is Trouble.DOWN  # noqa: E731
            await world.until(met, 30, "the trouble is met")  # a busy machine is late
            assert trouble not in SWALLOWING or len(world.access_point.taken) == sent
            await line.become(Trouble.NONE)
            took = await world.until_quiet(RECOVERY_SECONDS)
            await world.until_decided()
            await world.check_promises()
            await world.check_ends()
            return took
        finally:
            await line.stop()


async def test_a_bad_network_costs_time_only(launcher: Launcher, tmp_path: Path) -> None:
    """Some troubles; `slow` has all."""
    await asyncio.gather(
        run_trouble(tmp_path, launcher, "sevdesk_api_url", Trouble.RESET),
        run_trouble(tmp_path, launcher, "sevdesk_api_url", Trouble.DOWN),
        run_trouble(tmp_path, launcher, "peppol_api_url", Trouble.TRUNCATED),
        run_trouble(tmp_path, launcher, "peppol_api_url", Trouble.TIMEOUT, "recommand"),
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_every_trouble_of_the_network_costs_time_only(
    trouble: Trouble, launcher: Launcher, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """Before sevDesk and before each access point at the same time, each in its own world."""
    took = await asyncio.gather(
        run_trouble(tmp_path, launcher, "sevdesk_api_url", trouble),
        *(run_trouble(tmp_path, launcher, "peppol_api_url", trouble, p) for p in PROVIDERS),
    )
    there = ", ".join(f"{one:.1f} s ({p})" for one, p in zip(took[1:], PROVIDERS, strict=True))
    figure(f"recovered after {took[0]:.1f} s (sevDesk), {there}")
