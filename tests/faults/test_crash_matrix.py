"""SIGKILL at each durable point, while the access point behaves well or badly.

One world per access point: for each point a new invoice comes, a worker starts and kills itself
there, and the next one goes on with what is left. At the end all promises are checked at once, by
the access point's own count.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.processes import Launcher
from tests.faults.traps import SPRUNG
from tests.faults.world import World, open_world
from tests.sandbox.access_points import Fault

pytestmark = pytest.mark.faults

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
)
LOST = ("before:put:unconfirmed", "after:put:unconfirmed", "before:find", "after:find")
FAILING = ("before:put:failed", "after:put:failed")
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
SOME = tuple(zip(POINTS[::2], BEHAVIOURS * 2, strict=False))


async def kill_at(world: World, point: str, behaviour: Fault) -> bool:
    """A worker that kills itself at `point`; whether it came that far before all was done."""
    tenant = world.tenants[0]
    world.access_point.faults.clear()
    world.access_point.inject(behaviour)
    tenant.add(difficult=point in FAILING)
    worker = world.start(f"kill:{point}")

    async def over() -> bool:
        return not worker.alive or await world.is_quiet()

    await world.until(over, 20, f"killed {point}, or all done")
    worker.kill()
    await world.until(lambda: not worker.alive, 5, "the worker ends")
    return bool(worker.logged(SPRUNG))


async def run_matrix(
    directory: Path, launcher: Launcher, provider: str, cells: list[tuple[str, Fault]]
) -> set[str]:
    """Kill at all cells in one world, then check the promises. The points that were reached."""
    async with open_world(directory, launcher, provider) as world:
        await world.connect()
        reached = {point for point, how in cells if await kill_at(world, point, how)}
        world.access_point.faults.clear()
        world.start()
        await world.until_quiet(40)
        await world.check_promises()
        return reached


@pytest.mark.parametrize("provider", ["recommand"])
async def test_killed_at_some_points(provider: str, launcher: Launcher, tmp_path: Path) -> None:
    """A part of the matrix, for every run."""
    reached = await run_matrix(tmp_path, launcher, provider, list(SOME))
    assert reached == {point for point, _ in SOME}
