"""Fixtures for all tests: a real Valkey, and no way out of this machine."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest
import redis

from sync.embedded import EmbeddedStore
from sync.store.redis import Clients
from tests import loopback

loopback.install()

# A busy machine is no finding. In CI the same examples run every time, so that a red run speaks of
# the change; everywhere else they are new each time.
hypothesis.settings.register_profile(
    "xtool",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("xtool")


@pytest.fixture(autouse=True)
def only_loopback() -> Iterator[None]:
    """Fail a test that tried to talk to the world, also if a library hid it."""
    loopback.refused.clear()
    yield
    if loopback.refused:
        pytest.fail(f"talked to more than loopback: {', '.join(loopback.refused)}")


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One real server for the session, in a directory of its own."""
    directory: Path = tmp_path_factory.mktemp("valkey")
    with asyncio.Runner() as runner:
        store = EmbeddedStore(directory, watch=False)
        yield runner.run(store.start())
        runner.run(store.stop())


@pytest.fixture
def redis_url(valkey_url: str) -> str:
    """The URL of an empty store."""
    with redis.Redis.from_url(valkey_url) as client:
        client.flushall()
        client.script_flush()
    return valkey_url


@pytest.fixture
async def clients(redis_url: str) -> AsyncIterator[Clients]:
    """Clients of an empty store."""
    made = Clients(redis_url)
    yield made
    await made.aclose()
