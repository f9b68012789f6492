"""Fixtures for the engine's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import redis

from tests.engine.world import ME, ORG, Engine, World


@pytest.fixture
def engine_url(redis_url: str) -> str:
    """An empty store that syncs at once: WAITAOF waits for the disk, not for the next second."""
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("appendfsync", "always")
    return redis_url


@pytest.fixture
async def world(engine_url: str) -> AsyncIterator[World]:
    """A world with one sevDesk account in it, and a contact with the tag."""
    made = World(engine_url)
    made.add_account().add_contact("c1")
    yield made
    await made.close()


@pytest.fixture
async def engine(world: World) -> Engine:
    """A process whose organisation is connected and was synced once, when it was empty."""
    made = world.engine()
    await made.service.connect(ORG, "good-token", ME)
    await made.poll()
    world.sevdesk.calls.clear()
    return made
