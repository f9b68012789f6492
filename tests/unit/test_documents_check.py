"""The verdict of the rules, and which release of them gave it."""

from __future__ import annotations

import pytest

from sync.documents import check, findings
from sync.documents.check import Verdict
from sync.documents.choose_type import BIS, XRECHNUNG
from sync.documents.read import describe, open_document
from sync.errors import Finding
from tests.sandbox import cii
from tests.unit.documents_support import changed, load, many_lines, without


def judged(source: bytes) -> Verdict:
    """The verdict on a document as what it claims to be."""
    opened = open_document(source)
    return check.check(opened, describe(opened).customization)


@pytest.mark.parametrize(
    "name",
    [
        "xrechnung-cii.xml",
        "xrechnung-cii-credit-note.xml",
        "xrechnung-cii-attachment.xml",
        "xrechnung-ubl.xml",
        "xrechnung-ubl-credit-note.xml",
    ],
)
def test_a_valid_xrechnung_is_valid(name: str) -> None:
    verdict = judged(load(name))
    assert verdict.fatal == ()
    assert verdict.valid


def test_the_verdict_names_the_judge_of_ubl() -> None:
    assert judged(load("xrechnung-ubl.xml")).rules == (
        "XRechnung 2.6.0, CEN 1.3.16 (mock-einvoice 0.4.0)"
    )


def test_the_verdict_says_that_cii_was_judged_by_a_copy() -> None:
    assert judged(load()).rules == (
        "XRechnung 2.6.0, CEN 1.3.16 (mock-einvoice 0.4.0, on a UBL copy)"
    )


def test_an_order_of_elements_that_the_schema_forbids_is_found_in_ubl() -> None:
    text = load("xrechnung-ubl.xml").decode()
    number = "<cbc:ID>MW-2026-0042</cbc:ID>"
    moved = text.replace(number, "", 1).replace(
        "<cac:AccountingSupplierParty>", number + "<cac:AccountingSupplierParty>", 1
    )
    assert [f.rule for f in judged(moved.encode()).fatal] == ["XSD"]


def test_an_order_of_elements_that_the_schema_forbids_is_found_in_cii() -> None:
    text = load().decode()
    code = "<ram:TypeCode>380</ram:TypeCode>"
    moved = text.replace(code, "", 1).replace(
        "<ram:ID>MW-2026-0042", code + "<ram:ID>MW-2026-0042", 1
    )
    assert [f.rule for f in judged(moved.encode()).fatal] == ["XSD"]


@pytest.mark.parametrize(
    ("at", "rule"), [("<cac:ClassifiedTaxCategory>", "BR-CO-04"), ("<cac:TaxCategory>", "BR-47")]
)
def test_a_category_of_another_tax_than_vat_is_found(at: str, rule: str) -> None:
    head, tail = load("xrechnung-ubl.xml").decode().split(at, 1)
    source = head + at + tail.replace("<cbc:ID>VAT</cbc:ID>", "<cbc:ID>GST</cbc:ID>", 1)
    assert rule in [f.rule for f in judged(source.encode()).fatal]


def test_a_finding_in_cii_has_the_official_rule() -> None:
    source = without("<ram:BuyerReference>", "</ram:BuyerReference>")
    assert [f.rule for f in judged(source).fatal] == ["BR-DE-15"]


def test_a_warning_does_not_make_it_invalid() -> None:
    verdict = judged(changed("DE89370400440532013000", "DE89370400440532013001"))
    assert verdict.valid
    assert [f.rule for f in verdict.warnings] == ["BR-DE-19"]


def test_many_findings_are_bounded_and_counted() -> None:
    source = many_lines(120).replace(
        b">49.38</ram:LineTotalAmount>", b">39.38</ram:LineTotalAmount>"
    )
    verdict = judged(source.replace(XRECHNUNG.encode(), BIS.encode()))
    assert len(verdict.fatal) == check.MAX_FINDINGS
    assert verdict.count > 120


def test_peppols_rules_judge_bis_and_xrechnungs_judge_xrechnung() -> None:
    bis = changed(XRECHNUNG, BIS, "xrechnung-ubl.xml")
    assert [f.rule for f in judged(bis).fatal] == ["PEPPOL-EN16931-CL008"] * 2
    assert judged(load("xrechnung-ubl.xml")).valid


FLAWS = {
    cii.Flaw.NO_BUYER_REFERENCE: "finding.buyer_reference_missing",
    cii.Flaw.NO_SELLER_CONTACT: "finding.seller_contact_missing",
    cii.Flaw.NO_SELLER_PHONE: "finding.seller_phone_missing",
    cii.Flaw.NO_SELLER_TAX_ID: "finding.seller_tax_id_missing",
    cii.Flaw.NO_SELLER_CITY: "finding.seller_city_missing",
    cii.Flaw.NO_BUYER_CITY: "finding.buyer_city_missing",
    cii.Flaw.NO_BUYER_EMAIL: "finding.endpoint_missing",
    cii.Flaw.NO_IBAN: "finding.iban_missing",
    cii.Flaw.NO_EXEMPTION_REASON: "finding.exemption_reason_missing",
    cii.Flaw.WRONG_TOTAL: "finding.totals_wrong",
    cii.Flaw.WRONG_TAX: "finding.vat_amount_wrong",
    cii.Flaw.WRONG_UNIT: "finding.unit_code",
}


def flawed(flaw: cii.Flaw) -> bytes:
    """The stand-in's document with one flaw."""
    from dataclasses import replace  # noqa: PLC0415
    from datetime import date  # noqa: PLC0415
    from decimal import Decimal  # noqa: PLC0415

    seller = cii.Party(
        name="Musterwerk Technik GmbH",
        street="Werkstraße 7",
        postcode="04109",
        city="Leipzig",
        email="rechnung@musterwerk.example",
        contact="Jana Probe",
        phone="+49 341 5550100",
        vat="DE136695976",
        iban="DE89370400440532013000",
        bic="COBADEFFXXX",
    )
    buyer = replace(seller, name="Stadtwerke Beispielhausen", iban="", vat="", phone="")
    exempt = flaw is cii.Flaw.NO_EXEMPTION_REASON
    document = cii.Document(
        number="MW-1",
        issued=date(2026, 10, 5),
        due=date(2026, 10, 19),
        seller=seller,
        buyer=buyer,
        lines=(cii.Line("Dichtungssatz", Decimal(4), Decimal("12.3456")),),
        buyer_reference="4711",
        tax=cii.Tax.SMALL_BUSINESS if exempt else cii.Tax.STANDARD,
        flaws=frozenset({flaw}),
    )
    return cii.render(document).encode()


@pytest.mark.parametrize(("flaw", "code"), FLAWS.items(), ids=str)
def test_each_flaw_that_a_sevdesk_invoice_may_have_gets_its_own_words(
    flaw: cii.Flaw, code: str
) -> None:
    found = findings.grouped(judged(flawed(flaw)).fatal)
    assert code in found


def test_an_xrechnung_is_held_to_the_peppol_rules_that_it_took_over() -> None:
    source = without("<cbc:EndpointID", "</cbc:EndpointID>", "xrechnung-ubl.xml")
    assert [f.rule for f in judged(source).fatal] == ["PEPPOL-EN16931-R020"]


@pytest.mark.parametrize("name", ["xrechnung-ubl.xml", "xrechnung-cii.xml"])
def test_a_line_that_is_not_quantity_times_price_only_warns_in_an_xrechnung(name: str) -> None:
    """Found with the official rules: R120 is a warning in the XRechnung schematron."""
    verdict = judged(changed(">39.9000<", ">39.9900<", name))
    assert verdict.valid
    assert [f.rule for f in verdict.warnings] == ["PEPPOL-EN16931-R120"]


def test_a_line_that_is_not_quantity_times_price_is_fatal_in_bis() -> None:
    bis = changed(XRECHNUNG, BIS, "xrechnung-ubl.xml").replace(b">39.9000<", b">39.9900<")
    assert "PEPPOL-EN16931-R120" in {f.rule for f in judged(bis).fatal}


@pytest.mark.parametrize(
    ("after", "empty"),
    [
        ("<ram:Name>Dichtungssatz</ram:Name>", "<ram:Description/>"),
        ("<ram:Name>Dichtungssatz</ram:Name>", "<ram:Description> <!-- --> </ram:Description>"),
        ("</ram:BuyerTradeParty>", "<ram:BuyerOrderReferencedDocument/>"),
    ],
)
def test_an_empty_element_of_cii_is_found_also_where_a_ubl_copy_is_without_it(
    after: str, empty: str
) -> None:
    """Found with the official rules: they refuse it, and the last did not show in the copy."""
    assert {f.rule for f in judged(changed(after, after + empty)).fatal} == {"PEPPOL-EN16931-R008"}


def test_the_one_element_of_cii_that_may_be_empty_may_be() -> None:
    start, end = "<ram:ApplicableHeaderTradeDelivery>", "</ram:ApplicableHeaderTradeDelivery>"
    text = load().decode()
    head, _, rest = text.partition(start)
    source = head + "<ram:ApplicableHeaderTradeDelivery/>" + rest.partition(end)[2]
    assert start in text
    assert "PEPPOL-EN16931-R008" not in {f.rule for f in judged(source.encode()).fatal}


# --- plain findings -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("BR-DE-15", "finding.buyer_reference_missing"),
        ("DE-R-015", "finding.buyer_reference_missing"),
        ("PEPPOL-EN16931-R003", "finding.buyer_reference_missing"),
        ("DE-R-002", "finding.seller_contact_missing"),
        ("DE-R-023-1", "finding.iban_missing"),
        ("BR-DE-23-a", "finding.iban_missing"),
        ("DE-R-T02", "finding.cash_discount_form"),
        ("PEPPOL-EN16931-CL008", "finding.endpoint_is_email"),
        ("PEPPOL-EN16931-CL001", "finding.attachment_type"),
        ("PEPPOL-COMMON-R049", "finding.peppol_id_invalid"),
        ("BR-DEC-18", "finding.decimals"),
        ("BR-CO-16", "finding.totals_wrong"),
        ("XSD", "finding.structure"),
        ("BR-65", "finding.other"),
        ("", "finding.other"),
    ],
)
def test_a_rule_has_its_plain_code(rule: str, code: str) -> None:
    assert findings.code_for(rule) == code


def test_no_rule_is_in_two_groups() -> None:
    rules = [rule for rules in findings._RULES_OF.values() for rule in rules.split()]
    assert len(rules) == len(set(rules))


def test_one_mistake_that_two_rules_report_is_one_group() -> None:
    found = (
        Finding(rule="DE-R-015"),
        Finding(rule="BR-CO-10"),
        Finding(rule="PEPPOL-EN16931-R003"),
    )
    assert list(findings.grouped(found)) == [
        "finding.buyer_reference_missing",
        "finding.totals_wrong",
    ]


def test_every_code_has_its_sentences_in_the_documentation() -> None:
    from pathlib import Path  # noqa: PLC0415

    text = (Path(__file__).parents[2] / "docs" / "findings.md").read_text("utf-8")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    assert [row[0].strip("| `") for row in rows] == list(findings.CODES)
    assert all(len(row) == 6 and all(cell.strip(" |") for cell in row) for row in rows)
