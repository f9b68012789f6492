"""The app is removed, and whoever erases dies at each point of it: in the end nothing is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sync.store.keys import ORGS, account_owner
from tests.faults.channel import choose_channel
from tests.faults.processes import Launcher
from tests.faults.traps import SPRUNG
from tests.faults.web import Webs
from tests.faults.world import Tenant, World, open_world
from tests.sandbox.slack.workspace import Json

pytestmark = [pytest.mark.faults, pytest.mark.timeout(200)]

LEFT_SECONDS = 90  # what was being written meanwhile goes with the look a minute later
REMOVED: Json = {"type": "app_uninstalled"}
REVOKED: Json = {"type": "tokens_revoked", "tokens": {"bot": ["U0XTOOL"]}}
STEPS = ("erase_later", "unlink", "unlink:2", "remove_installation", "bot_erase")
POINTS = tuple(f"{when}:{step}" for step in STEPS for when in ("before", "after"))
QUICK = "before:erase_later"


async def left(world: World, tenant: Tenant) -> list[str]:
    """What the store still holds of the organisation."""
    pattern = f"xt:\\{{{tenant.org}\\}}:*"
    found = [key async for key in world.redis.scan_iter(match=pattern, count=1000)]
    found += [account_owner(tenant.account.id)] * bool(
        await world.redis.exists(account_owner(tenant.account.id))
    )
    return found + [ORGS] * bool(await world.redis.sismember(ORGS, tenant.org))


async def erased(world: World, tenant: Tenant) -> None:
    """Wait until nothing is."""

    async def gone() -> bool:
        return not await left(world, tenant)

    try:
        await world.until(gone, LEFT_SECONDS, "everything is erased")
    except pytest.fail.Exception as error:
        raise AssertionError(f"left: {await left(world, tenant)}") from error


async def an_installation(world: World, webs: Webs) -> Tenant:
    """Installed, connected, synced and told."""
    world.knobs["slack"] = webs.settings()
    await webs.install()
    tenant = await world.connect(webs.slack.core.team_id)
    await choose_channel(world, webs, tenant)
    tenant.add(2)
    tenant.add(difficult=True)
    world.start()
    await world.until_quiet()
    assert len(await left(world, tenant)) > 10
    return tenant


async def deliver(world: World, webs: Webs, event: Json, trap: str) -> None:
    """Slack tells it to a web process that dies, and again to the next if it got no answer."""
    webs.turn_to(0)
    victim = webs.start_web(0, trap)
    await webs.until_ready(victim)
    delivery = await webs.slack.event(event, retry=False)
    await world.until(lambda: not victim.alive, 30, f"killed {trap}")
    assert victim.logged(SPRUNG)
    if not delivery.ok:
        await webs.until_ready(webs.start_web(0))
        again = await webs.slack.out.send(*webs.slack.out.replays[-1])
        assert again.ok


@pytest.mark.parametrize(
    "point", [pytest.param(p, marks=[] if p == QUICK else pytest.mark.slow) for p in POINTS]
)
async def test_an_uninstall_that_dies_is_ended_by_others(
    point: str, launcher: Launcher, tmp_path: Path
) -> None:
    """The web process that was told dies; a worker, or Slack's next try, does the rest."""
    async with open_world(tmp_path, launcher) as world, Webs(world, 0, oauth=True) as webs:
        webs.add_port()
        tenant = await an_installation(world, webs)
        event = REVOKED if point.startswith("after") else REMOVED
        await deliver(world, webs, event, f"kill:{point}")
        await erased(world, tenant)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["before:unlink", "after:unlink", "after:unlink:2"])
async def test_a_sweep_that_dies_while_it_erases_is_ended_by_another(
    point: str, launcher: Launcher, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """The worker that took it over dies as well."""
    async with open_world(tmp_path, launcher) as world, Webs(world, 0, oauth=True) as webs:
        webs.add_port()
        tenant = await an_installation(world, webs)
        await world.kill_all()
        await deliver(world, webs, REMOVED, "kill:before:unlink")
        worker = world.start(f"kill:{point}")
        await world.until(lambda: not worker.alive, 30, f"killed {point}")
        assert worker.logged(SPRUNG)
        kept = len(await left(world, tenant))
        world.start()
        await erased(world, tenant)
        figure(f"{kept} keys were left by the first two")
