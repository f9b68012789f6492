"""A first sync of 10,000 invoices, killed again and again: what it costs, and what people see."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.notifier import FIRST_PAUSE
from sync.drain import AT_ONCE
from sync.model import InvoiceState
from sync.syncing import IMPORTS_AT_ONCE
from tests.faults.channel import CHANNEL, choose_channel, extra, untold
from tests.faults.processes import Launcher
from tests.faults.test_hostile_xml import Watch
from tests.faults.web import Webs
from tests.faults.world import Tenant, World, open_world

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

PAGE = 980  # rows of a list that one more request brings: 1,000 less the overlap
KILLS = 5
FEW = 60, 2  # invoices and kills of the default run


def asked(world: World, method: str, path: str) -> int:
    """How many requests."""
    return len(world.sevdesk.calls(method, path))


async def first_sync(
    directory: Path, launcher: Launcher, count: int, kills: int, figure: Callable[[str], None]
) -> None:
    """Kill it at random pages and imports, then let it end, and count what it cost."""
    dice = random.Random(count)
    settings = {"poll_seconds": 1 + count // 500}  # a poll reads lists of so many rows
    async with (
        open_world(directory, launcher, settings=settings, documents="none") as world,
        Webs(world, 0) as webs,
    ):
        world.knobs["slack"] = webs.settings()
        tenant = await world.connect(webs.slack.core.team_id)
        await choose_channel(world, webs, tenant)
        began = time.monotonic()
        tenant.add(count)
        world.sevdesk.forget()
        memory = 0.0
        for number in range(kills):
            point = "xml" if number % 2 else "list"
            nth = dice.randint(1, count // kills) if number % 2 else 1
            memory = max(memory, await _watched(world, f"kill:after:{point}:{nth}", count))
        memory = max(memory, await _watched(world, "", count))
        states = await world.states()
        assert states == {InvoiceState.WAITING: count}
        assert memory < 300
        xml, tags = asked(world, "GET", "/getXml$"), asked(world, "POST", "/Tag/Factory")
        relations = asked(world, "GET", "/TagRelation$")
        lists = asked(world, "GET", "^/Invoice$")
        pages = 1 + (count - 1) // PAGE
        polls = max(1, lists // (pages + 1))
        figure(
            f"{xml} getXml, {tags} tags, {lists} pages of invoices and {relations} of relations "
            f"in {polls} polls, {kills} kills, worker {memory:.0f} MB at most"
        )
        # A tag write that was cut off is looked up before it is repeated.
        assert relations <= (polls + 1 + kills * AT_ONCE) * (pages + 1)
        assert xml <= count + kills * IMPORTS_AT_ONCE
        assert tags <= count + kills * AT_ONCE
        assert world.doubles() == 0
        edits = await check_messages(world, webs, tenant, kills, time.monotonic() - began)
        figure(f"1 summary message, edited {edits} times")


async def check_messages(
    world: World, webs: Webs, tenant: Tenant, kills: int, seconds: float
) -> int:
    """One message for the whole sync, edited now and then; how often.

    A kill around the post may double it, and nothing else.
    """
    assert await untold(world, webs, tenant) == []
    twice = await extra(world, webs, tenant)
    summaries = webs.slack.messages(CHANNEL, replies=False)
    assert len(summaries) - twice == 1, [message.text for message in summaries]
    assert twice <= 1
    edits = len(webs.slack.calls("chat.update"))
    assert edits <= seconds / FIRST_PAUSE + 2 * (kills + 1)
    return edits


async def _watched(world: World, trap: str, count: int) -> float:
    """Run a worker to its death or to the end; the most memory that it held (MB)."""
    worker = world.start(trap)
    watch = Watch(worker.pid)
    task = asyncio.create_task(watch.run())

    async def over() -> bool:
        return not worker.alive or await _all_done(world, count)

    await world.until(over, 1500, "the first sync ends, or the worker is killed")
    task.cancel()
    return watch.worker


async def _all_done(world: World, count: int) -> bool:
    """Counts first: looking at each record of ten thousand would be most of the work."""
    await asyncio.sleep(0.3)
    counts = await world.rt.ports.organisation(world.tenants[0].org).records.counts()
    return counts == {InvoiceState.WAITING: count} and await world.is_quiet()


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_ten_thousand_invoices(
    launcher: Launcher, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """The requests of the formula, and a bounded memory."""
    await first_sync(tmp_path, launcher, 10_000, KILLS, figure)


async def test_some_invoices(
    launcher: Launcher, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """A small version for every run."""
    await first_sync(tmp_path, launcher, *FEW, figure)
