"""Bytes to a `SourceDocument`: CII, UBL, or the XML inside a ZUGFeRD PDF.

Nothing is judged here beyond what reading needs. Fields that are missing stay empty and the
rules say so later; a field that is there but is no date or no amount cannot be carried and is
refused by name.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import re
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

from lxml import etree

from sync.documents import guard, paths
from sync.documents.errors import UnreadableDocumentError
from sync.documents.paths import NS, Paths
from sync.documents.source import Attachment, Identifier, Party, SourceDocument, Syntax, Totals

_ROOTS: Final[dict[str, tuple[Syntax, str, Paths]]] = {
    f"{{{NS['rsm']}}}CrossIndustryInvoice": (Syntax.CII, "CrossIndustryInvoice", paths.CII),
    f"{{{paths.UBL_INVOICE}}}Invoice": (Syntax.UBL, "Invoice", paths.UBL_INVOICE_PATHS),
    f"{{{paths.UBL_CREDIT_NOTE}}}CreditNote": (
        Syntax.UBL,
        "CreditNote",
        paths.UBL_CREDIT_NOTE_PATHS,
    ),
}
MAX_TEXT: Final = 1_000
"""Characters kept of one term. The longest that counts is a name."""
MAX_ATTACHMENTS: Final = 500
NO_ORDER: Final = "NA"
"""In UBL the order's number beside a sales order where there is no order (BIS 3, BT-13)."""
_AMOUNT: Final = re.compile(r"[+-]?\d{1,20}(\.\d{1,20})?|[+-]?\.\d{1,20}")
_CMS: Final = bytes.fromhex("06092a864886f70d010702")  # the DER of id-signedData (RFC 5652)


class Opened(NamedTuple):
    """The XML of a document, wherever it was, and its parsed root."""

    xml: bytes
    root: etree._Element
    syntax: Syntax
    name: str
    paths: Paths
    from_pdf: bool


def read(data: bytes) -> SourceDocument:
    """What the document says. Raises `UnreadableDocumentError`."""
    return describe(open_document(data))


def open_document(data: bytes) -> Opened:
    """The XML within the bounds, parsed once. Raises `UnreadableDocumentError`."""
    guard.check_size(data)
    from_pdf = _is_pdf(data)
    xml = _from_pdf(data) if from_pdf else data
    if _is_signed(xml):
        raise UnreadableDocumentError("a signed envelope instead of XML", code="document.signed")
    root = guard.parse(xml)
    if root.tag not in _ROOTS:
        name = etree.QName(root).localname[:100]
        raise UnreadableDocumentError("not an e-invoice", code="document.root", root=name)
    return Opened(xml, root, *_ROOTS[root.tag], from_pdf)


def describe(opened: Opened) -> SourceDocument:
    """What the parsed document says. Raises `UnreadableDocumentError` (`document.value`)."""
    root, at = opened.root, opened.paths
    currency = _text(root, at.currency)
    return SourceDocument(
        syntax=opened.syntax,
        root=opened.name,
        customization=_text(root, at.customization),
        process=_text(root, at.process),
        type_code=_text(root, at.type_code),
        number=_text(root, at.number),
        issue_date=_date("BT-2", _text(root, at.issue_date)),
        due_date=_date("BT-9", _text(root, at.due_date)),
        currency=currency,
        buyer_reference=_text(root, at.buyer_reference),
        order_reference=_order_reference(root, at),
        seller=_party(root, at.seller, opened),
        buyer=_party(root, at.buyer, opened),
        totals=_totals(root, at, currency),
        line_count=len(root.findall(at.line, NS)),
        line_amounts=_line_amounts(root, at),
        attachments=_attachments(root, at),
        sha256=hashlib.sha256(opened.xml).hexdigest(),
        xml_size=len(opened.xml),
        from_pdf=opened.from_pdf,
    )


def _is_pdf(data: bytes) -> bool:
    """A PDF header may follow some bytes of junk, but never markup."""
    at = data.find(b"%PDF-", 0, 1024)
    return at != -1 and b"<" not in data[:at]


def _is_signed(data: bytes) -> bool:
    return (data[:1] == b"\x30" and _CMS in data[:64]) or data.startswith(b"-----BEGIN ")


def _from_pdf(data: bytes) -> bytes:
    """The XML that the PDF's own metadata names. Raises `UnreadableDocumentError`."""
    # pypdf takes 0.2 s to import, and most documents are no PDF.
    from euinvoice import facturx  # noqa: PLC0415
    from euinvoice.errors import PdfError  # noqa: PLC0415

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it logs pieces of the document
    try:
        xml = facturx.extract(data).xml
    except PdfError as exc:
        code = "document.pdf_encrypted" if "encrypted" in str(exc) else "document.pdf"
        raise UnreadableDocumentError(code=code, why=str(exc)[:200]) from None
    guard.check_size(xml)
    return xml


def _text(element: etree._Element, path: str) -> str:
    found = element.find(path, NS)
    return "" if found is None else _content(found)


def _content(element: etree._Element) -> str:
    return " ".join((element.text or "").split())[:MAX_TEXT]


def _order_reference(root: etree._Element, at: Paths) -> str:
    """BT-13. UBL has no sales order (BT-14) without an order and prescribes `NA` for it."""
    found = _text(root, at.order_reference)
    return "" if found == NO_ORDER and _text(root, at.sales_order) else found


def _date(term: str, text: str) -> date | None:
    """`YYYY-MM-DD` (UBL) or `YYYYMMDD` (CII, format 102)."""
    if not text:
        return None
    try:
        # A UBL date may carry a time zone, which a calendar day does not have.
        return datetime.strptime(text[:10], "%Y-%m-%d" if "-" in text[:5] else "%Y%m%d").date()  # noqa: DTZ007
    except ValueError:
        raise UnreadableDocumentError(code="document.value", term=term, value=text[:40]) from None


def amount(term: str, text: str) -> Decimal | None:
    """An amount as written, exactly. Raises `UnreadableDocumentError`."""
    if not text:
        return None
    if not _AMOUNT.fullmatch(text):
        raise UnreadableDocumentError(code="document.value", term=term, value=text[:40])
    try:
        return Decimal(text)
    except InvalidOperation:  # pragma: no cover - the pattern leaves nothing to fail
        raise UnreadableDocumentError(code="document.value", term=term, value=text[:40]) from None


_TERMS: Final = {
    "line_net": "BT-106",
    "allowances": "BT-107",
    "charges": "BT-108",
    "net": "BT-109",
    "gross": "BT-112",
    "prepaid": "BT-113",
    "rounding": "BT-114",
    "due": "BT-115",
}


def _totals(root: etree._Element, at: Paths, currency: str) -> Totals:
    found = {name: amount(_TERMS[name], _text(root, path)) for name, path in at.totals.items()}
    vat = [
        element
        for element in root.iterfind(at.vat_total, NS)
        if element.get("currencyID", currency) == currency
    ]
    return Totals(**found, vat=amount("BT-110", _content(vat[0])) if vat else None)


def _line_amounts(root: etree._Element, at: Paths) -> Decimal:
    lines = (_text(line, at.line_amount) for line in root.iterfind(at.line, NS))
    return sum((amount("BT-131", text) or Decimal(0) for text in lines), Decimal(0))


def _party(root: etree._Element, path: str, opened: Opened) -> Party:
    element = root.find(path, NS)
    if element is None:
        return Party()
    at = opened.paths.party
    vat_id, tax_number = _tax_ids(element, opened.syntax)
    return Party(
        name=_text(element, at.name),
        country=_text(element, at.country).upper(),
        endpoint=_identifier(element.find(at.endpoint, NS)),
        vat_id=vat_id,
        tax_number=tax_number,
        ids=_identifiers(element, at.ids),
        legal_id=_identifier(element.find(at.legal_id, NS)),
        email=_text(element, at.email),
    )


def _identifier(element: etree._Element | None) -> Identifier | None:
    if element is None or not (value := _content(element)):
        return None
    return Identifier(scheme=(element.get("schemeID") or "").strip()[:20], value=value)


def _identifiers(party: etree._Element, at: tuple[str, ...]) -> tuple[Identifier, ...]:
    found = (_identifier(element) for path in at for element in party.iterfind(path, NS))
    # In UBL the SEPA creditor id (BT-90) stands among the seller's ids.
    return tuple(i for i in found if i is not None and i.scheme != "SEPA")


def _tax_ids(party: etree._Element, syntax: Syntax) -> tuple[str, str]:
    """The VAT id (BT-31, BT-48) and the local tax number (BT-32)."""
    if syntax is Syntax.CII:
        found = {
            element.get("schemeID", ""): _content(element)
            for element in party.iterfind("ram:SpecifiedTaxRegistration/ram:ID", NS)
        }
        return found.get("VA", ""), found.get("FC", "")
    vat = tax = ""
    for element in party.iterfind("cac:PartyTaxScheme", NS):
        number = _text(element, "cbc:CompanyID")
        if _text(element, "cac:TaxScheme/cbc:ID") == "VAT":
            vat = vat or number
        else:
            tax = tax or number
    return vat, tax


def _attachments(root: etree._Element, at: Paths) -> tuple[Attachment, ...]:
    found = root.findall(at.attachment, NS)
    if len(found) > MAX_ATTACHMENTS:
        raise UnreadableDocumentError(
            code="document.too_complex", limit=str(MAX_ATTACHMENTS), what="attachments"
        )
    return tuple(_attachment(element) for element in found)


def _attachment(element: etree._Element) -> Attachment:
    try:
        content = base64.b64decode("".join((element.text or "").split()), validate=True)
    except (binascii.Error, ValueError):
        raise UnreadableDocumentError(
            code="document.value", term="BT-125", value=(element.get("filename") or "")[:40]
        ) from None
    return Attachment(
        filename=(element.get("filename") or "")[:255],
        mime=(element.get("mimeCode") or "").strip().lower()[:100],
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
