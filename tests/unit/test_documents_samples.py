"""Official samples, judged as their names say. They are not part of this repository."""

from __future__ import annotations

import re

import pytest

from sync.documents import check, work
from sync.documents.check import Verdict
from sync.documents.choose_type import How
from sync.documents.errors import UnreadableDocumentError
from sync.documents.read import describe, open_document, read
from sync.documents.work import Plan
from tests.spec import spec_path
from tests.unit.documents_support import OURS, THEIRS

VALID = (
    "peppol-bis3-creditnote-from-xrechnung-cii.xml",
    "peppol-bis3-from-xrechnung-01.01a.xml",
    "xrechnung-cii-01.01a.xml",
    "xrechnung-cii-01.15a-attachment.xml",
    "xrechnung-ubl-01.01a.xml",
)
INVALID = (
    "BR-CO-15-wrong-total.xml",
    "DE-R-002-no-seller-contact.xml",
    "PEPPOL-CL008-endpoint-EM.xml",
    "PEPPOL-R002-two-notes-crossborder.xml",
    "PEPPOL-R003-no-buyer-reference.xml",
    "PEPPOL-R008-empty-element.xml",
    "PEPPOL-R040-bad-gln.xml",
    "PEPPOL-R041-bad-0192.xml",
    "PEPPOL-R043-bad-0208.xml",
    "PEPPOL-R049-bad-0007.xml",
    "XSD-wrong-order.xml",
)
UNREADABLE = {
    "NOT-WELL-FORMED.xml": "document.not_xml",
    "XXE-doctype.xml": "document.doctype",
}


def judged(path: str) -> Verdict:
    """The verdict on a sample as what it claims to be."""
    opened = open_document(spec_path(path).read_bytes())
    return check.check(opened, describe(opened).customization)


def rule_in(name: str) -> re.Pattern[str]:
    """`PEPPOL-R041-bad` stands for PEPPOL-EN16931-R041 or PEPPOL-COMMON-R041."""
    found = re.match(r"(PEPPOL)-((?:R|CL)\d+)|(XSD|[A-Z]+(?:-[A-Z]+)*-\d+)", name)
    assert found
    if found[1]:
        return re.compile(rf"PEPPOL-(EN16931|COMMON)-{found[2]}$")
    return re.compile(rf"{re.escape(found[3])}$")


@pytest.mark.parametrize("name", VALID)
def test_a_valid_sample_is_valid(name: str) -> None:
    verdict = judged(f"invoices/{name}")
    assert verdict.fatal == ()
    assert verdict.valid


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_sample_breaks_the_rule_in_its_name(name: str) -> None:
    verdict = judged(f"invoices/invalid/{name}")
    assert not verdict.valid
    assert any(rule_in(name).match(finding.rule) for finding in verdict.fatal)


@pytest.mark.parametrize(("name", "code"), UNREADABLE.items())
def test_an_unreadable_sample_is_refused_by_name(name: str, code: str) -> None:
    with pytest.raises(UnreadableDocumentError) as caught:
        read(spec_path(f"invoices/invalid/{name}").read_bytes())
    assert caught.value.reason_code == code


def test_no_sample_is_left_out() -> None:
    found = {path.name for path in spec_path("invoices").glob("*.xml")}
    broken = {path.name for path in spec_path("invoices/invalid").glob("*.xml")}
    assert found == {*VALID, "zugferd-en16931-cii.xml"}
    assert broken == {*INVALID, *UNREADABLE}


CONVERTED = (
    *(f"invoices/{name}" for name in VALID),
    "sevdesk/LIVE-getXml-e-invoice.xml",
)


@pytest.mark.parametrize("path", CONVERTED)
def test_a_sample_becomes_valid_bis_ubl_with_equal_totals(path: str) -> None:
    source = spec_path(path).read_bytes()
    made, xml = work.make(source, Plan(how=How.TO_UBL, sender=OURS, receiver=THEIRS))
    before, after = read(source), read(xml)
    assert after.totals.gross == before.totals.gross
    assert after.totals.due == before.totals.due
    assert made.rules.startswith("Peppol BIS 3.0.21")


@pytest.mark.parametrize("path", CONVERTED)
def test_a_sample_travels_as_it_is(path: str) -> None:
    source = spec_path(path).read_bytes()
    made, _ = work.make(source, Plan(how=How.AS_IS, sender=OURS, receiver=THEIRS))
    assert made.customization == read(source).customization


def test_plain_zugferd_lacks_what_peppol_asks_of_german_parties() -> None:
    source = spec_path("invoices/zugferd-en16931-cii.xml").read_bytes()
    opened = open_document(source)
    verdict = check.check(opened, describe(opened).customization)
    rules = {finding.rule for finding in verdict.fatal}
    assert {"PEPPOL-EN16931-R003", "PEPPOL-EN16931-R010", "DE-R-002"} <= rules
