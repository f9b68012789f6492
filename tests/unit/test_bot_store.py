"""What `bot` keeps, on a real Valkey."""

from __future__ import annotations

import asyncio

import pytest

from bot.prefs import Notify, Prefs
from bot.store import BotStore, Posted
from sync.errors import StoreError
from sync.store.redis import Clients

ORG = "T0LINDHOF"


@pytest.fixture
def store(clients: Clients) -> BotStore:
    return BotStore(clients)


async def test_preferences_are_read_back(store: BotStore) -> None:
    prefs = Prefs(channel="C1", language="de", notify=Notify.DAILY, may_retry=("U1",))
    await store.save_prefs(ORG, prefs)
    assert await store.prefs(ORG) == prefs


async def test_without_preferences_there_are_defaults(store: BotStore) -> None:
    assert await store.prefs(ORG) == Prefs()


async def test_broken_preferences_are_an_error_of_the_store(
    store: BotStore, clients: Clients
) -> None:
    await clients.redis.set(store.key(ORG, "prefs"), '{"notify": "sometimes"}')
    with pytest.raises(StoreError):
        await store.prefs(ORG)


def test_an_unknown_time_zone_falls_back() -> None:
    assert Prefs(timezone="Mars/Olympus").timezone == "Europe/Berlin"
    assert Prefs(timezone="../../etc/passwd").timezone == "Europe/Berlin"


async def test_the_first_failures_have_their_own_card_the_others_share(store: BotStore) -> None:
    places = [await store.place(ORG, f"{n}:1", "run", singles=3) for n in range(25)]
    assert places[:3] == ["invoice:0:1", "invoice:1:1", "invoice:2:1"]
    assert places[3:13] == ["group:run:0"] * 10
    assert places[13:23] == ["group:run:1"] * 10
    assert places[23:] == ["group:run:2"] * 2


async def test_a_place_is_given_once(store: BotStore) -> None:
    wanted = [store.place(ORG, "7:1", "run", singles=0) for _ in range(10)]
    assert set(await asyncio.gather(*wanted)) == {"group:run:0"}
    assert await store.members(ORG, "group:run:0") == ["7:1"]


async def test_members_are_in_order(store: BotStore) -> None:
    for n in range(12):
        await store.place(ORG, f"{n}:1", "run", singles=0)
    assert await store.members(ORG, "group:run:1") == ["10:1", "11:1"]


async def test_a_lease_is_held_by_one(store: BotStore) -> None:
    async with store.lease(ORG, "x", 5) as first, store.lease(ORG, "x", 5) as second:
        assert first is not None
        assert second is None
    async with store.lease(ORG, "x", 5) as third:
        assert third is not None


async def test_a_lease_that_ended_cannot_be_extended(store: BotStore, clients: Clients) -> None:
    async with store.lease(ORG, "x", 5) as lease:
        assert lease is not None
        await clients.redis.delete(store.key(ORG, "lease:x"))
        assert not await lease.extend()


async def test_a_late_holder_does_not_release_anothers_lease(
    store: BotStore, clients: Clients
) -> None:
    async with store.lease(ORG, "x", 5):
        await clients.redis.set(store.key(ORG, "lease:x"), "somebody else")
    assert await clients.redis.get(store.key(ORG, "lease:x")) == "somebody else"


async def test_the_first_time_is_once(store: BotStore) -> None:
    assert [await store.first_time(ORG, "a", 60) for _ in range(3)] == [True, False, False]


async def test_erasing_leaves_other_organisations_alone(store: BotStore, clients: Clients) -> None:
    for org in (ORG, "T0OTHER"):
        await store.save_prefs(org, Prefs())
        await store.save_posted(org, "run:1", Posted(channel="C1", ts="1.0"))
        await store.place(org, "7:1", "run", singles=0)
    await store.erase(ORG)
    left = [key async for key in clients.redis.scan_iter(match="xt:*")]
    assert left
    assert all(key.startswith("xt:{T0OTHER}:bot:") for key in left)


async def test_all_keys_of_an_organisation_share_a_slot(store: BotStore) -> None:
    assert store.key(ORG, "prefs") == "xt:{T0LINDHOF}:bot:prefs"
