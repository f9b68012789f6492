"""Digests, and what is asked before sending: told once, updated in place, never a flood."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from bot.notifier import Notifier
from bot.prefs import Details, Notify
from sync import delivery
from sync.errors import Reason
from sync.model import ConnectionState, EventKind, InvoiceState
from tests.sandbox.slack.workspace import Message
from tests.scenarios.conftest import ORG, Surface, finished, posts
from tests.unit.bot_support import NOW, record

S = InvoiceState


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
