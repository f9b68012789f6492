"""SIGKILL around the posts to Slack: whatever happened is told once or more, never not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.store import BotStore
from tests.faults.processes import Launcher
from tests.faults.traps import SPRUNG
from tests.faults.web import Webs
from tests.faults.world import Tenant, World, open_world

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

POINTS = (
    "before:slack:chat_postMessage",
    "after:slack:chat_postMessage",
    "before:trim_events",
)


@asynccontextmanager
async def telling(directory: Path, launcher: Launcher) -> AsyncIterator[tuple[World, Webs, Tenant]]:
    """Workers with the real notifier, and the channel that they tell."""
    async with open_world(directory, launcher) as world, Webs(world, 0) as webs:
        world.knobs["slack"] = webs.settings()
        org = webs.slack.core.team_id
        tenant = await world.connect(org)
        channel = webs.slack.channel("invoices").id
        await BotStore(world.rt.clients).change_prefs(org, channel=channel, owner="U1")
        await world.finish_first_sync(tenant)
        yield world, webs, tenant


def posts(webs: Webs, number: str | None) -> int:
    """How many messages of their own tell of an invoice."""
    found = webs.slack.messages("invoices", replies=False)
    return sum(1 for message in found if number and number in message.text)


@pytest.mark.timeout(120)
async def test_a_failure_is_told_although_workers_die_while_they_tell_it(
    launcher: Launcher, tmp_path: Path
) -> None:
    """A failure has a message of its own; a death right after the post may double it."""
    async with telling(tmp_path, launcher) as (world, webs, tenant):
        numbers = []
        for point in POINTS:
            numbers.append(tenant.add(difficult=True)[0].number)
            worker = world.start(f"kill:{point}")
            await world.until(lambda: not worker.alive, 30, f"killed {point}")  # noqa: B023
            assert worker.logged(SPRUNG)
        world.start()
        await world.until_quiet()
        told = [posts(webs, number) for number in numbers]
        assert min(told) >= 1
        assert sum(told) <= len(numbers) + 1
