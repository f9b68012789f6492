"""An outage of the store is told in Slack: once, when it is over, whoever else saw it.

While it lasts, commands and clicks are answered with what is the matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from bot.app import Bot
from bot.settings import BotSettings
from sync.outages import OUTAGES
from sync.store.redis import Clients
from sync.vault import Vault
from tests.faults.channel import CHANNEL, posts, telling
from tests.faults.processes import Launcher, StoreServer
from tests.faults.test_store_trouble import PAUSED, RESUMED, read_only, writable
from tests.faults.web import Webs
from tests.faults.world import World
from tests.sandbox.slack import FakeSlack
from tests.sandbox.slack.workspace import Message
from tests.scenarios.conftest import ORG, SECRET, Surface
from tests.scenarios.fake_service import FakeService
from tests.scenarios.test_slack_install import install

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

NOTICE = 0.5  # in place of a minute
TOLD = "could not work"


def notices(webs: Webs) -> int:
    """How many messages tell of an outage."""
    return sum(TOLD in message.text for message in webs.slack.messages(CHANNEL))


async def everyone_says(world: World, event: str) -> None:
    """Both workers logged it."""
    workers = world.workers[-2:]
    await world.until(lambda: all(w.logged(event) for w in workers), 30, f"all say: {event}")


async def asks(world: World, webs: Webs, invoice: str) -> list[str]:
    """What a command and a click are answered."""
    slack, before = webs.slack, len(webs.slack.ephemerals("admin"))
    for delivery in await asyncio.gather(
        slack.command("/sevdesk status", channel=CHANNEL),
        slack.click("invoice_retry", value=invoice),
    ):
        assert (delivery.status, delivery.error) == (200, "")

    def answers() -> list[Message]:
        return slack.ephemerals("admin")[before:]

    await world.until(lambda: len(answers()) == 2, 30, "both are answered")
    return [message.all_text for message in answers()]


async def slack_form(world: World, webs: Webs) -> None:
    """A form opens, and says it instead of asking for something that cannot be kept."""
    slack = webs.slack
    await slack.command("/sevdesk connect", channel=CHANNEL)

    def says() -> bool:
        return bool(slack.views("admin")) and "store does not" in slack.modal("admin").all_text

    await world.until(says, 30, "the form says it")


async def test_an_outage_is_told_once_and_requests_meanwhile_are_answered(
    launcher: Launcher, tmp_path: Path
) -> None:
    """Two workers and a web process, a store that is killed and started again."""
    async with telling(tmp_path, launcher, webs=1, notice=NOTICE) as (world, webs, tenant):
        webs.turn_to(0)
        webs.slack.out.answer_seconds = 30.0
        for _ in range(2):
            world.start()
        failed = tenant.add(difficult=True)[0]
        await world.until(lambda: posts(webs, failed.number) == 1, 30, "the failure is told")
        await world.until_quiet()
        await world.store.kill()
        await everyone_says(world, PAUSED)
        for answer in await asks(world, webs, failed.id):
            assert "store does not answer" in answer
        await slack_form(world, webs)
        await asyncio.sleep(NOTICE)
        await world.store.start()
        await everyone_says(world, RESUMED)
        await world.until(lambda: notices(webs) > 0, 30, "the outage is told")
        await all_noted(world)
        await world.until_quiet()
        assert notices(webs) == 1
        assert (await world.records(tenant))[failed.id].attempts == 1


@pytest.mark.slow
async def test_a_store_that_refuses_writes_is_told_once(launcher: Launcher, tmp_path: Path) -> None:
    """It answers, so nobody sees it away; two workers pause and go on, and it is told."""
    async with telling(tmp_path, launcher, notice=NOTICE) as (world, webs, tenant):
        for _ in range(2):
            world.start()
        tenant.add()
        await world.until_quiet()
        await read_only(world)
        await everyone_says(world, PAUSED)
        tenant.add()
        await asyncio.sleep(2 * NOTICE)  # the outage itself
        await writable(world)
        await everyone_says(world, RESUMED)
        await world.until(lambda: notices(webs) > 0, 60, "the outage is told")
        await all_noted(world)
        await world.until_decided(60)
        assert notices(webs) == 1
        await world.check_ends()


async def all_noted(world: World) -> None:
    """What every worker saw was looked at."""

    async def none_left() -> bool:
        return not await world.redis.zcard(OUTAGES)

    await world.until(none_left, 30, "all outages that were seen are told")


# ---- where the token itself is in the store ---------------------------------------------------


@asynccontextmanager
async def installed(store: StoreServer) -> AsyncIterator[Surface]:
    """The app with OAuth, installed by the admin, German, in this process."""
    async with FakeSlack(SECRET, "xoxb-nobody", answer_seconds=10.0) as slack:
        slack.core.installs.clear()
        settings = BotSettings.load(
            slack_signing_secret=SECRET,
            slack_client_id="111.222",
            slack_client_secret="client-secret-of-the-sandbox",
            slack_api_url=slack.api_url,
        )
        clients, service = Clients(store.url), FakeService()
        bot = Bot(settings, service, clients, Vault([b"k" * 32]))
        runner = web.AppRunner(bot.build_app(), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        slack.connect_app(f"{address}/slack/events")
        surface = Surface(slack, service, bot, address)
        try:
            assert await install(surface) == 200
            await bot.deps.store.change_prefs(ORG, language="de", chosen=True)
            yield surface
        finally:
            await runner.cleanup()
            await clients.aclose()


@pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")
@pytest.mark.parametrize("how", ["killed", pytest.param("frozen", marks=pytest.mark.slow)])
async def test_an_installation_in_a_store_that_is_away_is_answered_all_the_same(
    how: str, tmp_path: Path
) -> None:
    """In its own language, with what is the matter; also where the store only hangs.

    It hangs for ten seconds and is asked again, so an answer within ten is one that did not wait.
    """
    store = StoreServer(tmp_path / "store")
    await store.start()
    try:
        async with installed(store) as surface:
            slack = surface.slack
            assert "sevDesk" in await surface.command("/sevdesk status")
            before = len(slack.ephemerals("admin"))
            if how == "killed":
                await store.kill()
            else:
                store.pause()
            delivery = await slack.command("/sevdesk status")
            assert (delivery.status, delivery.error) == (200, "")
            await slack.wait_for(lambda: slack.ephemerals("admin")[before:], 30)
            (answer,) = slack.ephemerals("admin")[before:]
            assert "Der Speicher von xTool antwortet gerade nicht" in answer.all_text
            assert "Nichts ist verloren" in answer.all_text
            if how == "frozen":
                store.resume()
    finally:
        await store.stop()
