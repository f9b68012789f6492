"""A sevDesk that takes two requests a second, asked at the default pace by the whole product."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sandbox.seed import SENDER
from tests.sandbox.world import stand_ins
from tests.scenarios.test_journey import connect

INVOICES = 300


@pytest.mark.slow
@pytest.mark.timeout(2400)
async def test_no_invoice_fails_at_a_limit_and_little_is_wasted(
    record_property: Callable[[str, object], None],
) -> None:
    async with stand_ins(poll_seconds=60, sevdesk_rps=4) as world, world.app():
        await connect(world)
        account, first = world.seeded.account, world.seeded.unpaid[0]
        await world.until(lambda: account.tags_of(first) == ["xTool-Peppol-Sent"], 60)
        world.sevdesk.limit_rate(2)
        world.sevdesk.forget()
        world.sevdesk.accepted = 0
        added = [account.add_invoice(world.seeded.hotel) for _ in range(INVOICES)]
        await world.slack.command("/sevdesk sync")
        done = lambda: all(account.tags_of(i) == ["xTool-Peppol-Sent"] for i in added)  # noqa: E731
        await world.until(done, 2000)
    asked = len(world.sevdesk.log)
    wasted = asked - world.sevdesk.accepted
    seconds = world.sevdesk.log[-1].at - world.sevdesk.log[0].at
    record_property("wasted", f"{wasted} of {asked} ({wasted / asked:.2%}) in {seconds:.0f} s")
    print(f"wasted {wasted} of {asked} ({wasted / asked:.2%}) in {seconds:.0f} s")  # noqa: T201
    numbers = [invoice.number or "" for invoice in added]
    assert {world.access_point.count(SENDER, number) for number in numbers} == {1}
    failures = [m for m in world.slack.messages("invoices") if any(n in m.text for n in numbers)]
    assert not failures
    assert 0 < wasted <= 0.05 * asked
