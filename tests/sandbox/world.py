"""The whole product in one process: the real app, and stand-ins for everything around it.

Used by the scenario tests and by `xtool sandbox`. Everything listens on loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.processes import run
from bot.settings import BotSettings
from sync.peppol import doctypes
from sync.settings import Settings
from tests.sandbox.access_points.recommand import RecommandStandIn
from tests.sandbox.seed import REGISTERED, REJECTING_RECEIVER, TOKEN, Seeded, seed_company
from tests.sandbox.sevdesk import SevdeskStandIn
from tests.sandbox.slack import FakeSlack

SIGNING_SECRET = "sandbox-signing-secret"
BOT_TOKEN = "xoxb-sandbox"
START_SECONDS = 30.0
LOOK_SECONDS = 0.02


@dataclass
class World:
    """The stand-ins, and the address of the real app."""

    slack: FakeSlack
    sevdesk: SevdeskStandIn
    access_point: RecommandStandIn
    seeded: Seeded
    settings: dict[str, Any] = field(default_factory=dict)
    bot_settings: dict[str, Any] = field(default_factory=dict)
    address: str = ""

    @property
    def token(self) -> str:
        """The sevDesk token of the seeded company."""
        return TOKEN

    @asynccontextmanager
    async def app(self, *, web: bool = True, worker: bool = True) -> AsyncIterator[str]:
        """The real app, as `xtool serve` runs it, against the stand-ins."""
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        stop = asyncio.Event()
        settings = Settings.load(**self.settings)
        bot_settings = BotSettings.load(**self.bot_settings)
        work = run(settings, bot_settings, with_web=web, with_worker=worker, ready=ready, stop=stop)
        running = asyncio.create_task(work)
        try:
            async with asyncio.timeout(START_SECONDS):
                either: set[asyncio.Future[Any]] = {running, ready}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            self.address = await ready
            self.slack.connect_app(f"{self.address}/slack/events")
            yield self.address
        finally:
            stop.set()
            await running

    async def until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait for a condition on any stand-in. Raises `TimeoutError` after `seconds`."""
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - several stand-ins, one loop
                await asyncio.sleep(LOOK_SECONDS)


def register_receivers(access_point: RecommandStandIn) -> None:
    """Who of the seeded company's customers is on the network, and how it goes there."""
    takes = (doctypes.BIS_INVOICE.id, doctypes.BIS_CREDIT_NOTE.id)
    for participant in REGISTERED:
        rejects = 1 if participant == REJECTING_RECEIVER else 0
        access_point.register(participant, *takes, rejects=rejects, pending_polls=1)


@asynccontextmanager
async def stand_ins(**given: Any) -> AsyncIterator[World]:
    """Stand-ins with the seeded company; `given` are settings of `sync` or `bot` by field name."""
    async with contextlib.AsyncExitStack() as stack:
        slack = await stack.enter_async_context(FakeSlack(SIGNING_SECRET, BOT_TOKEN))
        sevdesk = SevdeskStandIn()
        seeded = seed_company(sevdesk)
        sevdesk_url = await sevdesk.start()
        stack.push_async_callback(sevdesk.stop)
        access_point = RecommandStandIn()
        access_point_url = await access_point.start()
        stack.push_async_callback(access_point.stop)
        register_receivers(access_point)
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="xtool-"))
        settings = {
            "sevdesk_api_url": sevdesk_url,
            "peppol_api_url": access_point_url,
            "peppol_api_key": "key_sandbox",
            "peppol_api_secret": "secret_sandbox",
            "peppol_company_id": access_point.company,
            "peppol_lookup": "access-point",
            "data_dir": Path(directory),
            "poll_seconds": 5,
            "retry_seconds": 0.5,
            "sevdesk_rps": 50,
        }
        bot_settings = {
            "slack_signing_secret": SIGNING_SECRET,
            "slack_bot_token": BOT_TOKEN,
            "slack_api_url": slack.api_url,
            "port": 0,
        }
        for name, value in given.items():
            (bot_settings if name in BotSettings.model_fields else settings)[name] = value
        yield World(slack, sevdesk, access_point, seeded, settings, bot_settings)
