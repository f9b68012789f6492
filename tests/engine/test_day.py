"""A day of fifty organisations: what it costs, and that nothing grows."""

from __future__ import annotations

import gc
from datetime import timedelta

import psutil
import pytest

from tests.engine.sevdesk import SevdeskAccount
from tests.engine.world import ME, Engine, World

HOURS = 24
ORGANISATIONS = 50
POLLS_AN_HOUR = 12


def figures(world: World) -> tuple[int, int]:
    """Resident memory in bytes and open files, after what the stand-ins noted is dropped."""
    for account in world.accounts.values():
        account.log.clear()
    gc.collect()
    process = psutil.Process()
    return process.memory_info().rss, process.num_fds()


async def an_hour(world: World, engine: Engine, orgs: dict[str, SevdeskAccount]) -> int:
    """All polls of an hour; how many there were."""
    polls = 0
    for _ in range(POLLS_AN_HOUR):
        world.clock.forward(timedelta(minutes=60 / POLLS_AN_HOUR))
        for org in orgs:
            await engine.poll(org)
            polls += 1
    engine.jobs.deliveries.clear()
    engine.jobs.polls.clear()
    engine.process.points.clear()
    return polls


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_an_idle_day_costs_three_requests_a_poll_and_nothing_grows(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = world.engine()
    orgs: dict[str, SevdeskAccount] = {}
    for number in range(ORGANISATIONS):
        account = world.add_account(str(1000 + number), f"token-{number}")
        account.add_contact("c1")
        for invoice in range(3):
            account.add_invoice(f"{number}-{invoice}")
        org = f"T{number}"
        orgs[org] = account
        await engine.service.connect(org, account.token, ME)
        await world.run_for(engine, org, minutes=6)
    await an_hour(world, engine, orgs)  # whatever is made once is made by now
    for account in orgs.values():
        account.calls.clear()
    redis = engine.ports.clients.redis
    keys, (memory, files) = await redis.dbsize(), figures(world)
    polls = 0
    for _ in range(HOURS):
        polls += await an_hour(world, engine, orgs)
    grown, (memory_after, files_after) = await redis.dbsize(), figures(world)
    requests = sum(sum(a.calls.values()) for a in orgs.values())
    with capsys.disabled():
        print(  # noqa: T201 - the figure is the result
            f"\n{polls} polls, {requests / polls:.3f} requests a poll, keys {keys} to {grown}, "
            f"memory {memory / 2**20:.1f} to {memory_after / 2**20:.1f} MB, "
            f"open files {files} to {files_after}"
        )
    assert polls == HOURS * ORGANISATIONS * POLLS_AN_HOUR
    assert requests == 3 * polls
    assert grown <= keys
    assert memory_after <= 1.05 * memory
    assert files_after <= files
