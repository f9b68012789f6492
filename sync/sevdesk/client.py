"""The thin shell around `wire`: sends what it builds and reads what it understands.

One `httpx.AsyncClient` per process (`build_http`), one light `SevdeskClient` per organisation.

Repeats: a GET at most twice more, after a lost connection, a 502, 503 or 504, or a 429 that the
account's pace was told of, begun within `REPEAT_SECONDS`. A write never, neither here nor in
aiohttp.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from sync.sevdesk import answers, rows, wire
from sync.sevdesk.errors import (
    AccountUnknownError,
    BadAnswerError,
    ForbiddenError,
    ListChangedError,
    NotFoundError,
    RefusedError,
    SevdeskError,
    UnavailableError,
    WriteUnconfirmedError,
)
from sync.sevdesk.models import (
    Account,
    ContactRow,
    CustomField,
    CustomFieldSetting,
    InvoiceRow,
    Listing,
    Pdf,
    Tag,
    TagRelation,
)
from sync.sevdesk.transport import TokenAuth
from sync.sevdesk.wire import Answer, Request

REQUEST_SECONDS: Final = 60.0  # for one request as a whole
REPEATS: Final = 2
REPEAT_SECONDS: Final = 30.0  # no repeat is begun later than this after the first request
HOLD_SECONDS: Final = 1.0  # after a 429 that names no time
LONGEST_HOLD_SECONDS: Final = 10.0  # a call does not wait for more; its caller comes again
PAGE_LIMIT: Final = 500  # pages of one list; half a million rows
DEFAULT_ROWS: Final = 100  # a page where sevDesk does not look at `limit`: more may follow
OVERLAP_ROWS: Final = 20  # rows that a page shares with the one before, to notice shifts
LIST_TRIES: Final = 3  # how often a list that shifts under our hands is begun anew
ROWS_AT_ONCE: Final = 250  # that are parsed in one turn of the event loop

_RATE_LIMITED: Final = 429
_OUTAGE: Final = frozenset({502, 503, 504})
_NOT_SENT: Final = (httpx.ConnectError, httpx.UnsupportedProtocol, httpx.InvalidURL)
_TRANSPORT_ERRORS: Final = (httpx.HTTPError, httpx.StreamError, OSError, ValueError)


class _Lost(Exception):  # noqa: N818 - a signal inside this module, not an error for others
    """No answer, or only half of one. `problem` is the name of the error below."""

    def __init__(self, problem: str, *, left: bool) -> None:
        super().__init__(problem)
        self.problem = problem
        self.left = left  # whether sevDesk may have received the request


class SevdeskClient:
    """The calls that xTool makes to one account. All raise `SevdeskError`.

    `pace` is awaited before each request; what it raises passes through. `hold` is told the
    seconds of a 429, so that `pace` then waits for them: with it a GET is repeated, and a list
    goes on where it was. `retry_wait` is the middle of the first wait before a repeat, in seconds.
    """

    __slots__ = ("_auth", "_base_url", "_hold", "_http", "_pace", "_retry_wait")

    def __init__(
        self,
        http: httpx.AsyncClient,
        base_url: str,
        token: str,
        pace: Callable[[], Awaitable[None]],
        *,
        hold: Callable[[float], Awaitable[None]] | None = None,
        retry_wait: float = 0.5,
    ) -> None:
        """Raises `TokenMalformedError` when the text cannot be a token."""
        self._auth = TokenAuth(token.strip())
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._pace = pace
        self._hold = hold
        self._retry_wait = retry_wait

    def __repr__(self) -> str:
        return f"SevdeskClient({self._base_url!r})"

    # --- reading ---

    async def bookkeeping_version(self) -> str:
        """Check the token; "1.0", "2.0", or empty when sevDesk does not say."""
        payload = await self._get(wire.bookkeeping_version())
        return rows.text(wire.single(payload).get("version"))

    async def account(self) -> Account:
        """The account of the token, asked in several places because none is documented.

        Raises `AccountUnknownError` when nothing tells it.
        """
        refusal: SevdeskError | None = None
        for template, parse in _ACCOUNT_SOURCES:
            try:
                found = await self._account_from(template, parse)
            except (ForbiddenError, NotFoundError, RefusedError, BadAnswerError) as error:
                refusal = refusal or error
                continue
            if found:
                return found
        if isinstance(refusal, ForbiddenError):
            raise refusal
        raise AccountUnknownError("no object names its account")

    async def _account_from(
        self, template: str, parse: Callable[[rows.Row], Account]
    ) -> Account | None:
        raw = wire.many(await self._get(wire.page(template, limit=1)))
        found = rows.parse_all(raw, parse).rows
        return found[0] if found else None

    async def tags(self) -> Listing[Tag]:
        """All tags of the account."""
        return await self._list("/Tag", rows.tag)

    async def tag_relations(self) -> Listing[TagRelation]:
        """Which tag is on which object. A broken row means: a tag that we cannot see."""
        return await self._list("/TagRelation", rows.tag_relation, embed="tag")

    async def invoices(self, status: int) -> Listing[InvoiceRow]:
        """The invoices of a status, as sevDesk filters them: check each row again."""
        return await self._list("/Invoice", rows.invoice, status=status)

    async def invoice(self, invoice_id: str) -> InvoiceRow:
        """One invoice. Raises `NotFoundError`."""
        return await self._one("Invoice", "invoiceId", invoice_id, rows.invoice)

    async def contact(self, contact_id: str) -> ContactRow:
        """One contact. Raises `NotFoundError`."""
        return await self._one("Contact", "contactId", contact_id, rows.contact)

    async def contacts(self) -> Listing[ContactRow]:
        """All contacts; `depth=1`, or persons are left out."""
        return await self._list("/Contact", rows.contact, depth=1)

    async def custom_field_settings(self) -> Listing[CustomFieldSetting]:
        """The kinds of contact fields that the account defined."""
        return await self._list("/ContactCustomFieldSetting", rows.custom_field_setting)

    async def custom_fields(self) -> Listing[CustomField]:
        """The custom fields of all contacts."""
        return await self._list("/ContactCustomField", rows.custom_field)

    async def xml(self, invoice_id: str) -> bytes:
        """The e-invoice's XML as sevDesk made it, at most 10 MB, not yet looked into.

        Raises `NotAnEInvoiceError`, `IncompleteEInvoiceError`, `XmlRefusedError` about this
        invoice, besides what every call raises.
        """
        request = wire.get_xml(invoice_id)
        return answers.xml_bytes(request, await self._answer(request), _now())

    async def pdf(self, invoice_id: str) -> Pdf:
        """The PDF, without marking the invoice as sent."""
        request = wire.get_pdf(invoice_id)
        return answers.pdf(request, await self._answer(request), _now())

    # --- writing ---

    async def add_tag(self, invoice_id: str, name: str) -> TagRelation:
        """Put a tag on an invoice.

        Raises `WriteUnconfirmedError` when it may or may not be there: read the relations.
        """
        payload = await self._get(wire.add_tag(invoice_id, name))
        try:
            return rows.tag_relation(wire.single(payload))
        except (rows.RowError, BadAnswerError) as error:
            problem = str(error)
        raise WriteUnconfirmedError(problem, status="200", message="")

    async def remove_tag_relation(self, relation_id: str) -> bool:
        """Take a tag off an object; False when it was not there any more.

        Raises `RemovalRefusedError` when sevDesk does not offer it, `WriteUnconfirmedError`.
        """
        try:
            await self._get(wire.remove_tag_relation(relation_id))
        except NotFoundError:
            return False
        return True

    # --- machinery ---

    async def _one[T](
        self, resource: str, name: str, object_id: str, parse: Callable[[rows.Row], T]
    ) -> T:
        payload = await self._get(wire.one(resource, name, object_id))
        if payload == [] or payload is None:
            raise NotFoundError("an empty list", resource=resource, message="")
        try:
            return parse(wire.single(payload))
        except rows.RowError as error:
            problem = str(error)
        raise BadAnswerError(problem, problem=problem)

    async def _list[T](
        self, template: str, parse: Callable[[rows.Row], T], **filters: str | int
    ) -> Listing[T]:
        """All rows of a list, begun anew when rows were removed while it was read."""
        for _ in range(LIST_TRIES):
            found = rows.Gathered(parse)
            if await self._read_through(found, template, filters):
                return found.listing()
        raise ListChangedError("rows vanished while reading", resource=template.strip("/"))

    async def _read_through[T](
        self, found: rows.Gathered[T], template: str, filters: Mapping[str, str | int]
    ) -> bool:
        """All pages; False when a page does not join on to the one before.

        Pages overlap by some rows: if none of a page's rows is known, or there are none, rows
        were removed from the pages before and as many were skipped. A skipped tag relation would
        look like a tag that a person removed. Ends at a page that is short or brings nothing new.
        """
        offset = 0
        for _ in range(PAGE_LIMIT):
            request = wire.page(template, offset, filters=filters)
            raw = wire.many(await self._get(request))
            if not found.joins(raw):
                return False
            if not await _add(raw, found):
                _refuse_endless(raw)
                return True
            if len(raw) < wire.PAGE_ROWS and len(raw) != DEFAULT_ROWS:
                return True
            offset += len(raw) - OVERLAP_ROWS
        raise BadAnswerError("a list without an end", problem="endless list")

    async def _get(self, request: Request) -> Any:
        """The payload of an answer."""
        return answers.read(request, await self._answer(request), _now())

    async def _answer(self, request: Request) -> Answer:
        """An answer, after repeats where they are allowed."""
        started = time.monotonic()
        outcome = await self._try(request)
        for repeat in range(0 if request.writes else REPEATS):
            late = time.monotonic() - started > REPEAT_SECONDS
            if late or not await self._ready_again(request, outcome, repeat):
                break
            outcome = await self._try(request)
        if isinstance(outcome, SevdeskError):
            raise outcome
        return outcome

    async def _ready_again(
        self, request: Request, outcome: Answer | SevdeskError, repeat: int
    ) -> bool:
        """Wait for a repeat where one may help; False where not."""
        if isinstance(outcome, Answer) and outcome.status == _RATE_LIMITED:
            return await self._held(outcome)
        if not _worth_a_repeat(request, outcome):
            return False
        jitter = random.uniform(0.5, 1.5)  # noqa: S311 - no secret
        await asyncio.sleep(self._retry_wait * 2**repeat * jitter)
        return True

    async def _held(self, answer: Answer) -> bool:
        """Whether the account's pace now waits as long as sevDesk asked for."""
        seconds = answers.retry_after_seconds(answer.retry_after, _now())
        wait = HOLD_SECONDS if seconds is None else seconds
        if self._hold is None or wait > LONGEST_HOLD_SECONDS:
            return False
        await self._hold(wait)
        return True

    async def _try(self, request: Request) -> Answer | SevdeskError:
        """One request: its answer, or why there is none."""
        try:
            return await self._exchange(request)
        except _Lost as lost:
            return _lost_error(request, lost)
        except BadAnswerError as error:
            return _unread_error(request, error)

    async def _exchange(self, request: Request) -> Answer:
        """One request, one answer, within `REQUEST_SECONDS`. Raises `_Lost`."""
        await self._pace()
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                return await self._send(request)
        except _NOT_SENT as error:
            lost = _Lost(_name(error), left=False)
        except _TRANSPORT_ERRORS as error:
            lost = _Lost(_name(error), left=True)
        raise lost

    async def _send(self, request: Request) -> Answer:
        async with self._http.stream(
            request.method,
            self._base_url + request.target,
            json=request.body,
            headers={"Accept": "application/json"},
            auth=self._auth,
            follow_redirects=False,
        ) as response:
            packed = await _body(response, request.limit)
            plain = self._auth.blank(wire.unpack(packed, request.limit))
            return Answer(response.status_code, plain, response.headers.get("retry-after", ""))


_ACCOUNT_SOURCES: Final[tuple[tuple[str, Callable[[rows.Row], Account]], ...]] = (
    ("/SevClient", rows.account_of_client),
    ("/SevUser", rows.account_of_user),
    ("/Tag", rows.account_of_any),
    ("/Contact", rows.account_of_any),
    ("/Invoice", rows.account_of_any),
)


def _name(error: Exception) -> str:
    """What went wrong, in a word: the transport's errors carry nothing but a name."""
    return str(error) if isinstance(error, httpx.TransportError) else type(error).__name__


def _now() -> datetime:
    return datetime.now(UTC)


async def _add[T](raw: list[Any], found: rows.Gathered[T]) -> bool:
    """Add a page, a few rows at a time, so that other work goes on; whether there was a new one."""
    brought = False
    for start in range(0, len(raw), ROWS_AT_ONCE):
        brought |= found.add(raw[start : start + ROWS_AT_ONCE])
        await asyncio.sleep(0)
    return brought


def _refuse_endless(last: list[Any]) -> None:
    """Raises `BadAnswerError` when a page of known rows, which ends a list, was full.

    The list takes a limit and no offset, so that there is no way to the rows behind it.
    """
    if len(last) == wire.PAGE_ROWS:
        raise BadAnswerError("a list that ignores its offset", problem="endless list")


async def _body(response: httpx.Response, limit: int) -> bytes:
    """The raw body, read piece by piece and given up above `limit` bytes."""
    pieces, size = [], 0
    async for piece in response.aiter_raw():
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            raise wire.too_large(limit)
    return b"".join(pieces)


def _worth_a_repeat(request: Request, outcome: Answer | SevdeskError) -> bool:
    """A lost answer, or an outage that may pass at once.

    Not where sevDesk names a time, nor where its 503 speaks of the invoice.
    """
    if isinstance(outcome, SevdeskError):
        return isinstance(outcome, UnavailableError)
    if outcome.status not in _OUTAGE or outcome.retry_after:
        return False
    return not (request.asks_xml and outcome.body.lstrip().startswith(b"{"))


def _unread_error(request: Request, error: BadAnswerError) -> SevdeskError:
    """sevDesk answered, but the answer cannot be unpacked: a write may have happened."""
    if request.writes:
        return WriteUnconfirmedError(str(error), status="", message="")
    return error


def _lost_error(request: Request, lost: _Lost) -> SevdeskError:
    if request.writes and lost.left:
        return WriteUnconfirmedError(lost.problem, status="", message=lost.problem)
    return UnavailableError(lost.problem, status="", message=lost.problem)
