"""Digests, failures and their buttons: told once, updated in place, never a flood."""

from __future__ import annotations

import asyncio
import contextlib
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from aiohttp import web

from bot.app import Bot
from bot.notifier import Notifier
from bot.prefs import Details, Notify
from bot.settings import BotSettings
from bot.slack import SlackError
from sync import delivery
from sync.errors import Kind, Reason
from sync.model import (
    ConnectionState,
    Decision,
    EventKind,
    InvoiceState,
    Outcome,
    ParticipantId,
    SyncRun,
)
from sync.store.redis import Clients
from sync.vault import Vault
from tests.sandbox.slack.workspace import Message
from tests.scenarios.conftest import BOT_TOKEN, ORG, SECRET, Surface
from tests.unit.bot_support import record

S = InvoiceState
NOW = datetime(2026, 11, 22, 14, 3, tzinfo=UTC)


def finished(run_id: str = "run1", *, imported: int = 3, **changes: object) -> SyncRun:
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


# ---- digest ---------------------------------------------------------------------------------


async def test_a_sync_is_told_in_one_message_with_its_details_in_the_thread(
    told: Surface,
) -> None:
    for n in range(3):
        told.service.add(record(invoice_id=str(n), number=f"RE-{n}", state=S.SENT, reason=None))
    told.service.add_run(finished())
    await told.notify()
    (digest,) = posts(told)
    assert "3 Rechnungen importiert" in digest.all_text
    (details,) = told.slack.thread(digest)
    assert [n for n in range(3) if f"RE-{n}" not in details.all_text] == []


async def test_a_sync_that_did_nothing_is_silent(told: Surface) -> None:
    told.service.add_run(finished(imported=0))
    await told.notify()
    assert posts(told) == []


async def test_what_happens_later_edits_the_digest(told: Surface) -> None:
    sending = told.service.add(record(state=S.SUBMITTED, reason=None))
    told.service.add_run(finished(imported=1))
    await told.notify()
    told.service.add(delivery.delivered(sending, "delivered", NOW))
    await told.notify()
    (digest,) = posts(told)
    assert "*1* gesendet" in digest.all_text
    assert digest.edited


async def test_telling_again_shows_nothing_twice(told: Surface) -> None:
    told.service.add(record())
    told.service.add_run(finished(imported=1))
    await told.notify()
    before = len(told.slack.calls("chat.postMessage")), len(told.slack.calls("chat.update"))
    await told.bot.deps.store.save_cursor(ORG, "")
    await told.notify()
    after = len(told.slack.calls("chat.postMessage")), len(told.slack.calls("chat.update"))
    assert after == before


async def test_events_are_trimmed_after_they_were_told(told: Surface) -> None:
    told.service.add(record())
    await told.notify()
    assert told.service.trimmed == told.service.told[-1].id


async def test_two_notifiers_at_once_post_once(told: Surface) -> None:
    told.service.add(record())
    told.service.add_run(finished(imported=1))
    await asyncio.gather(*(told.notify() for _ in range(5)))
    assert len(posts(told)) == 2  # digest and failure


async def test_only_failures_when_so_chosen(told: Surface) -> None:
    await told.bot.deps.store.change_prefs(ORG, notify=Notify.FAILURES)
    told.service.add(record())
    told.service.add_run(finished(imported=1))
    await told.notify()
    (failure,) = posts(told)
    assert "RE-1001" in failure.text


async def test_a_daily_summary_comes_once_after_its_time(told: Surface) -> None:
    await told.bot.deps.store.change_prefs(
        ORG, notify=Notify.DAILY, daily_at="08:00", timezone="Europe/Berlin"
    )
    told.service.add(record(state=S.SENT, reason=None))
    told.service.add_run(finished(imported=1))
    early = datetime(2026, 11, 23, 6, 59, tzinfo=UTC)  # 07:59 in Berlin
    await told.bot.tick(ORG, early)
    assert [m for m in posts(told) if "Der Tag" in m.text] == []
    for minutes in (1, 2, 60):
        await told.bot.tick(ORG, early + timedelta(minutes=minutes))
    assert len([m for m in posts(told) if "Der Tag" in m.text]) == 1


# ---- never a flood --------------------------------------------------------------------------


async def test_a_thousand_imports_with_failures_are_one_message_and_one_per_ten_failures(
    told: Surface,
) -> None:
    run = finished(imported=0, to_import=1000, finished_at=None)
    told.service.add_run(run)
    for n in range(1000):
        state = S.FAILED if n % 10 == 0 else S.SENT
        told.service.add(record(invoice_id=str(n), number=f"RE-{n}", state=state))
        told.service.runs["run1"] = run.model_copy(update={"imported": n + 1})
        if n % 100 == 99:
            await told.notify()
    told.service.add_run(finished(imported=1000))
    await told.notify()
    assert len(posts(told)) == 1 + 10
    assert "1.000 Rechnungen importiert" in posts(told)[0].all_text
    shown = "\n".join(m.all_text for m in posts(told)[1:])
    assert [n for n in range(0, 1000, 10) if f"|RE-{n}>" not in shown] == []


async def test_progress_is_shown_while_a_large_import_runs(told: Surface) -> None:
    told.service.add_run(finished(imported=120, to_import=1000, finished_at=None))
    await told.notify()
    (digest,) = posts(told)
    assert "120 von 1.000" in digest.text


async def test_passes_are_apart_while_events_keep_coming(connected: Surface) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    deps = connected.bot.deps
    clock = iter(float(n) / 100 for n in range(10_000))
    notifier = Notifier(
        connected.service,
        deps.store,
        deps.cards,
        deps.announcer,
        connected.bot.hearing,
        sleep=sleep,
        monotonic=lambda: next(clock),
    )
    for n in range(4):
        connected.service.add(record(invoice_id=str(n)))
        await notifier.notify(ORG)
    assert len([s for s in waited if s > 0.5]) >= 3


async def test_a_failure_in_a_group_has_its_own_retry(told: Surface) -> None:
    told.service.add_run(finished(imported=20))
    for n in range(20):
        told.service.add(record(invoice_id=str(n), number=f"RE-{n}"))
    await told.notify()
    first = posts(told)[1]
    await told.click("invoice_retry", user="member", message=first, value="4")
    assert "Wird gesendet… durch <@U0MEMBER>" in first.all_text
    assert told.service.attempts == 1


# ---- failures -------------------------------------------------------------------------------


async def failure(surface: Surface, **changes: object) -> Message:
    surface.service.add(record(run="", **changes))
    await surface.notify()
    return posts(surface)[-1]


async def test_retry_shows_who_clicked_at_once_and_the_result_in_place(told: Surface) -> None:
    message = await failure(told)
    said = await told.click("invoice_retry", user="member")
    assert "RE-1001 wird erneut gesendet" in said
    assert "durch <@U0MEMBER>" in message.all_text
    sent = told.service.records["4711"].model_copy(update={"attempts": 2})
    told.service.add(delivery.delivered(sent, "delivered", NOW))
    await told.notify()
    assert "wurde über Peppol zugestellt" in message.text
    assert "<@U0MEMBER>" in message.all_text
    assert len(posts(told)) == 1


async def test_ten_clicks_by_five_people_are_one_attempt_and_everyone_is_answered(
    told: Surface,
) -> None:
    message = await failure(told)
    people = ["admin", "ben", "clara", "guest", "ben"]
    before = {user: len(told.slack.ephemerals(user)) for user in set(people)}
    clicks = [told.slack.click("invoice_retry", user=user, message=message) for user in people * 2]
    for given in await asyncio.gather(*clicks):
        assert (given.status, given.error) == (200, "")
    await told.quiet()
    assert told.service.attempts == 1
    answers = {user: len(told.slack.ephemerals(user)) - before[user] for user in before}
    assert answers == {"admin": 2, "ben": 4, "clara": 2, "guest": 2}


async def test_a_late_click_on_what_failed_again_starts_nothing(told: Surface) -> None:
    message = await failure(told)
    stale = told.slack.find("invoice_retry", message=message)
    shown = told.service.records["4711"]
    told.service.records["4711"] = shown.model_copy(update={"attempts": 2, "actor": "U0MEMBER"})
    assert stale.block["block_id"] == "invoice:4711:1.1"
    said = await told.click("invoice_retry", user="admin")
    assert "<@U0MEMBER> war schneller" in said
    assert told.service.attempts == 0


async def test_a_replayed_request_starts_nothing(told: Surface) -> None:
    await failure(told)
    await told.click("invoice_retry", user="member")
    kind, body, headers = told.slack.out.replays[-1]
    await told.slack.out.send(kind, body, headers)
    await told.quiet()
    assert told.service.attempts == 1


async def test_a_guest_who_clicks_is_told_and_starts_nothing(told: Surface) -> None:
    await failure(told)
    said = await told.click("invoice_retry", user="guest")
    assert "Vollmitglied" in said
    assert told.service.attempts == 0


async def test_solved_elsewhere_is_shown_in_place(told: Surface) -> None:
    message = await failure(told)
    paid = delivery.withdrawn(told.service.records["4711"], Reason(code="withdrawn.paid"), NOW)
    told.service.add(paid)
    await told.notify()
    assert "inzwischen bezahlt" in message.all_text
    assert len(posts(told)) == 1


async def test_a_reexport_that_fails_is_a_new_message(told: Surface) -> None:
    await failure(told)
    await failure(told, generation=2)
    assert len(posts(told)) == 2


async def test_unconfirmed_arrived(told: Surface) -> None:
    message = await failure(told, state=S.UNCONFIRMED, overdue=True, reason=None)
    said = await told.click("invoice_arrived", user="member")
    assert "als gesendet vermerkt" in said
    assert "zugestellt" in message.text


async def test_unconfirmed_send_again(told: Surface) -> None:
    await failure(told, state=S.UNCONFIRMED, overdue=True, reason=None)
    await told.click("invoice_send_again", user="member")
    assert told.service.records["4711"].force


async def test_send_again_while_the_first_may_be_under_way_says_when(told: Surface) -> None:
    await failure(told, state=S.UNCONFIRMED, overdue=True, reason=None)

    async def too_early(org: str, invoice_id: str, actor: str) -> Decision:
        return Decision(outcome=Outcome.NOT_POSSIBLE, record=told.service.records[invoice_id])

    told.service.send_again = too_early  # type: ignore[method-assign]
    assert "könnte noch unterwegs sein" in await told.click("invoice_send_again")


async def test_dismiss(told: Surface) -> None:
    message = await failure(told)
    await told.click("invoice_dismiss", user="member")
    assert "hat sich ohne Senden erledigt" in message.text


async def test_documents_go_to_who_asked_directly(told: Surface) -> None:
    await failure(told)
    said = await told.click("invoice_documents", user="member")
    assert "Direktnachricht" in said
    names = [f["name"] for m in told.slack.direct_messages("member") for f in m.files]
    assert names == ["a.xml", "a.pdf"]
    assert [m for m in told.slack.messages("invoices") if m.files] == []


async def test_an_unknown_button_is_answered(told: Surface) -> None:
    message = await failure(told)
    message.blocks[-1]["elements"][0]["action_id"] = "of_an_older_version"
    assert "älteren Version" in await told.click("of_an_older_version")


async def test_a_button_of_a_forgotten_invoice_is_answered(told: Surface) -> None:
    await failure(told)
    told.service.records.clear()
    assert "kennt diese Rechnung nicht mehr" in await told.click("invoice_retry")


async def test_a_customer_called_channel_pings_nobody(told: Surface) -> None:
    message = await failure(told, contact_name="<!channel> & *Co*")
    assert message.pings == []


async def test_hidden_amounts_are_nowhere(told: Surface) -> None:
    await told.bot.deps.store.change_prefs(ORG, hide_amounts=True)
    message = await failure(told, gross=Decimal(4711))
    assert "4.711,00" not in message.all_text


# ---- Peppol id ------------------------------------------------------------------------------

CANDIDATES = (
    ParticipantId(scheme="9930", value="DE136695976"),
    ParticipantId(scheme="0088", value="4035811991014"),
)


async def test_a_receiver_is_chosen_among_candidates_with_what_the_lookup_said(
    told: Surface,
) -> None:
    told.service.said_of = {str(CANDIDATES[0]): "not_registered"}
    await failure(told, candidates=CANDIDATES)
    await told.click("invoice_peppol_id", user="member")
    modal = told.slack.modal("member")
    assert "nicht im Peppol-Netzwerk registriert" in modal.all_text
    await told.submit(user="member")  # the one that is registered is chosen already
    assert told.service.chosen == [CANDIDATES[1]]
    assert "Für diesen Kontakt gespeichert" in told.slack.modal("member").all_text


async def test_a_typed_receiver_that_nobody_knows_is_asked_again(told: Surface) -> None:
    told.service.said_of = {"9930:DE136695976": "not_registered"}
    await failure(told)
    await told.click("invoice_peppol_id", user="member")
    view = await told.submit(user="member", participant="9930:DE136695976")
    assert "nicht registriert" in view.all_text
    assert view.callback_id == "peppol_id"
    assert told.service.chosen == []


async def test_a_wrong_check_digit_is_shown_at_the_field(told: Surface) -> None:
    await failure(told)
    await told.click("invoice_peppol_id", user="member")
    view = await told.submit(user="member", participant="9930:DE136695977")
    assert "Prüfziffer" in view.errors["participant"]


# ---- asking before sending ------------------------------------------------------------------


async def waiting(surface: Surface, count: int, hold: str = "first_sync") -> Message:
    for n in range(count):
        surface.service.add(
            record(
                invoice_id=str(n),
                number=f"RE-{n:02d}",
                state=S.WAITING,
                hold=hold,
                reason=None,
                gross=Decimal(100),
                invoice_date=date(2026, 1, n + 1),
            )
        )
    surface.service.add_run(finished(imported=count))
    await surface.notify()
    return posts(surface)[0]


async def test_a_first_sync_asks_with_count_sum_and_oldest_date(told: Surface) -> None:
    digest = await waiting(told, 12)
    assert "12 Rechnungen haben sich angesammelt" in digest.all_text
    assert "1.200,00" in digest.all_text
    assert "01.01.2026" in digest.all_text


async def test_send_all(told: Surface) -> None:
    await waiting(told, 12)
    said = await told.click("invoices_send_all", user="member")
    assert "12 Rechnungen werden gesendet" in said
    assert {r.state for r in told.service.records.values()} == {S.READY}


async def test_send_only_from_a_date(told: Surface) -> None:
    await waiting(told, 12)
    await told.click("invoices_send_from", user="member")
    view = await told.submit(user="member", since="2026-01-11")
    assert "2 Rechnungen mit Datum ab 11.01.2026" in view.all_text
    assert told.service.attempts == 2


async def test_send_one_by_one(told: Surface) -> None:
    await waiting(told, 12)
    await told.click("invoices_list", user="member", value="waiting:0")
    await told.click("invoice_send", user="member", value="3")
    assert told.service.records["3"].state is S.READY
    assert told.service.attempts == 1


async def test_ask_before_sending_offers_each_invoice_in_the_digest(told: Surface) -> None:
    digest = await waiting(told, 2, hold="ask")
    await told.click("invoice_send", user="member", message=digest, value="1")
    assert told.service.records["1"].actor == "U0MEMBER"


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


# ---- who is called, and where details go ----------------------------------------------------


async def test_a_failure_calls_the_chosen_people_until_somebody_acts(told: Surface) -> None:
    await told.bot.deps.store.change_prefs(ORG, mention=("U0MEMBER", "U0ADMIN"))
    failed = told.service.add(record(run=""))
    await told.notify()
    (card,) = told.cards("RE-1001")
    assert card.text.startswith(":bell: <@U0MEMBER> <@U0ADMIN>")
    assert "<@U0MEMBER>" in card.all_text
    told.service.add(failed.model_copy(update={"state": S.SENT, "reason": None}))
    await told.notify()
    (card,) = told.cards("RE-1001")
    assert "<@U0MEMBER>" not in card.text + card.all_text


async def test_a_refused_token_calls_the_chosen_people(told: Surface) -> None:
    await told.bot.deps.store.change_prefs(ORG, mention=("U0MEMBER",))
    assert told.service.now_connected is not None
    changes = {"state": ConnectionState.BROKEN, "reason": Reason(code="sevdesk.unauthorized")}
    told.service.now_connected = told.service.now_connected.model_copy(update=changes)
    told.service.event(EventKind.CONNECTION_CHANGED, after="broken")
    await told.notify()
    assert "<@U0MEMBER>" in posts(told)[-1].text


async def test_nobody_is_called_for_what_went_well(told: Surface) -> None:
    await told.bot.deps.store.change_prefs(ORG, mention=("U0MEMBER",))
    told.service.add(record(state=S.SENT, reason=None))
    told.service.add_run(finished(imported=1))
    await told.notify()
    assert posts(told)
    assert all("<@U0MEMBER>" not in message.text for message in posts(told))


@pytest.mark.parametrize(
    ("details", "in_channel", "in_thread"),
    [(Details.THREAD, 1, 1), (Details.CHANNEL, 2, 0), (Details.OFF, 1, 0)],
)
async def test_details_go_where_the_settings_say(
    told: Surface, details: Details, in_channel: int, in_thread: int
) -> None:
    await told.bot.deps.store.change_prefs(ORG, details=details)
    before = len(told.slack.messages("invoices", replies=False))
    told.service.add(record(state=S.SENT, reason=None))
    told.service.add_run(finished(imported=1))
    for _ in range(2):
        await told.notify()
    whole = told.slack.messages("invoices")
    top = told.slack.messages("invoices", replies=False)[before:]
    assert len(top) == in_channel
    assert len([m for m in whole if m.thread_ts and m.thread_ts != m.ts]) == in_thread
