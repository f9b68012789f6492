"""What a conversion may leave behind: a short list, each with its reason. All else is refused.

`euinvoice` lists every element and attribute of the source that has no place in EN 16931. Seen in
real documents are the ones below; a new one stops the invoice with its name, so that a person
decides once whether it belongs on the list.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from lxml import etree

from sync.documents.paths import NS


class Holds(Protocol):
    """Given the root and the element that would be lost: whether losing it is harmless here."""

    def __call__(self, root: etree._Element, element: etree._Element, /) -> bool:
        """True: nothing is lost that counts."""
        ...


class Harmless(NamedTuple):
    """`path` matches the end of the XPath without its indexes."""

    path: str
    reason: str
    holds: Holds | None = None


def _said_in_breakdown(root: etree._Element, element: etree._Element) -> bool:
    """sevDesk repeats the exemption reason on each line; EN 16931 has it per VAT rate (BT-120)."""
    text = _words(element)
    header = root.iterfind(".//ram:ApplicableHeaderTradeSettlement/ram:ApplicableTradeTax", NS)
    return any(_words(tax.find("ram:ExemptionReason", NS)) == text for tax in header)


def _says_one(_: etree._Element, element: etree._Element) -> bool:
    """A base quantity of one says nothing."""
    return re.fullmatch(r"1(\.0*)?", (element.text or "").strip()) is not None


def _empty(_: etree._Element, element: etree._Element) -> bool:
    return not len(element) and not (element.text or "").strip()


def _zero(_: etree._Element, element: etree._Element) -> bool:
    return re.fullmatch(r"0(\.0*)?", (element.text or "").strip()) is not None


def _words(element: etree._Element | None) -> str:
    return "" if element is None else " ".join((element.text or "").split())


HARMLESS: Final = (
    Harmless(
        "/ram:SpecifiedLineTradeSettlement/ram:ApplicableTradeTax/ram:ExemptionReason",
        "sevDesk repeats the exemption reason per line; the VAT breakdown (BT-120) keeps it",
        _said_in_breakdown,
    ),
    Harmless("/@xsi:schemaLocation", "a hint for editors where the schema is, no content"),
    Harmless("/@xsi:noNamespaceSchemaLocation", "a hint for editors where the schema is"),
    Harmless(
        "/ram:DefinedTradeContact/ram:DepartmentName",
        "the contact point (BT-41, BT-56) is taken from the person's name beside it",
        lambda _, element: _has_sibling(element, "ram:PersonName"),
    ),
    Harmless(
        "/ram:GrossPriceProductTradePrice/ram:BasisQuantity",
        "a base quantity of one, which the net price (BT-149) says too",
        _says_one,
    ),
    Harmless("/ram:NetPriceProductTradePrice/ram:BasisQuantity", "a quantity of one", _says_one),
    Harmless("/ram:ActualAmount", "an amount of zero", _zero),
    Harmless("", "an element without any content", _empty),
)


def _has_sibling(element: etree._Element, path: str) -> bool:
    parent = element.getparent()
    return parent is not None and bool(_words(parent.find(path, NS)))


_INDEX: Final = re.compile(r"\[\d+\]")


def harmful(root: etree._Element, unmapped: Sequence[str]) -> tuple[str, ...]:
    """The XPaths whose loss would change what the document says."""
    return tuple(path for path in unmapped if not _is_harmless(root, path))


def _is_harmless(root: etree._Element, path: str) -> bool:
    plain = _INDEX.sub("", path)
    element = _locate(root, path)
    return any(
        plain.endswith(entry.path)
        and (entry.holds is None or (element is not None and entry.holds(root, element)))
        for entry in HARMLESS
    )


def _locate(root: etree._Element, path: str) -> etree._Element | None:
    """The element at an XPath that `euinvoice` wrote; None for attributes and text."""
    if "/@" in path or path.endswith("/text()"):
        return None
    prefixes = {prefix: uri for prefix, uri in root.nsmap.items() if prefix}
    try:
        found = root.getroottree().xpath(path, namespaces=prefixes or None)
    except etree.XPathError:
        return None
    return found[0] if isinstance(found, list) and found else None
