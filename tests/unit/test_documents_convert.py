"""What is made of a document: nothing lost, nothing changed, the endpoints the envelope's."""

from __future__ import annotations

import base64
import hashlib
from decimal import Decimal

import pytest
from lxml import etree

from sync.documents import compare, work
from sync.documents.choose_type import BIS, How
from sync.documents.errors import (
    ChangedDocumentError,
    DocumentError,
    InvalidDocumentError,
    UnsendableDocumentError,
)
from sync.documents.paths import NS
from sync.documents.read import open_document, read
from sync.documents.source import Identifier, SourceDocument
from sync.documents.work import Plan
from sync.model import ParticipantId
from tests.unit.documents_support import ALL, OURS, THEIRS, changed, load, pdf, without

SOURCES = tuple(name for name in ALL if name != "zugferd-cii.xml")


def made(source: bytes, how: How = How.TO_UBL, buyer_reference: str = "") -> bytes:
    """The document to send."""
    plan = Plan(how=how, sender=OURS, receiver=THEIRS, buyer_reference=buyer_reference)
    return work.make(source, plan)[1]


def refused(source: bytes, how: How = How.TO_UBL) -> DocumentError:
    """Why nothing can be made of it."""
    with pytest.raises(DocumentError) as caught:
        made(source, how)
    return caught.value


WAYS = [
    (name, how)
    for name in SOURCES
    for how in How
    # PEPPOL-EN16931-R002 in CII allows one note without a subject code; ours has one plain note.
]


@pytest.mark.parametrize(("name", "how"), WAYS)
def test_every_way_keeps_what_the_buyer_pays_by(name: str, how: How) -> None:
    before, after = read(load(name)), read(made(load(name), how))
    assert after.number == before.number
    assert after.issue_date == before.issue_date
    assert after.due_date == before.due_date
    assert after.totals.gross == before.totals.gross
    assert after.totals.due == before.totals.due
    assert after.line_count == before.line_count
    assert after.line_amounts == before.line_amounts
    assert [a.sha256 for a in after.attachments] == [a.sha256 for a in before.attachments]


@pytest.mark.parametrize(("name", "how"), WAYS)
def test_every_way_puts_the_envelopes_ids_into_the_document(name: str, how: How) -> None:
    after = read(made(load(name), how))
    assert after.seller.endpoint == Identifier(scheme=OURS.scheme, value=OURS.value)
    assert after.buyer.endpoint == Identifier(scheme=THEIRS.scheme, value=THEIRS.value)


@pytest.mark.parametrize("name", [n for n in SOURCES if "credit" in n])
def test_a_credit_note_becomes_a_credit_note(name: str) -> None:
    assert read(made(load(name))).root == "CreditNote"


def test_an_invoice_becomes_an_invoice_of_bis() -> None:
    after = read(made(load()))
    assert (after.root, after.customization) == ("Invoice", BIS)


def test_unit_prices_keep_their_decimals() -> None:
    assert b">12.3456</cbc:PriceAmount>" in made(load())


def test_the_hash_is_of_the_bytes_that_are_sent() -> None:
    result, xml = work.make(load(), Plan(how=How.TO_UBL, sender=OURS, receiver=THEIRS))
    assert result.sha256 == hashlib.sha256(xml).hexdigest()


def test_the_rules_that_judged_are_named() -> None:
    result, _ = work.make(load(), Plan(how=How.TO_UBL, sender=OURS, receiver=THEIRS))
    assert result.rules.startswith("Peppol BIS 3.0.21, CEN 1.3.16 (")


def test_the_same_source_makes_the_same_bytes() -> None:
    assert made(load()) == made(load())


def test_the_xml_of_a_pdf_is_converted() -> None:
    source = changed(
        "<ram:SellerTradeParty>",
        "<ram:BuyerReference>99661-MUSTER-95</ram:BuyerReference><ram:SellerTradeParty>",
        "zugferd-cii.xml",
    )
    assert read(made(pdf(source))).number == "MW-2026-0043"


# --- as it is ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOURCES)
def test_as_it_is_nothing_but_the_endpoints_differs(name: str) -> None:
    source, result = load(name).decode(), made(load(name), How.AS_IS).decode()
    lines = [
        (one, other)
        for one, other in zip(source.splitlines()[1:], result.splitlines()[1:], strict=True)
        if one != other
    ]
    assert len(lines) == 2
    assert all("schemeID=" in line for pair in lines for line in pair)


def test_a_missing_endpoint_is_written_where_the_schema_wants_it() -> None:
    for name in ("xrechnung-cii.xml", "xrechnung-ubl.xml"):
        start, end = (
            ("<ram:URIUniversalCommunication>", "</ram:URIUniversalCommunication>")
            if "cii" in name
            else ("<cbc:EndpointID", "</cbc:EndpointID>")
        )
        source = without(start, end, name)
        assert read(source).seller.endpoint is None
        assert read(made(source, How.AS_IS)).seller.endpoint is not None  # and judged valid


SALES_ORDER = (
    "<ram:SellerOrderReferencedDocument><ram:IssuerAssignedID>SO-1</ram:IssuerAssignedID>"
    "</ram:SellerOrderReferencedDocument>"
)


def test_a_sales_order_without_an_order_travels() -> None:
    """UBL wants an order's number beside it and prescribes `NA`: nothing was changed by that."""
    end = "</ram:BuyerTradeParty>"
    source = changed(end, end + SALES_ORDER)
    ubl = made(source)
    assert open_document(ubl).root.findtext("cac:OrderReference/cbc:ID", "", NS) == "NA"
    assert read(ubl).order_reference == read(source).order_reference == ""
    assert read(made(ubl, How.TO_CII)).order_reference == ""


def test_an_order_called_na_is_one_where_there_is_no_sales_order() -> None:
    order = SALES_ORDER.replace("Seller", "Buyer").replace("SO-1", "NA")
    end = "</ram:BuyerTradeParty>"
    assert read(made(changed(end, end + order))).order_reference == "NA"


def test_comments_of_the_source_stay() -> None:
    assert b"generated by: mustangproject.org" in made(load(), How.AS_IS)


# --- UBL to BIS -----------------------------------------------------------------------------------


def test_a_ubl_source_becomes_bis_by_its_head_alone() -> None:
    source = load("xrechnung-ubl.xml").decode().splitlines()
    result = made(load("xrechnung-ubl.xml")).decode().splitlines()
    differing = [new for old, new in zip(source[1:], result[1:], strict=True) if old != new]
    assert [line.strip().split(">")[0] for line in differing] == [
        "<cbc:CustomizationID",
        '<cbc:EndpointID schemeID="9930"',
        '<cbc:EndpointID schemeID="0204"',
    ]


def test_a_missing_process_is_written_when_a_ubl_source_becomes_bis() -> None:
    source = without("<cbc:ProfileID>", "</cbc:ProfileID>", "xrechnung-ubl.xml")
    assert read(source).process == ""
    assert read(made(source)).process == "urn:fdc:peppol.eu:2017:poacc:billing:01:1.0"


def test_a_ubl_source_without_a_buyer_reference_takes_the_contacts() -> None:
    source = without("<cbc:BuyerReference>", "</cbc:BuyerReference>", "xrechnung-ubl.xml")
    assert read(made(source, buyer_reference="4711")).buyer_reference == "4711"


def test_an_invoice_root_with_a_credit_notes_code_becomes_a_credit_note() -> None:
    source = changed("<cbc:InvoiceTypeCode>380<", "<cbc:InvoiceTypeCode>381<", "xrechnung-ubl.xml")
    assert read(made(source)).root == "CreditNote"


# --- what is not mapped -------------------------------------------------------------------------


def test_an_element_that_the_conversion_would_lose_stops_it_with_its_name() -> None:
    source = changed(
        "</ram:ApplicableHeaderTradeSettlement>",
        "<ram:SpecifiedLogisticsServiceCharge><ram:Description>Porto</ram:Description>"
        "</ram:SpecifiedLogisticsServiceCharge></ram:ApplicableHeaderTradeSettlement>",
    )
    error = refused(source)
    assert isinstance(error, UnsendableDocumentError)
    assert error.reason_code == "document.unmapped"
    assert "SpecifiedLogisticsServiceCharge" in error.params["elements"]


EXEMPT_LINE = (
    "<ram:TypeCode>VAT</ram:TypeCode>\n          <ram:ExemptionReason>§ 19</ram:ExemptionReason>"
)


def test_sevdesks_exemption_reason_per_line_is_harmless_when_the_breakdown_has_it() -> None:
    text = load().decode()
    line = "<ram:SpecifiedLineTradeSettlement>\n        <ram:ApplicableTradeTax>\n          "
    assert line in text
    with_reason = text.replace(
        line + "<ram:TypeCode>VAT</ram:TypeCode>", line + EXEMPT_LINE, 1
    ).encode()
    assert refused(with_reason).reason_code == "document.unmapped"


def test_a_schema_location_is_harmless() -> None:
    source = changed(
        "<rsm:CrossIndustryInvoice ", '<rsm:CrossIndustryInvoice xsi:schemaLocation="a b" '
    )
    assert read(made(source)).number == "MW-2026-0042"


# --- what Peppol does not carry -----------------------------------------------------------------


def test_an_attachment_of_another_type_is_refused_with_its_name() -> None:
    source = changed('"application/pdf"', '"application/xml"', "xrechnung-cii-attachment.xml")
    error = refused(source)
    assert error.reason_code == "document.attachment_type"
    assert error.params == {"mime": "application/xml", "filename": "stunden.pdf"}


def test_a_document_without_lines_is_refused() -> None:
    text = load().decode()
    head, _, rest = text.partition("<ram:IncludedSupplyChainTradeLineItem>")
    tail = rest[rest.rindex("</ram:IncludedSupplyChainTradeLineItem>") + 39 :]
    assert refused((head + tail).encode()).reason_code == "document.no_lines"


def test_a_large_attachment_travels_whole() -> None:
    content = base64.b64encode(b"%PDF-1.4" + b"\x00" * 5_000_000).decode()
    text = load("xrechnung-cii-attachment.xml").decode()
    start = text.index('filename="stunden.pdf">') + 23
    end = text.index("<", start)
    source = (text[:start] + content + text[end:]).encode()
    after = read(made(source))
    assert after.attachments[0].size == 5_000_008


# --- what is invalid -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "rule"),
    [
        ("<ram:BuyerReference>", "</ram:BuyerReference>", "PEPPOL-EN16931-R003"),
        ("<ram:DefinedTradeContact>", "</ram:DefinedTradeContact>", "DE-R-002"),
        ("<ram:CityName>", "</ram:CityName>", "DE-R-003"),
        ("<ram:ID>MW-2026-0042", "</ram:ID>", "BR-02"),
        ("<ram:PostalTradeAddress>", "</ram:PostalTradeAddress>", "BR-08"),
        ("<ram:InvoiceCurrencyCode>", "</ram:InvoiceCurrencyCode>", "BR-05"),
    ],
)
def test_what_is_missing_is_found_by_its_official_rule(start: str, end: str, rule: str) -> None:
    error = refused(without(start, end))
    assert isinstance(error, InvalidDocumentError)
    assert rule in [finding.rule for finding in error.findings]


def test_all_findings_come_at_once() -> None:
    source = without("<ram:BuyerReference>", "</ram:BuyerReference>")
    source = source.replace(b">351.35</ram:GrandTotalAmount>", b">353.35</ram:GrandTotalAmount>")
    rules = {finding.rule for finding in refused(source).findings}
    assert {"PEPPOL-EN16931-R003", "BR-CO-15"} <= rules


def test_an_unknown_unit_code_is_found_by_its_rule() -> None:
    error = refused(changed('unitCode="HUR"', 'unitCode="STD"'))
    assert [finding.rule for finding in error.findings] == ["BR-CL-23"]


def test_too_many_decimals_are_found_by_their_rule() -> None:
    error = refused(changed(">351.35</ram:GrandTotalAmount>", ">351.350001</ram:GrandTotalAmount>"))
    assert [finding.rule for finding in error.findings] == ["BR-DEC-14"]


# --- BT-10 from the contact -----------------------------------------------------------------------


def test_a_missing_buyer_reference_comes_from_the_contact_and_is_told() -> None:
    plan = Plan(how=How.TO_UBL, sender=OURS, receiver=THEIRS, buyer_reference=" 4711 ")
    result, xml = work.make(load("zugferd-cii.xml"), plan)
    assert read(xml).buyer_reference == "4711"
    assert work.BUYER_REFERENCE_SUPPLIED in [w.rule for w in result.warnings]


def test_a_buyer_reference_of_the_invoice_is_never_replaced() -> None:
    assert read(made(load(), buyer_reference="4711")).buyer_reference == "99661-MUSTER-95"


# --- the proof ------------------------------------------------------------------------------------


@pytest.fixture
def pair() -> tuple[SourceDocument, SourceDocument]:
    """A document and what was made of it."""
    return read(load("xrechnung-cii-attachment.xml")), read(
        made(load("xrechnung-cii-attachment.xml"))
    )


@pytest.mark.parametrize(
    ("field", "value", "term"),
    [
        ("number", "MW-2026-0024", "BT-1"),
        ("issue_date", None, "BT-2"),
        ("type_code", "384", "BT-3"),
        ("currency", "CHF", "BT-5"),
        ("due_date", None, "BT-9"),
        ("line_count", 4, "BG-25"),
        ("line_amounts", Decimal("299.27"), "BT-131"),
        ("attachments", (), "BT-125"),
        ("buyer_reference", "", "BT-10"),
    ],
)
def test_a_difference_in_any_term_is_a_failure(
    pair: tuple[SourceDocument, SourceDocument], field: str, value: object, term: str
) -> None:
    before, after = pair
    with pytest.raises(ChangedDocumentError) as caught:
        compare.check_unchanged(before, after.model_copy(update={field: value}), OURS, THEIRS)
    assert caught.value.params["term"] == term


@pytest.mark.parametrize(
    "field",
    ["line_net", "allowances", "charges", "net", "vat", "gross", "prepaid", "rounding", "due"],
)
def test_a_cent_in_any_total_is_a_failure(
    pair: tuple[SourceDocument, SourceDocument], field: str
) -> None:
    before, after = pair
    more = (getattr(after.totals, field) or 0) + Decimal("0.01")
    totals = after.totals.model_copy(update={field: more})
    with pytest.raises(ChangedDocumentError):
        compare.check_unchanged(before, after.model_copy(update={"totals": totals}), OURS, THEIRS)


def test_the_same_amount_written_otherwise_is_no_difference(
    pair: tuple[SourceDocument, SourceDocument],
) -> None:
    before, after = pair
    totals = after.totals.model_copy(update={"gross": Decimal("351.3500"), "prepaid": None})
    compare.check_unchanged(before, after.model_copy(update={"totals": totals}), OURS, THEIRS)


def test_an_endpoint_that_is_not_the_envelopes_is_a_failure(
    pair: tuple[SourceDocument, SourceDocument],
) -> None:
    other = ParticipantId(scheme="9930", value="DE813579246")
    with pytest.raises(ChangedDocumentError) as caught:
        compare.check_unchanged(*pair, OURS, other)
    assert caught.value.params["term"] == "BT-49"


def test_any_other_node_that_differs_as_it_is_is_a_failure() -> None:
    before = open_document(load())
    after = open_document(made(changed("Dichtungssatz", "Dichtungssatz "), How.AS_IS))
    with pytest.raises(ChangedDocumentError):
        compare.check_only_head(before, after, as_bis=False)


def test_the_proof_leaves_the_document_whole() -> None:
    opened = open_document(load())
    text = etree.tostring(opened.root)
    compare.check_only_head(opened, open_document(made(load(), How.AS_IS)), as_bis=False)
    assert etree.tostring(opened.root) == text
