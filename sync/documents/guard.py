"""Bounds what is parsed at all, before a tree is built from it.

One pass with expat, which allocates next to nothing: it refuses a DOCTYPE at its first byte (so
no entity is ever declared), counts elements, attributes and depth, and knows four encodings.
Only what passes here reaches lxml, `euinvoice` and Saxon. Saxon's own parser resolves external
entities (a file's content was read that way), which is why nothing may reach it unguarded.
"""

from __future__ import annotations

import re
from typing import Final
from xml.parsers import expat

from lxml import etree

from sync.documents.errors import UnreadableDocumentError

MAX_BYTES: Final = 10 * 1024 * 1024
"""Of a document, in bytes: what the strictest access point takes (Storecove, 10 MB)."""
MAX_ELEMENTS: Final = 400_000
"""Some 10,000 invoice lines. A tree of that size needs about 150 MB."""
MAX_TEXT_NODE: Final = 10_000_000
"""Characters in one element, libxml2's own limit: an attachment of 7.4 MB."""
MAX_DEPTH: Final = 64
"""An EN 16931 document is at most 12 levels deep."""
MAX_ATTRIBUTES: Final = 32
"""Of one element. EN 16931 uses at most four; quadratic namespace tricks need many."""
ENCODINGS: Final = frozenset({"UTF-8", "UTF-16", "US-ASCII", "ISO-8859-1"})
"""What expat reads by itself. EN 16931 documents are UTF-8 in practice."""

_CHUNK: Final = 64 * 1024
_XML_DECLARATION: Final = re.compile(
    rb"""^<\?xml[^>]{0,200}encoding\s*=\s*["']([^"'>]{1,64})["']"""
)


class _Counter:
    """expat's handlers: they raise as soon as a bound is passed."""

    def __init__(self) -> None:
        self.elements = 0
        self.depth = 0

    def doctype(self, *_: object) -> None:
        raise UnreadableDocumentError("the document has a DOCTYPE", code="document.doctype")

    def start(self, _: str, attributes: list[str]) -> None:
        self.elements += 1
        self.depth += 1
        if self.elements > MAX_ELEMENTS:
            raise _too_complex(MAX_ELEMENTS, "elements")
        if self.depth > MAX_DEPTH:
            raise _too_complex(MAX_DEPTH, "levels")
        if len(attributes) > 2 * MAX_ATTRIBUTES:
            raise _too_complex(MAX_ATTRIBUTES, "attributes of one element")

    def end(self, _: str) -> None:
        self.depth -= 1


def _too_complex(limit: int, what: str) -> UnreadableDocumentError:
    return UnreadableDocumentError(
        f"more than {limit} {what}", code="document.too_complex", limit=str(limit), what=what
    )


def check_bounds(data: bytes) -> None:
    """Refuse what must not be parsed.

    Raises `UnreadableDocumentError` with the codes `document.empty`, `.too_large`, `.encoding`,
    `.doctype`, `.too_complex` or `.not_xml`.
    """
    check_size(data)
    _check_encoding(data)
    counter = _Counter()
    parser = expat.ParserCreate()
    parser.ordered_attributes = True
    parser.StartDoctypeDeclHandler = counter.doctype
    parser.StartElementHandler = counter.start
    parser.EndElementHandler = counter.end
    try:
        for offset in range(0, len(data), _CHUNK):
            parser.Parse(data[offset : offset + _CHUNK], False)
        parser.Parse(b"", True)
    except expat.ExpatError as exc:
        # Only expat's own words and the position: never a piece of the document.
        raise UnreadableDocumentError(
            code="document.not_xml", why=f"{expat.ErrorString(exc.code)}, line {exc.lineno}"
        ) from None


def check_size(data: bytes) -> None:
    """Refuse an empty document and one over `MAX_BYTES`."""
    if not data.strip():
        raise UnreadableDocumentError("the document is empty", code="document.empty")
    if len(data) > MAX_BYTES:
        raise UnreadableDocumentError(
            f"{len(data)} bytes", code="document.too_large", limit=str(MAX_BYTES)
        )


def _check_encoding(data: bytes) -> None:
    """Refuse an encoding that the two parsers could read differently."""
    found = _XML_DECLARATION.match(data.removeprefix(b"\xef\xbb\xbf").lstrip())
    name = found[1].decode("ascii", "replace").upper() if found else "UTF-8"
    if name not in ENCODINGS or data[:4] == b"\x00\x00\xfe\xff":
        raise UnreadableDocumentError(code="document.encoding", encoding=name)


def parse(data: bytes) -> etree._Element:
    """The root element of a document that is within the bounds.

    Raises `UnreadableDocumentError`. Nothing is fetched and no entity is resolved.
    """
    check_bounds(data)
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as exc:
        if "huge text node" in exc.msg or exc.code == etree.ErrorTypes.ERR_RESOURCE_LIMIT:
            raise _too_complex(MAX_TEXT_NODE, "characters in one element") from None
        raise UnreadableDocumentError(
            code="document.not_xml", why=f"line {exc.lineno}, code {exc.code}"
        ) from None
    if root.getroottree().docinfo.internalDTD is not None:  # pragma: no cover - expat saw it first
        raise UnreadableDocumentError(code="document.doctype")
    return root
