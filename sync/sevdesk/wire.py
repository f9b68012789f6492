"""Requests to sevDesk and the bodies of its answers; pure, no I/O.

A `Request` is data; what an `Answer` means is read in `answers`.

**Not in the official OpenAPI document 2.0.0** (`UNDOCUMENTED` and `UNDOCUMENTED_QUERY`):

- `GET /SevClient`: the account's id and name. Used by three independent public clients, one of
  them against live accounts. When it fails, `/SevUser` and then the `sevClient.id` that every
  object carries are asked.
- `GET /SevUser`: the token's user with `sevClient`. Works (measured); may be hidden from users
  who are no administrators.
- `DELETE /TagRelation/{tagRelationId}`: in the official swagger before 2.0 and in two current
  clients. Not verified on a live account: a refusal is an error of its own, after which the tag
  simply stays.
- `limit` (1 to 1000), `offset`, `embed` on lists: described in the document's prose
  (pagination, embedding), not as parameters of each path.
- `status=750` (partly paid, since 2024-06): in the prose and release notes, not in the
  parameter's enumeration. Unknown filters are ignored and return everything, so the caller
  checks each row again.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal, NoReturn
from urllib.parse import quote, urlencode

from sync.sevdesk.errors import AnswerTooLargeError, BadAnswerError

LIST_BYTES = 64 * 1024 * 1024  # of one page; 1,000 live invoice rows are about 3 MB
XML_BYTES = 10 * 1024 * 1024  # what the document reader accepts
PDF_BYTES = 32 * 1024 * 1024
SMALL_BYTES = 1024 * 1024
PAGE_ROWS = 1000  # the most that sevDesk gives; outside 1..1000 it answers 400

NO_FILTERS: Mapping[str, str | int] = MappingProxyType({})

UNDOCUMENTED: frozenset[tuple[str, str]] = frozenset(
    {("GET", "/SevClient"), ("GET", "/SevUser"), ("DELETE", "/TagRelation/{tagRelationId}")}
)
UNDOCUMENTED_QUERY: frozenset[str] = frozenset({"limit", "offset", "embed"})

_HTML = re.compile(rb"\s*(<!doctype\s+html|<html)", re.IGNORECASE)

type Method = Literal["GET", "POST", "DELETE"]


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `template` is the path of the OpenAPI document, for metrics and tests."""

    method: Method
    template: str
    ids: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    body: Mapping[str, Any] | None = None
    limit: int = SMALL_BYTES  # bytes of the answer, unpacked

    @property
    def path(self) -> str:
        """The path with its ids put in, quoted."""
        path = self.template
        for name, value in self.ids:
            path = path.replace("{" + name + "}", quote(value, safe=""))
        return path

    @property
    def target(self) -> str:
        """Path and query, to be appended to the base URL."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    @property
    def writes(self) -> bool:
        """Whether it changes something in sevDesk."""
        return self.method != "GET"

    @property
    def resource(self) -> str:
        """The kind of object, `Invoice`."""
        return self.template.split("/")[1]

    @property
    def asks_xml(self) -> bool:
        """Whether it is the call whose 400, 500 and 503 speak about the invoice itself."""
        return self.template.endswith("/getXml")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the body is unpacked and within the request's limit."""

    status: int
    body: bytes = b""
    retry_after: str = ""


# --- Requests -------------------------------------------------------------------------------


def bookkeeping_version() -> Request:
    """The cheapest call that needs a token."""
    return Request("GET", "/Tools/bookkeepingSystemVersion")


def page(
    template: str,
    offset: int = 0,
    limit: int = PAGE_ROWS,
    filters: Mapping[str, str | int] = NO_FILTERS,
) -> Request:
    """A page of a list: `limit` rows from the row `offset` on."""
    query = {**filters, "limit": limit, "offset": offset}
    pairs = tuple((name, str(value)) for name, value in query.items())
    return Request("GET", template, query=pairs, limit=LIST_BYTES)


def one(resource: str, name: str, object_id: str) -> Request:
    """One object, `one("Invoice", "invoiceId", "7")`."""
    return Request("GET", f"/{resource}/{{{name}}}", ids=((name, object_id),))


def get_xml(invoice_id: str) -> Request:
    """The XML of an e-invoice; no side effect is known."""
    template = "/Invoice/{invoiceId}/getXml"
    return Request("GET", template, ids=(("invoiceId", invoice_id),), limit=2 * XML_BYTES)


def get_pdf(invoice_id: str) -> Request:
    """The PDF. Without `preventSendBy` sevDesk would mark the invoice as sent (measured)."""
    return Request(
        "GET",
        "/Invoice/{invoiceId}/getPdf",
        ids=(("invoiceId", invoice_id),),
        query=(("preventSendBy", "true"), ("download", "false")),
        limit=PDF_BYTES,
    )


def add_tag(invoice_id: str, name: str) -> Request:
    """Put the tag `name` on an invoice. The document asks for an integer id."""
    number: str | int = (
        int(invoice_id) if invoice_id.isascii() and invoice_id.isdigit() else invoice_id
    )
    target = {"id": number, "objectName": "Invoice"}
    return Request("POST", "/Tag/Factory/create", body={"name": name, "object": target})


def remove_tag_relation(relation_id: str) -> Request:
    """Take one tag off one object. Never `DELETE /Tag`: that takes it off all objects."""
    template = "/TagRelation/{tagRelationId}"
    return Request("DELETE", template, ids=(("tagRelationId", relation_id),))


# --- Bodies ---------------------------------------------------------------------------------


def unpack(body: bytes, limit: int) -> bytes:
    """Undo gzip, whatever `Content-Encoding` says (sevDesk's is sometimes wrong, measured).

    Raises `AnswerTooLargeError` above `limit` bytes, `BadAnswerError` when it is cut off.
    """
    if not body.startswith(b"\x1f\x8b"):
        return within(body, limit)
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(body, limit + 1)
    except zlib.error:
        raise BadAnswerError("broken gzip", problem="gzip") from None
    if len(plain) <= limit and not inflater.eof:
        raise BadAnswerError("gzip body cut off", problem="truncated")
    return within(plain, limit)


def within(body: bytes, limit: int) -> bytes:
    """The body, unless it is longer than `limit` bytes (`AnswerTooLargeError`)."""
    if len(body) > limit:
        raise too_large(limit)
    return body


def too_large(limit: int) -> AnswerTooLargeError:
    """The error for a body above `limit` bytes."""
    return AnswerTooLargeError(
        f"more than {limit} bytes", problem="too large", megabytes=str(limit >> 20)
    )


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def parse_json(body: bytes) -> Any:
    """Strict JSON with `Decimal` numbers. Raises `BadAnswerError` on anything else."""
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError, ArithmeticError) as error:
        problem = type(error).__name__  # its text may quote the body
    raise BadAnswerError(f"not JSON: {problem}", problem="not JSON")


def looks_like_html(body: bytes) -> bool:
    """A maintenance page, a proxy's error, or the documentation site."""
    return bool(_HTML.match(body[:512]))


# --- Payloads -------------------------------------------------------------------------------


def unwrap(payload: Any) -> Any:
    """The envelope's content: `{"objects": x}` is x, a bare object is itself."""
    return payload["objects"] if isinstance(payload, Mapping) and "objects" in payload else payload


def many(payload: Any) -> list[Any]:
    """A list's rows; a single object counts as a list of one. Raises `BadAnswerError`."""
    if isinstance(payload, Mapping):
        return [payload]
    if not isinstance(payload, list):
        raise BadAnswerError("not a list", problem="not a list")
    return payload


def single(payload: Any) -> Mapping[str, Any]:
    """One object, which sevDesk wraps in a list of one or not. Raises `BadAnswerError`."""
    first = payload[0] if isinstance(payload, list) and payload else payload
    if not isinstance(first, Mapping):
        raise BadAnswerError("not an object", problem="not an object")
    return first
