"""Several workers on one store, a fifth of all submissions going wrong, kills all the time."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sync.model import InvoiceState
from tests.faults.processes import Launcher, Worker
from tests.faults.web import Webs
from tests.faults.world import LOOK_AT_ALL, World, open_world
from tests.sandbox.access_points import Fault, StandIn
from tests.sandbox.sevdesk import Drop
from tests.sandbox.sevdesk import Fault as SevdeskFault

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

SEED = 20261122
FAULTS = (
    Fault.LOST_ANSWER,
    Fault.ERROR_BEFORE,
    Fault.ERROR_AFTER,
    Fault.RESET,
    Fault.BUSY,
    Fault.GARBAGE,
)


@contextmanager
def faulty(access_point: StandIn, share: float, dice: random.Random) -> Iterator[Counter[Fault]]:
    """A share of the submissions goes wrong, each in one of six ways; how many went how."""

    met: Counter[Fault] = Counter()

    def next_fault(*_: object) -> Fault:
        fault = dice.choice(FAULTS) if dice.random() < share else Fault.NONE
        met[fault] += 1
        return fault

    access_point.next_fault = next_fault  # type: ignore[assignment, method-assign]
    yield met
    del access_point.next_fault


class Sometimes(SevdeskFault):
    """A share of sevDesk's answers is lost after the request was carried out, or is a 503."""

    share = 0.0
    dice = random.Random(SEED)

    def matches(self, method: str, path: str) -> bool:
        """By chance."""
        if self.dice.random() >= self.share:
            return False
        self.hits += 1
        self.drop = self.dice.choice((Drop.BEFORE, Drop.AFTER, Drop.MID_BODY, None))
        self.status = None if self.drop else 503
        return True


async def kill_until_done(
    world: World, workers: int, every: float, seconds: float, dice: random.Random
) -> int:
    """Keep so many workers running, kill one every `every` seconds; how many were killed."""
    alive: list[Worker] = [world.start() for _ in range(workers)]
    kills, next_kill, end = 0, time.monotonic() + every, time.monotonic() + seconds

    async def step() -> bool:
        nonlocal kills, next_kill
        if time.monotonic() >= next_kill:
            victim = alive.pop(dice.randrange(len(alive)))
            victim.kill()
            alive.append(world.start())
            kills, next_kill = kills + 1, time.monotonic() + every
        return await world.is_quiet()

    await world.until(step, end - time.monotonic(), f"{workers} workers finish", LOOK_AT_ALL)
    return kills


async def test_two_workers_are_killed_in_turn(launcher: Launcher, tmp_path: Path) -> None:
    """A small version for every run: each import is accepted once, and all are done."""
    dice = random.Random(SEED)
    async with open_world(tmp_path, launcher, "phoss-ap") as world:
        tenant = await world.connect()
        await world.finish_first_sync(tenant)
        tenant.add(50)
        with faulty(world.access_point, 0.2, dice):
            assert await kill_until_done(world, 2, 1.0, 50, dice) >= 2
        await world.check_promises()
        await world.check_ends()
        assert await world.states() == {InvoiceState.SENT: 51}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("provider", ["phoss-ap", "recommand"])
async def test_eight_workers_two_webs_and_a_thousand_invoices(
    provider: str, launcher: Launcher, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """Each import is accepted once; where nobody can know, a person was asked and decides."""
    dice = random.Random(SEED)
    async with open_world(tmp_path, launcher, provider) as world, Webs(world, 2) as webs:
        tenant = await world.connect()
        await world.finish_first_sync(tenant)
        tenant.add(1000)
        sometimes = Sometimes(times=1)
        sometimes.share = 0.05
        world.sevdesk.inject(sometimes)
        began = time.monotonic()
        with faulty(world.access_point, 0.2, dice) as met:
            async with webs.asked_all_the_time():
                kills = await kill_until_done(world, 8, 2.0, 900, dice)
        took = time.monotonic() - began
        await world.check_promises()
        states = await world.states()
        assert set(states) <= {InvoiceState.SENT, InvoiceState.UNCONFIRMED}
        assert provider == "recommand" or set(states) == {InvoiceState.SENT}
        figure(
            f"{took:.0f} s, {kills} kills, {world.access_point.submissions()} requests, "
            f"{len(world.access_point.taken)} accepted, {world.doubles()} twice, "
            f"{dict(states)}, {webs.answered} commands answered, {len(webs.late)} late, "
            f"{met.total() - met[Fault.NONE]} of {met.total()} submissions and "
            f"{sometimes.hits} of sevDesk's answers went wrong"
        )
        assert met.total() - met[Fault.NONE] >= 0.15 * met.total() >= 150
        assert set(met) == {Fault.NONE, *FAULTS}
        assert sometimes.hits >= 100
        assert webs.answered > 0
        await world.until_decided(120)
        await world.check_ends()
