"""The whole product in one process: the real app, and stand-ins for everything around it.

Used by the scenario tests and by `xtool sandbox`. Everything listens on loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from bot.processes import run
from bot.settings import BotSettings
from sync.model import DocumentType, ParticipantId
from sync.peppol import doctypes, registry
from sync.settings import Provider, Settings
from tests.sandbox.access_points import (
    EInvoiceBeStandIn,
    PhossApStandIn,
    RecommandStandIn,
    StandIn,
)
from tests.sandbox.access_points.network import Listing, PeppolNetwork
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
    access_point: StandIn
    seeded: Seeded
    settings: dict[str, Any] = field(default_factory=dict)
    bot_settings: dict[str, Any] = field(default_factory=dict)
    address: str = ""
    network: PeppolNetwork | None = None  # where receivers are looked up, else at the provider

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
        either: set[asyncio.Future[Any]] = {running, ready}
        first = asyncio.FIRST_COMPLETED
        try:
            with self._own_network():
                await asyncio.wait(either, timeout=START_SECONDS, return_when=first)
            if running.done():
                running.result()
            if not ready.done():
                raise TimeoutError("the app did not start")
            self.address = await ready
            self.slack.connect_app(f"{self.address}/slack/events")
            yield self.address
        finally:
            stop.set()
            await running

    @contextlib.contextmanager
    def _own_network(self) -> Iterator[None]:
        """Nothing but the app's start asks for the way to look receivers up."""
        if self.network is None:
            yield
        else:
            with mock.patch.object(registry, "lookups", self.network.lookups):
                yield

    def register(
        self, participant: str, *listings: Listing | DocumentType, **behaviour: Any
    ) -> None:
        """Put a receiver on the network and on the access point's; `behaviour` as `Receiver`."""
        listed = [one if isinstance(one, Listing) else Listing(one) for one in listings]
        if self.network is not None:
            self.network.register(ParticipantId.parse(participant), *listed)
        offered = [one.document_type.id for one in listed if not one.hidden]
        self.access_point.register(participant, *offered, **behaviour)

    async def until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait for a condition on any stand-in. Raises `TimeoutError` after `seconds`."""
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - several stand-ins, one loop
                await asyncio.sleep(LOOK_SECONDS)


def register_receivers(world: World) -> None:
    """Who of the seeded company's customers is on the network, and how it goes there."""
    takes = (doctypes.BIS_INVOICE, doctypes.BIS_CREDIT_NOTE)
    for participant in REGISTERED:
        rejects = 1 if participant == REJECTING_RECEIVER else 0
        world.register(participant, *takes, rejects=rejects, pending_polls=1)


def stand_in(provider: Provider) -> StandIn:
    """A provider's stand-in with its default account."""
    made: dict[Provider, Callable[[], StandIn]] = {
        "recommand": RecommandStandIn,
        "e-invoice-be": EInvoiceBeStandIn,
        "phoss-ap": PhossApStandIn,
    }
    return made[provider]()


@asynccontextmanager
async def stand_ins(
    provider: Provider = "recommand", *, network: bool = False, **given: Any
) -> AsyncIterator[World]:
    """Stand-ins with the seeded company; `given` are settings of `sync` or `bot` by field name.

    With `network` receivers are looked up by DNS and SMP, else at the access point.
    """
    async with contextlib.AsyncExitStack() as stack:
        slack = await stack.enter_async_context(FakeSlack(SIGNING_SECRET, BOT_TOKEN))
        sevdesk = SevdeskStandIn()
        seeded = seed_company(sevdesk)
        sevdesk_url = await sevdesk.start()
        stack.push_async_callback(sevdesk.stop)
        access_point = stand_in(provider)
        access_point_url = await access_point.start()
        stack.push_async_callback(access_point.stop)
        own_network = PeppolNetwork() if network else None
        if own_network is not None:
            await own_network.start()
            stack.push_async_callback(own_network.stop)
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="xtool-"))
        settings = {
            "sevdesk_api_url": sevdesk_url,
            "peppol_api_url": access_point_url,
            "peppol_provider": provider,
            "peppol_api_key": "token_sandbox" if provider == "phoss-ap" else "key_sandbox",
            "peppol_api_secret": "secret_sandbox",
            "peppol_company_id": "c_sandbox",
            "peppol_lookup": "sml-test" if network else "access-point",
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
        world = World(slack, sevdesk, access_point, seeded, settings, bot_settings)
        world.network = own_network
        register_receivers(world)
        yield world
