"""What is read of a document: the same in every syntax, and nothing guessed."""

from __future__ import annotations

import hashlib
from datetime import date
from decimal import Decimal

import pytest

from sync.documents.errors import UnreadableDocumentError
from sync.documents.read import read
from sync.documents.source import Identifier, Syntax
from tests.unit.documents_support import changed, load, pdf


def test_every_term_of_a_cii_xrechnung_is_read() -> None:
    document = read(load())
    assert document.syntax is Syntax.CII
    assert document.number == "MW-2026-0042"
    assert document.type_code == "380"
    assert document.issue_date == date(2026, 10, 5)
    assert document.due_date == date(2026, 10, 19)
    assert document.currency == "EUR"
    assert document.buyer_reference == "99661-MUSTER-95"
    assert document.line_count == 3
    assert document.seller.vat_id == "DE136695976"
    assert document.seller.endpoint == Identifier(scheme="EM", value="rechnung@musterwerk.example")
    assert document.buyer.name == "Stadtwerke Beispielhausen"
    assert document.buyer.country == "DE"


def test_totals_are_read_exactly() -> None:
    totals = read(load()).totals
    assert totals.line_net == Decimal("299.28")
    assert totals.net == Decimal("299.28")
    assert totals.vat == Decimal("52.07")
    assert totals.gross == Decimal("351.35")
    assert totals.due == Decimal("351.35")


@pytest.mark.parametrize(
    ("cii", "ubl"),
    [
        ("xrechnung-cii.xml", "xrechnung-ubl.xml"),
        ("xrechnung-cii-credit-note.xml", "xrechnung-ubl-credit-note.xml"),
    ],
)
def test_both_syntaxes_of_one_invoice_read_the_same(cii: str, ubl: str) -> None:
    left_out = {"syntax", "root", "sha256", "xml_size", "totals"}
    one, other = read(load(cii)), read(load(ubl))
    assert one.model_dump(exclude=left_out) == other.model_dump(exclude=left_out)
    assert one.totals.gross == other.totals.gross


def test_the_hash_is_of_the_bytes() -> None:
    assert read(load()).sha256 == hashlib.sha256(load()).hexdigest()


def test_an_attachment_is_known_by_the_hash_of_its_content() -> None:
    (attachment,) = read(load("xrechnung-cii-attachment.xml")).attachments
    assert attachment.filename == "stunden.pdf"
    assert attachment.mime == "application/pdf"
    assert attachment.size == 189
    assert len(attachment.sha256) == 64


def test_a_credit_note_is_one_by_its_type_code() -> None:
    assert read(load("xrechnung-cii-credit-note.xml")).is_credit_note
    assert not read(load()).is_credit_note


def test_the_xml_of_a_zugferd_pdf_is_read() -> None:
    document = read(pdf(load("zugferd-cii.xml")))
    assert document.from_pdf
    assert document == read(load("zugferd-cii.xml")).model_copy(update={"from_pdf": True})


def test_a_pdf_without_an_invoice_is_refused_by_name() -> None:
    with pytest.raises(UnreadableDocumentError) as caught:
        read(pdf())
    assert caught.value.reason_code == "document.pdf"


def test_an_encrypted_pdf_is_refused_by_name() -> None:
    with pytest.raises(UnreadableDocumentError) as caught:
        read(pdf(password="secret"))
    assert caught.value.reason_code == "document.pdf_encrypted"


def test_a_broken_pdf_is_refused_by_name() -> None:
    with pytest.raises(UnreadableDocumentError) as caught:
        read(pdf(load("zugferd-cii.xml"))[:400])
    assert caught.value.reason_code == "document.pdf"


@pytest.mark.parametrize(
    ("old", "new", "term"),
    [
        (">351.35</ram:GrandTotalAmount>", ">351,35</ram:GrandTotalAmount>", "BT-112"),
        (">351.35</ram:GrandTotalAmount>", ">NaN</ram:GrandTotalAmount>", "BT-112"),
        (">351.35</ram:GrandTotalAmount>", ">1e999</ram:GrandTotalAmount>", "BT-112"),
        (">20261005</udt:DateTimeString>", ">20261305</udt:DateTimeString>", "BT-2"),
        (">210.00</ram:LineTotalAmount>", ">viel</ram:LineTotalAmount>", "BT-131"),
    ],
)
def test_what_is_no_date_or_amount_is_refused_with_its_term(old: str, new: str, term: str) -> None:
    with pytest.raises(UnreadableDocumentError) as caught:
        read(changed(old, new))
    assert caught.value.reason_code == "document.value"
    assert caught.value.params["term"] == term


def test_an_attachment_that_is_not_base64_is_refused() -> None:
    with pytest.raises(UnreadableDocumentError) as caught:
        read(changed("JVBERi0", "#!#!", "xrechnung-cii-attachment.xml"))
    assert caught.value.params["term"] == "BT-125"


def test_a_missing_term_stays_empty() -> None:
    document = read(load("zugferd-cii.xml"))
    assert document.buyer_reference == ""
    assert document.seller.endpoint is None


def test_a_signed_envelope_is_refused_by_name() -> None:
    with pytest.raises(UnreadableDocumentError) as caught:
        read(b"-----BEGIN PKCS7-----\nMIIB\n-----END PKCS7-----\n")
    assert caught.value.reason_code == "document.signed"


def test_in_a_foreign_currency_the_vat_total_of_the_invoice_counts() -> None:
    text = load("xrechnung-ubl.xml").decode()
    second = '<cac:TaxTotal><cbc:TaxAmount currencyID="CHF">49.00</cbc:TaxAmount></cac:TaxTotal>'
    at = text.index("<cac:TaxTotal>")
    assert read((text[:at] + second + text[at:]).encode()).totals.vat == Decimal("52.07")
