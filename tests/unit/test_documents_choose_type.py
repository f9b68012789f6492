"""As which document type an invoice travels: by what the receiver takes, best first."""

from __future__ import annotations

import pytest

from sync.documents import choose_type
from sync.documents.choose_type import How
from sync.documents.read import read
from sync.peppol import doctypes as dt
from tests.unit.documents_support import changed, load

EVERYTHING = frozenset(document_type.id for document_type in dt.SENDABLE)
BIS_ONLY = frozenset({dt.BIS_INVOICE.id, dt.BIS_CREDIT_NOTE.id})


def route(name: str, takes: frozenset[str], carries: frozenset[str] | None = None) -> object:
    """Document type and way of a fixture, or None."""
    found = choose_type.choose(read(load(name)), takes, carries)
    return found and (found.document_type, found.how)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("xrechnung-cii.xml", dt.XR_CII),
        ("xrechnung-cii-credit-note.xml", dt.XR_CII),
        ("xrechnung-ubl.xml", dt.XR_UBL_INVOICE),
        ("xrechnung-ubl-credit-note.xml", dt.XR_UBL_CREDIT_NOTE),
    ],
)
def test_an_xrechnung_goes_as_it_is_where_it_is_taken(name: str, expected: object) -> None:
    assert route(name, EVERYTHING) == (expected, How.AS_IS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("xrechnung-cii.xml", dt.BIS_INVOICE),
        ("xrechnung-cii-credit-note.xml", dt.BIS_CREDIT_NOTE),
        ("xrechnung-ubl.xml", dt.BIS_INVOICE),
        ("xrechnung-ubl-credit-note.xml", dt.BIS_CREDIT_NOTE),
        ("zugferd-cii.xml", dt.BIS_INVOICE),
    ],
)
def test_else_it_becomes_bis_in_ubl(name: str, expected: object) -> None:
    assert route(name, BIS_ONLY) == (expected, How.TO_UBL)


def test_a_receiver_of_bis_in_cii_alone_gets_that() -> None:
    assert route("xrechnung-cii.xml", frozenset({dt.BIS_CII.id})) == (dt.BIS_CII, How.TO_CII)


def test_ubl_goes_before_cii_when_both_are_taken() -> None:
    takes = BIS_ONLY | {dt.BIS_CII.id}
    assert route("xrechnung-cii.xml", takes) == (dt.BIS_INVOICE, How.TO_UBL)


def test_what_the_access_point_cannot_carry_is_not_chosen() -> None:
    assert route("xrechnung-cii.xml", EVERYTHING, BIS_ONLY) == (dt.BIS_INVOICE, How.TO_UBL)


def test_a_credit_note_does_not_go_to_a_receiver_of_invoices_only() -> None:
    assert route("xrechnung-cii-credit-note.xml", frozenset({dt.BIS_INVOICE.id})) is None


def test_a_receiver_of_orders_takes_nothing_of_ours() -> None:
    assert route("xrechnung-cii.xml", frozenset({"urn:order"})) is None


def test_document_types_are_compared_with_their_case() -> None:
    assert route("xrechnung-cii.xml", frozenset({dt.BIS_INVOICE.id.lower()})) is None


def test_plain_zugferd_is_never_sent_as_it_is() -> None:
    assert route("zugferd-cii.xml", EVERYTHING) == (dt.BIS_INVOICE, How.TO_UBL)


def test_an_invoice_root_with_a_credit_notes_code_is_converted() -> None:
    odd = changed("<cbc:InvoiceTypeCode>380<", "<cbc:InvoiceTypeCode>381<", "xrechnung-ubl.xml")
    found = choose_type.choose(read(odd), EVERYTHING, None)
    assert found == choose_type.Route(dt.BIS_CREDIT_NOTE, How.TO_UBL)


def test_a_document_that_is_bis_already_goes_as_it_is() -> None:
    bis = changed(choose_type.XRECHNUNG, choose_type.BIS, "xrechnung-ubl.xml")
    found = choose_type.choose(read(bis), BIS_ONLY, BIS_ONLY)
    assert found == choose_type.Route(dt.BIS_INVOICE, How.AS_IS)
