"""Fifty organisations, a fifth of them in trouble: the others notice nothing."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from sync.model import InvoiceState
from tests.faults.processes import Launcher
from tests.faults.world import Tenant, World, open_world
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

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        match self.sick.get(request.headers.get("Authorization", "")):
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


def strangers(world: World) -> list[str]:
    """Requests about an invoice or a contact of another account than their token's."""
    known = {t.account.id: t.account.invoices.keys() | t.account.contacts for t in world.tenants}
    return [
        one.path
        for one in world.sevdesk.calls("GET", r"^/(Invoice|Contact)/\d+")
        if one.path.split("/")[2] not in known[one.account]
    ]


@pytest.mark.slow
@pytest.mark.timeout(450)
async def test_trouble_of_ten_does_not_delay_forty(
    launcher: Launcher, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """No request with another's token, no poll late by more than one interval."""
    sevdesk = PartlySick()
    settings = {"poll_seconds": INTERVAL}
    async with open_world(tmp_path, launcher, settings=settings, sevdesk=sevdesk) as world:
        for number in range(50):
            (await world.connect(f"T{number:02d}")).add(2)
        ways = itertools.cycle(["hangs", "fails", "limits", "pages", "drops"])
        sick, well = world.tenants[:10], world.tenants[10:]
        sevdesk.sick = {t.account.token: way for t, way in zip(sick, ways, strict=False)}
        for _ in range(2):
            world.start()
        await asyncio.sleep(WATCHED)  # the time that is measured
        gaps = [b - a for t in well for a, b in itertools.pairwise(polls(world, t))]
        assert strangers(world) == []
        assert min(len(polls(world, t)) for t in well) >= WATCHED / INTERVAL / 2
        figure(f"{len(gaps)} polls of 40, gap {max(gaps):.1f} s at most, {INTERVAL} s wanted")
        assert max(gaps) <= 2 * INTERVAL
        sevdesk.sick = {}
        took = await world.until_quiet(250)
        figure(f"the ten recovered after {took:.0f} s")
        await world.check_promises()
        assert await world.states() == {InvoiceState.SENT: 100}
