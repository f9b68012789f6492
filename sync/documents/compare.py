"""Proof that the document to send says what the source says.

Compared are what the buyer pays by: number, dates, type, currency, every total, the lines and the
attachments; and that the endpoints are the envelope's ids. Any difference is a fault of ours and
stops the invoice.
"""

from __future__ import annotations

from typing import Final

from lxml import etree

from sync.documents.errors import ChangedDocumentError
from sync.documents.paths import NS
from sync.documents.read import Opened
from sync.documents.source import Identifier, SourceDocument, Totals
from sync.model import ParticipantId

_FIELDS: Final = {
    "BT-1": "number",
    "BT-2": "issue_date",
    "BT-3": "type_code",
    "BT-5": "currency",
    "BT-9": "due_date",
    "BT-13": "order_reference",
    "BG-25": "line_count",
    "BT-131": "line_amounts",
}
_TOTALS: Final = {
    "BT-106": "line_net",
    "BT-107": "allowances",
    "BT-108": "charges",
    "BT-109": "net",
    "BT-110": "vat",
    "BT-112": "gross",
    "BT-113": "prepaid",
    "BT-114": "rounding",
    "BT-115": "due",
}


def check_unchanged(
    before: SourceDocument,
    after: SourceDocument,
    sender: ParticipantId,
    receiver: ParticipantId,
) -> None:
    """Raise `ChangedDocumentError` at the first difference."""
    for term, field in _FIELDS.items():
        _same(term, getattr(before, field), getattr(after, field))
    _same_totals(before.totals, after.totals)
    hashes = [sorted((a.sha256, a.mime) for a in d.attachments) for d in (before, after)]
    _same("BT-125", hashes[0], hashes[1])
    if before.buyer_reference:
        _same("BT-10", before.buyer_reference, after.buyer_reference)
    _same("BT-34", _endpoint(sender), after.seller.endpoint)
    _same("BT-49", _endpoint(receiver), after.buyer.endpoint)


def _same_totals(before: Totals, after: Totals) -> None:
    """Amounts are compared as numbers: `100` and `100.00` are one amount.

    A total of zero that the source left out may be written, and the reverse: no total of zero
    changes what is paid, and the rules check that the totals add up.
    """
    for term, field in _TOTALS.items():
        one, other = getattr(before, field), getattr(after, field)
        if (one or 0) != (other or 0):
            _same(term, one, other)


def check_only_head(before: Opened, after: Opened, *, as_bis: bool) -> None:
    """Raise `ChangedDocumentError` unless the documents are equal but for BT-34 and BT-49.

    With `as_bis`, the specification (BT-24) and process (BT-23) may differ too.
    """
    _same("XML", _canonical(before, as_bis), _canonical(after, as_bis), show=False)


def _canonical(opened: Opened, as_bis: bool) -> bytes:
    """Canonical XML without the head. Works on a copy: the caller's tree stays whole."""
    root = etree.fromstring(etree.tostring(opened.root))
    first_step = opened.paths.party.endpoint.partition("/")[0]
    for path in (opened.paths.seller, opened.paths.buyer):
        _remove(root.find(path, NS), first_step)
    for path in ("cbc:CustomizationID", "cbc:ProfileID") if as_bis else ():
        _remove(root, path)
    return etree.tostring(root, method="c14n")


def _remove(parent: etree._Element | None, path: str) -> None:
    found = None if parent is None else parent.find(path, NS)
    if parent is not None and found is not None:
        parent.remove(found)


def _endpoint(participant: ParticipantId) -> Identifier:
    return Identifier(scheme=participant.scheme, value=participant.value)


def _same(term: str, before: object, after: object, *, show: bool = True) -> None:
    if before == after:
        return
    raise ChangedDocumentError(
        f"{term} changed",
        term=term,
        before=str(before)[:100] if show else "",
        after=str(after)[:100] if show else "",
    )
