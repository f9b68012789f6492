"""What reaches the web process: forged, broken and late requests, health, the Home tab."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import time
from collections.abc import Sequence
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp import web
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.signature import SignatureVerifier

from bot.app import Bot, bolt_app
from bot.settings import BotSettings
from bot.web import Signature
from sync.store.redis import Clients
from sync.vault import Vault
from tests.sandbox.slack import FakeSlack
from tests.scenarios.conftest import BOT_TOKEN, ORG, SECRET, Surface
from tests.scenarios.fake_service import FakeService
from tests.unit.bot_support import record

FORM = "application/x-www-form-urlencoded"
CANARY = "c0ffee00c0ffee00c0ffee00c0ffee00"


async def post(
    surface: Surface, body: bytes, headers: dict[str, str] | None = None
) -> tuple[int, str]:
    """Status and text of the answer to a raw request."""
    url = f"{surface.address}/slack/events"
    async with (
        aiohttp.ClientSession() as client,
        client.post(url, data=io.BytesIO(body), headers=headers or {}) as answer,
    ):
        return answer.status, await answer.text()


def signed(surface: Surface, body: str, **changes: str) -> dict[str, str]:
    stamp = changes.pop("stamp", str(int(time.time())))
    headers = surface.slack.out.headers(body, FORM, timestamp=stamp)
    return headers | changes


COMMAND = urlencode({"command": "/sevdesk", "text": f"connect {CANARY}", "user_id": "U0ADMIN"})


async def test_an_unsigned_request_is_refused(surface: Surface) -> None:
    assert (await post(surface, COMMAND.encode()))[0] == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"X-Slack-Signature": "v0=" + "0" * 64},
        {"X-Slack-Signature": "ü"},
        {"X-Slack-Signature": ""},
        {"X-Slack-Request-Timestamp": "soon"},
        {"X-Slack-Request-Timestamp": "9" * 400},
        {"X-Slack-Request-Timestamp": "-1"},
        {"stamp": "1"},
    ],
)
async def test_a_forged_request_is_refused_and_its_body_is_logged_nowhere(
    surface: Surface, changes: dict[str, str], every_log: pytest.LogCaptureFixture
) -> None:
    headers = signed(surface, COMMAND, **changes)
    status, text = await post(surface, COMMAND.encode(), headers)
    assert status == 401
    assert CANARY not in every_log.text + text
    assert surface.slack.calls("views.open") == []


@pytest.mark.parametrize("seconds", [-301, 301, -86_400])
async def test_a_request_of_another_time_is_refused(surface: Surface, seconds: int) -> None:
    headers = signed(surface, COMMAND, stamp=str(int(time.time()) + seconds))
    assert (await post(surface, COMMAND.encode(), headers))[0] == 401


async def test_a_request_with_a_changed_body_is_refused(surface: Surface) -> None:
    headers = signed(surface, COMMAND)
    assert (await post(surface, COMMAND.encode() + b"x", headers))[0] == 401


@pytest.mark.parametrize(
    "body",
    [
        "payload=[]",
        "payload={broken",
        "{",
        "[]",
        "payload=null",
        "payload=" + "[" * 2000,
        "",
        "nothing=here",
        'payload={"type":"block_actions"}',
    ],
)
async def test_signed_garbage_is_answered_without_a_crash(surface: Surface, body: str) -> None:
    status, text = await post(surface, body.encode(), signed(surface, body))
    assert status in {200, 400, 404}
    assert "Traceback" not in text


async def test_an_unknown_charset_is_answered(surface: Surface) -> None:
    headers = signed(surface, COMMAND) | {"Content-Type": f"{FORM}; charset=klingon"}
    assert (await post(surface, COMMAND.encode(), headers))[0] == 400


async def test_bytes_that_are_no_text_are_answered(surface: Surface) -> None:
    body = b"text=\xff\xfe"
    stamp = str(int(time.time()))
    signature = hmac.new(SECRET.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256)
    headers = {
        "X-Slack-Signature": f"v0={signature.hexdigest()}",
        "X-Slack-Request-Timestamp": stamp,
        "Content-Type": FORM,
    }
    assert (await post(surface, body, headers))[0] in {400, 401}


async def test_a_body_of_two_megabytes_is_refused(surface: Surface) -> None:
    assert (await post(surface, b"x" * 2_000_000))[0] == 413


async def test_a_request_whose_listener_nobody_has_logs_no_body(
    surface: Surface, every_log: pytest.LogCaptureFixture
) -> None:
    body = urlencode({"command": "/other", "text": CANARY, "user_id": "U0ADMIN", "team_id": ORG})
    status, _ = await post(surface, body.encode(), signed(surface, body))
    assert status == 404
    assert CANARY not in every_log.text


async def test_bolt_itself_logs_no_body_of_a_forged_request(
    surface: Surface, every_log: pytest.LogCaptureFixture
) -> None:
    forged = signed(surface, COMMAND, **{"X-Slack-Signature": "v0=" + "0" * 64})
    headers: dict[str, str | Sequence[str]] = {**forged}
    app = bolt_app(surface.bot.deps, SECRET)
    answer = await app.async_dispatch(AsyncBoltRequest(body=COMMAND, headers=headers))
    assert answer.status == 401
    assert CANARY not in every_log.text


NOW = 1_795_356_180


@pytest.mark.parametrize(("off", "valid"), [(0, True), (300, True), (-300, True), (301, False)])
def test_a_timestamp_may_be_five_minutes_off(off: int, valid: bool) -> None:
    stamp = str(NOW + off)
    made = SignatureVerifier(SECRET).generate_signature(timestamp=stamp, body="x") or ""
    headers = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": made}
    assert Signature(SECRET, clock=lambda: NOW).is_valid(headers, b"x") is valid


def test_an_empty_secret_is_no_secret() -> None:
    with pytest.raises(ValueError, match="let anybody in"):
        Signature("")


# ---- health ---------------------------------------------------------------------------------


async def get(address: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as client, client.get(address) as answer:
        return answer.status, await answer.text()


async def test_health(surface: Surface) -> None:
    assert await get(f"{surface.address}/healthz") == (200, "ok\n")


async def test_metrics_count_requests_without_anything_from_outside(surface: Surface) -> None:
    await surface.command(f"/sevdesk {CANARY}")
    status, text = await get(f"{surface.address}/metrics")
    assert status == 200
    assert 'xtool_slack_requests_total{status="200"}' in text
    assert CANARY not in text


@pytest.mark.parametrize(("worker", "expected"), [(True, 200), (False, 503), (None, 503)])
async def test_readiness_is_the_sum_of_its_checks(
    clients: Clients, worker: bool | None, expected: int
) -> None:
    async def good() -> bool:
        return True

    async def given() -> bool:
        if worker is None:
            raise RuntimeError(CANARY)
        return worker

    async with FakeSlack(SECRET, BOT_TOKEN) as slack:
        settings = BotSettings.load(
            slack_signing_secret=SECRET, slack_bot_token=BOT_TOKEN, slack_api_url=slack.api_url
        )
        bot = Bot(settings, FakeService(), clients, Vault([b"k" * 32]))
        runner = web.AppRunner(bot.build_app({"store": good, "worker": given}))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        status, text = await get(f"http://127.0.0.1:{runner.addresses[0][1]}/readyz")
        await runner.cleanup()
    assert status == expected
    assert CANARY not in text


# ---- Slack's own trouble --------------------------------------------------------------------


async def test_a_modal_that_does_not_open_is_told(surface: Surface) -> None:
    surface.slack.faults.add("views.open", "error", code="expired_trigger_id")
    said = await surface.command("/sevdesk connect")
    assert "could not be opened" in said


@pytest.mark.parametrize("fault", ["server_error", "drop_before", "rate_limited"])
async def test_an_answer_finds_another_way(surface: Surface, fault: str) -> None:
    surface.slack.faults.add("response_url", fault, times=1)
    said = await surface.command("/sevdesk help")
    assert "/sevdesk sync" in said


async def test_a_modal_is_opened_before_the_store_is_asked(
    surface: Surface, clients: Clients
) -> None:
    await clients.aclose()
    surface.bot.deps.store._redis = _Dead()
    await surface.command("/sevdesk connect")
    assert len(surface.slack.calls("views.open")) == 1
    assert "store does not answer" in surface.slack.modal("admin").all_text


class _Dead:
    async def get(self, key: str) -> str:
        from sync.errors import StoreError  # noqa: PLC0415

        raise StoreError("gone")


# ---- the Home tab ---------------------------------------------------------------------------


async def home_text(surface: Surface, user: str) -> str:
    await surface.slack.open_home(user=user)
    await surface.quiet()
    home = surface.slack.home(user)
    return home.all_text if home else ""


async def test_the_home_tab_leads_to_connect(surface: Surface) -> None:
    assert "Peppol" in await home_text(surface, "admin")
    await surface.click("home_connect")
    assert surface.slack.modal("admin").callback_id == "connect"


async def test_the_home_tab_asks_members_to_ask_an_admin(surface: Surface) -> None:
    assert "workspace admin" in await home_text(surface, "member")


async def test_the_home_tab_shows_status_with_buttons(connected: Surface) -> None:
    connected.service.add(record(number="RE-5"))
    text = await home_text(connected, "admin")
    assert "Nordwind" in text
    assert "RE-5" in text
    for action_id in ("home_sync", "invoices_list", "home_settings", "home_disconnect"):
        assert connected.slack.find(action_id)


async def test_the_home_tab_shows_a_guest_nothing(connected: Surface) -> None:
    connected.service.add(record(number="RE-5"))
    text = await home_text(connected, "guest")
    assert "leider" in text
    assert "RE-5" not in text


async def test_sync_from_the_home_tab_shows_its_result_in_a_modal(connected: Surface) -> None:
    await home_text(connected, "member")
    connected.slack.messages("invoices")[0].deleted = True  # it has the same button
    await connected.click("home_sync", user="member")
    assert "nichts Neues" in connected.slack.modal("member").all_text


async def test_the_invoices_from_the_home_tab_are_paged_in_a_modal(connected: Surface) -> None:
    for n in range(12):
        connected.service.add(record(invoice_id=str(n), number=f"RE-{n:02d}"))
    await home_text(connected, "member")
    await connected.click("invoices_list", user="member")
    await connected.click("invoices_older", user="member")
    assert "RE-11" in connected.slack.modal("member").all_text


# ---- shutdown -------------------------------------------------------------------------------


async def test_shutdown_waits_for_work_under_way(connected: Surface) -> None:
    begun, end = asyncio.Event(), asyncio.Event()

    async def slow(org: str, actor: str) -> str | None:
        begun.set()
        await end.wait()
        return None

    connected.service.sync_now = slow  # type: ignore[method-assign]
    await connected.slack.command("/sevdesk sync")
    await begun.wait()
    closing = asyncio.create_task(connected.bot.deps.tasks.drain())
    await asyncio.sleep(0)
    assert not closing.done()
    end.set()
    assert await closing == 0
    assert "läuft schon" in connected.slack.ephemerals("admin")[-1].all_text
