"""Who it goes to: every candidate, in order of trust, and never a guess."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.documents import address, vat
from sync.documents.address import Blocked, Candidates, Chosen, ContactFacts, Origin
from sync.documents.source import Identifier, Party, SourceDocument, Syntax
from sync.errors import Kind, Reason
from sync.model import ParticipantId
from sync.peppol import participants
from sync.peppol.access_point import Lookup, LookupDown, NotRegistered, Registered

LEITWEG = "99661-MUSTER-95"
GERMAN = "DE813579246"
TAKES = Registered(frozenset({"invoice"}))
TAKES_NOTHING = Registered(frozenset())
NOT_THERE = NotRegistered(Reason(code="peppol.lookup.not_registered"))
NOT_SURE = NotRegistered(Reason(code="peppol.lookup.not_confirmed"), certain=False)
DOWN = LookupDown(Reason(code="peppol.lookup.down", params={"detail": "SERVFAIL"}))


def document(**buyer: object) -> SourceDocument:
    """An invoice to a buyer."""
    reference = str(buyer.pop("reference", ""))
    return SourceDocument(
        syntax=Syntax.CII,
        root="CrossIndustryInvoice",
        buyer_reference=reference,
        buyer=Party.model_validate(buyer),
        seller=Party(vat_id="DE136695976"),
    )


def found(invoice: SourceDocument, contact: ContactFacts | None = None) -> list[str]:
    """The candidates as text, most trusted first."""
    given = address.candidates(invoice, contact or ContactFacts())
    return [str(candidate.participant) for candidate in given.found]


def decide(given: Candidates, **answers: Lookup) -> Chosen | Blocked:
    """Choose with look-ups by scheme; schemes that are not named are not registered."""
    lookups = {
        participants.key(c.participant): answers.get(f"s{c.participant.scheme}", NOT_THERE)
        for c in given.found
    }
    return address.choose(given, lookups, lambda registered: bool(registered.document_types))


@pytest.mark.parametrize(
    ("number", "ids"),
    [
        ("DE 136 695 976", ["0246:DE136695976", "9930:DE136695976"]),
        ("BE 0202.239.951", ["0208:0202239951", "9925:BE0202239951"]),
        ("NL004495445B01", ["9944:NL004495445B01"]),
        ("FR40303265045", ["0225:303265045", "9957:FR40303265045"]),
        ("ATU13585627", ["9914:ATU13585627"]),
        ("SE212000078701", ["0007:2120000787"]),
        ("NO 988 077 917 MVA", ["0192:988077917"]),
        ("DK13585628", ["0184:13585628"]),
        ("FI20774740", ["0216:003720774740"]),
        ("IT00743110157", ["0211:IT00743110157"]),
        ("LU15027442", ["9938:LU15027442"]),
        ("ESB58378431", ["9920:ESB58378431"]),
        ("PL8567346215", ["9945:PL8567346215"]),
        ("IE6433435F", ["9935:IE6433435F"]),
        ("CHE-107.787.577 MWST", ["0183:CHE107787577", "9927:CHE107787577"]),
        ("EL094259216", ["9933:EL094259216"]),
    ],
)
def test_a_vat_number_gives_the_ids_of_its_country(number: str, ids: list[str]) -> None:
    assert found(document(vat_id=number)) == ids


@pytest.mark.parametrize("number", ["DE136695977", "BE0202239952", "813579246", "XX1", "", "DE"])
def test_a_vat_number_that_cannot_be_right_gives_nothing(number: str) -> None:
    assert found(document(vat_id=number)) == []


def test_all_sources_come_in_the_order_of_trust() -> None:
    invoice = document(
        endpoint=Identifier(scheme="0088", value="4012345000009"),
        reference=LEITWEG,
        ids=(Identifier(scheme="0106", value="12345678"),),
        vat_id=GERMAN,
    )
    contact = ContactFacts(
        vat_number="ATU13585627",
        buyer_reference="04011000-BSP01-41",
        peppol_id="0208: 0202.239.951",
        chosen=ParticipantId(scheme="0192", value="988077917"),
    )
    origins = [c.origin for c in address.candidates(invoice, contact).found]
    assert origins == [
        Origin.CHOSEN,
        Origin.CONTACT_FIELD,
        Origin.ENDPOINT,
        Origin.LEITWEG_INVOICE,
        Origin.LEITWEG_CONTACT,
        Origin.BUYER_ID,
        Origin.VAT_INVOICE,
        Origin.VAT_INVOICE,
        Origin.VAT_CONTACT,
    ]


def test_an_id_that_several_places_give_stands_once_where_it_is_trusted_most() -> None:
    invoice = document(endpoint=Identifier(scheme="9930", value=GERMAN.lower()), vat_id=GERMAN)
    given = address.candidates(invoice, ContactFacts(vat_number=GERMAN))
    assert [(str(c.participant), c.origin) for c in given.found] == [
        (f"9930:{GERMAN}", Origin.ENDPOINT),
        (f"0246:{GERMAN}", Origin.VAT_INVOICE),
    ]


@pytest.mark.parametrize("scheme", ["EM", "", "VA", "AS"])
def test_an_electronic_address_of_another_kind_is_no_candidate(scheme: str) -> None:
    assert found(document(endpoint=Identifier(scheme=scheme, value="a@example.com"))) == []


def test_an_endpoint_of_a_retired_scheme_is_named_as_refused() -> None:
    given = address.candidates(
        document(endpoint=Identifier(scheme="9958", value=LEITWEG)), ContactFacts()
    )
    assert given.found == ()
    assert [r.reason.code for r in given.refused] == ["peppol.participant.retired_scheme"]


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (LEITWEG, [f"0204:{LEITWEG}"]),
        (f"Leitweg-ID: {LEITWEG.lower()}", [f"0204:{LEITWEG}"]),
        ("99661-MUSTER-96", []),
        ("Bestellung 4711", []),
        (f"Auftrag {LEITWEG}", []),
    ],
)
def test_a_buyer_reference_is_an_address_only_as_a_whole_leitweg_id(
    reference: str, expected: list[str]
) -> None:
    assert found(document(reference=reference)) == expected


def test_a_typing_error_in_the_contact_field_is_told() -> None:
    given = address.candidates(document(), ContactFacts(peppol_id="0208:0202239952"))
    blocked = decide(given)
    assert isinstance(blocked, Blocked)
    assert blocked.reason.code == "receiver.no_candidate"
    assert blocked.reason.params["refused"] == "0208:0202239952"


# --- choosing ---------------------------------------------------------------------------------


def test_one_reachable_candidate_is_used() -> None:
    given = address.candidates(document(vat_id=GERMAN), ContactFacts())
    chosen = decide(given, s9930=TAKES)
    assert isinstance(chosen, Chosen)
    assert str(chosen.candidate.participant) == f"9930:{GERMAN}"


def test_two_ids_of_one_organisation_are_no_ambiguity() -> None:
    given = address.candidates(document(vat_id=GERMAN), ContactFacts())
    chosen = decide(given, s0246=TAKES, s9930=TAKES)
    assert isinstance(chosen, Chosen)
    assert chosen.candidate.participant.scheme == "0246"


def test_two_organisations_are_asked_about() -> None:
    given = address.candidates(document(vat_id=GERMAN), ContactFacts(vat_number="ATU13585627"))
    blocked = decide(given, s9930=TAKES, s9914=TAKES)
    assert isinstance(blocked, Blocked)
    assert blocked.reason.code == "receiver.ambiguous"
    assert [str(p) for p in blocked.reachable] == [f"9930:{GERMAN}", "9914:ATU13585627"]


def test_a_persons_choice_is_asked_alone() -> None:
    theirs = ParticipantId(scheme="0192", value="988077917")
    given = address.candidates(document(vat_id=GERMAN), ContactFacts(chosen=theirs))
    assert address.to_ask(given) == (theirs,)
    blocked = decide(given, s0192=NOT_THERE, s9930=TAKES)
    assert isinstance(blocked, Blocked)
    assert blocked.reason.code == "receiver.unknown"
    assert theirs in blocked.candidates
    assert len(blocked.candidates) == 3  # the others are offered


def test_the_invoices_own_peppol_address_is_not_replaced_by_another() -> None:
    invoice = document(endpoint=Identifier(scheme="0088", value="4012345000009"), vat_id=GERMAN)
    blocked = decide(address.candidates(invoice, ContactFacts()), s9930=TAKES)
    assert isinstance(blocked, Blocked)
    assert blocked.reason.code == "receiver.unknown"


def test_a_reachable_leitweg_id_goes_before_the_vat_number() -> None:
    invoice = document(reference=LEITWEG, vat_id=GERMAN)
    chosen = decide(address.candidates(invoice, ContactFacts()), s0204=TAKES, s9930=TAKES)
    assert isinstance(chosen, Chosen)
    assert chosen.candidate.participant.scheme == "0204"


def test_a_leitweg_id_that_is_not_registered_leaves_the_vat_number() -> None:
    invoice = document(reference=LEITWEG, vat_id=GERMAN)
    chosen = decide(address.candidates(invoice, ContactFacts()), s9930=TAKES)
    assert isinstance(chosen, Chosen)
    assert chosen.candidate.participant.scheme == "9930"


def test_a_lookup_that_is_down_for_the_more_trusted_one_waits() -> None:
    invoice = document(reference=LEITWEG, vat_id=GERMAN)
    blocked = decide(address.candidates(invoice, ContactFacts()), s0204=DOWN, s9930=TAKES)
    assert isinstance(blocked, Blocked)
    assert blocked.reason.code == "receiver.lookup_down"
    assert blocked.reason.kind is Kind.TRANSIENT
    assert blocked.reason.params["why"] == "SERVFAIL"


def test_a_lookup_that_is_down_for_another_organisation_waits() -> None:
    given = address.candidates(document(vat_id=GERMAN), ContactFacts(vat_number="ATU13585627"))
    blocked = decide(given, s9930=TAKES, s9914=DOWN)
    assert isinstance(blocked, Blocked)
    assert blocked.reason.code == "receiver.lookup_down"


def test_a_lookup_that_is_down_for_the_same_organisation_does_not_matter() -> None:
    given = address.candidates(document(vat_id=GERMAN), ContactFacts())
    assert isinstance(decide(given, s0246=DOWN, s9930=TAKES), Chosen)


def test_registered_without_a_document_type_that_we_make_is_its_own_answer() -> None:
    given = address.candidates(document(vat_id=GERMAN), ContactFacts())
    blocked = decide(given, s9930=TAKES_NOTHING)
    assert isinstance(blocked, Blocked)
    assert blocked.reason.code == "receiver.no_document_type"


def test_not_found_by_a_lookup_that_cannot_be_sure_is_its_own_answer() -> None:
    given = address.candidates(document(vat_id=GERMAN), ContactFacts())
    blocked = decide(given, s9930=NOT_SURE)
    assert isinstance(blocked, Blocked)
    assert blocked.reason.code == "receiver.not_confirmed"


def test_without_any_candidate_a_person_is_asked() -> None:
    blocked = decide(address.candidates(document(), ContactFacts()))
    assert isinstance(blocked, Blocked)
    assert blocked.reason.code == "receiver.no_candidate"
    assert blocked.reason.kind is Kind.PRECONDITION


# --- ourselves --------------------------------------------------------------------------------


def test_our_own_id_follows_from_the_sellers_vat_number() -> None:
    assert str(address.sender(document(), None)) == "9930:DE136695976"


def test_the_setting_wins() -> None:
    setting = ParticipantId(scheme="0088", value="4012345000009")
    assert address.sender(document(), setting) == setting


@pytest.mark.parametrize("number", ["", "0", "201/113/40209", "DE136695977"])
def test_without_a_vat_number_that_can_be_right_there_is_no_own_id(number: str) -> None:
    invoice = document().model_copy(update={"seller": Party(vat_id=number)})
    assert address.sender(invoice, None) is None


def test_an_own_peppol_address_in_the_invoice_goes_before_the_vat_number() -> None:
    seller = Party(vat_id="DE136695976", endpoint=Identifier(scheme="0088", value="4012345000009"))
    invoice = document().model_copy(update={"seller": seller})
    assert str(address.sender(invoice, None)) == "0088:4012345000009"


# --- for any input ----------------------------------------------------------------------------

TEXT = st.text(max_size=40)
SCHEMES = st.sampled_from(["0204", "0088", "0208", "9930", "EM", "9958", "1234", "", "٠٢٠٤"])
NUMBERS = st.one_of(TEXT, st.from_regex(r"[A-Z]{2}[0-9]{8,12}", fullmatch=True))
ANSWERS: st.SearchStrategy[Lookup] = st.sampled_from(
    [TAKES, TAKES_NOTHING, NOT_THERE, NOT_SURE, DOWN]
)


@st.composite
def situations(draw: st.DrawFn) -> Candidates:
    """An invoice and a contact with whatever in them."""
    invoice = document(
        endpoint=Identifier(scheme=draw(SCHEMES), value=draw(TEXT)),
        reference=draw(TEXT),
        ids=tuple(Identifier(scheme=draw(SCHEMES), value=draw(TEXT)) for _ in range(2)),
        vat_id=draw(NUMBERS),
    )
    contact = ContactFacts(
        vat_number=draw(NUMBERS), buyer_reference=draw(TEXT), peppol_id=draw(TEXT)
    )
    return address.candidates(invoice, contact)


@given(situations())
def test_every_candidate_can_be_right_and_stands_once(situation: Candidates) -> None:
    keys = [participants.key(c.participant) for c in situation.found]
    assert len(keys) == len(set(keys))
    assert all(participants.valid(c.participant) for c in situation.found)


@given(situations(), st.data())
def test_only_a_reachable_candidate_is_ever_chosen(
    situation: Candidates, data: st.DataObject
) -> None:
    answers = {participants.key(c.participant): data.draw(ANSWERS) for c in situation.found}
    outcome = address.choose(situation, answers, lambda r: bool(r.document_types))
    if isinstance(outcome, Chosen):
        assert answers[participants.key(outcome.candidate.participant)] is TAKES
    else:
        assert outcome.reason.code.startswith("receiver.")


@given(situations(), st.data())
def test_two_reachable_organisations_are_never_decided_between(
    situation: Candidates, data: st.DataObject
) -> None:
    answers = {participants.key(c.participant): data.draw(ANSWERS) for c in situation.found}
    outcome = address.choose(situation, answers, lambda r: bool(r.document_types))
    derived = {Origin.BUYER_ID, Origin.VAT_INVOICE, Origin.VAT_CONTACT}
    reachable = {
        c.organisation for c in situation.found if answers[participants.key(c.participant)] is TAKES
    }
    if isinstance(outcome, Chosen) and outcome.candidate.origin in derived:
        assert reachable == {outcome.candidate.organisation}


@given(NUMBERS)
def test_any_text_as_a_vat_number_is_taken_calmly(text: str) -> None:
    assert all(len(p.value) <= 135 for p in vat.participants(text))
