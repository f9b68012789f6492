"""The document to send, from the one that was read.

Three ways, the gentlest that does it: the source with nothing but the two endpoint ids written
into it; a UBL source with its head made BIS (specification, process, endpoints), every other node
as it was; or a new document by `euinvoice` (39 of 39 KoSIT and 42 of 42 ZUGFeRD documents converted
right). The envelope's sender and receiver are the document's endpoint ids by construction: both
come from the same arguments.
"""

from __future__ import annotations

import copy
import re
from typing import Final, NamedTuple

from euinvoice import parse_detailed, profiles
from euinvoice.errors import ModelError, ParseError
from euinvoice.model import Buyer, Identifier, Invoice, Seller
from euinvoice.profiles import Profile
from euinvoice.syntax import cii, ubl
from lxml import etree
from pydantic import ValidationError

from sync.documents import unmapped
from sync.documents.choose_type import BIS, How
from sync.documents.errors import InvalidDocumentError, UnsendableDocumentError
from sync.documents.paths import NS
from sync.documents.read import Opened
from sync.documents.source import SourceDocument, Syntax
from sync.errors import Finding
from sync.model import ParticipantId
from sync.peppol.doctypes import BILLING

ATTACHMENT_TYPES: Final = frozenset(
    {
        "application/pdf",
        "image/png",
        "image/jpeg",
        "text/csv",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/vnd.oasis.opendocument.spreadsheet",
    }
)
"""PEPPOL-EN16931-CL001. XRechnung takes application/xml too, BIS does not."""
MAX_ATTACHMENT_BYTES: Final = 7_400_000
"""libxml2 takes 10,000,000 characters of text in one element; base64 adds a third."""
_MAX_UNMAPPED_SHOWN: Final = 5
NO_LINES: Final = ("factur-x.eu:1p0:minimum", "factur-x.eu:1p0:basicwl", "zugferd.de:2p0:minimum")


class Converted(NamedTuple):
    """The document to send. `patched`: it is the source but for its head."""

    xml: bytes
    patched: bool


def convert(
    opened: Opened,
    document: SourceDocument,
    how: How,
    sender: ParticipantId,
    receiver: ParticipantId,
    *,
    buyer_reference: str = "",
) -> Converted:
    """The document to send.

    `buyer_reference` fills BT-10 where the source has none (a plain ZUGFeRD invoice), and only
    when converting. Raises `UnsendableDocumentError` and `InvalidDocumentError`.
    """
    if how is How.AS_IS:
        return Converted(with_endpoints(opened, sender, receiver), patched=True)
    check_carried(document)
    lacks_reference = bool(buyer_reference.strip()) and not document.buyer_reference
    if how is How.TO_UBL and _is_rooted_right(document) and not lacks_reference:
        return Converted(with_endpoints(opened, sender, receiver, as_bis=True), patched=True)
    invoice = addressed(to_model(opened), sender, receiver, buyer_reference)
    syntax = Syntax.UBL if how is How.TO_UBL else Syntax.CII
    return Converted(write(invoice, profiles.PEPPOL, syntax), patched=False)


def _is_rooted_right(document: SourceDocument) -> bool:
    """A UBL document whose root is the one that its type code asks for."""
    return document.syntax is Syntax.UBL and document.is_credit_note == (
        document.root == "CreditNote"
    )


def check_carried(document: SourceDocument) -> None:
    """Refuse what Peppol BIS has no place for. Raises `UnsendableDocumentError`."""
    if document.customization.lower().endswith(NO_LINES) or document.line_count == 0:
        raise UnsendableDocumentError(code="document.no_lines", profile=document.customization[:80])
    for attachment in document.attachments:
        if attachment.mime not in ATTACHMENT_TYPES:
            raise UnsendableDocumentError(
                code="document.attachment_type", mime=attachment.mime, filename=attachment.filename
            )


def to_model(opened: Opened) -> Invoice:
    """The semantic model of the source, complete.

    Raises `UnsendableDocumentError` (`document.unmapped`) if something would be lost, and
    `InvalidDocumentError` if a mandatory term is missing or a code is none.
    """
    try:
        result = parse_detailed(opened.xml)
    except ParseError as exc:
        raise InvalidDocumentError(findings=(_model_finding(exc),), rules="EN 16931") from None
    if lost := unmapped.harmful(opened.root, result.unmapped):
        shown = ", ".join(_short(path) for path in lost[:_MAX_UNMAPPED_SHOWN])
        raise UnsendableDocumentError(
            code="document.unmapped", elements=shown, count=str(len(lost))
        )
    return result.invoice


def addressed(
    invoice: Invoice, sender: ParticipantId, receiver: ParticipantId, buyer_reference: str = ""
) -> Invoice:
    """The invoice with the Peppol ids as its electronic addresses (BT-34, BT-49)."""
    ours = Identifier(scheme_id=sender.scheme, value=sender.value)
    theirs = Identifier(scheme_id=receiver.scheme, value=receiver.value)
    changes: dict[str, object] = {
        "seller": Seller.model_validate({**dict(invoice.seller), "electronic_address": ours}),
        "buyer": Buyer.model_validate({**dict(invoice.buyer), "electronic_address": theirs}),
    }
    if not invoice.buyer_reference and buyer_reference.strip():
        changes["buyer_reference"] = " ".join(buyer_reference.split())[:200]
    return Invoice.model_validate({**dict(invoice), **changes})


def write(invoice: Invoice, profile: Profile, syntax: Syntax) -> bytes:
    """The invoice as XML. Not judged: the rules do that, all of them at once.

    `euinvoice.to_xml` would judge first and stop at its own pre-flight findings; the person gets
    the complete list instead. Raises `InvalidDocumentError`.
    """
    try:
        prepared = profile.prepare(invoice)
        return ubl.write(prepared) if syntax is Syntax.UBL else cii.write(prepared)
    except (ModelError, ValidationError) as exc:
        finding = Finding(rule="EN16931-MODEL", message=str(exc)[:300])
        raise InvalidDocumentError(findings=(finding,), rules="EN 16931") from None


def with_endpoints(
    opened: Opened, sender: ParticipantId, receiver: ParticipantId, *, as_bis: bool = False
) -> bytes:
    """The source with BT-34 and BT-49 set; every other node stays as it is.

    `as_bis` (UBL only) makes it BIS Billing by its specification (BT-24) and, where it has none,
    its process (BT-23).
    """
    root = copy.deepcopy(opened.root)
    for path, participant in ((opened.paths.seller, sender), (opened.paths.buyer, receiver)):
        party = root.find(path, NS)
        if party is None:
            finding = Finding(rule="BR-06" if participant is sender else "BR-07", location=path)
            raise InvalidDocumentError(findings=(finding,), rules="EN 16931")
        endpoint = party.find(opened.paths.party.endpoint, NS)
        if endpoint is None:
            endpoint = _new_endpoint(party, opened.syntax)
        endpoint.text = participant.value
        endpoint.set("schemeID", participant.scheme)
    if as_bis:
        _set_head(root)
    # The declaration's encoding is ours; comments and processing instructions are content.
    return etree.tostring(root.getroottree(), xml_declaration=True, encoding="UTF-8")


def _set_head(root: etree._Element) -> None:
    specification = root.find("cbc:CustomizationID", NS)
    if specification is None:
        finding = Finding(rule="BR-01", location="cbc:CustomizationID")
        raise InvalidDocumentError(findings=(finding,), rules="EN 16931")
    specification.text = BIS
    if root.find("cbc:ProfileID", NS) is None:
        process = etree.Element(f"{{{NS['cbc']}}}ProfileID")
        process.text = BILLING
        specification.addnext(process)


def _new_endpoint(party: etree._Element, syntax: Syntax) -> etree._Element:
    """An empty endpoint where the schema wants it."""
    if syntax is Syntax.UBL:
        # In UBL 2.1 only two flags, a web site and a logo stand before it.
        endpoint = etree.Element(f"{{{NS['cbc']}}}EndpointID")
        before = ("MarkCareIndicator", "MarkAttentionIndicator", "WebsiteURI", "LogoReferenceID")
        position = sum(etree.QName(child).localname in before for child in party.iterchildren("*"))
        party.insert(position, endpoint)
        return endpoint
    address = party.find("ram:URIUniversalCommunication", NS)
    if address is not None:  # it is there, but empty
        return etree.SubElement(address, f"{{{NS['ram']}}}URIID")
    holder = etree.Element(f"{{{NS['ram']}}}URIUniversalCommunication")
    tax = party.find("ram:SpecifiedTaxRegistration", NS)
    if tax is None:
        party.append(holder)
    else:
        tax.addprevious(holder)
    return etree.SubElement(holder, f"{{{NS['ram']}}}URIID")


_TERM: Final = re.compile(r"\b(B[TG]-\d{1,3})\b")
_RULE_OF_MISSING: Final = {
    "BT-24": "BR-01", "BT-1": "BR-02", "BT-2": "BR-03", "BT-3": "BR-04", "BT-5": "BR-05",
    "BT-27": "BR-06", "BT-44": "BR-07", "BG-5": "BR-08", "BT-40": "BR-09", "BG-8": "BR-10",
    "BT-55": "BR-11", "BT-106": "BR-12", "BT-109": "BR-13", "BT-112": "BR-14", "BT-115": "BR-15",
    "BG-25": "BR-16", "BT-126": "BR-21", "BT-129": "BR-22", "BT-130": "BR-23", "BT-131": "BR-24",
    "BT-153": "BR-25", "BT-146": "BR-26", "BG-22": "BR-12", "BG-23": "BR-CO-18",
    "BG-30": "BR-CO-04", "BT-151": "BR-CO-04", "BT-116": "BR-45", "BT-117": "BR-46",
    "BT-118": "BR-47", "BT-119": "BR-48", "BT-81": "BR-49", "BT-84": "BR-50", "BT-122": "BR-52",
    "BT-25": "BR-55", "BT-92": "BR-31", "BT-95": "BR-32", "BT-99": "BR-36", "BT-102": "BR-37",
    "BT-136": "BR-41", "BT-141": "BR-43",
}  # fmt: skip
_RULE_OF_CODE: Final = {
    "BT-3": "BR-CL-01", "BT-5": "BR-CL-04", "BT-6": "BR-CL-05", "BT-18": "BR-CL-07",
    "BT-128": "BR-CL-07", "BT-21": "BR-CL-08", "BT-29": "BR-CL-10", "BT-46": "BR-CL-10",
    "BT-60": "BR-CL-10", "BT-30": "BR-CL-11", "BT-47": "BR-CL-11", "BT-61": "BR-CL-11",
    "BT-158": "BR-CL-13", "BT-40": "BR-CL-14", "BT-55": "BR-CL-14", "BT-69": "BR-CL-14",
    "BT-80": "BR-CL-14", "BT-159": "BR-CL-15", "BT-81": "BR-CL-16", "BT-95": "BR-CL-17",
    "BT-102": "BR-CL-17", "BT-118": "BR-CL-17", "BT-151": "BR-CL-18", "BT-98": "BR-CL-19",
    "BT-140": "BR-CL-19", "BT-105": "BR-CL-20", "BT-145": "BR-CL-20", "BT-157": "BR-CL-21",
    "BT-121": "BR-CL-22", "BT-130": "BR-CL-23", "BT-150": "BR-CL-23", "BT-125": "BR-CL-24",
    "BT-34": "BR-CL-25", "BT-49": "BR-CL-25", "BT-71": "BR-CL-26",
}  # fmt: skip


_RULE_OF_DECIMALS: Final = {
    "BT-92": "BR-DEC-01", "BT-93": "BR-DEC-02", "BT-99": "BR-DEC-05", "BT-100": "BR-DEC-06",
    "BT-106": "BR-DEC-09", "BT-107": "BR-DEC-10", "BT-108": "BR-DEC-11", "BT-109": "BR-DEC-12",
    "BT-110": "BR-DEC-13", "BT-112": "BR-DEC-14", "BT-111": "BR-DEC-15", "BT-113": "BR-DEC-16",
    "BT-114": "BR-DEC-17", "BT-115": "BR-DEC-18", "BT-116": "BR-DEC-19", "BT-117": "BR-DEC-20",
    "BT-131": "BR-DEC-23", "BT-136": "BR-DEC-24", "BT-137": "BR-DEC-25", "BT-141": "BR-DEC-27",
    "BT-142": "BR-DEC-28",
}  # fmt: skip


def _table(text: str) -> dict[str, str]:
    """What the model's words are about: a missing term, too many decimals, or a code."""
    if "required" in text.lower() or "mandatory" in text:
        return _RULE_OF_MISSING
    return _RULE_OF_DECIMALS if "BR-DEC" in text else _RULE_OF_CODE


def _model_finding(exc: ParseError) -> Finding:
    """The official rule that says what the model says, where there is one."""
    text = str(exc)
    found = _TERM.search(text)
    term = found[1] if found else ""
    rule = _table(text).get(term, "EN16931-MODEL")
    return Finding(rule=rule, message=text[:300], location=(exc.location or term)[:300])


def _short(path: str) -> str:
    """The last two steps of an XPath: enough to recognise it."""
    return "/".join(path.rsplit("/", 2)[-2:])[:80]
