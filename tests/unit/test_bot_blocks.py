"""Every card is within Slack's limits whatever its data, and shows what a person needs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.authz import Verdict
from bot.blocks import connection as connections
from bot.blocks import digest, home, invoice, kit, modals, status
from bot.blocks import settings as settings_modal
from bot.blocks.calling import calling
from bot.blocks.digest import Day, Digest, Waiting
from bot.blocks.failure import failure
from bot.blocks.group import group
from bot.blocks.kit import Block, Card
from bot.blocks.missed import Missed, missed
from bot.blocks.status import InvoicePage, Status
from bot.blocks.unshown import as_text, unshown
from bot.prefs import Notify, Prefs
from bot.texts import LANGUAGES, Mrkdwn, Texts, escape, texts
from sync.errors import Finding, Kind, Reason
from sync.model import (
    ConnectionState,
    Event,
    EventKind,
    InvoiceState,
    ParticipantId,
    Pause,
    PeppolResponse,
    ResponseKind,
    SyncRun,
    TagKind,
)
from sync.settling import OTHER_ACCOUNT
from tests.sandbox.slack.validation import validate_message, validate_view
from tests.sandbox.slack.workspace import texts as all_texts
from tests.unit.bot_support import (
    CODES,
    NAMES,
    NOW,
    PARTICIPANT,
    connection,
    overviews,
    reasons,
    record,
    records,
    run,
    shown,
)

S = InvoiceState
EN = texts("en")
LANGUAGE = st.sampled_from(LANGUAGES).map(texts)
relaxed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def assert_sendable(card: Card) -> None:
    payload = {"text": card.text, "blocks": list(card.blocks)}
    assert validate_message(payload, update=True) == []
    assert card.text.strip()
    assert_harmless([card.text, *all_texts(list(card.blocks))])


def assert_shown(view: Block) -> None:
    assert validate_view(view) == []
    assert_harmless(all_texts(view["blocks"]))


def assert_harmless(found: Iterable[str]) -> None:
    joined = "\n".join(found)
    assert "<!channel" not in joined
    assert "<!here" not in joined
    assert "<https://evil" not in joined
    json.dumps(joined).encode()


def words(card: Card) -> str:
    return "\n".join([card.text, *all_texts(list(card.blocks))])


def action_ids(card: Card) -> list[str]:
    elements = [e for b in card.blocks for e in b.get("elements", [])]
    elements += [b["accessory"] for b in card.blocks if "accessory" in b]
    return [e["action_id"] for e in elements if "action_id" in e]


def element(card: Card, action_id: str) -> Block:
    elements = [e for b in card.blocks for e in b.get("elements", [])]
    return next(e for e in elements if e.get("action_id") == action_id)


# ---- limits ---------------------------------------------------------------------------------


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


# ---- what a person needs --------------------------------------------------------------------


def test_a_failure_says_why_and_what_to_do() -> None:
    said = words(failure(EN, shown()))
    assert "9930:DE136695976 is not registered in the Peppol network" in said
    assert "Ask your customer for their Peppol ID" in said


def test_a_failure_offers_retry_receiver_sevdesk_and_document() -> None:
    assert action_ids(failure(EN, shown())) == [
        "invoice_peppol_id",
        "invoice_retry",
        "invoice_open",
        "invoice_documents",
        "invoice_dismiss",
    ]


def test_another_receiver_is_only_offered_where_it_could_help() -> None:
    wrong = record(reason=Reason(code="document.invalid"))
    assert "invoice_peppol_id" not in action_ids(failure(EN, shown(wrong)))


def test_three_findings_are_shown_and_the_rest_counted() -> None:
    found = tuple(Finding(rule=f"BR-XX-{n}", message=f"no {n}") for n in range(7))
    given = record(reason=Reason(code="document.invalid", findings=found))
    said = words(failure(EN, shown(given)))
    assert "BR-XX-2" in said
    assert "BR-XX-3" not in said
    assert "and 4 more" in said


def test_a_known_finding_is_told_in_words_with_its_place() -> None:
    given = record(
        reason=Reason(code="document.invalid", findings=(Finding(rule="BR-DE-15"),)),
        rules="XRechnung 3.0.2",
    )
    said = words(failure(texts("de"), shown(given)))
    assert "Die Käuferreferenz fehlt" in said
    assert "Kontakte" in said
    assert "BR-DE-15" in said
    assert "XRechnung 3.0.2" in said


def test_a_retry_shows_who_asked_and_no_button_that_acts() -> None:
    given = record(state=S.SUBMITTING, actor="U0MEMBER", reason=None)
    card = failure(EN, shown(given))
    assert "Sending… by <@U0MEMBER>" in words(card)
    assert action_ids(card) == ["invoice_open", "invoice_documents"]


def test_sent_after_a_retry_says_so() -> None:
    card = failure(EN, shown(record(state=S.SENT, actor="U0MEMBER", attempts=2)))
    assert "delivered by Peppol" in words(card)
    assert "<@U0MEMBER>" in words(card)
    assert "Attempt 2" in words(card)


def test_solved_elsewhere_says_so() -> None:
    given = record(state=S.WITHDRAWN, reason=Reason(code="withdrawn.paid"))
    assert "was paid meanwhile" in words(failure(EN, shown(given)))


def test_unconfirmed_offers_two_ways_and_spells_out_the_risk() -> None:
    given = record(state=S.UNCONFIRMED, overdue=True, reason=None)
    card = failure(EN, shown(given))
    assert action_ids(card)[:2] == ["invoice_arrived", "invoice_send_again"]
    risk = element(card, "invoice_send_again")["confirm"]["text"]["text"]
    assert "gets the same invoice twice" in risk


def test_unconfirmed_at_a_former_account_sends_nobody_to_the_list_of_the_present_one() -> None:
    given = record(state=S.UNCONFIRMED, overdue=True, reason=OTHER_ACCOUNT)
    card = failure(EN, shown(given))
    assert "another access point account" in words(card)
    assert "list of the former account" in words(card)
    assert action_ids(card)[:2] == ["invoice_arrived", "invoice_send_again"]


def test_what_was_missed_counts_what_waits_once() -> None:
    card = missed(EN, Missed("Lindhof", NOW, {"sent": 3, "waiting": 2, "failed": 1}))
    assert words(card).count("waiting for you") == 1
    assert {"invoices_send_all", "invoices_retry_all", "invoices_list"} <= set(action_ids(card))


def test_unconfirmed_asks_nobody_while_the_access_point_can_still_be_asked() -> None:
    given = record(state=S.UNCONFIRMED, next_at=NOW)
    assert not invoice.deserves_card(given)


def test_what_takes_too_long_is_told_without_a_retry() -> None:
    given = record(state=S.READY, overdue=True, reason=None)
    assert invoice.deserves_card(given)
    assert "invoice_retry" not in action_ids(failure(EN, shown(given)))


def test_what_is_never_reported_as_delivered_is_decided_by_a_person() -> None:
    given = record(state=S.SUBMITTED, overdue=True, reason=None)
    assert invoice.deserves_card(given)
    card = failure(EN, shown(given))
    assert action_ids(card)[:2] == ["invoice_arrived", "invoice_send_again"]
    assert "has not said for a long time" in words(card)


def test_what_is_on_its_way_asks_nobody() -> None:
    assert not invoice.deserves_card(record(state=S.SUBMITTED, reason=None))


def answered(code: str, text: str = "") -> PeppolResponse:
    return PeppolResponse(kind=ResponseKind.INVOICE_RESPONSE, code=code, text=text, at=NOW)


def test_a_rejection_by_the_buyer_needs_somebody() -> None:
    given = record(state=S.SENT, reason=None, responses=(answered("RE", "wrong <b>order</b>"),))
    assert invoice.deserves_card(given)
    card = failure(EN, shown(given))
    assert "The receiver objects" in words(card)
    assert "The buyer says: rejected. “wrong &lt;b&gt;order&lt;/b&gt;”" in words(card)
    assert "talk to your customer" in words(card)
    assert action_ids(card) == ["invoice_open", "invoice_documents"]


def test_an_acceptance_is_small_print_and_needs_nobody() -> None:
    given = record(state=S.SENT, reason=None, responses=(answered("AP"),))
    assert not invoice.deserves_card(given)
    assert "The buyer says: accepted" in words(failure(EN, shown(given)))


def test_hidden_amounts_are_nowhere() -> None:
    assert "1,190" not in words(failure(EN, shown(hide_amounts=True)))


def test_buttons_name_the_attempt_they_were_shown_for() -> None:
    card = failure(EN, shown(record(attempts=3, generation=2)))
    assert card.blocks[-1]["block_id"] == "invoice:4711:2.3"


def test_values_hold_ids_only() -> None:
    card = failure(EN, shown(record(contact_name="Geheim GmbH")))
    values = [e.get("value", "") for b in card.blocks for e in b.get("elements", [])]
    assert {v for v in values if v} == {"4711"}


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


def test_where_another_receiver_could_help_that_is_the_first_choice() -> None:
    card = failure(EN, shown())
    assert element(card, "invoice_peppol_id")["style"] == "primary"
    assert "style" not in element(card, "invoice_retry")


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


def test_one_registered_candidate_is_chosen_beforehand() -> None:
    lookups = [("9930:DE1", "not_registered"), ("0204:1", "registered")]
    view = modals.peppol_id(EN, shown(), lookups)
    radio = next(b for b in view["blocks"] if b.get("block_id") == "candidate")["element"]
    assert radio["initial_option"]["value"] == "0204:1"


def test_the_connect_modal_never_holds_a_token() -> None:
    view = modals.connect(EN, connection(), "C1", Mrkdwn("wrong"))
    field = next(b for b in view["blocks"] if b.get("block_id") == "token")["element"]
    assert "initial_value" not in field
    assert view["private_metadata"] == "en"


def test_a_second_connect_names_the_account_that_is_replaced() -> None:
    view = modals.connect(EN, connection(), "C1")
    assert "Nordwind Werkstatt GmbH" in "\n".join(all_texts(view["blocks"]))


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


# ---- settings -------------------------------------------------------------------------------


def submitted(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "channel": {"value": {"selected_conversation": "C1"}},
        "failures_channel": {"value": {"selected_conversation": None}},
        "mode": {"value": {"selected_option": {"value": "ask"}}},
        "notify": {"value": {"selected_option": {"value": "daily"}}},
        "daily_at": {"value": {"selected_time": "17:30"}},
        "language": {"value": {"selected_option": {"value": "de"}}},
        "may_retry": {"value": {"selected_users": ["U1"]}},
        "sender": {"value": {"value": "9930:DE136695976"}},
        "company": {"value": {"value": " firma "}},
        "amounts": {"value": {"selected_option": {"value": "hide"}}},
    }
    return values | {name: {"value": value} for name, value in changes.items()}


def test_settings_are_read_as_chosen() -> None:
    chosen = settings_modal.read(submitted(), Prefs())
    assert isinstance(chosen, settings_modal.Chosen)
    assert chosen.ask_before_sending
    assert chosen.sender == PARTICIPANT
    assert chosen.company == "firma"
    expected = Prefs(
        channel="C1",
        language="de",
        notify=Notify.DAILY,
        daily_at="17:30",
        may_retry=("U1",),
        hide_amounts=True,
        chosen=True,
    )
    assert chosen.prefs == expected


def test_an_impossible_own_id_is_named() -> None:
    wrong = settings_modal.read(submitted(sender={"value": "DE123"}), Prefs())
    assert wrong == {"sender": "peppol.malformed"}


def test_choices_that_do_not_exist_change_nothing() -> None:
    given = submitted(language={"selected_option": {"value": "xx"}}, notify={})
    chosen = settings_modal.read(given, Prefs(language="de", notify=Notify.FAILURES))
    assert isinstance(chosen, settings_modal.Chosen)
    assert (chosen.prefs.language, chosen.prefs.notify) == ("de", Notify.FAILURES)


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


def test_participants_are_shown_with_scheme() -> None:
    given = record(receiver=ParticipantId(scheme="0204", value="991-1"))
    assert "0204:991-1" in words(failure(EN, shown(given)))


# ---- warnings and refused tags --------------------------------------------------------------

SUPPLIED = Finding(rule="XTOOL-BT-10", location="BT-10")
BAD_IBAN = Finding(rule="BR-DE-19", message="official words", location="BT-84")
REFUSED_TAG = Reason(code="sevdesk.refused", params={"status": "400", "message": "no such tag"})


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_warning_is_shown_in_plain_words_where_the_invoice_is(language: str) -> None:
    t = texts(language)
    warned = shown(record(state=S.SENT, reason=None, warnings=(SUPPLIED, BAD_IBAN)))
    waiting = Waiting(count=1, rows=(warned,))
    cards = [
        failure(t, warned),
        digest.details(t, [warned], 1),
        digest.digest(t, Digest(run(), "Nordwind", waiting)),
        status.invoices(t, InvoicePage("all", 0, 1, (warned,))),
    ]
    for card in cards:
        assert t.md("finding.buyer_reference_supplied") in words(card)
        assert t.md("finding.iban_invalid") in words(card)
        assert "XTOOL-BT-10" in words(card)
        assert "official words" not in words(card)


def test_an_invoice_without_warnings_has_no_word_about_them() -> None:
    assert EN.md("failure.notes") not in words(failure(EN, shown()))
    assert "↳" not in words(digest.details(EN, [shown()], 1))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_refused_tag_says_what_to_do_and_that_nothing_is_sent_twice(language: str) -> None:
    t = texts(language)
    refused = record(state=S.SENT, reason=None, tag=None, tag_trouble=REFUSED_TAG)
    said = words(failure(t, shown(refused)))
    assert t.md("tag.next") in said
    assert "no such tag" in said
    assert invoice.deserves_card(refused)
    assert "no such tag" in words(group(t, [shown(refused), shown(record(state=S.SENT))]))
    assert "no such tag" in words(
        status.invoices(t, InvoicePage("attention", 0, 1, (shown(refused),)))
    )


def test_a_tag_that_was_refused_and_is_written_says_nothing() -> None:
    written = record(state=S.SENT, reason=None, tag=TagKind.SENT, tag_trouble=REFUSED_TAG)
    assert not invoice.deserves_card(written)
    assert "no such tag" not in words(failure(EN, shown(written)))


def test_a_failed_invoice_with_a_refused_tag_asks_about_the_failure_first() -> None:
    card = failure(EN, shown(record(tag=None, tag_trouble=REFUSED_TAG)))
    assert "could not be sent" in card.text
    assert EN.md("small.tag") in words(card)


def test_a_group_of_objections_is_not_called_settled() -> None:
    no = PeppolResponse(kind=ResponseKind.INVOICE_RESPONSE, code="RE", text="", at=NOW)
    objected = [shown(record(state=S.SENT, reason=None, responses=(no,)))] * 2
    assert "2 invoices should be looked at" in group(EN, objected).text


# ---- calling people -------------------------------------------------------------------------


@relaxed
@given(
    LANGUAGE,
    st.lists(records(), min_size=1, max_size=10, unique_by=lambda r: r.invoice_id),
    st.lists(NAMES, max_size=5),
)
def test_a_card_that_calls_people_is_sendable(t: Texts, given: list[Any], people: Any) -> None:
    card = calling(t, group(t, [shown(one) for one in given]), people)
    assert_sendable(card)


def test_only_slack_users_are_kept_of_whom_to_mention() -> None:
    users = {"selected_users": ["U0MEMBER", "<!channel>", "W1", *(f"U{n}" for n in range(9))]}
    chosen = settings_modal.read(submitted(mention=users), Prefs())
    assert isinstance(chosen, settings_modal.Chosen)
    assert chosen.prefs.mention == ("U0MEMBER", "W1", "U0", "U1", "U2")


@pytest.mark.parametrize(("open_ones", "values"), [(0, ["all:0"]), (2, ["attention:0", "all:0"])])
def test_a_daily_summary_leads_to_what_needs_somebody(open_ones: int, values: list[str]) -> None:
    card = digest.daily(EN, Day("Nordwind", {"sent": 3}, open_ones))
    buttons = [b["accessory"] for b in card.blocks if "accessory" in b]
    buttons += [e for b in card.blocks for e in b.get("elements", []) if e["type"] == "button"]
    assert [button["value"] for button in buttons] == values
