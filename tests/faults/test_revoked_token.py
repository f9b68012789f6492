"""Slack refuses the token while invoices are sent: bounded events, and a summary in the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.store import BotStore
from sync.store.keys import Keys
from tests.faults.channel import CHANNEL, telling
from tests.faults.processes import Launcher
from tests.faults.web import Webs
from tests.faults.world import Tenant, World

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

KEPT = 20  # in place of a thousand
SENT, FAILED = 15, 3


async def all_tagged(world: World, tenant: Tenant) -> bool:
    """Whether nothing is left to do but to tell."""
    return [line for line in await world.restless(tenant) if "not told" not in line] == []


async def heal(world: World, webs: Webs, tenant: Tenant) -> None:
    """The token works again, and it is tried again: in production within an hour."""
    for install in webs.slack.core.installs.values():
        install.error = ""
    await BotStore(world.rt.clients).speak(tenant.org)


@pytest.mark.slow
async def test_a_revoked_token_costs_messages_and_no_memory(
    launcher: Launcher, tmp_path: Path
) -> None:
    """Everything is sent meanwhile; afterwards one message says where all invoices stand."""
    async with telling(tmp_path, launcher, kept=KEPT) as (world, webs, tenant):
        events = Keys(tenant.org).events
        webs.slack.revoke_token()
        world.start()
        tenant.add(SENT)
        tenant.add(FAILED, difficult=True)
        await world.until(lambda: all_tagged(world, tenant), 60, "everything is sent")

        async def bounded() -> bool:
            return 0 < int(await world.redis.xlen(events)) <= KEPT

        await world.until(bounded, 30, "the events are bounded")
        before = len(webs.slack.messages(CHANNEL))
        await heal(world, webs, tenant)
        await world.until_quiet(60)
        summary = webs.slack.messages(CHANNEL)[before]
        assert "could not post here" in summary.text
        assert f"*{SENT + 1}* sent" in summary.all_text
        assert f"*{FAILED}* " in summary.all_text
        told = [m for m in webs.slack.messages(CHANNEL) if m.text == summary.text]
        assert len(told) == 1
