"""Slack refuses the token: after a week nothing more begins, and it goes on when that is over."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from bot.app import Bot
from bot.refusal import LASTS, REMOVED, TIMES, Refusal
from bot.settings import BotSettings
from bot.slack import SlackError
from sync.errors import StoreError
from sync.model import EventKind, InvoiceState
from sync.store.keys import ORGS
from sync.store.redis import Clients
from sync.vault import Vault
from tests.sandbox.slack.workspace import Message
from tests.scenarios.conftest import BOT_TOKEN, ORG, SECRET, Surface
from tests.unit.bot_support import record

HOUR = timedelta(hours=1)
WEEK = LASTS // HOUR
BY_STORE = ("silent", "once:listened")  # what ends by the real store's own time


async def hours(told: Surface, number: int) -> None:
    """Time passes; the worker looks, as it does each minute."""
    for _ in range(number):
        store = told.bot.deps.store
        for name in BY_STORE:
            await store._exact.delete(store.key(ORG, name))
        with contextlib.suppress(SlackError):
            await told.bot.tick(ORG)
        told.clock.forward(HOUR)


async def almost_a_week(told: Surface, code: str = "token_revoked") -> Refusal:
    """As after a week of refusals but for an hour; the last of them was an hour ago."""
    now = told.clock()
    refusal = Refusal(since=now - LASTS, last=now - HOUR, times=WEEK, code=code)
    await told.bot.deps.store.save_refusal(ORG, refusal)
    refuse(told, code)
    return refusal


async def a_week(told: Surface) -> None:
    """It is paused."""
    await almost_a_week(told)
    await hours(told, 1)
    assert is_paused(told)


def refuse(told: Surface, code: str = "token_revoked") -> None:
    for install in told.slack.core.installs.values():
        install.error = code


def is_paused(told: Surface) -> bool:
    assert told.service.now_connected is not None
    return told.service.now_connected.pause is not None


def last(told: Surface) -> Message:
    return told.slack.messages("invoices", replies=False)[-1]


async def reinstalled(told: Surface, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody installed the app again, just now."""
    at = told.clock().timestamp()

    async def since(org: str) -> float:
        return at

    monkeypatch.setattr(told.bot.deps.workspaces, "since", since)
    refuse(told, "")
    await told.bot.deps.store.speak(ORG)


# ---- when it pauses -------------------------------------------------------------------------


@pytest.mark.parametrize("code", sorted(REMOVED - {"not_installed"}))
async def test_after_a_week_without_anybody_to_tell_it_is_paused(told: Surface, code: str) -> None:
    """The event of the uninstall was lost, and nothing happens that could be told."""
    refusal = await almost_a_week(told, code)
    before = refusal.model_copy(update={"since": refusal.since + HOUR})
    await told.bot.deps.store.save_refusal(ORG, before)
    await hours(told, 1)
    assert not is_paused(told)
    await hours(told, 1)
    assert is_paused(told)
    assert told.service.now_connected is not None
    pause = told.service.now_connected.pause
    assert pause is not None
    assert (pause.reason.code, pause.reason.params) == ("connection.unheard", {"code": code})
    assert told.service.erased == told.service.to_erase == []


async def test_what_is_to_be_told_meanwhile_makes_it_no_sooner(told: Surface) -> None:
    refuse(told)
    for number in range(WEEK):
        told.service.add(record(run="", invoice_id=str(number)))
        await told.notify()
        await told.notify()
        await hours(told, 1)
    assert not is_paused(told)
    await hours(told, 1)
    assert is_paused(told)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "server_error"},
        {"kind": "drop_before"},
        {"kind": "rate_limited"},
        {"kind": "error", "code": "internal_error"},
        {"kind": "error", "code": "org_login_required"},
        {"kind": "error", "code": "access_denied"},
        {"kind": "error", "code": "something_new"},
    ],
    ids=lambda fault: str(fault.get("code") or fault["kind"]),
)
async def test_no_outage_of_slack_pauses_anything(told: Surface, fault: dict[str, Any]) -> None:
    """Nor does it end a row of refusals."""
    told.bot.hearing._monotonic = lambda: told.clock().timestamp()
    refusal = await almost_a_week(told)
    told.slack.faults.add("*", times=None, **fault)
    told.service.told.clear()  # else each hour has six tries to tell it
    await hours(told, 30)
    assert not is_paused(told)
    assert await told.bot.deps.store.refusal(ORG) == refusal


async def test_one_success_begins_the_week_anew(told: Surface) -> None:
    await almost_a_week(told)
    refuse(told, "")
    await hours(told, 1)
    assert await told.bot.deps.store.refusal(ORG) is None
    refuse(told)
    await hours(told, 3)
    assert not is_paused(told)


async def test_a_clock_that_is_put_forward_pauses_nothing(told: Surface) -> None:
    refusal = await almost_a_week(told)
    few = {"since": told.clock() - 2 * HOUR, "times": TIMES - 2}
    await told.bot.deps.store.save_refusal(ORG, refusal.model_copy(update=few))
    told.clock.forward(timedelta(days=400))
    await hours(told, 1)
    assert not is_paused(told)


async def test_a_week_without_xtool_itself_pauses_nothing(told: Surface) -> None:
    refuse(told)
    await hours(told, 5)
    told.clock.forward(timedelta(days=30))
    await hours(told, 5)
    assert not is_paused(told)


async def test_a_token_is_tried_once_an_hour_and_not_where_nothing_is_connected(
    told: Surface,
) -> None:
    for _ in range(5):
        await told.bot.tick(ORG)
    assert len(told.slack.calls("auth.test")) <= 2  # one to learn whose token it is
    await told.service.disconnect(ORG, "U0ADMIN")
    told.service.told.clear()
    before = len(told.slack.calls("auth.test"))
    await hours(told, 3)
    assert len(told.slack.calls("auth.test")) == before


async def test_an_outage_is_not_met_by_a_call_for_each_organisation(
    told: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def token(org: str) -> str:
        return BOT_TOKEN

    monkeypatch.setattr(told.bot.deps.poster, "token", token)
    told.slack.faults.add("*", "server_error", times=None)
    before = len(told.slack.calls("auth.test"))
    for number in range(20):
        await told.bot.hearing.look(f"T{number}")
    assert len(told.slack.calls("auth.test")) == before + 1
    told.bot.hearing._away_until = float("-inf")  # a minute later
    told.slack.faults.clear()
    await told.bot.hearing.look("T99")
    assert len(told.slack.calls("auth.test")) == before + 2


# ---- what the operator sees -----------------------------------------------------------------


async def figures(told: Surface) -> dict[str, str]:
    await told.bot.deps.store._exact.sadd(ORGS, ORG)  # as a real connection does
    async with aiohttp.ClientSession() as browser, browser.get(f"{told.address}/metrics") as page:
        lines = [line.split() for line in (await page.text()).splitlines()]
    return {line[0]: line[1] for line in lines if line[0].startswith("xtool_slack_")}


async def test_the_operator_sees_it_in_the_log_and_in_figures(told: Surface) -> None:
    refuse(told)
    with capture_logs() as lines:
        await hours(told, 3)
        seen = await figures(told)
        await almost_a_week(told)
        await hours(told, 2)
    assert (seen["xtool_slack_refused"], seen["xtool_slack_paused"]) == ("1.0", "0.0")
    refusals = [line for line in lines if "token is gone" in line["event"]]
    assert refusals[2]["times"] == 3
    assert refusals[2]["paused_after"] > refusals[2]["since"]
    (paused,) = [line for line in lines if line["log_level"] == "error"]
    assert (paused["org"], paused["code"]) == (ORG, "token_revoked")
    assert BOT_TOKEN not in str(lines)
    seen = await figures(told)
    assert (seen["xtool_slack_refused"], seen["xtool_slack_paused"]) == ("1.0", "1.0")
    refuse(told, "")
    await hours(told, 1)
    seen = await figures(told)
    assert (seen["xtool_slack_refused"], seen["xtool_slack_paused"]) == ("0.0", "0.0")


async def test_an_organisation_that_was_erased_is_in_no_figure(told: Surface) -> None:
    refuse(told)
    await hours(told, 1)
    await told.bot.deps.store.erase(ORG)
    assert (await figures(told))["xtool_slack_refused"] == "0.0"


async def test_figures_are_given_while_the_store_is_away(
    told: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> list[str]:
        raise StoreError("away")

    monkeypatch.setattr(told.bot.deps.store, "refused", away)
    assert "xtool_slack_tasks" in await figures(told)


# ---- how it goes on -------------------------------------------------------------------------


async def test_it_goes_on_by_itself_when_the_token_works_again(told: Surface) -> None:
    told.service.add(record(run=""))
    await a_week(told)
    refuse(told, "")
    await hours(told, 1)
    assert not is_paused(told)
    said = [m.text for m in told.slack.messages("invoices", replies=False)]
    assert sum("xTool macht weiter" in text for text in said) == 1
    assert any("RE-1001" in text for text in said)
    assert "Verbunden und aktiv" in await told.command("/sevdesk status")
    await hours(told, 3)
    assert len(told.slack.messages("invoices", replies=False)) == len(said)


async def test_a_new_token_lets_it_go_on_as_soon_as_the_app_starts_with_it(
    told: Surface, clients: Clients
) -> None:
    await a_week(told)
    refuse(told, "")
    settings = BotSettings.load(
        slack_signing_secret=SECRET, slack_bot_token=BOT_TOKEN, slack_api_url=told.slack.api_url
    )
    bot = Bot(settings, told.service, clients, Vault([b"k" * 32]))
    runner = web.AppRunner(bot.build_app(), access_log=None)
    await runner.setup()
    await bot.deps.tasks.drain()
    assert not is_paused(told)
    await runner.cleanup()


async def test_whoever_dies_between_resuming_and_noting_it_is_made_up_for(
    told: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_week(told)
    refuse(told, "")

    async def die(org: str) -> None:
        raise StoreError("killed here")

    with monkeypatch.context() as patch:
        patch.setattr(told.bot.deps.store, "speak", die)
        with pytest.raises(StoreError):
            await hours(told, 1)
    await hours(told, 2)
    assert await told.bot.deps.store.refusal(ORG) is None
    assert not is_paused(told)


async def test_an_app_that_was_away_asks_before_it_goes_on(
    told: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_week(told)
    await reinstalled(told, monkeypatch)
    await hours(told, 30)
    assert is_paused(told)
    asked = last(told)
    assert "pausiert" in asked.text
    assert "Länger als eine Woche" in asked.all_text
    assert told.slack.find("home_disconnect", message=asked)
    assert "nur Administratoren" in await told.click("pause_resume", user="member", message=asked)
    assert is_paused(told)
    assert "macht weiter" in await told.click("pause_resume", user="admin", message=asked)
    assert not is_paused(told)
    await told.notify()
    said = [m.text for m in told.slack.messages("invoices", replies=False)]
    assert sum("<@U0ADMIN> lässt xTool fortfahren" in text for text in said) == 1
    assert "pausiert" not in asked.text, "edited in place"


async def test_a_question_that_could_not_be_posted_is_asked_again(
    told: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_week(told)
    told.service.told.clear()  # its event was lost, too
    await reinstalled(told, monkeypatch)
    told.slack.faults.add("chat.postMessage", "server_error", times=2)
    await hours(told, 4)
    assert "pausiert" in last(told).text
    assert not await told.bot.deps.store.is_silent(ORG)


async def test_status_home_and_commands_say_that_it_is_paused(
    told: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_week(told)
    await reinstalled(told, monkeypatch)
    status = await told.command("/sevdesk status")
    assert "Pausiert seit" in status
    assert "Fortfahren" in status
    await told.slack.open_home()
    await told.quiet()
    home = told.slack.home("admin")
    assert home is not None
    assert "Pausiert seit" in home.all_text


async def test_events_of_a_pause_are_told_in_their_order(told: Surface) -> None:
    """Paused and resumed between two passes: that it was is told, and nothing is asked."""
    assert told.service.now_connected is not None
    await a_week(told)
    refuse(told, "")
    await told.service.resume(ORG, "")
    told.service.add(record(state=InvoiceState.SENT, reason=None, run=""))
    await told.bot.deps.store.speak(ORG)
    before = len(told.slack.messages("invoices", replies=False))
    await told.notify()
    new = [m.text for m in told.slack.messages("invoices", replies=False)][before:]
    assert len(new) == 1
    assert "xTool macht weiter" in new[0]
    assert EventKind.CONNECTION_CHANGED in {event.kind for event in told.service.told}
