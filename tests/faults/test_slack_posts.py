"""SIGKILL around the posts to Slack: whatever happened is told once or more, never not at all.

For each death there is an invoice that is refused and one that is delivered: the first has a
message of its own, the second is in that of its sync. What the access point does with the first
submission is another thing each time.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.faults.channel import extra, posts, telling, untold
from tests.faults.processes import Launcher
from tests.faults.test_crash_matrix import BEHAVIOURS, PATIENCE
from tests.faults.traps import SPRUNG
from tests.faults.web import Webs
from tests.faults.world import Tenant, World
from tests.sandbox.access_points import Fault

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

POINTS = (
    "before:slack:chat_postMessage",
    "after:slack:chat_postMessage",
    "before:slack:chat_postMessage:2",
    "after:slack:chat_postMessage:2",
    "before:slack:chat_update",
    "after:slack:chat_update",
    "before:read_events",
    "before:trim_events",
    "after:trim_events",
)
ONE = ((POINTS[1], BEHAVIOURS[0]),)  # a post whose answer dies with the worker


async def die(
    world: World, webs: Webs, tenant: Tenant, point: str, behaviour: Fault
) -> tuple[str, str]:
    """A worker dies while it tells of two invoices, the next tells the rest; their numbers."""
    world.access_point.inject(behaviour)
    refused, sent = tenant.add(difficult=True)[0], tenant.add()[0]
    doomed = world.start(f"kill:{point}")
    await world.until(lambda: not doomed.alive, PATIENCE, f"killed {point}, {behaviour}")
    assert doomed.logged(SPRUNG)
    survivor = world.start()
    await world.until_decided(PATIENCE)
    assert not world.access_point.faults
    assert await untold(world, webs, tenant) == []
    survivor.kill()
    await world.until(lambda: not survivor.alive, 20, "the survivor ends")
    return str(refused.number), str(sent.number)


async def run(directory: Path, launcher: Launcher, cells: tuple[tuple[str, Fault], ...]) -> None:
    """All deaths in one world: each failure and each sync is told, and hardly anything twice."""
    async with telling(directory, launcher, provider="phoss-ap") as (world, webs, tenant):
        pairs = [await die(world, webs, tenant, *cell) for cell in cells]
        told = [posts(webs, refused) for refused, _ in pairs]
        assert min(told) >= 1
        # Slack takes no key, so a post whose answer died with the worker is there twice.
        posted = sum(point.startswith("after:slack:chat_post") for point, _ in cells)
        assert await extra(world, webs, tenant) <= posted
        await world.check_ends()


async def test_what_happened_is_told_although_workers_die_while_they_tell_it(
    launcher: Launcher, tmp_path: Path
) -> None:
    """One point; `slow` has all."""
    await run(tmp_path, launcher, ONE)


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_all_is_told_whatever_the_access_point_does(
    launcher: Launcher, tmp_path: Path
) -> None:
    """All points with all behaviours, each behaviour in its own world."""
    for behaviours in (BEHAVIOURS[:4], BEHAVIOURS[4:]):
        async with asyncio.TaskGroup() as group:
            for behaviour in behaviours:
                cells = tuple((point, behaviour) for point in POINTS)
                group.create_task(run(tmp_path / behaviour.name, launcher, cells))
