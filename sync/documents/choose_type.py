"""As which Peppol document type an invoice travels. Pure.

What the receiver registered decides, as far as the access point can carry it, in this order:

1. **The XRechnung as it is**, in the syntax that sevDesk gave. Only the two endpoint ids are
   written into it, so what the seller wrote is what the buyer gets, byte for byte otherwise.
2. **BIS Billing 3.0 in UBL**, the type that every receiver of invoices on Peppol must take.
3. **BIS Billing 3.0 in CII**, for the few that registered it and did not register UBL.

An invoice that is BIS already, in UBL or CII, goes as it is under its own type. A ZUGFeRD CII
that is plain EN 16931 is converted: BIS asks for more than it holds (process, endpoints).

A credit note (BT-3 381 and its kin) is a `CreditNote` in UBL; in CII both are one document type.
Not every access point carries everything: e-invoice.be takes BIS UBL only, whatever the receiver
registered.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sync.documents.source import SourceDocument, Syntax
from sync.model import DocumentType
from sync.peppol import doctypes

BIS: Final = "urn:cen.eu:en16931:2017#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0"
XRECHNUNG: Final = "urn:cen.eu:en16931:2017#compliant#urn:xeinkauf.de:kosit:xrechnung_3.0"


class How(StrEnum):
    """What is done to the source."""

    AS_IS = "as_is"  # the endpoint ids are written into it, nothing else
    TO_UBL = "to_ubl"  # converted to BIS Billing UBL
    TO_CII = "to_cii"  # converted to BIS Billing CII


@dataclass(frozen=True, slots=True)
class Route:
    """A document type and the way to it."""

    document_type: DocumentType
    how: How


def routes(document: SourceDocument) -> tuple[Route, ...]:
    """Every way that this document can travel, best first."""
    as_is = _as_is(document)
    bis_ubl = doctypes.BIS_CREDIT_NOTE if document.is_credit_note else doctypes.BIS_INVOICE
    converted = (Route(bis_ubl, How.TO_UBL), Route(doctypes.BIS_CII, How.TO_CII))
    if as_is is None:
        return converted
    return (as_is, *(r for r in converted if r.document_type != as_is.document_type))


def choose(
    document: SourceDocument,
    receiver_takes: frozenset[str],
    carries: frozenset[str] | None,
) -> Route | None:
    """The best way that the receiver takes and the access point carries (None: it carries any).

    None if there is no such way. The ids are compared with their case.
    """
    return next(
        (
            route
            for route in routes(document)
            if route.document_type.id in receiver_takes
            and (carries is None or route.document_type.id in carries)
        ),
        None,
    )


def _as_is(document: SourceDocument) -> Route | None:
    found = _OWN_TYPE.get((document.root, document.customization))
    # A UBL invoice with a credit note's code, and the reverse, is put right by converting it.
    if found is None or (
        document.syntax is Syntax.UBL and document.is_credit_note != (document.root == "CreditNote")
    ):
        return None
    return Route(found, How.AS_IS)


_OWN_TYPE: Final[dict[tuple[str, str], DocumentType]] = {
    ("Invoice", XRECHNUNG): doctypes.XR_UBL_INVOICE,
    ("CreditNote", XRECHNUNG): doctypes.XR_UBL_CREDIT_NOTE,
    ("CrossIndustryInvoice", XRECHNUNG): doctypes.XR_CII,
    ("Invoice", BIS): doctypes.BIS_INVOICE,
    ("CreditNote", BIS): doctypes.BIS_CREDIT_NOTE,
    ("CrossIndustryInvoice", BIS): doctypes.BIS_CII,
}
