"""A network that goes bad in eight ways before Slack.

While it is bad invoices come in, one is refused by its receiver, and people click. After it is
good again everything is told within one poll and a minute, nothing is sent twice, and the app
answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.channel import CHANNEL, extra, posts, telling, untold
from tests.faults.line import Trouble
from tests.faults.processes import Launcher
from tests.faults.test_network import BAD_SECONDS, RECOVERY_SECONDS, TROUBLES
from tests.faults.web import Webs
from tests.faults.world import Tenant, World
from tests.sandbox.sevdesk import Invoice

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

# A message whose answer was lost is posted again once an answer comes through; of the two kinds
# of messages (sync, failure) the one that was on its way may so be there twice.
EXTRA = 2


async def run_trouble(directory: Path, launcher: Launcher, trouble: Trouble) -> tuple[float, int]:
    """Invoices and clicks come while the line is bad.

    Returns how long the recovery took, and how many messages were told a second time.
    """
    name = trouble.name.lower()
    async with telling(directory / name, launcher, webs=1, on_line=True, provider="phoss-ap") as (
        world,
        webs,
        tenant,
    ):
        webs.turn_to(0)
        world.start()
        old = tenant.add(difficult=True)[0]
        await world.until(lambda: posts(webs, old.number) == 1, 30, "the first failure is told")
        attempts = (await world.records(tenant))[old.id].attempts
        await webs.line.become(trouble)
        tenant.add(2)
        new = tenant.add(difficult=True)[0]
        await asyncio.gather(click(webs, old), asyncio.sleep(BAD_SECONDS))  # the fault itself
        met = lambda: bool(webs.line.hits) or trouble is Trouble.DOWN  # noqa: E731
        await world.until(met, 30, "the trouble is met")  # a busy machine is late
        await webs.line.become(Trouble.NONE)
        took = await world.until_quiet(RECOVERY_SECONDS)
        assert await untold(world, webs, tenant) == []
        assert posts(webs, new.number) >= 1
        twice = await extra(world, webs, tenant)
        assert twice <= EXTRA
        await check_sent(world, tenant, old, attempts)
        await answers(world, webs)
        return took, twice


async def click(webs: Webs, invoice: Invoice) -> None:
    """Three people press the same button; what they are answered may be lost with the line."""
    people = ("admin", "ben", "clara")
    retry = [webs.slack.click("invoice_retry", user=who, value=invoice.id) for who in people]
    for delivery in await asyncio.gather(*retry):
        assert (delivery.status, delivery.error) == (200, "")


async def check_sent(world: World, tenant: Tenant, clicked: Invoice, before: int) -> None:
    """What can be delivered was accepted once; three clicks were one attempt, if any arrived."""
    assert world.doubles() == 0
    for invoice in tenant.account.invoices.values():
        assert world.accepted(invoice) == (invoice.contact == tenant.customer.id), invoice.number
    assert (await world.records(tenant))[clicked.id].attempts - before in (0, 1)


async def answers(world: World, webs: Webs) -> None:
    """The app is there again for people."""
    slack = webs.slack
    before = len(slack.ephemerals("admin"))
    delivery = await slack.command("/sevdesk status", channel=CHANNEL)
    assert (delivery.status, delivery.error) == (200, "")
    await world.until(lambda: len(slack.ephemerals("admin")) > before, 20, "the status is shown")


async def test_a_bad_network_before_slack_costs_time_only(
    launcher: Launcher, tmp_path: Path
) -> None:
    """What was posted and not answered, and what was answered by something else than Slack."""
    await asyncio.gather(
        run_trouble(tmp_path, launcher, Trouble.HALF_CLOSE),
        run_trouble(tmp_path, launcher, Trouble.WRONG_TYPE),
    )


@pytest.mark.slow
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_every_trouble_before_slack_costs_time_only(
    trouble: Trouble, launcher: Launcher, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """Each in its own world."""
    took, twice = await run_trouble(tmp_path, launcher, trouble)
    figure(f"told after {took:.1f} s, {twice} messages twice")
