"""Redis Cluster of three masters with a replica each: all slots, and masters that die."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.crc import key_slot

from bot.installations import Installed, ManyWorkspaces, StateStore
from sync.errors import StoreError
from sync.jobs import NAME
from sync.model import InvoiceState
from sync.settings import Settings
from sync.store.keys import Keys
from sync.store.organisation import Organisation
from sync.store.redis import Clients
from sync.vault import open_vault
from tests.faults.cluster import ValkeyCluster, until
from tests.faults.processes import Launcher, Worker
from tests.faults.web import Webs
from tests.faults.world import Tenant, World, open_world

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

PAUSED, RESUMED = "store cannot be used, work pauses", "store can be used again, work goes on"
ORGS = ("T1", "T2", "T4")  # one on each master
JOBS = f"{{{NAME}}}:stream"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyCluster]:
    """One for the file."""
    made = ValkeyCluster(tmp_path_factory.mktemp("cluster"))
    try:
        asyncio.run(made.start())
        yield made
    finally:
        made.stop()


@pytest.fixture
async def cluster(running: ValkeyCluster) -> ValkeyCluster:
    """Whole and empty."""
    await running.heal()
    running.empty()
    return running


def third(key: str) -> int:
    """Which third of the slots a key is in."""
    return key_slot(key.encode()) * 3 // 16384


def test_the_organisations_are_on_three_masters() -> None:
    """Else the tests below would not show much."""
    assert {third(Keys(org).due) for org in ORGS} == {0, 1, 2}


@asynccontextmanager
async def busy(
    directory: Path, launcher: Launcher, cluster: ValkeyCluster, count: int, provider: str
) -> AsyncIterator[tuple[World, list[Tenant]]]:
    """Workers in the middle of `count` invoices of each of three organisations."""
    async with open_world(directory, launcher, provider, store=cluster) as world:
        tenants = [await world.connect(org) for org in ORGS]
        for tenant in tenants:
            tenant.add()  # of many in a first sync a person would be asked
        first = world.start()
        await world.until_quiet(40)
        first.kill()
        for tenant in tenants:
            tenant.add(count)
            tenant.add(1, difficult=True)
        done = len(world.access_point.taken)
        for _ in range(2):
            world.start()
        await world.until(lambda: len(world.access_point.taken) > done + 3, 40, "some are sent")
        yield world, tenants


async def until_quiet(world: World, seconds: float = 90) -> float:
    """As the world's, while the test's own looks at the store may fail."""

    async def quiet() -> bool:
        with contextlib.suppress(StoreError):
            return await world.is_quiet()
        return False

    return await world.until(quiet, seconds, "everything is settled")


def complaints(worker: Worker) -> list[str]:
    """What a worker said besides what it always says."""
    lines = [e for e in worker.log() if e.get("level") != "info" and e["event"] != "store risk"]
    return [entry["event"] for entry in lines]


async def test_what_touches_several_keys_and_nodes(cluster: ValkeyCluster) -> None:
    """What the way of an invoice does not touch: installations, OAuth, accounts, the doctor."""
    clients = Clients(cluster.url)
    vault = await open_vault(
        Settings.load(redis_url=cluster.url, encryption_keys=base64.b64encode(bytes(32)).decode()),
        clients,
    )
    workspaces, states = ManyWorkspaces(clients, vault), StateStore(clients)
    for org in ORGS:
        await workspaces.save(Installed(org=org, secret=SecretStr(f"xoxb-{org}"), at=1.0))
        found = await workspaces.find(org)
        assert found is not None
        assert found.token == f"xoxb-{org}"
        store = Organisation(clients, org, timedelta(days=1))
        assert await store.claim_account("1") == ORGS[0]
        await store.erase(datetime.now(UTC))
        assert not cluster.keys(Keys(org).prefix)
    state = await states.async_issue()
    assert await states.async_consume(state)
    assert not await states.async_consume(state)
    assert await clients.redis.execute_command("PING")  # as /readyz does
    await clients.look()
    assert {key_slot(k.encode()) * 3 // 16384 for k in cluster.keys("xt:")} == {0, 1, 2}
    found_durability = await clients.durability()
    assert (found_durability.replicas, found_durability.waitaof) == (1, True)
    assert set(found_durability.risks) - {"no_waitaof"} == {"replica_not_required"}
    await asyncio.gather(*(clients.exact.incr("{a}:burst") for _ in range(300)))
    assert await clients.redis.get("{a}:burst") == "300"
    await clients.aclose()


@pytest.mark.slow
async def test_a_master_dies_while_invoices_are_sent(
    launcher: Launcher, tmp_path: Path, cluster: ValkeyCluster, figure: Callable[[str], None]
) -> None:
    """Its replica takes over, work goes on by itself; then everything of one organisation goes."""
    async with busy(tmp_path, launcher, cluster, 8, "phoss-ap") as (world, tenants):
        dead = cluster.master_of(JOBS)
        dead.kill()
        took = await until_quiet(world)
        await world.check_promises()
        assert cluster.taken_over(JOBS, dead)
        assert await world.states() == {InvoiceState.SENT: 27, InvoiceState.FAILED: 3}
        figure(f"quiet {took:.1f} s after the kill, {world.doubles()} twice")
        for worker in world.workers[1:]:
            assert worker.alive
            assert complaints(worker) in ([], [PAUSED], [PAUSED, RESUMED])
        await world.kill_all()
        for tenant in tenants:
            assert cluster.keys(Keys(tenant.org).prefix)
            await world.rt.service.erase(tenant.org)
            assert cluster.keys(Keys(tenant.org).prefix) == []


@pytest.mark.slow
@pytest.mark.parametrize("whose", [JOBS, Keys("T1").due, Keys("T2").due, Keys("T4").due])
async def test_two_workers_two_webs_a_hundred_invoices_and_a_dead_master(
    whose: str,
    launcher: Launcher,
    tmp_path: Path,
    cluster: ValkeyCluster,
    figure: Callable[[str], None],
) -> None:
    """The one with the jobs, and the one of each organisation."""
    async with busy(tmp_path, launcher, cluster, 33, "phoss-ap") as (world, _):
        async with Webs(world, 2) as webs, webs.asked_all_the_time():
            dead = cluster.master_of(whose)
            dead.kill()
            took = await until_quiet(world, 120)
            before = webs.answered
            await world.until(lambda: webs.answered > before + 2, 30, "people get answers again")
        await world.check_promises()
        assert await world.states() == {InvoiceState.SENT: 102, InvoiceState.FAILED: 3}
        assert all(worker.alive for worker in world.workers[1:])
        figure(
            f"{took:.1f} s after the kill, {world.doubles()} twice, {len(webs.late)} late answers"
        )


@pytest.mark.slow
async def test_an_attempt_that_no_replica_has_does_not_leave(
    launcher: Launcher, tmp_path: Path, cluster: ValkeyCluster, figure: Callable[[str], None]
) -> None:
    """The replica is frozen, sends are tried, the master dies, and the replica takes over.

    That nothing leaves is what this shows. A frozen process may still find the attempts in its
    socket when it wakes up, so sends without the wait need not be doubled here.
    """
    async with open_world(tmp_path, launcher, "phoss-ap", store=cluster) as world:
        tenant = await world.connect("T1")
        await world.finish_first_sync(tenant)
        master = cluster.master_of(Keys("T1").due)
        replica = cluster.replica_of(master)
        before = world.access_point.submissions()
        replica.freeze()
        worker = world.start()
        tenant.add(10)
        await world.until(
            lambda: len(worker.logged("not safe yet")) >= 3, 60, "attempts wait for the replica"
        )
        assert {e["missing"] for e in worker.logged("not safe yet")} == {"replica"}
        assert world.access_point.submissions() == before
        master.kill()
        replica.thaw()
        await until(lambda: cluster.taken_over(Keys("T1").due, master), "the replica takes over")
        took = await until_quiet(world)
        await world.check_promises()
        assert await world.states() == {InvoiceState.SENT: 11}
        figure(f"done {took:.1f} s after it took over, {world.doubles()} twice")


@pytest.mark.slow
async def test_a_master_that_freezes(
    launcher: Launcher, tmp_path: Path, cluster: ValkeyCluster, figure: Callable[[str], None]
) -> None:
    """It says nothing at all, as a host without power, and wakes up when another has its place."""
    async with busy(tmp_path, launcher, cluster, 8, "phoss-ap") as (world, _):
        frozen = cluster.master_of(JOBS)
        frozen.freeze()
        took = await until_quiet(world, 120)
        frozen.thaw()
        world.tenants[0].add(3)
        await until_quiet(world)
        await world.check_promises()
        assert await world.states() == {InvoiceState.SENT: 30, InvoiceState.FAILED: 3}
        figure(f"quiet {took:.1f} s after it froze, {world.doubles()} twice")
