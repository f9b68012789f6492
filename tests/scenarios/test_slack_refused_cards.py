"""A message that Slack does not take keeps no other from being shown, and leaves a note."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any

import pytest

from bot.notifier import Notifier
from bot.prefs import Notify
from bot.slack import SlackError
from sync import delivery
from sync.model import InvoiceRecord, InvoiceState
from tests.scenarios.conftest import ORG, Surface, posts
from tests.unit.bot_support import NOW, record

S = InvoiceState
SWEEP = timedelta(seconds=15)
LONG = timedelta(minutes=18)  # until something takes the card's place
CURSED = "Unheil GmbH"
OWN_ERRORS = [("error", "internal_error"), ("error", "fatal_error"), ("server_error", "")]


def failed(number: int, contact: str = "Nordlicht GmbH") -> InvoiceRecord:
    """With a message of its own, as in a sync with few failures."""
    name = {"invoice_id": str(number), "number": f"RE-{number}", "run": f"run{number}"}
    return record(contact_name=contact, **name)


def curse(told: Surface, kind: str = "error", code: str = "internal_error", **more: str) -> None:
    """Slack never takes what names this contact, unless something else is given."""
    for method in ("chat.postMessage", "chat.update"):
        told.slack.faults.add(method, kind, code=code, times=None, about=more.get("about", CURSED))


async def sweep(told: Surface, lasts: timedelta, every: timedelta = SWEEP) -> None:
    """The worker calls again and again, as long as something is not told."""
    end = told.clock() + lasts
    while told.clock() < end:
        with contextlib.suppress(SlackError):
            await told.notify()
        told.clock.forward(every)


def all_told(told: Surface) -> bool:
    return bool(told.service.told) and told.service.trimmed == told.service.told[-1].id


@pytest.mark.parametrize(("kind", "code"), OWN_ERRORS)
async def test_one_card_that_slack_never_takes_keeps_no_other_waiting(
    told: Surface, kind: str, code: str
) -> None:
    curse(told, kind, code)
    told.service.add(failed(1, CURSED))
    for number in (2, 3, 4):
        told.service.add(failed(number))
    with pytest.raises(SlackError):
        await told.notify()
    assert [m.text.partition("RE-")[2][:1] for m in posts(told)] == ["2", "3", "4"]
    assert not all_told(told), "it is tried again"


@pytest.mark.parametrize(("kind", "code"), OWN_ERRORS)
async def test_after_a_while_a_note_takes_its_place(told: Surface, kind: str, code: str) -> None:
    curse(told, kind, code)
    told.service.add(failed(1, CURSED))
    await sweep(told, timedelta(minutes=9))
    assert posts(told) == []
    await sweep(told, timedelta(minutes=9))
    (note,) = posts(told)
    assert "RE-1" in note.text
    assert "/sevdesk status" in note.all_text
    assert CURSED not in note.all_text
    assert all_told(told)
    tried = len(told.slack.calls("chat.postMessage"))
    await sweep(told, timedelta(hours=3), every=timedelta(minutes=9))
    assert len(told.slack.calls("chat.postMessage")) == tried
    assert tried < 20


async def test_the_note_becomes_the_card_as_soon_as_slack_takes_it(told: Surface) -> None:
    curse(told)
    card = told.service.add(failed(1, CURSED))
    await sweep(told, LONG)
    told.slack.faults.clear()
    told.service.add(delivery.delivered(card, "ok", NOW))
    await sweep(told, SWEEP)
    (message,) = posts(told)
    assert CURSED in message.all_text
    assert "zugestellt" in message.text


async def test_what_slack_takes_as_text_is_told_as_text(told: Surface) -> None:
    """The buttons are the trouble."""
    curse(told, about='"actions"')
    told.service.add(failed(1, CURSED))
    await sweep(told, LONG)
    (message,) = posts(told)
    assert CURSED in message.text
    assert "/sevdesk status" in message.all_text
    assert all_told(told)


async def test_an_edit_that_slack_never_takes_ends_in_a_note(told: Surface) -> None:
    card = told.service.add(failed(1, CURSED))
    await told.notify()
    told.slack.faults.add("chat.update", "error", code="internal_error", times=None)
    told.service.add(delivery.delivered(card, "ok", NOW))
    await sweep(told, LONG)
    old, note = posts(told)
    assert CURSED in old.text
    assert "RE-1" in note.text
    assert "zugestellt" not in note.text
    assert all_told(told)


async def test_a_note_that_the_channel_does_not_take_goes_to_the_owner(told: Surface) -> None:
    curse(told, about="C0INVOICES")
    told.service.add(failed(1, CURSED))
    await sweep(told, LONG)
    assert posts(told) == []
    assert "RE-1" in told.slack.direct_messages("admin")[-1].text
    assert all_told(told)


OUTAGES: dict[str, dict[str, Any]] = {
    "server_error": {"kind": "server_error"},
    "internal_error": {"kind": "error", "code": "internal_error"},
    "message_limit_exceeded": {"kind": "error", "code": "message_limit_exceeded"},
    "rate_limited": {"kind": "rate_limited", "retry_after": 60},
    "drop_before": {"kind": "drop_before"},
}


@pytest.mark.parametrize(
    ("method", "name"),
    [("*", "server_error"), *(("chat.postMessage", name) for name in OUTAGES)],
)
async def test_an_outage_of_slack_costs_no_card(told: Surface, method: str, name: str) -> None:
    """Also one in which Slack answers everything but messages."""
    told.slack.faults.add(method, times=None, **OUTAGES[name])
    numbers = range(1, 5)
    for number in numbers:
        told.service.add(failed(number))
    await sweep(told, timedelta(minutes=40), every=timedelta(minutes=1))
    assert posts(told) == []
    told.slack.faults.clear()
    await sweep(told, timedelta(minutes=6), every=timedelta(minutes=1))
    whole = [m for m in posts(told) if told.slack.find("invoice_retry", message=m)]
    assert {m.text.partition("RE-")[2][:1] for m in whole} == {str(n) for n in numbers}
    assert len(posts(told)) == len(numbers)
    assert all_told(told)


async def test_an_outage_is_not_answered_with_a_call_for_each_card(told: Surface) -> None:
    told.slack.faults.add("chat.postMessage", "server_error", times=None)
    for number in range(1, 100):
        told.service.add(failed(number))
    before = len(told.slack.calls("chat.postMessage"))
    with pytest.raises(SlackError):
        await told.notify()
    assert len(told.slack.calls("chat.postMessage")) - before <= 20


async def test_several_cards_that_slack_never_takes_keep_no_other_waiting(told: Surface) -> None:
    curse(told)
    for number in range(1, 8):
        told.service.add(failed(number, CURSED))
    told.service.add(failed(9))
    await sweep(told, timedelta(minutes=1))
    assert ["RE-9" in m.text for m in posts(told)] == [True]
    await sweep(told, timedelta(hours=1), every=timedelta(minutes=1))
    assert len(posts(told)) == 8
    assert all_told(told)


async def test_events_behind_it_are_read_as_well(
    told: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than one pass reads; their place in the list is not stored."""
    monkeypatch.setattr("bot.notifier.BATCH", 3)
    curse(told)
    told.service.add(failed(1, CURSED))
    for number in range(2, 12):
        told.service.add(failed(number))
    with pytest.raises(SlackError):
        await told.notify()
    assert len(posts(told)) == 10
    assert not told.service.trimmed


async def test_a_process_that_dies_loses_neither_the_card_nor_the_count(told: Surface) -> None:
    curse(told)
    told.service.add(failed(1, CURSED))
    await sweep(told, timedelta(minutes=5))
    deps = told.bot.deps
    before = await deps.store.posted(ORG, "invoice:1:1")
    told.bot.notifier = Notifier(
        deps.service, deps.store, deps.cards, deps.announcer, told.bot.hearing
    )
    with pytest.raises(SlackError):
        await told.notify()
    after = await deps.store.posted(ORG, "invoice:1:1")
    assert before is not None
    assert after is not None
    assert before.trouble is not None
    assert after.trouble is not None
    assert after.trouble.since == before.trouble.since
    assert after.trouble.times >= before.trouble.times > 4


async def test_a_clock_that_is_put_forward_gives_no_card_up(told: Surface) -> None:
    curse(told)
    told.service.add(failed(1, CURSED))
    with pytest.raises(SlackError):
        await told.notify()
    told.clock.forward(timedelta(days=9))
    for _ in range(2):
        with pytest.raises(SlackError):
            await told.notify()
    told.slack.faults.clear()
    await sweep(told, timedelta(minutes=5))
    (message,) = posts(told)
    assert told.slack.find("invoice_retry", message=message)


async def test_what_slack_refuses_for_good_leaves_a_note_at_once(told: Surface) -> None:
    curse(told, code="invalid_blocks")
    told.service.add(failed(1, CURSED))
    told.service.add(failed(2))
    await told.notify()
    assert ["RE-1" in m.text for m in posts(told)] == [True, False]
    assert "nicht gezeigt" in posts(told)[0].text
    assert all_told(told)


async def test_a_note_that_slack_has_an_error_for_is_tried_more_and_more_rarely(
    told: Surface,
) -> None:
    """The message itself was refused for good."""
    curse(told, code="invalid_blocks")
    curse(told, about="RE-1")
    told.service.add(failed(1, CURSED))
    before = len(told.slack.calls("chat.postMessage"))
    await sweep(told, timedelta(minutes=30))
    assert len(told.slack.calls("chat.postMessage")) - before < 80
    assert not all_told(told)
    told.slack.faults.clear()
    curse(told, code="invalid_blocks")
    await sweep(told, timedelta(minutes=6))
    assert ["RE-1" in m.text for m in posts(told)] == [True]
    assert all_told(told)


async def test_a_summary_of_the_day_that_slack_does_not_take_stops_nothing_else(
    told: Surface,
) -> None:
    await told.bot.deps.store.change_prefs(ORG, notify=Notify.DAILY, daily_at="00:00")
    told.service.add(failed(1))
    await told.notify()
    told.slack.faults.add("chat.postMessage", "error", code="internal_error", about=":calendar:")
    told.service.add(failed(2))
    await told.bot.tick(ORG)
    assert any("RE-2" in m.text for m in posts(told))
