"""The store dies, freezes, refuses writes or runs full under a working process.

Work pauses, says so in one line, goes on by itself, and nothing that was acknowledged is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.faults.disk import FailingDisk
from tests.faults.processes import Launcher, Worker
from tests.faults.world import Tenant, World, open_world

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

PAUSED, RESUMED = "store cannot be used, work pauses", "store can be used again, work goes on"


@asynccontextmanager
async def busy(
    directory: Path, launcher: Launcher, **store: Any
) -> AsyncIterator[tuple[World, Tenant, Worker]]:
    """A worker in the middle of twenty invoices; `store`: configuration of the store."""
    async with open_world(directory, launcher) as world:
        await _configure(world, **store)
        tenant = await world.connect()
        await world.finish_first_sync(tenant)
        tenant.add(20)
        worker = world.start()
        done = len(world.access_point.taken)
        await world.until(lambda: len(world.access_point.taken) > done + 3, 20, "some are sent")
        yield world, tenant, worker


async def recovers(world: World, worker: Worker) -> None:
    """The same process goes on, all promises hold, and the outage was told once, in two lines."""
    await world.until_decided(60)
    assert worker.alive
    await world.check_promises()
    await world.check_ends()
    await world.until(lambda: bool(worker.logged(RESUMED)), 10, "the worker says that it goes on")
    assert [entry["event"] for entry in complaints(worker)] == [PAUSED, RESUMED]


def complaints(worker: Worker) -> list[dict[str, Any]]:
    """What a worker logged above "info", but for what its store does not promise."""
    entries = [entry for entry in worker.log() if entry.get("level") != "info"]
    return [entry for entry in entries if entry["event"] != "store risk"]


async def until_paused(world: World, worker: Worker) -> None:
    """The worker noticed."""
    await world.until(lambda: bool(worker.logged(PAUSED)), 10, "the worker says that it pauses")


async def test_a_store_that_is_killed_and_comes_back(launcher: Launcher, tmp_path: Path) -> None:
    """kill -9 and a start on what was on the disk."""
    async with busy(tmp_path, launcher) as (world, _, worker):
        await world.store.kill()
        await until_paused(world, worker)
        await world.store.start()
        await recovers(world, worker)


@pytest.mark.slow
async def test_a_store_that_freezes(launcher: Launcher, tmp_path: Path) -> None:
    """SIGSTOP for five seconds."""
    async with busy(tmp_path, launcher) as (world, _, worker):
        world.store.pause()
        await until_paused(world, worker)
        await asyncio.sleep(2)  # five seconds in all, and more than any answer may take
        world.store.resume()
        await recovers(world, worker)


async def _configure(world: World, **values: Any) -> None:
    """CONFIG SET, on a connection of its own."""
    client: Any = Redis.from_url(world.store.url)
    for name, value in values.items():
        await client.config_set(name.replace("_", "-"), value)
    await client.aclose()


async def read_only(world: World) -> None:
    """No write is taken any more."""
    await _configure(world, min_replicas_to_write=1)


async def writable(world: World) -> None:
    """Writes are taken again."""
    await _configure(world, min_replicas_to_write=0)


async def _full(world: World) -> None:
    await _configure(world, maxmemory=1)


async def _roomy(world: World) -> None:
    await _configure(world, maxmemory=0)


@pytest.mark.parametrize(
    ("begin", "end"), [pytest.param(read_only, writable, marks=pytest.mark.slow), (_full, _roomy)]
)
async def test_a_store_that_refuses_writes(
    begin: Callable[[World], Awaitable[None]],
    end: Callable[[World], Awaitable[None]],
    launcher: Launcher,
    tmp_path: Path,
) -> None:
    """Too few replicas, or no memory left: reads work, writes do not."""
    async with busy(tmp_path, launcher) as (world, _, worker):
        await begin(world)
        await until_paused(world, worker)
        await end(world)
        await recovers(world, worker)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of some megabytes under the store's directory."""
    disk = tmp_path / "store"
    disk.mkdir()
    if not mount(disk, "size=6m"):
        pytest.skip("a small disk needs the right to mount a tmpfs")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def mount(disk: Path, options: str) -> bool:
    """Mount a tmpfs, or change the one that is there."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


@pytest.mark.slow
async def test_a_full_disk(small_disk: Path, launcher: Launcher, tmp_path: Path) -> None:
    """The store stays up and refuses writes until there is room again."""
    async with busy(tmp_path, launcher) as (world, _, worker):
        filler = small_disk / "filler"
        with contextlib.suppress(OSError):  # the store writes meanwhile: less may fit
            filler.write_bytes(b"x" * free_bytes(small_disk))
        await until_paused(world, worker)
        filler.unlink()
        await recovers(world, worker)


def free_bytes(disk: Path) -> int:
    """What still fits."""
    status = os.statvfs(disk)
    return status.f_bavail * status.f_bsize


@pytest.mark.slow
async def test_a_disk_that_becomes_read_only(
    failing_disk: FailingDisk, launcher: Launcher, tmp_path: Path
) -> None:
    """Work pauses and says so; when the disk is writable and the store started, it goes on.

    The store writes to its disk before it answers, and so ends where it cannot any more.
    """
    async with busy(tmp_path, launcher, appendfsync="always") as (world, _, worker):
        await asyncio.to_thread(failing_disk.fail)
        with pytest.raises(OSError, match="Read-only"):
            (tmp_path / "store" / "probe").write_text("x")
        await until_paused(world, worker)
        await world.store.kill()
        await asyncio.to_thread(failing_disk.unmount)
        assert await asyncio.to_thread(failing_disk.mount)
        await world.store.start()
        await recovers(world, worker)
