"""The app was removed and nobody heard of it: after a "week" nothing more is sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bot.store import BotStore
from tests.faults.channel import CHANNEL, telling
from tests.faults.processes import Launcher
from tests.faults.world import Tenant, World

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(200)]

WEEK = 6.0  # seconds
BEFORE, AFTER = 4, 3  # invoices


async def all_tagged(world: World, tenant: Tenant) -> bool:
    """Whether nothing is left to do but to tell."""
    return [line for line in await world.restless(tenant) if "not told" not in line] == []


async def is_paused(world: World, tenant: Tenant) -> bool:
    """As the store says."""
    connection = await world.rt.ports.organisation(tenant.org).connection()
    return connection is not None and connection.pause is not None


async def times(world: World, tenant: Tenant) -> int:
    """How often Slack refused the token, once for each second."""
    refusal = await BotStore(world.rt.clients).refusal(tenant.org)
    return refusal.times if refusal else 0


async def test_nothing_more_is_sent_and_it_goes_on_when_the_token_works(
    launcher: Launcher, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """Two workers, of which the one is killed as soon as it is paused."""
    async with telling(tmp_path, launcher, week=WEEK) as (world, webs, tenant):
        webs.slack.revoke_token("account_inactive")
        victim = world.start()
        world.start()
        tenant.add(BEFORE)
        await world.until(lambda: all_tagged(world, tenant), 60, "the first are sent")
        assert not await is_paused(world, tenant)
        await world.until(lambda: is_paused(world, tenant), 60, "it is paused")
        seen = await times(world, tenant)
        victim.kill()
        known = set(await world.records(tenant))
        tenant.add(AFTER)

        async def three_more() -> bool:  # each after a second, in which there is a poll
            return await times(world, tenant) >= seen + 3

        await world.until(three_more, 60, "it is tried on")
        assert set(await world.records(tenant)) == known
        webs.slack.revoke_token("")
        await world.until_quiet(60)
        said = [message.text for message in webs.slack.messages(CHANNEL, replies=False)]
        assert sum("xTool goes on" in text for text in said) == 1
        assert world.doubles() == 0
        figure(f"paused after {seen} refusals, {AFTER} held back, then sent; 0 twice")
