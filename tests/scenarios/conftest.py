"""The Slack side alone: the real web app and store, stand-ins for Slack and for `sync`."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from bot.app import Bot
from bot.notifier import Notifier
from bot.settings import BotSettings
from sync.model import SyncRun
from sync.settings import Provider
from sync.store.redis import Clients
from sync.vault import Vault
from tests.sandbox.slack import FakeSlack
from tests.sandbox.slack.workspace import Message, OpenView
from tests.scenarios.causes import CAUSES
from tests.scenarios.fake_service import TOKEN, FakeService
from tests.scenarios.story import Scene, documented, play
from tests.scenarios.ways import SAMPLES, WAYS
from tests.unit.bot_support import NOW, record

SECRET = "signing-secret-of-the-tests"
BOT_TOKEN = "xoxb-token-of-the-tests"
ORG = "T0LINDHOF"  # the workspace of the stand-in


class Clock:
    """The time by the store: this host's, until a test puts it forward."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def forward(self, by: timedelta) -> None:
        """Time passes, or the clock is set."""
        self.ahead += by


@dataclass
class Surface:
    """The parts, and what tests do with them often."""

    slack: FakeSlack
    service: FakeService
    bot: Bot
    address: str
    clock: Clock = field(default_factory=Clock)

    async def notify(self) -> None:
        """Tell what happened, as the worker does."""
        await self.bot.notify(ORG)

    async def quiet(self) -> None:
        """Wait until everything that was asked for is done."""
        async with asyncio.timeout(10):
            while len(self.bot.deps.tasks):  # noqa: ASYNC110 - the app has no reason to tell
                await asyncio.sleep(0.005)

    async def command(self, text: str, *, user: str = "admin", channel: str = "invoices") -> str:
        """Type a command; what the person was told since."""
        before = len(self.slack.ephemerals(user))
        delivery = await self.slack.command(text, user=user, channel=channel)
        assert (delivery.status, delivery.error) == (200, "")
        await self.quiet()
        return "\n".join(m.all_text for m in self.slack.ephemerals(user)[before:])

    async def click(self, action_id: str, *, user: str = "admin", **given: object) -> str:
        """Click; what the person was told since."""
        before = len(self.slack.ephemerals(user))
        delivery = await self.slack.click(action_id, user=user, **given)  # type: ignore[arg-type]
        assert (delivery.status, delivery.error) == (200, "")
        await self.quiet()
        return "\n".join(m.all_text for m in self.slack.ephemerals(user)[before:])

    async def submit(self, *, user: str = "admin", **values: object) -> OpenView:
        """Fill in the modal on top and submit it; the modal as it is then."""
        view = self.slack.modal(user)
        await self.slack.submit(view, values, user=user)
        await self.quiet()
        return view

    async def connect(self, *, user: str = "admin", token: str = TOKEN) -> OpenView:
        """The whole way of `/sevdesk connect`."""
        await self.command("/sevdesk connect", user=user)
        channel = self.slack.channel("invoices").id
        return await self.submit(user=user, token=token, channel=channel)

    def cards(self, number: str) -> list[Message]:
        """Messages in the channel that name an invoice, threads left out."""
        found = self.slack.messages("invoices", replies=False)
        return [message for message in found if number in message.all_text]


@pytest.fixture
async def surface(clients: Clients) -> AsyncIterator[Surface]:
    """Everything up, nothing connected."""
    async with FakeSlack(SECRET, BOT_TOKEN) as slack:
        settings = BotSettings.load(
            slack_signing_secret=SECRET,
            slack_bot_token=BOT_TOKEN,
            slack_api_url=slack.api_url,
        )
        service = FakeService()
        clock = service.clock = Clock()
        bot = Bot(settings, service, clients, Vault([b"k" * 32]), now=clock)
        runner = web.AppRunner(bot.build_app(), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        address = f"http://127.0.0.1:{port}"
        slack.connect_app(f"{address}/slack/events")
        yield Surface(slack, service, bot, address, clock)
        await runner.cleanup()


@pytest.fixture
async def connected(surface: Surface) -> Surface:
    """As `surface`, with sevDesk connected by the admin; the conversation begins afterwards."""
    await surface.connect()
    surface.slack.workspace.modals.clear()
    return surface


@pytest.fixture
def told(connected: Surface) -> Surface:
    """Connected, with a notifier that never waits: the clock goes forward instead."""

    async def no_sleep(seconds: float) -> None:
        connected.clock.forward(timedelta(seconds=seconds))
        await asyncio.sleep(0)

    deps = connected.bot.deps
    connected.bot.notifier = Notifier(
        connected.service,
        deps.store,
        deps.cards,
        deps.announcer,
        connected.bot.hearing,
        sleep=no_sleep,
    )
    return connected


@pytest.fixture
def every_log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """All that is logged, at the loudest level."""
    caplog.set_level(logging.DEBUG)
    return caplog


Stories = Callable[[Provider], dict[str, Scene]]


@pytest.fixture(scope="session")
def stories() -> Stories:
    """What came of everything that goes wrong with one access point; played when first asked."""

    @functools.cache
    def told(provider: Provider) -> dict[str, Scene]:
        mine = [cause for cause in (*CAUSES, *WAYS, *SAMPLES) if cause.provider == provider]
        return asyncio.run(play(provider, mine, documented()))

    return told


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A provider's story takes ten seconds and more: by default only Recommand's is played."""
    for item in items:
        if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            values = item.callspec.params.values()
            providers = {str(getattr(value, "provider", value)) for value in values}
            if providers & {"e-invoice-be", "phoss-ap"}:
                item.add_marker(pytest.mark.slow)


def finished(run_id: str = "run1", *, imported: int = 3, **changes: object) -> SyncRun:
    """A run that ended, with so many imports."""
    run = SyncRun(
        id=run_id,
        org=ORG,
        started_at=NOW,
        finished_at=NOW,
        seen=imported,
        to_import=imported,
        imported=imported,
    )
    return run.model_copy(update=changes)


def posts(surface: Surface) -> list[Message]:
    """Everything in the channel after the introduction, threads left out."""
    return surface.slack.messages("invoices", replies=False)[1:]


async def failure(surface: Surface, **changes: object) -> Message:
    """The message about an invoice that failed outside a sync."""
    surface.service.add(record(run="", **changes))
    await surface.notify()
    return posts(surface)[-1]
