"""Many workspaces: installing, Enterprise Grid, and removing the app in either order."""

from __future__ import annotations

import asyncio
import html
import os
import re
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from bot.app import Bot
from bot.manifest import REDIRECT_PATH, SCOPES
from bot.settings import BotSettings
from sync.errors import StoreError
from sync.store.redis import Clients
from sync.vault import Vault
from tests.sandbox.slack import FakeSlack
from tests.scenarios.conftest import ORG, SECRET, Surface
from tests.scenarios.fake_service import FakeService
from tests.unit.bot_support import record

# slack_sdk 3.47 makes the header of oauth.v2.access with it.
pytestmark = pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")


@pytest.fixture
async def installable(
    clients: Clients, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Surface]:
    """The app with OAuth, installed nowhere; Bolt finds the same variables as in production."""
    monkeypatch.setenv("SLACK_CLIENT_ID", "111.222")
    monkeypatch.setenv("SLACK_CLIENT_SECRET", "client-secret-of-the-sandbox")
    monkeypatch.setenv("HOME", str(tmp_path))
    async with FakeSlack(SECRET, "xoxb-nobody") as slack:
        slack.core.installs.clear()
        settings = BotSettings.load(
            slack_signing_secret=SECRET,
            slack_client_id="111.222",
            slack_client_secret="client-secret-of-the-sandbox",
            slack_api_url=slack.api_url,
        )
        service = FakeService()
        bot = Bot(settings, service, clients, Vault([b"k" * 32]))
        runner = web.AppRunner(bot.build_app(), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        slack.connect_app(f"{address}/slack/events")
        yield Surface(slack, service, bot, address)
        await runner.cleanup()
    assert os.listdir(tmp_path) == [], "Bolt kept installations in files"  # noqa: PTH208


async def install(
    surface: Surface,
    *,
    whole_org: bool = False,
    spoil: str = "",
    cookie: bool = True,
    language: str = "en",
    keep: list[tuple[str, Mapping[str, str]]] | None = None,
) -> int:
    """Walk through the installation as a browser; the status of the last page.

    `keep` gets the text and headers of each page.
    """
    accept = {"Accept-Language": language}
    pages = [] if keep is None else keep
    async with aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(), headers=accept
    ) as browser:
        async with browser.get(f"{surface.address}/slack/install") as page:
            text = await page.text()
            pages.append((text, page.headers))
            kept = page.headers.get("Set-Cookie", "").split(";")[0]
        found = re.search(r'href="([^"]*client_id=[^"]*)"', text)
        assert found is not None, text
        link = URL(html.unescape(found.group(1)))
        team = None if whole_org else surface.slack.core.team_id
        enterprise = "E0GRID" if whole_org else None
        query = {key: value for key, value in link.query.items() if value}
        back = surface.slack.oauth.allowed_url(
            query, "U0ADMIN", team_id=team, enterprise_id=enterprise
        )
        target = f"{surface.address}{REDIRECT_PATH}?{back.partition('?')[2]}{spoil}"
        headers = {"Cookie": kept} if cookie else {}
        async with browser.get(target, headers=headers) as last:
            pages.append((await last.text(), last.headers))
    await surface.quiet()
    return last.status


async def stored(clients: Clients) -> list[str]:
    return sorted([key async for key in clients.redis.scan_iter(match="xt:{*")])


async def test_installing_greets_the_installer_with_a_connect_button(
    installable: Surface,
) -> None:
    assert await install(installable) == 200
    (welcome,) = installable.slack.direct_messages("admin")
    assert "Danke, dass Sie xTool installiert haben" in welcome.text
    await installable.click("home_connect", message=welcome)
    assert installable.slack.modal("admin").callback_id == "connect"


async def test_the_last_page_says_what_happens_next(installable: Surface) -> None:
    found: list[tuple[str, Mapping[str, str]]] = []
    assert await install(installable, language="de-DE,de;q=0.9", keep=found) == 200
    (page, headers) = found[-1]
    assert "So geht es weiter" in page
    assert "Direktnachricht" in page
    app_id = installable.slack.core.app_id
    assert f"https://slack.com/app_redirect?app={app_id}&amp;team={ORG}" in page
    for _, sent in found:
        assert sent["Content-Type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in sent["Content-Security-Policy"]
        assert sent["Referrer-Policy"] == "no-referrer"
        assert sent["Cache-Control"] == "no-store"
    assert "xTool zu Slack hinzufügen" in found[0][0]
    assert "slack-app-oauth-state=deleted" in headers["Set-Cookie"]


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("error=access_denied", 200, "was cancelled in Slack"),
        ("code=1&state=unknown", 400, "another browser"),
        ("error=%3Cscript%3Ealert(1)%3C/script%3E", 200, "For support: &lt;script&gt;"),
    ],
)
async def test_a_failed_installation_says_why_and_how_to_begin_again(
    installable: Surface, query: str, status: int, said: str
) -> None:
    async with aiohttp.ClientSession() as browser:
        target = URL(f"{installable.address}{REDIRECT_PATH}?{query}", encoded=True)
        async with browser.get(target) as answer:
            page = await answer.text()
    assert answer.status == status
    assert said in page
    assert 'href="/slack/install"' in page
    assert "<script" not in page
    assert "script-src" not in answer.headers["Content-Security-Policy"]


async def test_only_the_scopes_of_the_manifest_are_asked_for(installable: Surface) -> None:
    await install(installable)
    (found,) = installable.slack.core.installs.values()
    assert found.scopes == frozenset(SCOPES)


async def test_the_whole_job_works_with_only_those_scopes(installable: Surface) -> None:
    await install(installable)
    view = await installable.connect()
    assert "Nordwind" in view.all_text


async def test_the_token_is_encrypted_in_the_store(installable: Surface, clients: Clients) -> None:
    await install(installable)
    (token,) = installable.slack.core.installs
    raw = await clients.redis.get(f"xt:{{{ORG}}}:bot:installation")
    assert raw
    assert token not in raw
    found = await installable.bot.deps.workspaces.find(ORG)
    assert found is not None
    assert found.token == token
    assert token not in repr(found)


async def test_a_state_counts_once(installable: Surface) -> None:
    assert await install(installable, spoil="x") in {400, 401}
    assert installable.slack.core.installs == {}


async def test_another_browser_cannot_finish_an_installation(installable: Surface) -> None:
    assert await install(installable, cookie=False) == 400
    assert installable.slack.core.installs == {}


async def test_a_store_that_is_away_fails_with_a_page(installable: Surface) -> None:
    from sync.errors import StoreError  # noqa: PLC0415

    async def refuse(installed: object) -> None:
        raise StoreError("away")

    workspaces = installable.bot.deps.workspaces
    workspaces.save = refuse  # type: ignore[attr-defined]
    assert await install(installable) == 500


async def test_a_workspace_without_the_app_gets_an_answer(installable: Surface) -> None:
    delivery = await installable.slack.command("/sevdesk status")
    assert delivery.status == 200
    said = "\n".join(m.all_text for m in installable.slack.ephemerals("admin"))
    assert "not installed in your workspace" in said


async def test_an_installation_on_the_organisation_has_one_key(
    installable: Surface, clients: Clients
) -> None:
    installable.slack.in_enterprise("E0GRID")
    await install(installable, whole_org=True)
    await installable.connect()
    await installable.slack.open_home()
    await installable.quiet()
    await installable.click("home_status")
    keys = await stored(clients)
    assert keys
    assert {key[: len("xt:{E0GRID}")] for key in keys} == {"xt:{E0GRID}"}
    assert installable.service.now_connected is not None
    assert installable.service.now_connected.org == "E0GRID"
    await installable.slack.uninstall()
    await installable.quiet()
    assert set(installable.service.erased) == {"E0GRID"}
    assert await stored(clients) == []


@pytest.mark.parametrize("tokens_first", [True, False])
async def test_removing_the_app_erases_everything_in_either_order(
    installable: Surface, clients: Clients, tokens_first: bool
) -> None:
    await install(installable)
    await installable.connect()
    assert await stored(clients)
    await installable.slack.uninstall(tokens_first=tokens_first)
    await installable.quiet()
    assert await stored(clients) == []
    assert set(installable.service.erased) == {ORG}


async def test_removing_the_app_while_something_is_told_leaves_nothing(
    installable: Surface, clients: Clients
) -> None:
    await install(installable)
    await installable.connect()
    held = installable.slack.faults.add("chat.postMessage", "hold")
    installable.service.add(record(run="", org=ORG))
    telling = asyncio.create_task(installable.notify())
    await held.arrived.wait()
    await installable.slack.event({"type": "app_uninstalled"})
    held.release()
    await telling
    await installable.quiet()
    assert await stored(clients) == []


async def test_removing_the_app_while_the_store_is_away_is_told_again_by_slack(
    installable: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    await install(installable)
    tries = []

    async def away_twice(org: str) -> None:
        tries.append(org)
        if len(tries) < 3:
            raise StoreError("away")

    monkeypatch.setattr(installable.service, "erase_later", away_twice)
    delivery = await installable.slack.event({"type": "app_uninstalled"})
    assert (delivery.ok, delivery.retry_num) == (True, 2)
    await installable.quiet()
    assert installable.service.erased[0] == ORG


async def test_a_revoked_token_of_a_person_removes_nothing(installable: Surface) -> None:
    await install(installable)
    await installable.slack.event({"type": "tokens_revoked", "tokens": {"oauth": ["U0ADMIN"]}})
    await installable.quiet()
    assert installable.service.erased == []


async def test_a_late_event_of_an_earlier_installation_removes_nothing(
    installable: Surface,
) -> None:
    await install(installable)
    clock = installable.slack.core.clock
    installable.slack.core.clock = lambda: clock() - 120
    await installable.slack.event({"type": "app_uninstalled"})
    await installable.quiet()
    assert installable.service.erased == []


async def test_removing_the_app_with_one_workspace_erases_too(connected: Surface) -> None:
    await connected.slack.uninstall()
    await connected.quiet()
    assert set(connected.service.erased) == {ORG}
    assert (await connected.bot.deps.store.prefs(ORG)).channel == ""


async def test_an_uninstall_that_was_never_heard_of_ends_in_a_question(
    installable: Surface,
) -> None:
    """The app was removed, its event got lost, and months later somebody installs it again."""
    await install(installable)
    await installable.connect()
    clock = installable.clock
    clock.forward(timedelta(days=-60))
    installable.bot.hearing._now = installable.service.clock = clock
    installable.slack.revoke_token("account_inactive")
    for _ in range(170):
        await installable.bot.hearing.refused(ORG, "account_inactive")
        clock.forward(timedelta(hours=1))
    assert installable.service.now_connected is not None
    assert installable.service.now_connected.pause is not None
    assert installable.service.erased == installable.service.to_erase == []
    await install(installable)
    await installable.notify()
    asked = installable.slack.messages("invoices", replies=False)[-1]
    assert "pausiert" in asked.text
    assert installable.service.now_connected.pause is not None
    await installable.click("pause_resume", user="admin", message=asked)
    assert installable.service.now_connected.pause is None
