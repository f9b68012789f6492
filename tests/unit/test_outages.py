"""Whom an outage of the store is told, and how often."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from sync import outages
from sync.errors import StoreError
from sync.model import ConnectionState, Event, EventKind
from sync.outages import OUTAGES, note_outage, tell_outages
from sync.store.organisation import Organisation
from sync.store.redis import Clients
from sync.store.scripts import OUTAGE
from tests.unit.bot_support import connection

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LONG = timedelta(minutes=7)


class Ports:
    """What telling of an outage needs."""

    def __init__(self, clients: Clients) -> None:
        self.clients = clients
        self.at = NOON
        self.now: Callable[[], datetime] = lambda: self.at

    def organisation(self, org: str) -> Organisation:
        return Organisation(self.clients, org, timedelta(days=1))

    async def connect(self, org: str, state: ConnectionState = ConnectionState.ACTIVE) -> None:
        await self.organisation(org).put_connection(connection(org=org, state=state))

    async def told(self, org: str) -> list[Event]:
        return await self.organisation(org).events("", 100)


@pytest.fixture
async def ports(clients: Clients) -> Any:
    made = Ports(clients)
    await made.connect("T1")
    await made.connect("T2")
    return made


async def test_each_organisation_is_told_once_by_all_who_saw_it(ports: Any) -> None:
    await note_outage(ports, LONG)
    ports.at += timedelta(seconds=2)  # another process looks every two seconds, too
    await note_outage(ports, LONG + timedelta(seconds=1))
    await tell_outages(ports)
    ports.at += timedelta(seconds=30)  # and one that took its time
    await note_outage(ports, LONG)
    await tell_outages(ports)
    for org in ("T1", "T2"):
        (event,) = await ports.told(org)
        assert event.kind is EventKind.STORE_OUTAGE
        assert datetime.fromisoformat(event.before) == NOON - LONG
        assert datetime.fromisoformat(event.after) == NOON


async def test_the_next_outage_is_told_again(ports: Any) -> None:
    await note_outage(ports, LONG)
    await tell_outages(ports)
    ports.at += timedelta(hours=1)
    await note_outage(ports, LONG)
    await tell_outages(ports)
    assert len(await ports.told("T1")) == 2


async def test_a_short_one_is_nothing_to_know_of(ports: Any) -> None:
    await note_outage(ports, outages.NOTICE - timedelta(seconds=1))
    await tell_outages(ports)
    assert await ports.told("T1") == []


async def test_whoever_is_not_connected_is_not_told(ports: Any) -> None:
    await ports.connect("T3", ConnectionState.DISCONNECTED)
    await note_outage(ports, LONG)
    await tell_outages(ports)
    assert await ports.told("T3") == []


async def test_a_sweep_that_dies_half_way_leaves_the_rest_to_the_next(
    ports: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[Any, ...]] = []

    async def dies(*args: Any) -> Any:
        if told:
            raise StoreError("away again")
        told.append(args)
        return await OUTAGE.run(*args)

    monkeypatch.setattr(outages, "OUTAGE", SimpleNamespace(run=dies))
    await note_outage(ports, LONG)
    with pytest.raises(StoreError):
        await tell_outages(ports)
    monkeypatch.setattr(outages, "OUTAGE", OUTAGE)
    await tell_outages(ports)
    assert [len(await ports.told(org)) for org in ("T1", "T2")] == [1, 1]
    assert not await ports.clients.redis.zcard(OUTAGES)
