"""What all stand-ins for access points share: receivers, faults, a memory and a request log.

A stand-in listens on loopback. Tests and the sandbox page steer and read it through this object;
nothing of it is reachable over HTTP.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from aiohttp import web
from lxml import etree

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Fault(StrEnum):
    """What happens to the next submission."""

    NONE = "delivered"
    LOST_ANSWER = "accepted, answer lost"
    ERROR_BEFORE = "5xx, not accepted"
    ERROR_AFTER = "5xx, accepted"
    RESET = "connection reset, not accepted"
    BUSY = "429"
    UNAVAILABLE = "503 with Retry-After"
    GARBAGE = "200 with garbage, accepted"
    SLOW = "accepted after a while"


TAKES: frozenset[Fault] = frozenset(
    {Fault.NONE, Fault.LOST_ANSWER, Fault.ERROR_AFTER, Fault.GARBAGE, Fault.SLOW}
)
"""The faults after which the stand-in has the document."""


@dataclass
class Receiver:
    """A participant of the stand-in's network, and how sending to it goes."""

    participant: str  # scheme:value
    document_types: frozenset[str]  # ids without their scheme
    rejects: int = 0  # so many submissions are refused, then they go through
    rejection: str = "The receiver's access point rejected the document"
    pending_polls: int = 0  # so many status calls say pending before the end
    fails: str = ""  # delivery ends with this failure
    fault: Fault = Fault.NONE  # submissions go like this, if nothing was injected
    faulty: int = 1_000_000  # so many of them
    answer: tuple[int, Any] | None = None  # status and JSON of every submission: nothing taken


@dataclass
class Taken:
    """A submission that the stand-in accepted."""

    id: str
    company: str
    sender: str
    receiver: str
    document_type: str
    process: str
    number: str
    xml: bytes = field(repr=False)
    at: datetime
    own_id: str = ""
    country: str = ""
    polls_left: int = 0
    fails: str = ""
    document_sender: str = ""  # as the document itself says, BT-34 with its scheme
    document_receiver: str = ""  # BT-49 with its scheme

    @property
    def settled(self) -> bool:
        """Whether delivery has ended."""
        return self.polls_left <= 0

    @property
    def delivered(self) -> bool:
        """Whether the receiver has it."""
        return self.settled and not self.fails

    def poll(self) -> None:
        """A status call happened."""
        self.polls_left -= 1


class DroppedError(Exception):
    """The connection is to be cut without an answer."""


class StandIn(ABC):
    """Base of the stand-ins: one account, one network of receivers."""

    def __init__(self) -> None:
        """Nothing is registered, nothing was taken."""
        self.receivers: dict[str, Receiver] = {}
        self.taken: list[Taken] = []
        self.requests: list[tuple[str, str, int]] = []  # method, path, status; 0: cut
        self.faults: deque[Fault] = deque()
        self.constant_fault: Fault | None = None
        self.slow_seconds = 0.4
        self.retry_after = 7
        self.lookup_down = False
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}{self.base_path}"

    base_path = ""

    async def start(self, port: int = 0) -> str:
        """Listen on loopback; returns the URL."""
        app = web.Application(middlewares=[self._logged], client_max_size=32 * 1024 * 1024)
        self.add_routes(app.router)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self.url

    async def stop(self) -> None:
        """Stop listening; the memory stays."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @abstractmethod
    def add_routes(self, router: web.UrlDispatcher) -> None:
        """The provider's paths."""

    @abstractmethod
    def authorized(self, request: web.Request) -> bool:
        """Whether the credentials are right."""

    @abstractmethod
    def refusal(self) -> web.Response:
        """The provider's 401."""

    # what tests and the page use

    def register(self, participant: str, *document_types: str, **behaviour: object) -> Receiver:
        """Put a participant on the network, or change how sending to it goes."""
        receiver = Receiver(participant, frozenset(document_types), **behaviour)  # type: ignore[arg-type]
        self.receivers[participant.lower()] = receiver
        return receiver

    def inject(self, *faults: Fault) -> None:
        """The next submissions go like this, one after the other."""
        self.faults.extend(faults)

    def count(self, sender: str, number: str) -> int:
        """How many submissions of this invoice were accepted."""
        return self.counts()[sender.lower(), number]

    def counts(self) -> Counter[tuple[str, str]]:
        """Accepted submissions by (sender, invoice number)."""
        return Counter((one.sender.lower(), one.number) for one in self.taken)

    def submissions(self) -> int:
        """How many requests tried to submit a document."""
        return sum(1 for method, path, _ in self.requests if self.is_submission(method, path))

    @abstractmethod
    def is_submission(self, method: str, path: str) -> bool:
        """Whether a logged request is one that hands a document over."""

    # what the stand-ins use

    def next_fault(self, receiver: str = "") -> Fault:
        """What happens to this submission."""
        if self.faults:
            return self.faults.popleft()
        known = self.receivers.get(receiver.lower())
        if self.constant_fault or known is None or not known.faulty:
            return self.constant_fault or Fault.NONE
        known.faulty -= 1
        return known.fault

    def scripted(self, receiver: str) -> web.Response | None:
        """What a submission to this receiver is answered, if that was ordered."""
        known = self.receivers.get(receiver.lower())
        if known is None or known.answer is None:
            return None
        status, body = known.answer
        return web.json_response(body, status=status)

    def remember(self, **facts: object) -> Taken:
        """Accept a submission: facts as in `Taken`."""
        xml = facts["xml"]
        assert isinstance(xml, bytes)
        number, sender, receiver = read(xml)
        taken = Taken(
            number=number,
            at=datetime.now(UTC),
            document_sender=sender,
            document_receiver=receiver,
            **facts,  # type: ignore[arg-type]
        )
        known = self.receivers.get(taken.receiver.lower())
        if known is not None:
            taken.polls_left, taken.fails = known.pending_polls, known.fails
        self.taken.append(taken)
        return taken

    def rejection(self, receiver: str, document_type: str) -> str:
        """Why a submission to this receiver is refused, or an empty text."""
        known = self.receivers.get(receiver.lower())
        if known is None:
            return f"Receiver {receiver} is not registered in the SML"
        if document_type not in known.document_types:
            return f"Receiver {receiver} does not support the document type"
        if known.rejects > 0:
            known.rejects -= 1
            return known.rejection
        return ""

    async def around(
        self, fault: Fault, take: Callable[[], web.Response], garbage: bytes = b"<html>oops"
    ) -> web.Response:
        """Run `take` as the fault says."""
        if fault is Fault.SLOW:
            await asyncio.sleep(self.slow_seconds)
        if fault in TAKES:
            return self._after(fault, take(), garbage)
        return self._instead(fault)

    def _after(self, fault: Fault, answer: web.Response, garbage: bytes) -> web.Response:
        if fault is Fault.LOST_ANSWER:
            raise DroppedError
        if fault is Fault.ERROR_AFTER:
            return web.Response(status=500, text="Internal Server Error")
        if fault is Fault.GARBAGE:
            return web.Response(body=garbage, content_type="text/html")
        return answer

    def _instead(self, fault: Fault) -> web.Response:
        if fault is Fault.RESET:
            raise DroppedError
        status = {Fault.BUSY: 429, Fault.UNAVAILABLE: 503}.get(fault, 502)
        headers = {} if status == 502 else {"Retry-After": str(self.retry_after)}
        return web.Response(status=status, text="try again later", headers=headers)

    @web.middleware
    async def _logged(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        status = 0
        try:
            response = await handler(request) if self.authorized(request) else self.refusal()
            status = response.status
        except web.HTTPException as error:
            status = error.status
            raise
        except DroppedError:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        finally:
            self.requests.append((request.method, request.path, status))
        return response


def read(xml: bytes) -> tuple[str, str, str]:
    """The invoice number and the two electronic addresses of a UBL or CII document."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    root = etree.fromstring(xml, parser)
    if etree.QName(root).localname == "CrossIndustryInvoice":
        return (
            _text(root, "//*[local-name()='ExchangedDocument']/*[local-name()='ID']"),
            _address(root, "SellerTradeParty", "URIID"),
            _address(root, "BuyerTradeParty", "URIID"),
        )
    return (
        _text(root, "/*/*[local-name()='ID']"),
        _address(root, "AccountingSupplierParty", "EndpointID"),
        _address(root, "AccountingCustomerParty", "EndpointID"),
    )


def _text(root: etree._Element, path: str) -> str:
    found = root.xpath(path)
    first = found[0] if isinstance(found, list) and found else None
    return (first.text or "").strip() if isinstance(first, etree._Element) else ""


def _address(root: etree._Element, party: str, name: str) -> str:
    found = root.xpath(f"//*[local-name()='{party}']//*[local-name()='{name}']")
    first = found[0] if isinstance(found, list) and found else None
    if not isinstance(first, etree._Element):
        return ""
    return f"{first.get('schemeID', '')}:{(first.text or '').strip()}"
