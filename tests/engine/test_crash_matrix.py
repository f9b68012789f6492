"""Dying at every point of an invoice's way, with every answer of an access point.

The points are counted in a run that does not die; then one process after another dies at each
of them, before an effect or after it, and a fresh one goes on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass

import pytest

from sync.model import InvoiceState, Outcome, TagKind
from sync.peppol.access_point import Find
from sync.store.redis import Clients
from tests.engine.access_point import Behaviour, Provider
from tests.engine.crash import Crash, Process
from tests.engine.world import ME, ORG, Engine, World, inconsistencies, record, stuck, told

S = InvoiceState
NUMBER = "RE-1"


async def died(script: Awaitable[None]) -> bool:
    """Whether the process died on its way; any other trouble is raised."""
    try:
        await script
    except Crash:
        return True
    except BaseExceptionGroup as errors:
        _, others = errors.split(Crash)
        if others is not None:
            raise others from None
        return True
    return False


async def fresh_world(url: str, provider: Provider, clients: Clients) -> World:
    """A connected organisation, synced once, with one new invoice."""
    await clients.redis.flushall()
    world = World(url, provider=provider, opened=[clients])
    world.add_account().add_contact("c1")
    engine = world.engine()
    await engine.service.connect(ORG, "good-token", ME)
    await engine.poll()
    world.sevdesk.add_invoice("1")
    return world


async def until_quiet(engine: Engine) -> None:
    await engine.world.run_for(engine, minutes=21)


async def person_decides(engine: Engine) -> bool:
    """What a person does who was asked about an unconfirmed invoice and looks at the receiver.

    Whether the person said that it arrived.
    """
    found = await record(engine, "1")
    if found.state is not S.UNCONFIRMED:
        return False
    assert found.overdue, "nobody was asked"
    there = bool(engine.world.provider.accepted(NUMBER))
    wish = engine.service.arrived if there else engine.service.send_again
    assert (await wish(ORG, "1", ME)).outcome is Outcome.STARTED
    await until_quiet(engine)
    return there


async def check_end(engine: Engine, end: InvoiceState, accepted: int) -> None:
    """All that must hold when it is quiet."""
    world, found = engine.world, await record(engine, "1")
    assert found.state is end
    assert not stuck(found)
    assert world.provider.accepted(NUMBER) == accepted
    tag = TagKind.SENT if end is S.SENT else TagKind.FAILED
    assert world.sevdesk.kinds("1") == [tag]
    assert end.value in await told(engine, "1"), "nobody was told"
    assert await inconsistencies(engine) == []


ENDS = {
    Behaviour.DELIVERED: (S.SENT, 1),
    Behaviour.PENDING: (S.SENT, 1),
    Behaviour.FAILED_LATER: (S.FAILED, 1),
    Behaviour.REJECTED: (S.FAILED, 0),
    Behaviour.NOT_TAKEN: (S.SENT, 1),
    Behaviour.LOST_ACCEPTED: (S.SENT, 1),
    Behaviour.LOST_NOT_TAKEN: (S.SENT, 1),
    Behaviour.BREAKS_ACCEPTED: (S.SENT, 1),
    Behaviour.BREAKS_BEFORE: (S.SENT, 1),
}
LASTING = {Behaviour.REJECTED, Behaviour.FAILED_LATER}
WAYS = {
    "own id": (Find.OWN_ID, False),
    "own id, two phases": (Find.OWN_ID, True),
    "content": (Find.CONTENT, False),
    "none": (Find.NONE, False),
}


def provider_of(behaviour: Behaviour, way: str) -> Provider:
    """Behaves so once, and after that delivers; what is lasting stays."""
    find, two_phase = WAYS[way]
    lasting = behaviour in LASTING
    return Provider(
        find=find,
        two_phase=two_phase,
        script=[] if lasting else [behaviour],
        otherwise=behaviour if lasting else Behaviour.DELIVERED,
    )


@dataclass
class Matrix:
    """One column of the matrix: a behaviour and a way of finding, and a death at each point."""

    url: str
    behaviour: Behaviour
    way: str

    async def run(self, clients: Clients, first: int, stride: int) -> int:
        """Die at every `stride`-th point, beginning with `first`; how many lives that were."""
        points = await self.one_life(clients, None)
        assert len(points) > 40
        chosen = range(1 + first % stride, len(points) + 1, stride)
        for die_at in chosen:
            try:
                await self.one_life(clients, die_at)
            except BaseException as error:
                error.add_note(f"died at {die_at}: {points[die_at - 1]}, of {points}")
                raise
        return len(chosen)

    async def one_life(self, clients: Clients, die_at: int | None) -> list[str]:
        """The whole way with a death at one point; the points that were passed."""
        provider = provider_of(self.behaviour, self.way)
        world = await fresh_world(self.url, provider, clients)
        process = Process(die_at)
        engine = world.engine(process)
        if await died(world.run_for(engine, minutes=6)):
            await world.after_a_crash()
            engine = world.engine()
        else:
            assert die_at is None, f"the point was not reached: {process.points}"
        points = list(process.points)
        await until_quiet(engine)
        # Whoever says "send it again" may meet the next lost answer, and is asked again.
        arrived = await person_decides(engine) or await person_decides(engine)
        await check_end(engine, *((S.SENT, 1) if arrived else ENDS[self.behaviour]))
        return points


CELLS = [(behaviour, way) for behaviour in Behaviour for way in WAYS]


@pytest.fixture
async def clients(engine_url: str) -> AsyncIterator[Clients]:
    """The connections of all lives."""
    made = Clients(engine_url)
    await made.durability()
    yield made
    await made.aclose()


@pytest.mark.parametrize(("behaviour", "way"), CELLS)
async def test_a_death_at_some_points_sends_once_and_loses_nothing(
    engine_url: str, clients: Clients, behaviour: Behaviour, way: str
) -> None:
    """Every thirteenth point, beginning with another one in each cell."""
    first = CELLS.index((behaviour, way))
    assert await Matrix(engine_url, behaviour, way).run(clients, first, 13) > 2


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("behaviour", "way"), CELLS)
async def test_a_death_at_any_point_sends_once_and_loses_nothing(
    engine_url: str, clients: Clients, behaviour: Behaviour, way: str
) -> None:
    lives = await Matrix(engine_url, behaviour, way).run(clients, 0, 1)
    assert lives > 40
