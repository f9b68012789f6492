"""SIGTERM: take no new work, let running sends finish, exit 0."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sync.drain import AT_ONCE
from sync.model import InvoiceState
from tests.faults.processes import Launcher, Worker
from tests.faults.world import World, open_world
from tests.sandbox.access_points import Fault

pytestmark = pytest.mark.faults

TROUBLE = {"warning", "error", "critical"}


@pytest.fixture
async def world(launcher: Launcher, tmp_path: Path) -> AsyncIterator[World]:
    """An access point that takes its time, and many invoices."""
    async with open_world(tmp_path, launcher, submit_seconds=3.0) as world:
        tenant = await world.connect()
        await world.finish_first_sync(tenant)
        world.access_point.constant_fault = Fault.SLOW
        world.access_point.slow_seconds = 1.0
        tenant.add(3 * AT_ONCE)
        yield world


async def under_way(world: World, worker: Worker) -> int:
    """Wait until as many sends run as may; how many."""

    async def full() -> bool:
        return (await world.states())[InvoiceState.SUBMITTING] == AT_ONCE

    await world.until(full, 20, f"{AT_ONCE} submissions run in {worker.pid}")
    return AT_ONCE


def troubles(worker: Worker) -> list[dict[str, object]]:
    """What it complained about."""
    return [entry for entry in worker.log() if entry.get("level", "error") in TROUBLE]


async def test_running_sends_finish_and_nothing_new_begins(world: World) -> None:
    """What runs is finished and kept; the rest waits for the next worker."""
    before = len(world.access_point.taken)
    worker = world.start()
    running = await under_way(world, worker)
    asked = time.monotonic()
    worker.send(signal.SIGTERM)
    await world.until(lambda: not worker.alive, 25, "the worker ends")
    assert (worker.status, troubles(worker)) == (0, [])
    assert time.monotonic() - asked < 5
    assert len(world.access_point.taken) - before == running
    assert InvoiceState.SUBMITTING.value not in await world.states()


async def test_what_was_left_is_done_by_the_next_worker(world: World) -> None:
    """Nothing is lost by ending in order."""
    worker = world.start()
    await under_way(world, worker)
    worker.send(signal.SIGTERM)
    await world.until(lambda: not worker.alive, 25, "the worker ends")
    world.access_point.constant_fault = None
    world.start()
    await world.until_quiet()
    await world.check_promises()


async def test_what_takes_too_long_is_cut_off_and_settled_later(world: World) -> None:
    """At the end of its patience the worker ends all the same, and nothing is sent twice."""
    worker = world.start(drain_seconds=0.3)
    await under_way(world, worker)
    worker.send(signal.SIGTERM)
    await world.until(lambda: not worker.alive, 5, "the worker ends")
    assert worker.status == 0
    assert [entry["event"] for entry in troubles(worker)] == ["jobs cut off"]
    world.access_point.constant_fault = None
    world.start()
    await world.until_quiet(40)
    await world.check_promises()


async def test_a_worker_that_waits_ends_at_once(launcher: Launcher, tmp_path: Path) -> None:
    """Nothing to do is no reason to wait."""
    async with open_world(tmp_path, launcher) as world:
        await world.finish_first_sync(await world.connect())
        worker = world.start()
        await world.until(lambda: bool(worker.logged("working")), 10, "the worker works")
        worker.send(signal.SIGTERM)
        took = await world.until(lambda: not worker.alive, 10, "the worker ends")
        assert (worker.status, troubles(worker)) == (0, [])
        assert took < 3
