"""How fast clicks are acknowledged: 50 at once, while 100 invoices are in work.

App, worker and all stand-ins share one process here, so that the figures are an upper bound: the
time holds signing, sending and reading of the stand-in as well.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal

from tests.benchmarks.figures import Figure, spread
from tests.sandbox.cii import Line
from tests.sandbox.slack.workspace import Message
from tests.sandbox.world import World, stand_ins

CLICKS = 50
INVOICES = 100
SECONDS = 120.0


async def measure() -> list[Figure]:
    """Milliseconds from sending a click to its acknowledgement."""
    async with stand_ins(poll_seconds=60, sevdesk_rps=100) as world, world.app():
        more = INVOICES - len(world.seeded.unpaid)
        for _ in range(more):
            line = Line("Wartung", Decimal(2), Decimal("78.50"), unit="HUR")
            world.seeded.account.add_invoice(world.seeded.hotel, [line])
        message = await _connected(world)
        first = await _waves(world, message, lambda: False, waves=1)
        idle = await _waves(world, message, lambda: False, waves=8)
        await _send_all(world)
        busy = await _waves(world, message, lambda: _sent(world) >= more - 2, waves=60)
        sent = _sent(world)
    return [
        *spread(f"ack of the first {CLICKS} clicks of a process", first, "ms"),
        *spread(f"ack of {CLICKS} clicks at once, nothing else to do", idle, "ms"),
        *spread(f"ack of {CLICKS} clicks at once, {INVOICES} invoices in work", busy, "ms"),
        Figure("clicks while invoices were in work", len(busy), ""),
        Figure("invoices sent meanwhile", sent, ""),
    ]


async def _connected(world: World) -> Message:
    """Connect, and wait until the first sync asks whether to send."""
    slack = world.slack
    await slack.command("/sevdesk connect")
    await slack.wait_for(lambda: slack.modal("admin").callback_id == "connect", SECONDS)
    channel = slack.channel("invoices").id
    await slack.submit(values={"token": world.token, "channel": channel})
    await slack.wait_for(lambda: _has_button(world), SECONDS)
    return slack.messages("invoices", replies=False)[0]


def _has_button(world: World) -> bool:
    try:
        world.slack.find("invoices_send_all")
    except LookupError:
        return False
    return True


async def _send_all(world: World) -> None:
    await world.slack.click("invoices_send_all")


def _sent(world: World) -> int:
    return world.access_point.submissions()


async def _waves(
    world: World, message: Message, done: Callable[[], bool], waves: int
) -> list[float]:
    """Waves of clicks, each as soon as the last one was acknowledged."""
    times: list[float] = []

    async def click() -> None:
        began = time.perf_counter()
        delivery = await world.slack.click("home_status", user="member", message=message)
        assert delivery.status == 200, delivery.error
        times.append((time.perf_counter() - began) * 1000)

    for _ in range(waves):
        await asyncio.gather(*(click() for _ in range(CLICKS)))
        if done():
            break
        await asyncio.sleep(0.5)  # a wave of fifty people, then the next
    return times
