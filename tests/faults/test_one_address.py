"""A primary and its replica behind one address, as most hosts give it: the replica takes over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.cluster import Node, until
from tests.faults.line import Line
from tests.faults.processes import Launcher, Worker
from tests.faults.test_cluster import PAUSED, RESUMED, complaints, until_quiet
from tests.faults.world import Tenant, World, open_world

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]


@dataclass
class Pair:
    """Two servers, and the line that leads to one of them."""

    primary: Node
    replica: Node
    line: Line

    @property
    def url(self) -> str:
        """The one address."""
        return f"redis://127.0.0.1:{self.line.port}"

    def follows(self) -> bool:
        """Whether the replica has everything, and the primary knows."""
        told = self.primary.info("replication")
        return bool(told["connected_slaves"] == 1 and told["slave0"]["state"] == "online")

    def lead_to(self, node: Node) -> None:
        """New connections go there; the old ones stay where they are."""
        self.line._target = node.port


@asynccontextmanager
async def a_pair(directory: Path) -> AsyncIterator[Pair]:
    """Both running."""
    primary = Node(directory / "primary")
    replica = Node(directory / "replica", replicaof=f"127.0.0.1 {primary.port}")
    pair = Pair(primary, replica, Line(primary.port))
    try:
        await asyncio.gather(primary.start(), replica.start())
        await until(pair.follows, "the replica follows")
        await pair.line.start()
        yield pair
    finally:
        await pair.line.stop()
        primary.stop()
        replica.stop()


async def _killed(pair: Pair) -> None:
    """kill -9; the replica is promoted after a while, and the address leads to it."""
    pair.primary.kill()
    await pair.line.stop()
    await asyncio.sleep(3)  # nobody promotes at once
    pair.replica.client.execute_command("REPLICAOF", "NO", "ONE")
    pair.lead_to(pair.replica)
    await pair.line.start()


async def _demoted(pair: Pair) -> None:
    """In good order, but old connections live on, to a server that refuses writes from now on."""
    pair.primary.client.execute_command("FAILOVER")
    await until(lambda: pair.replica.info("replication")["role"] == "master", "it takes over")
    await asyncio.sleep(3)  # the address follows late
    pair.lead_to(pair.replica)


@asynccontextmanager
async def busy(
    directory: Path, launcher: Launcher, pair: Pair
) -> AsyncIterator[tuple[World, Tenant, Worker]]:
    """A worker in the middle of twenty invoices."""
    async with open_world(directory, launcher, "phoss-ap", store=pair) as world:
        tenant = await world.connect()
        await world.finish_first_sync(tenant)
        tenant.add(20)
        worker = world.start()
        done = len(world.access_point.taken)
        await world.until(lambda: len(world.access_point.taken) > done + 3, 40, "some are sent")
        yield world, tenant, worker


@pytest.mark.slow
@pytest.mark.parametrize("takeover", [_killed, _demoted])
async def test_a_replica_takes_over_behind_the_address(
    takeover: Callable[[Pair], Awaitable[None]],
    launcher: Launcher,
    tmp_path: Path,
    figure: Callable[[str], None],
) -> None:
    """Work pauses, says so in two lines, and goes on; nothing is sent twice."""
    async with a_pair(tmp_path) as pair, busy(tmp_path, launcher, pair) as (world, tenant, worker):
        await takeover(pair)
        tenant.add(3)
        took = await until_quiet(world)
        await world.check_promises()
        assert world.doubles() == 0
        await world.until(lambda: bool(worker.logged(RESUMED)), 20, "the worker says it goes on")
        assert complaints(worker) == [PAUSED, RESUMED]
        assert worker.alive
        figure(f"quiet {took:.1f} s after the address led to the new one, 0 twice")


@pytest.mark.slow
async def test_a_cut_off_primary_refuses_when_it_must_have_a_replica(
    launcher: Launcher, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """`min-replicas-to-write 1`: the replica is gone, so nothing is sent until it is back."""
    async with a_pair(tmp_path) as pair, busy(tmp_path, launcher, pair) as (world, tenant, worker):
        await until_quiet(world)
        pair.primary.client.config_set("min-replicas-to-write", 1)
        pair.replica.kill()
        await world.until(lambda: bool(worker.logged(PAUSED)), 40, "the worker pauses")
        before = world.access_point.submissions()
        tenant.add(3)
        await asyncio.sleep(3)  # several polls
        assert world.access_point.submissions() == before
        await pair.replica.start()
        took = await until_quiet(world)
        await world.check_promises()
        figure(f"quiet {took:.1f} s after the replica came back, {world.doubles()} twice")
