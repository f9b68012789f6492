"""Peppol ids: schemes, forms, check digits, and reading what a person types."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from sync.model import ParticipantId
from sync.peppol import participants
from sync.peppol.errors import ParticipantError
from sync.peppol.schemes import SCHEMES
from tests.spec import spec_path


def pid(text: str) -> ParticipantId:
    scheme, _, value = text.partition(":")
    return ParticipantId(scheme=scheme, value=value)


GOOD = [
    "0007:2120000787",
    "0088:1548079098355",
    "0184:13585628",
    "0190:00000001820029336000",
    "0192:988077917",
    "0204:991-03730-19",
    "0204:04011000-1234512345-06",
    "0208:0202239951",
    "0209:414541000099999325412345678901234567890",
    "0216:003720774740",
    "0225:732829320_FACTURES",
    "0246:DE136695976",
    "0246:DE136695976-00001",
    "0246:DE136695976-00001.ABTLG1",
    "0246:de136695976.42",
    "9914:ATU13585627",
    "9925:BE0202239951",
    "9930:DE136695976",
    "9930:de136695976",
    "9938:LU15027442",
    "9944:NL004495445B01",
]

BAD_CHECK_DIGIT = [
    "0007:2120000788",
    "0088:1548079098356",
    "0184:13585629",
    "0192:988077918",
    "0204:991-03730-18",
    "0208:0202239952",
    "0211:IT00743110158",
    "0216:003720774741",
    "0246:DE136695977",
    "9914:ATU13585626",
    "9925:BE0202239952",
    "9930:DE136695977",
    "9938:LU15027443",
]

BAD_FORM = [
    "0088:123",
    "0192:98807791A",
    "0204:X-1",
    "0208:2202239951",
    "0246:DE13669597",
    "0246:DE136695976.TOOLONG12",
    "9930:136695976",
    "9944:NL004495445",
]


@pytest.mark.parametrize("text", GOOD)
def test_an_id_with_right_form_and_check_digit_is_valid(text: str) -> None:
    assert participants.check(pid(text)) is None


@pytest.mark.parametrize("text", BAD_CHECK_DIGIT)
def test_a_wrong_check_digit_is_named(text: str) -> None:
    problem = participants.check(pid(text))
    assert problem is not None
    assert problem.code == "peppol.participant.check_digit"
    assert problem.params["participant"] == text


@pytest.mark.parametrize("text", BAD_FORM)
def test_a_wrong_form_is_named(text: str) -> None:
    problem = participants.check(pid(text))
    assert problem is not None
    assert problem.code == "peppol.participant.form"


@pytest.mark.parametrize(("text", "code"), [
    ("9999:1", "peppol.participant.unknown_scheme"),
    ("9958:991-03730-19", "peppol.participant.retired_scheme"),
    ("0037:00372077474", "peppol.participant.retired_scheme"),
])  # fmt: skip
def test_a_scheme_that_is_not_in_use_is_named(text: str, code: str) -> None:
    problem = participants.check(pid(text))
    assert problem is not None
    assert problem.code == code


def test_a_scheme_without_a_known_form_passes_with_any_identifier() -> None:
    assert participants.valid(pid("9923:J12345678N"))


@pytest.mark.parametrize("code", sorted(SCHEMES))
def test_the_example_of_each_scheme_is_valid(code: str) -> None:
    example = SCHEMES[code].example
    assert not example or participants.valid(ParticipantId(scheme=code, value=example))


def test_the_table_equals_the_official_code_list() -> None:
    path = spec_path("peppol/Participant_identifier_schemes_v9.7.xml")
    official = {
        row.get("iso6523"): (row.get("state"), row.get("country"))
        for row in etree.parse(str(path)).getroot()
    }
    ours = {code: (row.state, row.country or "international") for code, row in SCHEMES.items()}
    assert ours == official


def test_the_examples_of_the_official_code_list_pass() -> None:
    path = spec_path("peppol/Participant_identifier_schemes_v9.7.xml")
    # placeholders whose check digit the list itself does not get right
    placeholders = {"9914:ATU12345678", "0192:745707327", "0002:784301772", "0002:78430177200025",
                    "0009:78430177200025"}  # fmt: skip
    refused = [
        f"{row.get('iso6523')}:{value}"
        for row in etree.parse(str(path)).getroot()
        if row.get("state") == "active"
        for value in (row.findtext("examples") or "").split()
        if " " not in value and not participants.valid(pid(f"{row.get('iso6523')}:{value}"))
    ]
    assert set(refused) - placeholders - {"0151:51", "0151:824", "0151:753", "0151:556"} == set()


@pytest.mark.parametrize(("typed", "read"), [
    (" 0208: 0202.239.951 ", "0208:0202239951"),
    ("9930:de 136 695 976", "9930:DE136695976"),
    ("0204:991-03730-19", "0204:991-03730-19"),
    ("iso6523-actorid-upis::9930:DE136695976", "9930:DE136695976"),
    ("0088:1548079098355", "0088:1548079098355"),
])  # fmt: skip
def test_what_a_person_types_is_read(typed: str, read: str) -> None:
    assert str(participants.parse(typed)) == read


@pytest.mark.parametrize("typed", ["", "9930", "DE136695976", ":", "99300:DE1", "9930:", "9930:ü"])
def test_text_that_is_no_id_is_refused_with_a_reason(typed: str) -> None:
    with pytest.raises(ParticipantError) as refusal:
        participants.parse(typed)
    assert refusal.value.reason.code == "peppol.participant.malformed"


@given(st.text(max_size=400))
def test_reading_any_text_ends_in_an_id_or_a_reason(text: str) -> None:
    read: ParticipantId | None = None
    with suppress(ParticipantError):
        read = participants.parse(text)
    assert read is None or participants.valid(read)


def test_a_long_text_is_cut_before_it_is_kept() -> None:
    with pytest.raises(ParticipantError) as refusal:
        participants.parse("x" * 10_000)
    assert len(refusal.value.reason.params["text"]) <= 300


@given(st.sampled_from(sorted(SCHEMES)), st.text(min_size=1, max_size=140))
def test_checking_any_value_ends_in_a_verdict(scheme: str, value: str) -> None:
    problem = participants.check(ParticipantId(scheme=scheme, value=value))
    assert problem is None or problem.code.startswith("peppol.participant.")


@given(st.sampled_from(GOOD))
def test_what_was_read_reads_the_same_again(text: str) -> None:
    once = participants.parse(text)
    assert participants.parse(str(once)) == once


@given(st.sampled_from(GOOD))
def test_case_makes_no_difference(text: str) -> None:
    upper, lower = pid(text.upper()), pid(text.lower())
    assert participants.same(upper, lower)
    assert participants.valid(upper)
    assert participants.valid(lower)


def test_distinct_keeps_the_first_of_each_in_order() -> None:
    ids = [pid("9930:DE1"), pid("0204:2"), pid("9930:de1"), pid("0088:3")]
    assert participants.distinct(ids) == (ids[0], ids[1], ids[3])
