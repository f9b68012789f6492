"""What the channel shows after a fault, against what happened by the records."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bot.cards import member
from bot.store import BotStore
from sync.model import InvoiceState
from tests.faults.processes import Launcher
from tests.faults.web import Webs
from tests.faults.world import Tenant, World, open_world

CHANNEL = "invoices"
FAILURES = (InvoiceState.FAILED, InvoiceState.BLOCKED)


@asynccontextmanager
async def telling(
    directory: Path, launcher: Launcher, *, webs: int = 0, on_line: bool = False, **world: Any
) -> AsyncIterator[tuple[World, Webs, Tenant]]:
    """Workers with the real notifier, and the channel that they tell; the first sync is done."""
    async with (
        open_world(directory, launcher, **world) as made,
        Webs(made, webs, on_line=on_line) as slack,
    ):
        made.knobs["slack"] = slack.settings()
        tenant = await made.connect(slack.slack.core.team_id)
        await choose_channel(made, slack, tenant)
        await made.finish_first_sync(tenant)
        yield made, slack, tenant


async def choose_channel(world: World, webs: Webs, tenant: Tenant) -> None:
    """Messages of an organisation go to the channel, in English."""
    channel = webs.slack.channel(CHANNEL).id
    store = BotStore(world.rt.clients)
    await store.change_prefs(tenant.org, channel=channel, owner="U0ADMIN", chosen=True)


def posts(webs: Webs, number: str | None) -> int:
    """How many messages of their own tell of an invoice."""
    found = webs.slack.messages(CHANNEL, replies=False)
    return sum(1 for message in found if number and number in message.text)


async def cards(world: World, tenant: Tenant) -> dict[str, dict[str, Any]]:
    """Where each card stands, by its name, as the app remembers it."""
    prefix = BotStore.key(tenant.org, "card:")
    pattern = prefix.replace("{", "\\{").replace("}", "\\}") + "*"
    names = [key async for key in world.redis.scan_iter(match=pattern, count=1000)]
    found = await world.redis.mget(names) if names else []
    return {
        key.removeprefix(prefix): json.loads(value)
        for key, value in zip(names, found, strict=True)
        if value
    }


async def untold(world: World, webs: Webs, tenant: Tenant) -> list[str]:
    """What happened and no message shows: a failure, a sync, or a card without its message."""
    kept = await cards(world, tenant)
    records = (await world.records(tenant)).values()
    store = BotStore(world.rt.clients)
    missing = [f"sync {r.run}" for r in records if r.run and f"run:{r.run}" not in kept]
    for record in records:
        failed = record.state in FAILURES
        if failed and await store.placed(tenant.org, member(record)) not in kept:
            missing.append(f"failure {record.number}")
    live = {(message.channel, message.ts) for message in webs.slack.messages(CHANNEL)}
    missing += [name for name, c in kept.items() if (c["channel"], c["ts"]) not in live]
    return sorted(set(missing))


async def extra(world: World, webs: Webs, tenant: Tenant) -> int:
    """Messages beyond one for each card: told a second time."""
    return len(webs.slack.messages(CHANNEL)) - len(await cards(world, tenant))
