"""Document types: ours are the official ones, and can be taken apart."""

from __future__ import annotations

from lxml import etree

from sync.peppol import doctypes
from tests.spec import spec_path

OURS = {**{one.id: one for one in doctypes.SENDABLE},
        doctypes.INVOICE_RESPONSE.id: doctypes.INVOICE_RESPONSE,
        doctypes.MLS.id: doctypes.MLS}  # fmt: skip


def test_each_type_is_active_with_its_process_in_the_official_list() -> None:
    path = spec_path("peppol/Document_types_v9.7.xml")
    official = {
        row.get("value"): {p.get("value") for p in row.findall("process-id")}
        for row in etree.parse(str(path)).getroot()
        if row.get("state") == "active" and row.get("scheme") == doctypes.DOCTYPE_SCHEME
    }
    assert [one.id for one in OURS.values() if one.process not in official.get(one.id, ())] == []


def test_qualified_and_back() -> None:
    full = doctypes.qualified_doctype(doctypes.BIS_INVOICE)
    assert full.startswith("busdox-docid-qns::urn:oasis")
    assert doctypes.unqualified(full) == doctypes.BIS_INVOICE.id


def test_a_wildcard_type_keeps_its_scheme() -> None:
    assert doctypes.unqualified("peppol-doctype-wildcard::x").startswith("peppol-doctype-wildcard")
