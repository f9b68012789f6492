"""Sent again only what a person asked for, whatever lists, polls and other people do meanwhile."""

from __future__ import annotations

import pytest

from sync.model import InvoiceState, TagKind
from sync.sevdesk.models import TagRelation
from tests.engine.world import Engine, World, record

S = InvoiceState
T = TagKind
SENT = "xTool-Peppol-Sent"


async def several_sent(world: World, engine: Engine, count: int) -> list[str]:
    """Invoices that were sent, whose tags lists have shown."""
    numbers = [str(number) for number in range(1, count + 1)]
    for number in numbers:
        world.sevdesk.add_invoice(number)
    await world.run_for(engine, minutes=21)
    assert [world.provider.accepted(f"RE-{number}") for number in numbers] == [1] * count
    return numbers


async def test_of_two_readings_each_removal_must_be_in_both(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person removes the tags of one invoice; the second list, read meanwhile, lacks another."""
    account = world.sevdesk
    numbers = await several_sent(world, engine, 4)
    account.untag("Invoice", "1")
    lists: list[int] = []

    def second_lacks_one() -> tuple[TagRelation, ...]:
        lists.append(1)
        lacks = "2" if len(lists) == 2 else ""
        return tuple(r for r in account.relations.values() if r.object_id != lacks)

    monkeypatch.setattr(account, "listed", second_lacks_one)
    await engine.poll()
    assert len(lists) == 2
    await world.run_for(engine, minutes=21)
    assert [world.provider.accepted(f"RE-{number}") for number in numbers] == [2, 1, 1, 1]
    assert (await record(engine, "2")).generation == 1
