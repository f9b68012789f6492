"""Slack never takes one message, and workers die over it: the others are told, and so is it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bot.cards import member
from bot.store import BotStore
from tests.faults.channel import CHANNEL, posts, telling, untold
from tests.faults.processes import Launcher
from tests.faults.world import Tenant, World

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(200)]

LASTS = 9.0  # seconds in place of ten minutes


async def tries(world: World, tenant: Tenant, invoice_id: str) -> int:
    """How often Slack had an error of its own for the message about an invoice."""
    record = (await world.records(tenant)).get(invoice_id)
    if record is None:
        return 0
    store = BotStore(world.rt.clients)
    place = await store.placed(tenant.org, member(record))
    posted = await store.posted(tenant.org, place) if place else None
    return posted.trouble.times if posted and posted.trouble else 0


async def test_one_message_keeps_no_other_waiting_whoever_dies(
    launcher: Launcher, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """Its buttons are what Slack has an error for; a worker dies with that half counted."""
    async with telling(tmp_path, launcher, card_lasts=LASTS) as (world, webs, tenant):
        (cursed,) = tenant.add(difficult=True)
        webs.slack.faults.add(
            "chat.postMessage", "error", code="internal_error", times=None, about=cursed.id
        )

        async def tried_again() -> bool:
            return await tries(world, tenant, cursed.id) >= 2

        victim = world.start()
        await world.until(tried_again, 60, "it is tried again")
        (other,) = tenant.add(difficult=True)
        await world.until(lambda: posts(webs, other.number) == 1, 60, "the other is told")
        assert posts(webs, cursed.number) == 0
        victim.kill()
        before = await tries(world, tenant, cursed.id)
        world.start()
        await world.until_quiet(90)
        assert await untold(world, webs, tenant) == []
        assert posts(webs, cursed.number) == posts(webs, other.number) == 1
        (shown,) = [m for m in webs.slack.messages(CHANNEL) if (cursed.number or "-") in m.text]
        assert "no buttons" in shown.all_text
        figure(f"killed after {before} answers with an error, then told as text; the other at once")
