"""SIGTERM: take no new work, let running sends finish, exit 0."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sync.drain import AT_ONCE
from sync.model import InvoiceState
from tests.faults.channel import telling, untold
from tests.faults.processes import ROOT, Launcher, Worker
from tests.faults.test_store_trouble import complaints
from tests.faults.web import Webs
from tests.faults.world import World, open_world
from tests.sandbox.access_points import Fault

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

SEVERAL = 2
TROUBLE = {"warning", "error", "critical"}


@pytest.fixture
async def world(launcher: Launcher, tmp_path: Path) -> AsyncIterator[World]:
    """An access point that takes its time, and many invoices."""
    async with open_world(tmp_path, launcher, submit_seconds=6.0) as world:
        tenant = await world.connect()
        await world.finish_first_sync(tenant)
        world.access_point.constant_fault = Fault.SLOW
        world.access_point.slow_seconds = 2.5
        tenant.add(4 * AT_ONCE)
        yield world


async def under_way(world: World, worker: Worker) -> None:
    """Wait until several sends run; on a busy machine they are not prepared more quickly."""

    async def some() -> bool:
        return (await world.states())[InvoiceState.SUBMITTING] >= SEVERAL

    await world.until(some, 30, f"submissions run in {worker.pid}")


async def submitting(world: World) -> bool:
    """Whether a submission is under way."""
    return bool((await world.states())[InvoiceState.SUBMITTING])


def troubles(worker: Worker) -> list[dict[str, object]]:
    """What it complained about."""
    return [entry for entry in complaints(worker) if entry.get("level", "error") in TROUBLE]


async def test_running_sends_finish_and_the_rest_is_left_to_the_next(world: World) -> None:
    """What runs is finished and kept, nothing new begins, nothing is lost."""
    worker = world.start()
    await under_way(world, worker)
    worker.send(signal.SIGTERM)
    await world.until(lambda: bool(worker.logged("stopping")), 20, "the worker is told to stop")
    before = len(world.access_point.taken)
    await world.until(lambda: not worker.alive, 25, "the worker ends")
    assert (worker.status, troubles(worker)) == (0, [])
    assert len(world.access_point.taken) - before <= AT_ONCE
    assert InvoiceState.SUBMITTING.value not in await world.states()
    world.access_point.constant_fault = None
    world.start()
    await world.until_quiet()
    await world.check_promises()


@pytest.mark.slow
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
        await world.until(lambda: not worker.alive, 20, "the worker ends")
        assert (worker.status, troubles(worker)) == (0, [])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (signal.SIGTERM, signal.SIGTERM),
        pytest.param(signal.SIGINT, signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
async def test_a_second_signal_ends_it_at_once(
    first: signal.Signals, second: signal.Signals, launcher: Launcher, tmp_path: Path
) -> None:
    """It does not wait for what runs, and nothing is sent twice or lost by it."""
    async with telling(tmp_path, launcher) as (world, webs, tenant):
        world.access_point.constant_fault = Fault.SLOW
        world.access_point.slow_seconds = 1.0
        held = webs.slack.faults.add("chat.postMessage", "hold", times=None)
        worker = world.start()
        tenant.add(difficult=True)
        await asyncio.wait_for(held.arrived.wait(), 40)  # it waits for Slack, for ten seconds
        tenant.add(2)
        await world.until(lambda: submitting(world), 20, "a submission runs")
        worker.send(first)
        await world.until(lambda: bool(worker.logged("stopping")), 10, "the worker begins to end")
        worker.send(second)
        await world.until(lambda: not worker.alive, 20, "the worker ends")
        assert worker.status == -second
        webs.slack.faults.clear()
        world.access_point.constant_fault = None
        world.start()
        await world.until_quiet(40)
        assert world.doubles() == 0
        assert await untold(world, webs, tenant) == []


@pytest.mark.slow
async def test_the_command_itself_sends_and_ends_in_order(
    launcher: Launcher, tmp_path: Path
) -> None:
    """`xtool serve` as an operator starts it: an interpreter of its own, settings as variables."""
    async with open_world(tmp_path, launcher) as world, Webs(world, 0) as webs:
        tenant = await world.connect(webs.slack.core.team_id)
        invoice = tenant.add()[0]
        log = tmp_path / "serve.log"
        with log.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bot.cli",
                "serve",
                cwd=ROOT,
                env={**os.environ, **variables(world.settings), **variables(webs.settings())},
                stdout=out,
                stderr=asyncio.subprocess.STDOUT,
            )
        tagged = lambda: tenant.account.tags_of(invoice) == ["xTool-Peppol-Sent"]  # noqa: E731
        await world.until(tagged, 40, f"the invoice is sent\n{log.read_text()[-2000:]}")
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 25) == 0
        assert world.accepted(invoice) == 1
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert [line for line in lines if line["level"] in {"error", "critical"}] == []


def variables(settings: dict[str, Any]) -> dict[str, str]:
    """Settings by field name as environment variables."""
    plain = {"data_dir", "encryption_keys", "poll_seconds", "retry_seconds", "sevdesk_rps"}
    return {
        f"XTOOL_{name.upper()}" if name in plain else name.upper(): str(value)
        for name, value in settings.items()
    }
