"""SIGSTOP of a worker at a point, for longer than all its leases, then SIGCONT.

Another worker goes on meanwhile and settles what the first one left; where it cannot know, a
person looks it up and says what is to be done. What the first does when it wakes must not hand the
document over a second time, nor undo what became of it.

One gap can not be closed from this side: between the last look at the clock and the first byte. A
worker that is paused exactly there (`after:guard`) hands over later what may have been sent again.
What becomes of it depends on the access point, and the tests count it.
"""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest

from tests.faults.processes import Launcher
from tests.faults.test_crash_matrix import (
    AT_ONCE,
    DRAFTS,
    LOSING,
    PATIENCE,
    PENDING,
    POINTS,
    PROVIDERS,
)
from tests.faults.traps import SPRUNG
from tests.faults.world import Tenant, World, open_world, register_receivers

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

GAP = "after:guard"
PAUSED_SECONDS = 3.0  # at least: more than twice a submission's 1.2 s, and than any lease
CHECKED = tuple(point for point in (*POINTS, "before:guard") if point != GAP)


async def pause_at(world: World, tenant: Tenant, point: str, *, person: bool) -> None:
    """A worker stops at `point`, another does everything, the first wakes and ends in order.

    `person`: whether somebody decides what nobody else can know.
    """
    tenant.add(difficult=point.endswith(":put:failed"))
    if point.endswith((":find", ":put:unconfirmed")):
        world.access_point.inject(LOSING[len(world.workers) % len(LOSING)])
    sleeper = world.start(f"stop:{point}")
    await world.until(lambda: sleeper.stopped, PATIENCE, f"a worker is stopped {point}")
    assert sleeper.logged(SPRUNG)
    began = time.monotonic()
    other = world.start()
    settled = world.until_decided if person else world.until_quiet
    await settled(PATIENCE)
    await asyncio.sleep(began + PAUSED_SECONDS - time.monotonic())  # the pause itself
    sleeper.send(signal.SIGCONT)
    sleeper.send(signal.SIGTERM)
    await world.until(lambda: sleeper.status == 0, PATIENCE, f"paused {point}, it ends")
    await settled(PATIENCE)
    assert not world.access_point.faults
    other.kill()
    await world.until(lambda: not other.alive, 20, "the other ends")


async def run_pauses(
    directory: Path, launcher: Launcher, provider: str, points: tuple[str, ...]
) -> None:
    """All points in one world: nothing twice, and each invoice as if nobody had been paused."""
    async with open_world(directory, launcher, provider) as world:
        register_receivers(world.access_point, PENDING)
        tenant = await world.connect()
        await world.finish_first_sync(tenant)
        for point in points:
            await pause_at(world, tenant, point, person=True)
        await world.check_promises()
        await world.check_ends()


async def test_a_paused_worker_does_not_send_again(launcher: Launcher, tmp_path: Path) -> None:
    """Some points; `slow` has all."""
    await asyncio.gather(
        run_pauses(tmp_path / "1", launcher, "recommand", ("after:put:submitting",)),
        run_pauses(tmp_path / "2", launcher, "e-invoice-be", ("before:guard",)),
        run_pauses(tmp_path / "3", launcher, "phoss-ap", ("before:submit",)),
    )


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_paused_worker_does_not_send_again_from_any_point(
    provider: str, launcher: Launcher, tmp_path: Path
) -> None:
    """All points of the crash matrix but the gap, in some worlds at the same time."""
    points = CHECKED + (DRAFTS if provider == "e-invoice-be" else ())
    async with asyncio.TaskGroup() as group:
        for part in range(AT_ONCE):
            its = points[part::AT_ONCE]
            group.create_task(run_pauses(tmp_path / f"{part}", launcher, provider, its))


# Doubles after a pause between the last check and the first byte. Recommand cannot prove that
# something is not there, so xTool asks a person instead of sending again. e-invoice.be sends a
# draft once: settling deletes it. phoss-ap knows our id, but takes the same document under two.
REMAINDER = {"recommand": 0, "e-invoice-be": 0, "phoss-ap": 1}


@pytest.mark.slow
async def test_a_pause_right_before_the_bytes_leaves_the_documented_remainder(
    launcher: Launcher, tmp_path: Path
) -> None:
    """The documented remainder, counted by each access point."""

    async def run(provider: str) -> int:
        async with open_world(tmp_path / provider, launcher, provider) as world:
            tenant = await world.connect()
            await world.finish_first_sync(tenant)
            await pause_at(world, tenant, GAP, person=False)
            await world.check_promises(doubles=world.doubles())
            return world.doubles()

    found = await asyncio.gather(*(run(provider) for provider in PROVIDERS))
    assert dict(zip(PROVIDERS, found, strict=True)) == REMAINDER
