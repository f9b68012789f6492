"""Fifty organisations, a fifth of them in trouble: the others notice nothing."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from tests.faults.processes import Launcher
from tests.faults.test_many_workers import SEED, faulty
from tests.faults.world import Tenant, World, open_world
from tests.sandbox.access_points import Fault
from tests.sandbox.sevdesk import SevdeskStandIn

pytestmark = pytest.mark.faults

INTERVAL = 5  # seconds between two polls
WATCHED = 45.0  # seconds


class PartlySick(SevdeskStandIn):
    """Some accounts hang, fail, limit, answer pages or hang up."""

    def __init__(self) -> None:
        """All are well."""
        super().__init__()
        self.sick: dict[str, str] = {}  # token -> what
        self.met: Counter[str] = Counter()  # how many requests met it

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        way = self.sick.get(request.headers.get("Authorization", ""), "")
        self.met.update([way] if way else [])
        match way:
            case "hangs":
                await asyncio.sleep(60)
            case "fails":
                return web.Response(status=503, text="Wartung")
            case "limits":
                return web.Response(status=429, headers={"Retry-After": "3"})
            case "pages":
                return web.Response(text="<html>Wartung</html>", content_type="text/html")
            case "drops":
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
        return await super()._serve(request)


def polls(world: World, tenant: Tenant) -> list[float]:
    """When an organisation's tag relations were read: the begin of each poll."""
    return [one.at for one in world.sevdesk.calls("GET", "/TagRelation$") if is_of(tenant, one)]


def is_of(tenant: Tenant, logged: object) -> bool:
    """Whether a request carried the organisation's token."""
    return getattr(logged, "account", "") == tenant.account.id


def named(world: World) -> list[tuple[str, str]]:
    """Account and invoice or contact of each request about a single one."""
    asked = world.sevdesk.calls(".*", r"^/(Invoice|Contact)/\d+")
    return [(one.account, one.path.split("/")[2]) for one in asked]


def strangers(world: World) -> list[tuple[str, str]]:
    """Those about one of another account than their token's."""
    known = {t.account.id: t.account.invoices.keys() | t.account.contacts for t in world.tenants}
    return [(account, one) for account, one in named(world) if one not in known[account]]


def gaps(world: World, tenant: Tenant, began: float, ended: float) -> list[float]:
    """Times between polls, the first and the last one to the time that is watched included."""
    times = [began, *(at for at in polls(world, tenant) if began < at < ended), ended]
    return [b - a for a, b in itertools.pairwise(times)]


async def settled(world: World, tenants: list[Tenant]) -> bool:
    """Whether nothing is left to do for some organisations."""
    return not any([await world.restless(tenant) for tenant in tenants])


@pytest.mark.slow
@pytest.mark.timeout(700)
async def test_trouble_of_ten_does_not_delay_forty(
    launcher: Launcher, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """No request with another's token, no poll late by more than one interval.

    Late is a poll that begins later than an interval after the one before it. It is measured after
    the first syncs, which are work and no trouble, while each of the forty gets another invoice.
    The access point is the same for all, and every fifth submission goes wrong.
    """
    sevdesk, dice = PartlySick(), random.Random(SEED)
    settings = {"poll_seconds": INTERVAL}
    async with open_world(tmp_path, launcher, settings=settings, sevdesk=sevdesk) as world:
        for number in range(50):
            (await world.connect(f"T{number:02d}")).add(2)
        ways = itertools.cycle(["hangs", "fails", "limits", "pages", "drops"])
        sick, well = world.tenants[:10], world.tenants[10:]
        sevdesk.sick = {t.account.token: way for t, way in zip(sick, ways, strict=False)}
        with faulty(world.access_point, 0.2, dice) as met:
            for _ in range(2):
                world.start()
            await world.until(
                lambda: settled(world, well),
                200,
                "the forty have their first sync behind them",
                0.5,
            )
            began = time.monotonic()
            for tenant in well:
                tenant.add()
                await asyncio.sleep(WATCHED / len(well))  # the time that is measured
            ended = time.monotonic()
            late = [max(gaps(world, t, began, ended)) - INTERVAL for t in well]
            figure(
                f"40 organisations, a poll late by {max(late):.1f} s at most, {INTERVAL} allowed"
            )
            assert set(sevdesk.met) == {"hangs", "fails", "limits", "pages", "drops"}
            assert max(late) <= INTERVAL
            sevdesk.sick = {}
            took = await world.until_quiet(250)
        figure(f"the ten recovered after {took:.0f} s")
        await world.until_decided(60)
        assert met.total() > met[Fault.NONE]
        assert len(named(world)) > len(world.tenants)
        assert strangers(world) == []
        await world.check_promises()
        await world.check_ends()
