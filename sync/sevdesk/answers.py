"""What sevDesk's answers mean: the payload, or the one error; pure, no I/O.

Nothing further up looks at a status code. All errors but the 401 have the envelope
`{"error": {message, code, exceptionUUID, responseCode, …}, "objects": null}`; it also comes with
HTTP 200 (measured by other clients), so every body is looked at. The 401 is
`{"status": 401, "message": "Authentication required"}`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeGuard

from sync.errors import Kind
from sync.sevdesk.errors import (
    BadAnswerError,
    ForbiddenError,
    IncompleteEInvoiceError,
    NotAnEInvoiceError,
    NotFoundError,
    RateLimitedError,
    RefusedError,
    RemovalRefusedError,
    SevdeskError,
    UnauthorizedError,
    UnavailableError,
    WriteUnconfirmedError,
    WrongAddressError,
    XmlRefusedError,
)
from sync.sevdesk.models import Pdf
from sync.sevdesk.wire import (
    XML_BYTES,
    Answer,
    Request,
    looks_like_html,
    parse_json,
    single,
    unwrap,
    within,
)

MESSAGE_LIMIT = 300  # characters of sevDesk's own text that are kept
# A write that was answered so was not done. After 400 and 5xx it may have been (measured).
_DEFINITE = frozenset({401, 403, 404, 405, 409, 422, 429})
# Texts of getXml that name missing data, measured: "Missing iban and bic" (500), "Invoice
# number is required" (503). "Exception when requesting invoices service" (503) does not.
_DATA_PROBLEM = re.compile(r"\b(missing|required|iban|bic)\b", re.IGNORECASE)
_NOT_AN_E_INVOICE = re.compile(r"not an? (electronic|e-?)\s?-?invoice", re.IGNORECASE)
_GONE = 151  # sevDesk's own code for "No Model_X with the id … was found"
_MISSING_DATA = 830
_NO_OBJECT = re.compile(r"\bNo Model_\w+ with the id\b")


@dataclass(frozen=True, slots=True)
class _Fault:
    """The error envelope, read tolerantly. `status` is what it says, else the HTTP status."""

    status: int
    message: str = ""
    code: int | None = None
    uuid: str = ""
    missing: str = ""


def _is_error(payload: Any) -> TypeGuard[Mapping[str, Any]]:
    """Both envelopes: `{"error": …}`, and the 401's `{"status": 401, "message": …}`."""
    if not isinstance(payload, Mapping):
        return False
    status = payload.get("status")
    bare = "message" in payload and "objects" not in payload
    return bool(payload.get("error")) or (bare and isinstance(status, int) and status >= 400)


def clean(message: object) -> str:
    """sevDesk's text on one line, bounded and without control characters."""
    if not isinstance(message, str):
        return ""
    one_line = "".join(c if c.isprintable() else " " for c in message[: 4 * MESSAGE_LIMIT])
    return " ".join(one_line.split())[:MESSAGE_LIMIT]


def _whole_number(value: object) -> int | None:
    """`code` and `responseCode` come as number, as text, or as null."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:9])
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _missing(data: object) -> str:
    names = data.get("missing information") if isinstance(data, Mapping) else None
    return (
        clean(", ".join(n for n in names if isinstance(n, str))) if isinstance(names, list) else ""
    )


def _fault(status: int, payload: Any) -> _Fault:
    """Read the envelope; without one, only the HTTP status is known."""
    if not _is_error(payload):
        return _Fault(status)
    error = payload.get("error")
    told = error if isinstance(error, Mapping) else payload
    inner = _whole_number(told.get("responseCode") or told.get("status"))
    if status < 400:  # an error inside HTTP 200 means what it says, else a refusal
        status = inner if inner is not None and 400 <= inner < 600 else 400
    return _Fault(
        status=status,
        message=clean(error) if isinstance(error, str) else clean(told.get("message")),
        code=_whole_number(told.get("code")),
        uuid=clean(told.get("exceptionUUID"))[:64],
        missing=_missing(told.get("data")),
    )


def retry_after_seconds(header: str, now: datetime) -> float | None:
    """`Retry-After` as seconds from `now`: a number or an HTTP date, capped at an hour."""
    value = header.strip()
    if value.isascii() and value.isdigit():
        return float(min(int(value[:9]), 3600))
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - now).total_seconds(), 0.0), 3600.0)


def _account_error(fault: _Fault, wait: float | None) -> SevdeskError | None:
    """What concerns the connection as a whole, whatever was asked."""
    if fault.status == 401:
        return UnauthorizedError(fault.message)
    if fault.status == 403:
        return ForbiddenError(fault.message, message=fault.message, reference=fault.uuid)
    if fault.status == 429:
        return RateLimitedError(fault.message, retry_after=wait)
    return None


def _write_error(request: Request, fault: _Fault) -> SevdeskError | None:
    """What a failed write means beyond what a failed read means."""
    status, message = str(fault.status), fault.message
    if fault.status not in _DEFINITE:
        return WriteUnconfirmedError(f"{status} {message}", status=status, message=message)
    if request.method == "DELETE" and not _is_gone(fault):
        return RemovalRefusedError(f"{status} {message}", status=status, message=message)
    return None


def _is_gone(fault: _Fault) -> bool:
    """404 in sevDesk's own words: the object is not there, as opposed to the whole path."""
    known = fault.code == _GONE or _NO_OBJECT.search(fault.message) is not None
    return fault.status == 404 and known


def _xml_error(fault: _Fault) -> SevdeskError | None:
    """getXml's statuses speak about the invoice where a message came with them."""
    if fault.status == 404 or not fault.message:
        return None
    if fault.status == 400 and _NOT_AN_E_INVOICE.search(fault.message):
        return NotAnEInvoiceError(fault.message)
    if fault.code == _MISSING_DATA or (fault.status >= 500 and _DATA_PROBLEM.search(fault.message)):
        missing = fault.missing or fault.message
        return IncompleteEInvoiceError(fault.message, message=fault.message, missing=missing)
    kind = Kind.TRANSIENT if fault.status >= 500 else Kind.PERMANENT
    status, message = str(fault.status), fault.message
    return XmlRefusedError(message, kind=kind, status=status, message=message)


def _plain_error(request: Request, fault: _Fault, wait: float | None) -> SevdeskError:
    status, message = str(fault.status), fault.message
    detail = f"{status} {request.template} {message}".rstrip()
    if fault.status == 404:
        return NotFoundError(detail, resource=request.resource, message=message)
    if fault.status == 408 or fault.status >= 500:
        return UnavailableError(detail, retry_after=wait, status=status, message=message)
    return RefusedError(detail, status=status, message=message, reference=fault.uuid)


def _error(request: Request, answer: Answer, payload: Any, now: datetime) -> SevdeskError:
    fault = _fault(answer.status, payload)
    wait = retry_after_seconds(answer.retry_after, now)
    return (
        _account_error(fault, wait)
        or (_write_error(request, fault) if request.writes else None)
        or (_xml_error(fault) if request.asks_xml else None)
        or _plain_error(request, fault, wait)
    )


def _html_error(request: Request, answer: Answer, now: datetime) -> SevdeskError:
    """HTML is never the API's own answer; what it means depends on the status."""
    if answer.status == 404:
        return WrongAddressError("an HTML 404", status="404")
    if answer.status in {401, 403, 429} or (request.writes and answer.status >= 400):
        return _error(request, answer, None, now)
    status = str(answer.status)
    if request.writes:
        return WriteUnconfirmedError("an HTML page", status=status, message="")
    wait = retry_after_seconds(answer.retry_after, now)
    return UnavailableError("an HTML page", retry_after=wait, status=status, message="")


def _parsed(request: Request, answer: Answer) -> Any:
    """The JSON, or None for an error whose body is something else."""
    try:
        return parse_json(answer.body)
    except BadAnswerError as error:
        if answer.status >= 400:
            return None
        if request.writes:
            raise WriteUnconfirmedError(str(error), status=str(answer.status), message="") from None
        raise


def read(request: Request, answer: Answer, now: datetime) -> Any:
    """The unwrapped payload, or the error that the answer means (always a `SevdeskError`)."""
    if 300 <= answer.status < 400:
        raise WrongAddressError(f"redirected with {answer.status}", status=str(answer.status))
    if looks_like_html(answer.body):
        raise _html_error(request, answer, now)
    if answer.status < 400 and request.method == "DELETE" and not answer.body.strip():
        return None
    payload = _parsed(request, answer)
    if answer.status >= 400 or answer.status < 200 or _is_error(payload):
        raise _error(request, answer, payload, now)
    return unwrap(payload)


def xml_bytes(request: Request, answer: Answer, now: datetime) -> bytes:
    """getXml's document, from `{"objects": "<?xml …"}`, a list of one, or the XML as it is."""
    if answer.status == 200 and _is_markup(answer.body) and not looks_like_html(answer.body):
        return within(answer.body, XML_BYTES)
    payload = read(request, answer, now)
    content = payload[0] if isinstance(payload, list) and payload else payload
    if not isinstance(content, str) or not content.lstrip("\ufeff \r\n\t").startswith("<"):
        raise BadAnswerError("no XML in the answer", problem="no XML")
    try:
        return within(content.encode(), XML_BYTES)
    except UnicodeEncodeError:
        raise BadAnswerError("XML with half a character", problem="no XML") from None


def _is_markup(body: bytes) -> bool:
    return body[:64].removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")


def pdf(request: Request, answer: Answer, now: datetime) -> Pdf:
    """getPdf's file, from base64 in JSON or as it is. Raises `BadAnswerError` if it is no PDF."""
    if answer.status == 200 and answer.body.startswith(b"%PDF"):
        return Pdf("", answer.body)
    payload = single(read(request, answer, now))
    content = payload.get("content")
    try:
        data = base64.b64decode(content) if isinstance(content, str) else b""
    except (binascii.Error, ValueError):
        data = b""
    if not data.startswith(b"%PDF"):
        raise BadAnswerError("no PDF in the answer", problem="no PDF")
    return Pdf(clean(payload.get("filename")), data)
