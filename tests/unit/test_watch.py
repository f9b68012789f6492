"""A worker's look at the store goes on, whatever the store answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from sync import watch
from sync.store.redis import Clients
from sync.watch import WORKERS, StoreWatch, workers_alive


@pytest.mark.parametrize("mistake", ["an answer of the store", "a bug"])
async def test_a_worker_shows_signs_of_life_again_after_what_nobody_expected(
    mistake: str, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would count as dead, and no outage would be told, until it is restarted."""
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.01)
    looks: list[datetime] = []

    def now() -> datetime:
        looks.append(datetime.now(UTC))
        return looks[-1]

    async def bug() -> None:
        raise ValueError("a bug")

    ports: Any = SimpleNamespace(clients=clients, now=now)
    with monkeypatch.context() as wrong:
        if mistake == "a bug":
            wrong.setattr(clients, "look", bug)
        else:
            await clients.redis.set(WORKERS, "not a sorted set")
        watching = asyncio.create_task(StoreWatch(ports, "one").run())
        await _until(lambda: len(looks) > 2 or watching.done())
        await clients.redis.delete(WORKERS)
        seen = len(looks)
        await _until(lambda: len(looks) > seen + 2 or watching.done())
    try:
        assert not watching.done()
        assert await workers_alive(ports) == 1
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _until(says: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not says():  # noqa: ASYNC110 - a condition, not a time
            await asyncio.sleep(0.01)
