"""Trouble of the connection, of channels and of Slack: told once, nothing lost."""

from __future__ import annotations

import asyncio
import contextlib
import re
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from bot.app import Bot
from bot.settings import BotSettings
from bot.slack import SlackError
from sync import delivery
from sync.errors import Kind, Reason
from sync.model import ConnectionState, EventKind, InvoiceState
from sync.store.redis import Clients
from sync.vault import Vault
from tests.scenarios.conftest import BOT_TOKEN, ORG, SECRET, Surface, failure, finished, posts
from tests.unit.bot_support import NOW, record

S = InvoiceState


# ---- the connection -------------------------------------------------------------------------


async def test_a_broken_connection_is_told_once_and_healed_in_place(told: Surface) -> None:
    assert told.service.now_connected is not None
    reason = Reason(code="sevdesk.unauthorized", kind=Kind.PRECONDITION)
    broken = {"state": ConnectionState.BROKEN, "reason": reason}
    told.service.now_connected = told.service.now_connected.model_copy(update=broken)
    for _ in range(2):
        told.service.event(EventKind.CONNECTION_CHANGED, after="broken")
        await told.notify()
    (card,) = posts(told)
    assert "funktioniert nicht mehr" in card.text
    healed = {"state": ConnectionState.ACTIVE, "reason": None}
    told.service.now_connected = told.service.now_connected.model_copy(update=healed)
    told.service.event(EventKind.CONNECTION_CHANGED, after="active")
    await told.notify()
    assert "funktioniert wieder" in card.text
    assert len(posts(told)) == 1


async def test_an_outage_of_the_store_is_told_once_with_its_times(told: Surface) -> None:
    since, until = (datetime(2026, 11, 22, 10, minute, tzinfo=UTC) for minute in (2, 9))
    for _ in range(2):
        told.service.event(
            EventKind.STORE_OUTAGE, before=since.isoformat(), after=until.isoformat()
        )
        await told.notify()
    (card,) = posts(told)
    assert "konnte von" in card.text
    assert "nicht arbeiten" in card.text
    assert "10:02 UTC" in card.text
    assert "10:09 UTC" in card.text
    assert "Keine Rechnung ging verloren" in card.all_text


@pytest.mark.parametrize(("button", "resend"), [("hold_restore", False), ("hold_resend", True)])
async def test_vanished_tags_are_decided_by_a_manager(
    told: Surface, button: str, resend: bool
) -> None:
    assert told.service.now_connected is not None
    held = {"state": ConnectionState.HELD, "held_invoices": ("1", "2", "3")}
    told.service.now_connected = told.service.now_connected.model_copy(update=held)
    told.service.event(EventKind.CONNECTION_CHANGED, after="held")
    await told.notify()
    assert "nur Administratoren" in await told.click(button, user="member")
    await told.click(button, user="admin")
    assert told.service.resolved == [resend]
    assert "schon jemand entschieden" in await told.click(button, user="admin")


# ---- channels and Slack's own trouble -------------------------------------------------------


async def test_an_archived_channel_is_told_to_the_owner_who_gets_the_card(
    told: Surface,
) -> None:
    told.slack.channel("invoices").archived = True
    told.service.add(record(run=""))
    await told.notify()
    direct = [m.all_text for m in told.slack.direct_messages("admin")]
    assert "archiviert" in direct[0]
    assert "RE-1001" in direct[1]
    assert "archiviert" in await told.command("/sevdesk status", channel="general")


async def test_the_owner_is_told_once_about_a_channel(told: Surface) -> None:
    told.slack.channel("invoices").archived = True
    for n in range(3):
        told.service.add(record(run="", invoice_id=str(n)))
        await told.notify()
    direct = [m for m in told.slack.direct_messages("admin") if "archiviert" in m.all_text]
    assert len(direct) == 1


async def test_failures_go_to_their_own_channel(told: Surface) -> None:
    await told.bot.deps.store.change_prefs(ORG, failures_channel="C0FINANCE")
    told.service.add(record())
    told.service.add_run(finished(imported=1))
    await told.notify()
    assert "RE-1001" in told.slack.messages("finance-team")[-1].text
    assert "importiert" in posts(told)[0].text


async def test_a_deleted_message_is_posted_anew(told: Surface) -> None:
    message = await failure(told)
    message.deleted = True
    told.service.add(delivery.delivered(told.service.records["4711"], "ok", NOW))
    await told.notify()
    assert "zugestellt" in posts(told)[-1].text


async def test_a_rate_limit_is_waited_for_and_nothing_is_posted_twice(told: Surface) -> None:
    told.slack.faults.add("chat.postMessage", "rate_limited", times=1, retry_after=0)
    await failure(told)
    assert len(posts(told)) == 1


@pytest.mark.parametrize("fault", ["server_error", "drop_before"])
async def test_slack_being_away_loses_nothing(told: Surface, fault: str) -> None:
    told.slack.faults.add("chat.postMessage", fault, times=3)
    told.service.add(record(run=""))
    for _ in range(3):  # the sweep calls again every 15 s
        with contextlib.suppress(SlackError):
            await told.notify()
        told.clock.forward(timedelta(seconds=15))
    assert len(posts(told)) == 1


async def test_slack_being_away_for_long_is_made_up_for_later(told: Surface) -> None:
    told.slack.faults.add("chat.postMessage", "server_error", times=None)
    told.service.add(record(run=""))
    with pytest.raises(SlackError):
        await told.notify()
    told.slack.faults.clear()
    told.clock.forward(timedelta(minutes=1))
    await told.bot.tick(ORG)
    assert len(posts(told)) == 1


async def test_a_lost_answer_tells_at_least_once(told: Surface) -> None:
    told.slack.faults.add("chat.postMessage", "drop_after", times=1)
    await failure(told)
    assert 1 <= len(posts(told)) <= 2


async def test_a_revoked_token_stops_posting_and_loses_nothing(told: Surface) -> None:
    told.slack.revoke_token()
    told.service.add(record(run=""))
    await told.notify()
    calls = len(told.slack.calls())
    await told.notify()
    assert len(told.slack.calls()) == calls
    for install in told.slack.core.installs.values():
        install.error = ""
    await told.bot.deps.store.speak(ORG)
    await told.notify()
    assert len(posts(told)) == 1


async def test_a_new_token_speaks_as_soon_as_the_app_starts_with_it(told: Surface) -> None:
    await told.bot.deps.store.silence(ORG, 3600)
    runner = web.AppRunner(told.bot.build_app(), access_log=None)
    await runner.setup()
    await told.quiet()
    assert not await told.bot.deps.store.is_silent(ORG)
    await runner.cleanup()


async def test_a_token_that_is_still_revoked_stays_silent(told: Surface, clients: Clients) -> None:
    await told.bot.deps.store.silence(ORG, 3600)
    told.slack.revoke_token()
    settings = BotSettings.load(
        slack_signing_secret=SECRET, slack_bot_token=BOT_TOKEN, slack_api_url=told.slack.api_url
    )
    bot = Bot(settings, told.service, clients, Vault([b"k" * 32]))
    runner = web.AppRunner(bot.build_app(), access_log=None)
    await runner.setup()
    while len(bot.deps.tasks):  # noqa: ASYNC110 - the app has no reason to tell
        await asyncio.sleep(0.005)
    assert await bot.deps.store.is_silent(ORG)
    await runner.cleanup()


async def test_what_a_revoked_token_keeps_back_is_bounded_and_summed_up(
    told: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.notifier.KEPT", 5)
    told.slack.revoke_token()
    for number in range(20):
        told.service.add(record(run="", invoice_id=str(number), number=f"RE-{number}"))
        await told.notify()
        assert len(told.service.told) <= 6
    for install in told.slack.core.installs.values():
        install.error = ""
    await told.bot.deps.store.speak(ORG)
    await told.notify()
    summary, *cards = posts(told)
    assert "nichts schreiben" in summary.text
    assert "*20* fehlgeschlagen" in summary.all_text
    assert told.slack.find("invoices_retry_all", message=summary)
    shown = "\n".join(card.all_text for card in cards)
    assert set(re.findall(r"RE-\d+", shown)) == {f"RE-{number}" for number in range(15, 20)}
    assert await told.bot.deps.store.missed(ORG) is None
    told.service.add(record(run="", invoice_id="99", number="RE-99"))
    await told.notify()
    assert [m.text for m in posts(told)].count(summary.text) == 1
    assert told.cards("RE-99")


async def test_a_card_that_slack_refuses_is_sent_as_text(told: Surface) -> None:
    told.slack.faults.add("chat.postMessage", "error", code="invalid_blocks", times=1)
    message = await failure(told)
    assert "RE-1001" in message.text


async def test_one_refused_card_does_not_stop_the_others(told: Surface) -> None:
    told.slack.faults.add("chat.postMessage", "error", code="invalid_blocks", times=2)
    told.service.add(record(run="", invoice_id="1", number="RE-1"))
    told.service.add(record(run="", invoice_id="2", number="RE-2"))
    await told.notify()
    assert any("RE-2" in m.text for m in posts(told))
