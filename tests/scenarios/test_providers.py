"""The same invoices through each access point: what is equal, what differs, and every total."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from decimal import Decimal

import pytest
from lxml import etree

from sync.peppol import doctypes
from sync.settings import Provider
from tests.scenarios.conftest import Stories
from tests.scenarios.story import Cause, Note, Scene
from tests.scenarios.ways import NAMES, SAMPLES, WAYS, way

pytestmark = [pytest.mark.timeout(400)]  # the first test of a provider plays its whole story

ASKED = {  # which call tells whether an attempt was taken
    "recommand": "/api/v1/documents",
    "e-invoice-be": "/api/documents/{provider_id}",
    "phoss-ap": "/api/outbound/status/{attempt_id}",
}
NS = {
    "ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100",
    "cac": "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2",
    "cbc": "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2",
}
CII = {
    "BT-106": "//ram:SpecifiedTradeSettlementHeaderMonetarySummation/ram:LineTotalAmount",
    "BT-109": "//ram:SpecifiedTradeSettlementHeaderMonetarySummation/ram:TaxBasisTotalAmount",
    "BT-110": "//ram:SpecifiedTradeSettlementHeaderMonetarySummation/ram:TaxTotalAmount[1]",
    "BT-112": "//ram:SpecifiedTradeSettlementHeaderMonetarySummation/ram:GrandTotalAmount",
    "BT-115": "//ram:SpecifiedTradeSettlementHeaderMonetarySummation/ram:DuePayableAmount",
}
UBL = {
    "BT-106": "/*/cac:LegalMonetaryTotal/cbc:LineExtensionAmount",
    "BT-109": "/*/cac:LegalMonetaryTotal/cbc:TaxExclusiveAmount",
    "BT-110": "/*/cac:TaxTotal/cbc:TaxAmount",
    "BT-112": "/*/cac:LegalMonetaryTotal/cbc:TaxInclusiveAmount",
    "BT-115": "/*/cac:LegalMonetaryTotal/cbc:PayableAmount",
}
LINES = {"CII": "//ram:IncludedSupplyChainTradeLineItem", "UBL": "/*/cac:{}Line"}
ATTACHED = {"CII": "//ram:AttachmentBinaryObject", "UBL": "//cbc:EmbeddedDocumentBinaryObject"}


@pytest.fixture(params=NAMES)
def provider(request: pytest.FixtureRequest) -> Provider:
    """Each access point."""
    name: Provider = request.param
    return name


def told(stories: Stories, provider: Provider, name: str) -> Note:
    note = stories(provider)[way(provider, name)].told
    assert note is not None
    return note


@pytest.mark.parametrize("cause", [*WAYS, *SAMPLES], ids=lambda cause: cause.what)
def test_it_ends_as_the_access_points_abilities_allow(stories: Stories, cause: Cause) -> None:
    scene = stories(cause.provider)[cause.what]
    assert scene.told is not None
    assert scene.told.lacks(scene.expected) == [], scene.told.text


@pytest.mark.parametrize("cause", WAYS, ids=lambda cause: cause.what)
def test_each_invoice_is_accepted_exactly_once(stories: Stories, cause: Cause) -> None:
    scene = stories(cause.provider)[cause.what]
    assert scene.ended is not None
    assert (scene.ended.state, scene.ended.tag) == ("sent", "Peppol-Sent")
    assert scene.ended.accepted == 1


@pytest.mark.parametrize("name", ["delivered", "answer lost"])
def test_what_was_taken_needs_one_attempt(stories: Stories, provider: Provider, name: str) -> None:
    record = told(stories, provider, name).record
    assert record is not None
    assert record.attempts == 1


def test_a_lost_answer_is_settled_by_asking_the_access_point(
    stories: Stories, provider: Provider
) -> None:
    scene = stories(provider)[way(provider, "answer lost")]
    record = told(stories, provider, "answer lost").record
    assert record is not None
    assert record.attempt is not None
    known = {"attempt_id": record.attempt.id, "provider_id": record.attempt.provider_id or ""}
    path = ASKED[provider].format(**known)
    asked = [one for one in scene.world.access_point.requests if one[:2] == ("GET", path)]
    assert asked


def test_a_certain_no_is_sent_again_and_an_uncertain_one_is_not(
    stories: Stories, provider: Provider
) -> None:
    note = told(stories, provider, "cut, not taken")
    assert note.record is not None
    again = note.state == "sent"
    assert (note.record.attempts, note.accepted) == ((2, 1) if again else (1, 0))


@pytest.mark.parametrize("cause", SAMPLES, ids=lambda cause: cause.what)
def test_a_cii_invoice_arrives_as_ubl_with_equal_totals(stories: Stories, cause: Cause) -> None:
    scene: Scene = stories(cause.provider)[cause.what]
    assert scene.invoice.xml is not None
    assert [one.document_type in doctypes.BIS_UBL for one in scene.taken] == [True]
    assert facts(scene.taken[0].xml) == facts(scene.invoice.xml)


def facts(xml: bytes) -> dict[str, object]:
    """Totals, number of lines and attachments, read by our own paths and not by the product."""
    root = etree.fromstring(xml)
    kind = etree.QName(root).localname
    syntax, paths = ("CII", CII) if kind == "CrossIndustryInvoice" else ("UBL", UBL)
    totals = {term: Decimal(first(root, path)) for term, path in paths.items()}
    lines = LINES[syntax].format(kind)
    attached = [
        (one.get("mimeCode"), hashlib.sha256(b64decode(one.text or "")).hexdigest())
        for one in elements(root, ATTACHED[syntax])
    ]
    return {
        **totals,
        "lines": len(elements(root, lines)),
        "attachments": sorted(map(str, attached)),
    }


def elements(root: etree._Element, path: str) -> list[etree._Element]:
    found = root.xpath(path, namespaces=NS)
    assert isinstance(found, list)
    return [one for one in found if isinstance(one, etree._Element)]


def first(root: etree._Element, path: str) -> str:
    return elements(root, path)[0].text or ""
