"""SIGKILL at each durable point, while the access point behaves well or badly.

For each cell of the matrix a new invoice comes into a world where nothing else is left to do, a
worker kills itself at the point, and another one goes on with what is left. So a cell's death is
its own invoice's, and so is its behaviour, which must have been met. Where nobody can know whether
an invoice was taken, a person looks it up at the access point and says so.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.faults.processes import Launcher
from tests.faults.traps import SPRUNG
from tests.faults.world import LOOK_AT_ALL, Tenant, World, open_world, register_receivers
from tests.sandbox.access_points import Fault, RecommandStandIn

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
    "before:add_tag:2",  # the swap's first half: the first tag was that of the import
    "after:add_tag:2",
    "before:remove_tag",  # its second half
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
LOSING = (Fault.LOST_ANSWER, Fault.ERROR_BEFORE, Fault.ERROR_AFTER, Fault.RESET, Fault.GARBAGE)
PENDING = 3  # status calls before the end, so that a look-up does not find it delivered already
PATIENCE = 90.0  # seconds: a cell takes three on an idle machine
AT_ONCE = 3  # worlds of one access point: most of a cell is waiting


def cells(provider: str, rotation: int) -> list[Cell]:
    """Each point with one behaviour; seven rotations give each point every behaviour.

    The points of an attempt whose answer was lost are reached only if it is lost.
    """
    points = POINTS + (DRAFTS if provider == "e-invoice-be" else ())
    return [(p, _behaviour(p, i + rotation)) for i, p in enumerate(points)]


def _behaviour(point: str, number: int) -> Fault:
    known = LOSING if point.endswith((":find", ":put:unconfirmed")) else BEHAVIOURS
    return known[number % len(known)]


async def run_cell(world: World, tenant: Tenant, point: str, behaviour: Fault) -> None:
    """A worker dies at `point`, the next one goes on; nothing of it is left to the next cell."""
    difficult = point.endswith(":put:failed")
    invoice = tenant.add(difficult=difficult)[0]
    world.access_point.inject(behaviour)
    doomed = world.start(f"kill:{point}")

    async def dead() -> bool:
        await world.decide()
        return not doomed.alive

    await world.until(dead, PATIENCE, f"killed {point}, {behaviour}", LOOK_AT_ALL)
    assert doomed.logged(SPRUNG), f"the worker ended otherwise: {doomed.log()[-3:]}"
    survivor = world.start()
    await world.until_decided(PATIENCE)
    assert not world.access_point.faults, f"{behaviour} was not met by {invoice.number}"
    assert world.accepted(invoice) == (not difficult), (point, behaviour)
    survivor.kill()
    await world.until(lambda: not survivor.alive, 20, "the survivor ends")


async def run_matrix(
    directory: Path, launcher: Launcher, provider: str, chosen: list[Cell]
) -> None:
    """Die in all cells in one world, then check the promises."""
    async with open_world(directory, launcher, provider) as world:
        register_receivers(world.access_point, PENDING)
        tenant = await world.connect()
        await world.finish_first_sync(tenant)
        for cell in chosen:
            await run_cell(world, tenant, *cell)
        await world.check_promises()
        await world.check_ends()


async def run_all(directory: Path, launcher: Launcher, chosen: dict[str, list[Cell]]) -> None:
    """Each access point's cells, in some worlds at the same time."""
    async with asyncio.TaskGroup() as group:
        for provider, its in chosen.items():
            for part in range(AT_ONCE):
                name = directory / f"{provider}-{part}"
                run = run_matrix(name, launcher, provider, its[part::AT_ONCE])
                group.create_task(run)


@pytest.mark.timeout(180)
async def test_killed_at_each_point(launcher: Launcher, tmp_path: Path) -> None:
    """Every point once: a third of them with each access point."""
    chosen = {p: cells(p, number)[number::3] for number, p in enumerate(PROVIDERS)}
    await run_all(tmp_path, launcher, chosen)


@pytest.mark.parametrize(
    ("point", "behaviour"),
    [
        ("after:transfer", Fault.LOST_ANSWER),
        pytest.param("after:put:unconfirmed", Fault.ERROR_AFTER, marks=pytest.mark.slow),
        pytest.param("before:find", Fault.GARBAGE, marks=pytest.mark.slow),
    ],
)
async def test_killed_while_nobody_can_know(
    point: str, behaviour: Fault, launcher: Launcher, tmp_path: Path
) -> None:
    """Recommand has sent it and does not list it yet: that is no proof, so a person is asked."""
    async with open_world(tmp_path, launcher, "recommand") as world:
        assert isinstance(world.access_point, RecommandStandIn)
        tenant = await world.connect()
        await world.finish_first_sync(tenant)
        world.access_point.listing = False
        await run_cell(world, tenant, point, behaviour)
        await world.check_promises()
        await world.check_ends()


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("rotation", range(len(BEHAVIOURS)))
async def test_killed_at_each_point_with_each_behaviour(
    rotation: int, launcher: Launcher, tmp_path: Path
) -> None:
    """Every point, every access point; with all rotations, every behaviour."""
    await run_all(tmp_path, launcher, {p: cells(p, rotation) for p in PROVIDERS})
