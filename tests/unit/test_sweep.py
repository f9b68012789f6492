"""The sweep looks after every organisation, also where one of them is in trouble."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from sync import jobs, outages
from sync.errors import StoreError
from sync.outages import OUTAGES, note_outage
from sync.store.organisation import Organisation
from sync.store.redis import Clients
from tests.unit.bot_support import connection

ORGS = ("T1", "T2", "T3")


class Ports:
    """What the sweep needs."""

    def __init__(self, clients: Clients) -> None:
        self.clients = clients
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.polled: list[str] = []
        self.jobs = SimpleNamespace(hint_poll=self._poll, hint_notify=self._notify)
        self.away = ""

    def organisation(self, org: str) -> Organisation:
        if org == self.away:
            raise StoreError("its node is away")
        return Organisation(self.clients, org, timedelta(days=1))

    async def _poll(self, org: str) -> None:
        self.polled.append(org)

    async def _notify(self, org: str) -> None:
        """Of no interest here."""


@pytest.fixture
async def ports(clients: Clients) -> Any:
    made = Ports(clients)
    for org in ORGS:
        await made.organisation(org).put_connection(connection(org=org))
    return made


@pytest.mark.parametrize("org", ORGS)
async def test_what_is_away_keeps_nobody_else_waiting(ports: Any, org: str) -> None:
    ports.away = org
    with pytest.raises(StoreError):
        await jobs._sweep(ports)
    assert ports.polled == [one for one in ORGS if one != org]


@pytest.mark.parametrize("org", ORGS)
async def test_what_cannot_be_read_keeps_nobody_else_waiting(ports: Any, org: str) -> None:
    """A record of a later release, or one that is damaged."""
    await ports.clients.redis.hset(ports.organisation(org).keys.connection, "d", "{}")
    await jobs._sweep(ports)
    assert ports.polled == [one for one in ORGS if one != org]


async def test_an_outage_that_cannot_be_told_keeps_nobody_waiting(
    ports: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise StoreError("away")

    monkeypatch.setattr(outages, "OUTAGE", SimpleNamespace(run=away))
    await note_outage(ports, timedelta(minutes=5))
    with pytest.raises(StoreError):
        await jobs._sweep(ports)
    assert ports.polled == list(ORGS)
    assert await ports.clients.redis.zcard(OUTAGES)
