"""Working off what is due: an invoice is in one pair of hands at a time."""

from __future__ import annotations

import asyncio

import pytest

from sync.sending import Sender
from tests.engine.world import ORG, Engine, World, record


class Slow(Sender):
    """Takes its time, and counts how many are at the same invoice."""

    at_once = 0
    most = 0
    visits = 0

    async def advance(self, invoice_id: str) -> None:
        """One visit."""
        Slow.at_once += 1
        Slow.visits += 1
        Slow.most = max(Slow.most, Slow.at_once)
        await asyncio.sleep(0.01)
        Slow.at_once -= 1


async def test_an_invoice_that_is_wanted_meanwhile_is_looked_at_again_and_not_twice_at_once(
    engine: Engine,
) -> None:
    Slow.at_once = Slow.most = Slow.visits = 0
    sender = Slow(engine.ports, ORG)
    await asyncio.gather(*(engine.drain._advance(sender, "1") for _ in range(5)))
    assert (Slow.most, Slow.visits) == (1, 2)
    await engine.drain._advance(sender, "1")
    assert Slow.visits == 3


async def test_sending_reads_the_tags_of_the_account_for_no_invoice(
    world: World, engine: Engine
) -> None:
    for number in range(20):
        world.sevdesk.add_invoice(str(number))
    await engine.poll()
    before = world.sevdesk.calls["tag_relations"]
    await engine.work()
    assert world.sevdesk.calls["tag_relations"] == before
    assert all([(await record(engine, str(n))).tag_relation for n in range(20)])


async def test_what_is_due_is_taken_by_as_many_as_there_is_work_for(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes: list[list[str]] = []
    take = engine.drain.take

    async def counted(org: str, count: int) -> list[str]:
        taken = await take(org, count)
        takes.append(taken)
        return taken

    monkeypatch.setattr(engine.drain, "take", counted)
    monkeypatch.setattr("sync.drain.Sender", Slow)
    Slow.at_once = Slow.most = Slow.visits = 0
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await engine.work()
    assert (Slow.most, takes) == (1, [["1"], [], []])
    for number in range(2, 22):
        world.sevdesk.add_invoice(str(number))
    await engine.poll()
    await engine.work()
    assert Slow.most == 8, "as many as may be at once"
    assert {i for taken in takes for i in taken} == {str(n) for n in range(1, 22)}
