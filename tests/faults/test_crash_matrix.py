"""SIGKILL at each durable point, while the access point behaves well or badly.

One world per access point: for each point a new invoice comes, a worker starts and kills itself
there, and the next one goes on with what is left. At the end all promises are checked at once, by
the access point's own count.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.faults.processes import Launcher
from tests.faults.traps import SPRUNG
from tests.faults.world import Tenant, World, open_world
from tests.sandbox.access_points import Fault

pytestmark = pytest.mark.faults

type Cell = tuple[str, Fault]

PROVIDERS = ("recommand", "e-invoice-be", "phoss-ap")
POINTS = (
    "after:relations",
    "after:list",
    "before:xml",
    "after:xml",
    "after:put_document",
    "before:put:imported",
    "after:put:imported",
    "before:add_tag",
    "after:add_tag",
    "after:put:ready",
    "before:put:submitting",
    "after:put:submitting",
    "before:submit",
    "after:guard",
    "after:bytes",
    "after:transfer",
    "after:submit",
    "before:put:submitted",
    "after:put:submitted",
    "before:status",
    "after:status",
    "before:put:sent",
    "after:put:sent",
    "before:remove_tag",
    "after:remove_tag",
    "after:hint",
    "before:read_events",
    "before:trim_events",
    "before:put:unconfirmed",
    "after:put:unconfirmed",
    "before:find",
    "after:find",
    "before:put:failed",
    "after:put:failed",
)
DRAFTS = ("before:save", "after:save")  # only where the provider's id is known before the send
BEHAVIOURS = (
    Fault.NONE,
    Fault.LOST_ANSWER,
    Fault.ERROR_BEFORE,
    Fault.ERROR_AFTER,
    Fault.RESET,
    Fault.BUSY,
    Fault.GARBAGE,
)
ANSWERED = (Fault.NONE, Fault.BUSY)  # else a refusal is lost, and cannot be told from a loss
LOSING = (Fault.LOST_ANSWER, Fault.ERROR_AFTER, Fault.RESET, Fault.GARBAGE)


def cells(provider: str, rotation: int) -> list[Cell]:
    """Each point with one behaviour; seven rotations give each point every behaviour.

    The points of an attempt whose answer was lost are reached only if it is lost, those of a
    refusal only if it is told.
    """
    points = POINTS + (DRAFTS if provider == "e-invoice-be" else ())
    return [(p, _behaviour(p, i + rotation)) for i, p in enumerate(points)]


def _behaviour(point: str, number: int) -> Fault:
    if point.endswith((":find", ":put:unconfirmed")):
        return LOSING[number % len(LOSING)]
    if point.endswith(":put:failed"):
        return ANSWERED[number % len(ANSWERED)]
    return BEHAVIOURS[number % len(BEHAVIOURS)]


async def kill_at(world: World, tenant: Tenant, point: str, behaviour: Fault) -> bool:
    """A worker that kills itself at `point`; whether it came that far before all was done."""
    world.access_point.faults.clear()
    world.access_point.inject(behaviour)
    tenant.add(difficult=point.endswith(":put:failed"))
    worker = world.start(f"kill:{point}")

    async def over() -> bool:
        return not worker.alive or await world.is_quiet()

    await world.until(over, 30, f"killed {point}, or all done")
    worker.kill()
    await world.until(lambda: not worker.alive, 5, "the worker ends")
    return bool(worker.logged(SPRUNG))


async def run_matrix(
    directory: Path, launcher: Launcher, provider: str, chosen: list[Cell]
) -> list[str]:
    """Kill at all cells in one world, then check the promises. The points not reached."""
    async with open_world(directory / provider, launcher, provider) as world:
        tenant = await world.connect()
        await world.finish_first_sync(tenant)
        missed = [cell[0] for cell in chosen if not await kill_at(world, tenant, *cell)]
        world.access_point.faults.clear()
        world.start()
        await world.until_quiet(40)
        await world.check_promises()
        return missed


@pytest.mark.timeout(180)
async def test_killed_at_each_point(launcher: Launcher, tmp_path: Path) -> None:
    """Every point once: a third of them with each access point."""
    chosen = [cells(p, number)[number::3] for number, p in enumerate(PROVIDERS)]
    runs = zip(PROVIDERS, chosen, strict=True)
    missed = await asyncio.gather(*(run_matrix(tmp_path, launcher, p, c) for p, c in runs))
    assert missed == [[], [], []]


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("rotation", range(len(BEHAVIOURS)))
async def test_killed_at_each_point_with_each_behaviour(
    rotation: int, launcher: Launcher, tmp_path: Path
) -> None:
    """Every point, every access point; with all rotations, every behaviour."""
    runs = ((p, cells(p, rotation)) for p in PROVIDERS)
    missed = await asyncio.gather(*(run_matrix(tmp_path, launcher, p, c) for p, c in runs))
    assert missed == [[], [], []]
