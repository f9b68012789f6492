"""The card of an invoice that needs somebody: why, what to do, which buttons."""

from __future__ import annotations

import pytest

from bot.blocks import digest, invoice, status
from bot.blocks.digest import Digest, Waiting
from bot.blocks.failure import failure
from bot.blocks.group import group
from bot.blocks.status import InvoicePage
from bot.texts import LANGUAGES, texts
from sync.errors import Finding, Reason
from sync.model import InvoiceState, ParticipantId, PeppolResponse, ResponseKind, TagKind
from sync.settling import OTHER_ACCOUNT
from tests.unit.bot_support import EN, NOW, action_ids, element, record, run, shown, words

S = InvoiceState


# ---- what a person needs ----------------------------------------------------------------


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


def test_where_another_receiver_could_help_that_is_the_first_choice() -> None:
    card = failure(EN, shown())
    assert element(card, "invoice_peppol_id")["style"] == "primary"
    assert "style" not in element(card, "invoice_retry")


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
