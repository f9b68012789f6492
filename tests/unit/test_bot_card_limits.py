"""Every card and modal is within Slack's limits and harmless, whatever its data."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.authz import Verdict
from bot.blocks import connection as connections
from bot.blocks import digest, home, kit, modals, status
from bot.blocks import settings as settings_modal
from bot.blocks.calling import calling
from bot.blocks.digest import Digest, Waiting
from bot.blocks.failure import failure
from bot.blocks.group import group
from bot.blocks.missed import Missed, missed
from bot.blocks.status import InvoicePage, Status
from bot.blocks.unshown import as_text, unshown
from bot.prefs import Prefs
from bot.texts import LANGUAGES, Mrkdwn, Texts, escape, texts
from sync.errors import Kind, Reason
from sync.model import Event, EventKind, InvoiceState, Pause, SyncRun
from tests.sandbox.slack.validation import validate_message
from tests.unit.bot_support import (
    CODES,
    EN,
    LANGUAGE,
    NAMES,
    NOW,
    assert_sendable,
    assert_shown,
    connection,
    overviews,
    reasons,
    records,
    relaxed,
    run,
    shown,
    words,
)

S = InvoiceState


# ---- messages and views -----------------------------------------------------------------


@relaxed
@given(LANGUAGE, records(), st.booleans())
def test_a_failure_card_is_sendable(t: Texts, given: Any, hide: bool) -> None:
    assert_sendable(failure(t, shown(given, hide_amounts=hide)))


@relaxed
@given(LANGUAGE, st.lists(records(), min_size=1, max_size=10, unique_by=lambda r: r.invoice_id))
def test_a_group_of_failures_is_sendable(t: Texts, given: list[Any]) -> None:
    assert_sendable(group(t, [shown(one) for one in given]))


@relaxed
@given(
    LANGUAGE,
    NAMES,
    st.lists(records(), max_size=10, unique_by=lambda r: r.invoice_id),
    st.integers(0, 10**6),
    st.booleans(),
    st.none() | reasons(),
)
def test_a_digest_is_sendable(
    t: Texts, account: str, rows: list[Any], count: int, first: bool, error: Reason | None
) -> None:
    waiting = Waiting(
        count=count,
        total="€1,190.00",
        oldest=date(2026, 1, 2),
        first_sync=first,
        rows=tuple(shown(one) for one in rows),
    )
    counts = {state.value: count for state in S}
    given = run(counts=counts, error=error, skipped=count, reexported=1, trigger="<!channel>")
    assert_sendable(digest.digest(t, Digest(given, account, waiting)))


@relaxed
@given(LANGUAGE, st.lists(records(), max_size=60))
def test_the_thread_of_a_digest_is_sendable(t: Texts, given: list[Any]) -> None:
    assert_sendable(digest.details(t, [shown(one) for one in given], len(given)))


@relaxed
@given(LANGUAGE, overviews(), NAMES)
def test_status_is_sendable(t: Texts, overview: Any, channel: str) -> None:
    prefs = Prefs(channel=channel)
    needs = tuple(shown(one) for one in overview.needs_person)
    assert_sendable(status.status(t, Status(overview, prefs, needs)))


@relaxed
@given(LANGUAGE, overviews(), st.booleans())
def test_the_home_tab_is_valid(t: Texts, overview: Any, manages: bool) -> None:
    needs = tuple(shown(one) for one in overview.needs_person)
    assert_shown(home.home(t, Status(overview, Prefs(), needs), manages=manages, tag="xTool"))


@relaxed
@given(
    LANGUAGE,
    st.lists(records(), max_size=10, unique_by=lambda r: r.invoice_id),
    st.integers(0, 10**6),
)
def test_a_page_of_invoices_is_sendable(t: Texts, given: list[Any], offset: int) -> None:
    page = InvoicePage("all", offset, offset + 100, [shown(one) for one in given])
    assert_sendable(status.invoices(t, page))


@given(LANGUAGE, NAMES)
def test_usage_is_sendable(t: Texts, typed: str) -> None:
    assert_sendable(status.usage(t, typed))


@relaxed
@given(LANGUAGE, NAMES, st.none() | reasons(), st.integers(0, 10**5))
def test_messages_about_the_connection_are_sendable(
    t: Texts, name: str, reason: Reason | None, count: int
) -> None:
    given = connection(account_name=name, reason=reason, held_invoices=("1",) * min(count, 50))
    resumed = Event(kind=EventKind.CONNECTION_CHANGED, at=NOW)
    for card in (
        connections.broken(t, given),
        connections.held(t, given),
        connections.solved(t, given),
        connections.outage(t, given.model_copy(update={"last_error": reason})),
        connections.store_outage(t, NOW, NOW),
        connections.paused(t, given, Pause(since=NOW, reason=reason or Reason(code=name))),
        connections.resumed(t, name, NOW, resumed.model_copy(update={"actor": name})),
        unshown(t, name),
        as_text(t, kit.card(escape(name) or "-", [])),
        missed(t, Missed(name, NOW, {state.value: count for state in InvoiceState})),
        connections.ended(t, name, name),
        connections.intro(t, given, "xTool"),
        connections.welcome(t, "xTool"),
        connections.channel_problem(t, name, "is_archived"),
    ):
        assert_sendable(card)


@relaxed
@given(LANGUAGE, NAMES, records(), reasons())
def test_modals_are_valid(t: Texts, name: str, given: Any, reason: Reason) -> None:
    current = connection(account_name=name, company=name[:100])
    lookups = [("9930:DE136695976", "registered"), ("0204:991-1234512345-06", "down")]
    for view in (
        modals.connect(t, current, "C0INVOICES", escape(name)),
        modals.connect(t, None, ""),
        modals.checking(t),
        modals.connected(t, name, "xTool", escape(name)),
        modals.disconnect(t, current),
        modals.peppol_id(t, shown(given), lookups, escape(name)),
        modals.peppol_id(t, shown(given), []),
        modals.send_from(t, "2026-01-02"),
        settings_modal.settings(t, Prefs(channel="C1", may_retry=("U1",)), current),
        home.refused(t, Verdict.GUEST),
    ):
        assert_shown(view)
    assert_sendable(connections.reason_card(t, reason))


@pytest.mark.parametrize("count", [1, 2, 1000])
@pytest.mark.parametrize("language", LANGUAGES)
def test_labels_fit_with_large_numbers(language: str, count: int) -> None:
    waiting = Waiting(count=count * 1000, first_sync=True)
    card = digest.digest(texts(language), Digest(run(counts={"waiting": 1}), "A", waiting))
    assert_sendable(card)


# ---- kit ------------------------------------------------------------------------------------


@given(st.text(alphabet="a&<|> ;", max_size=80), st.integers(2, 60))
def test_a_cut_leaves_no_half_entity_or_link(text: str, limit: int) -> None:
    whole = escape(text) + "<https://x.example|y>"
    found = kit.cut(whole, limit)
    assert len(found) <= limit
    assert found.count("<") == found.count(">")


def test_a_message_gives_way_at_its_longest_paragraphs() -> None:
    long = [kit.section(Mrkdwn("x" * 2900)) for _ in range(8)]
    card = kit.card("t", [*long, kit.section(Mrkdwn("short"))])
    assert validate_message({"text": "t", "blocks": list(card.blocks)}) == []
    assert card.blocks[-1]["text"]["text"] == "short"


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reason_is_told(language: str, kind: Kind, code: str) -> None:
    card = connections.reason_card(texts(language), Reason(code=code, kind=kind))
    assert "{" not in words(card)
    assert len(words(card)) > 20


def test_a_run_without_counts_can_be_shown() -> None:
    assert_sendable(digest.digest(EN, Digest(SyncRun(id="r", org="T1", started_at=NOW), "A")))


@relaxed
@given(
    LANGUAGE,
    st.lists(records(), min_size=1, max_size=10, unique_by=lambda r: r.invoice_id),
    st.lists(NAMES, max_size=5),
)
def test_a_card_that_calls_people_is_sendable(t: Texts, given: list[Any], people: Any) -> None:
    card = calling(t, group(t, [shown(one) for one in given]), people)
    assert_sendable(card)
