"""Fixtures for the engine's tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import redis
import structlog

from sync.embedded import EmbeddedStore
from sync.store.scripts import CLAIM_DUE
from tests.engine.crash import SCRIPTS
from tests.engine.machine import EngineMachine, Ground
from tests.engine.world import ME, ORG, Engine, World


@pytest.fixture(scope="session")
def engine_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server of its own, which keeps everything in memory.

    These tests kill processes, never the server, so its disk would only make them slow. That
    it keeps what it acknowledged is proven with the server's own tests.
    """
    directory: Path = tmp_path_factory.mktemp("engine")
    with asyncio.Runner() as runner:
        store = EmbeddedStore(directory, watch=False)
        url = runner.run(store.start())
        with redis.Redis.from_url(url) as client:
            client.config_set("appendonly", "no")
            for script in (*SCRIPTS.values(), CLAIM_DUE):
                client.script_load(script.text)
        yield url
        runner.run(store.stop())


@pytest.fixture
def engine_url(engine_server: str) -> str:
    """The URL of an empty store."""
    with redis.Redis.from_url(engine_server) as client:
        client.flushall()
    return engine_server


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


@pytest.fixture
def machine(engine_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[EngineMachine]]:
    """The machine, with what its examples share."""
    ground = Ground(engine_url)
    monkeypatch.setattr(EngineMachine, "ground", ground, raising=False)
    monkeypatch.setattr("uuid.uuid4", ground.uuid4)
    # What waits for real time would only make an example slow.
    monkeypatch.setattr("sync.polling.PATIENCE", timedelta(0))
    monkeypatch.setattr("sync.submitting.OUTCOME_WAITS", (0.0,))
    before = structlog.get_config()
    structlog.configure(processors=[ground.log], logger_factory=structlog.ReturnLoggerFactory())
    yield EngineMachine
    structlog.configure(**before)
    ground.close()
