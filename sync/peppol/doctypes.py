"""The Peppol document types that xTool sends or reads answers of.

Source: eDEC code lists v9.7, document types (all active there). Matching is case-sensitive.
"""

from __future__ import annotations

from typing import Final

from sync.model import DocumentType

DOCTYPE_SCHEME: Final = "busdox-docid-qns"
PROCESS_SCHEME: Final = "cenbii-procid-ubl"

_UBL = "urn:oasis:names:specification:ubl:schema:xsd"
_INVOICE = f"{_UBL}:Invoice-2::Invoice"
_CREDIT_NOTE = f"{_UBL}:CreditNote-2::CreditNote"
_RESPONSE = f"{_UBL}:ApplicationResponse-2::ApplicationResponse"
_CII = "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100::CrossIndustryInvoice"
_BIS = "urn:cen.eu:en16931:2017#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0"
_XR = "urn:cen.eu:en16931:2017#compliant#urn:xeinkauf.de:kosit:xrechnung_3.0"

BILLING: Final = "urn:fdc:peppol.eu:2017:poacc:billing:01:1.0"

BIS_INVOICE: Final = DocumentType(id=f"{_INVOICE}##{_BIS}::2.1", process=BILLING)
BIS_CREDIT_NOTE: Final = DocumentType(id=f"{_CREDIT_NOTE}##{_BIS}::2.1", process=BILLING)
BIS_CII: Final = DocumentType(id=f"{_CII}##{_BIS}::D16B", process=BILLING)
XR_UBL_INVOICE: Final = DocumentType(id=f"{_INVOICE}##{_XR}::2.1", process=BILLING)
XR_UBL_CREDIT_NOTE: Final = DocumentType(id=f"{_CREDIT_NOTE}##{_XR}::2.1", process=BILLING)
XR_CII: Final = DocumentType(id=f"{_CII}##{_XR}::D16B", process=BILLING)
EN_CII: Final = DocumentType(
    id=f"{_CII}##urn:cen.eu:en16931:2017::D16B", process="urn:fdc:peppol.eu:poacc:en16931:any"
)
INVOICE_RESPONSE: Final = DocumentType(
    id=f"{_RESPONSE}##urn:fdc:peppol.eu:poacc:trns:invoice_response:3::2.1",
    process="urn:fdc:peppol.eu:poacc:bis:invoice_response:3",
)
MLS: Final = DocumentType(
    id=f"{_RESPONSE}##urn:peppol:edec:mls:1.0::2.1", process="urn:peppol:edec:mls"
)

SENDABLE: Final = (
    BIS_INVOICE,
    BIS_CREDIT_NOTE,
    BIS_CII,
    XR_UBL_INVOICE,
    XR_UBL_CREDIT_NOTE,
    XR_CII,
    EN_CII,
)
"""What an invoice or credit note may travel as."""

BIS_UBL: Final = frozenset({BIS_INVOICE.id, BIS_CREDIT_NOTE.id})
"""The ids of Peppol BIS Billing 3.0 in UBL, the one that every receiver of invoices must take."""


def qualified_doctype(document_type: DocumentType) -> str:
    """`busdox-docid-qns::…`, the form that access points and SMPs use."""
    return f"{DOCTYPE_SCHEME}::{document_type.id}"


def qualified_process(document_type: DocumentType) -> str:
    """`cenbii-procid-ubl::…`, the form that access points and SMPs use."""
    return f"{PROCESS_SCHEME}::{document_type.process}"


def unqualified(identifier: str) -> str:
    """The value of a qualified id; ids of other schemes (wildcards) stay as they are."""
    for scheme in (DOCTYPE_SCHEME, PROCESS_SCHEME):
        identifier = identifier.removeprefix(f"{scheme}::")
    return identifier
