"""Digests, daily summaries and lists: what is counted, shown and offered."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from bot.blocks import digest, status
from bot.blocks.digest import Day, Digest, Waiting
from bot.blocks.missed import Missed, missed
from bot.blocks.status import InvoicePage, Status
from bot.prefs import Prefs
from sync.errors import Reason
from sync.model import ConnectionState, InvoiceState, Pause
from tests.unit.bot_support import EN, NOW, action_ids, connection, record, run, shown, words

S = InvoiceState


def test_what_was_missed_counts_what_waits_once() -> None:
    card = missed(EN, Missed("Lindhof", NOW, {"sent": 3, "waiting": 2, "failed": 1}))
    assert words(card).count("waiting for you") == 1
    assert {"invoices_send_all", "invoices_retry_all", "invoices_list"} <= set(action_ids(card))


def test_a_digest_asks_before_a_first_sync_is_sent() -> None:
    waiting = Waiting(count=12, total="€12,000.00", oldest=date(2026, 1, 2), first_sync=True)
    card = digest.digest(EN, Digest(run(counts={"waiting": 12}), "Nordwind", waiting))
    said = words(card)
    assert "12 invoices have gathered" in said
    assert "€12,000.00" in said
    assert "2 Jan 2026" in said
    ids = ["invoices_send_all", "invoices_send_from", "invoices_list"]
    assert [i for i in action_ids(card) if i in ids][:3] == ids


def test_a_digest_offers_each_waiting_invoice_where_they_are_few() -> None:
    rows = tuple(shown(record(invoice_id=str(n), state=S.WAITING)) for n in range(3))
    card = digest.digest(EN, Digest(run(counts={"waiting": 3}), "A", Waiting(3, rows=rows)))
    assert action_ids(card).count("invoice_send") == 3


def test_a_question_about_what_waits_names_it_once() -> None:
    rows = tuple(shown(record(invoice_id=str(n), state=S.WAITING)) for n in range(3))
    card = digest.digest(EN, Digest(run(counts={"waiting": 3}), "A", Waiting(3, rows=rows)))
    assert "Waiting for you" not in words(card)
    assert "waiting:0" not in json.dumps(card.blocks)  # each stands there already


def test_the_status_of_a_pause_has_both_answers_that_it_names() -> None:
    reason = Reason(code="connection.unheard", params={"code": "account_inactive"})
    paused = overview().model_copy(
        update={"connection": connection(pause=Pause(since=NOW, reason=reason))}
    )
    assert {"pause_resume", "home_disconnect"} <= set(
        action_ids(status.status(EN, Status(paused, Prefs())))
    )


def test_a_refused_token_can_be_replaced_from_the_status() -> None:
    broken = overview().model_copy(update={"connection": connection(state=ConnectionState.BROKEN)})
    assert action_ids(status.status(EN, Status(broken, Prefs())))[0] == "home_connect"


def test_retry_all_is_offered_only_for_several() -> None:
    one = digest.digest(EN, Digest(run(counts={"failed": 1}), "A"))
    two = digest.digest(EN, Digest(run(counts={"failed": 1, "blocked": 1}), "A"))
    assert "invoices_retry_all" not in action_ids(one)
    assert "invoices_retry_all" in action_ids(two)


def test_progress_is_shown_while_a_sync_runs() -> None:
    given = run(finished_at=None, to_import=1000, imported=120)
    assert "120 of 1,000" in words(digest.digest(EN, Digest(given, "A")))


def test_a_sync_that_found_nothing_is_not_worth_a_message() -> None:
    assert not digest.worth_telling(run(imported=0, reexported=0, seen=5, skipped=2))


def test_a_daily_summary_counts_by_state() -> None:
    said = words(digest.daily(EN, Day("A", {"sent": 4, "failed": 1}, 1)))
    assert "*4* sent" in said
    assert "1 invoice needs somebody" in said


def test_status_shows_a_closed_channel() -> None:
    prefs = Prefs(channel="C1", channel_problem="is_archived", problem_channel="C1")
    data = Status(overview(), prefs)
    assert "is archived" in words(status.status(EN, data))


def overview() -> Any:
    from sync.model import Overview  # noqa: PLC0415

    return Overview(connection=connection(), counts={"sent": 3})


def test_pages_lead_to_each_other() -> None:
    page = InvoicePage("failed", 10, 35, [shown()])
    values = {e["action_id"]: e["value"] for e in status.invoices(EN, page).blocks[-1]["elements"]}
    assert values == {"invoices_newer": "failed:0", "invoices_older": "failed:20"}


@pytest.mark.parametrize(("open_ones", "values"), [(0, ["all:0"]), (2, ["attention:0", "all:0"])])
def test_a_daily_summary_leads_to_what_needs_somebody(open_ones: int, values: list[str]) -> None:
    card = digest.daily(EN, Day("Nordwind", {"sent": 3}, open_ones))
    buttons = [b["accessory"] for b in card.blocks if "accessory" in b]
    buttons += [e for b in card.blocks for e in b.get("elements", []) if e["type"] == "button"]
    assert [button["value"] for button in buttons] == values
