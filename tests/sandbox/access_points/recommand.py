"""A stand-in for Recommand, after the service's public source of 2026.

It behaves as badly as the service does: no idempotency, the sender comes from the company, a
recipient without a colon is Belgian, an exception after sending is a 400 with only `root`.
"""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from itertools import count
from typing import Any

from aiohttp import web
from lxml import etree

from sync.peppol.doctypes import unqualified
from tests.sandbox.access_points.base import Fault, StandIn, Taken, read


class RecommandStandIn(StandIn):
    """One team with one company."""

    base_path = "/api/v1"

    def __init__(
        self,
        *,
        key: str = "key_sandbox",
        secret: str = "secret_sandbox",
        company: str = "c_sandbox",
        senders: tuple[str, ...] = (),
    ) -> None:
        """`senders` are the company's identifiers; the first by scheme is every envelope's sender.

        Without any the envelope says what the document says, and the service does not list them.
        """
        super().__init__()
        self.company = company
        self.senders = sorted(senders)
        self.newer = True  # answers carry `deliveryStatus`
        self.listing = True  # or its rows are written much later than documents are sent
        self.crash_after_sending = False  # the next ones answer 400 with `root` after the send
        self.invalid: dict[str, list[str]] = {}  # the next ones fail validation with these errors
        self._authorization = "Basic " + b64encode(f"{key}:{secret}".encode()).decode()
        self._ids = count(1)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """The five calls that xTool makes."""
        router.add_post("/api/v1/verify", self._verify)
        router.add_get("/api/v1/documents", self._documents)
        router.add_get("/api/v1/documents/{id}", self._document)
        router.add_get("/api/v1/companies/{company}/identifiers", self._identifiers)
        router.add_post("/api/v1/{company}/send", self._send)

    def authorized(self, request: web.Request) -> bool:
        """HTTP Basic."""
        return request.headers.get("Authorization") == self._authorization

    def refusal(self) -> web.Response:
        """401."""
        return _failure(401, "Unauthorized")

    def is_submission(self, method: str, path: str) -> bool:
        """`POST /{company}/send`."""
        return method == "POST" and path.endswith("/send")

    async def _send(self, request: web.Request) -> web.Response:
        body = await _json(request)
        if request.match_info["company"] != self.company:
            return _failure(404, "Company not found")
        document = body.get("document")
        if body.get("documentType") != "xml" or not isinstance(document, str):
            return _failure(400, {"document": ["Invalid input"]})
        try:
            read(document.encode())
        except etree.XMLSyntaxError:
            return _failure(400, "Document could not be parsed.")
        if answer := self.scripted(_recipient(body)):
            return answer
        fault = self.next_fault(_recipient(body))
        return await self.around(fault, lambda: self._sent(body, document.encode(), fault))

    def _sent(self, body: dict[str, Any], xml: bytes, fault: Fault) -> web.Response:
        if self.invalid:
            root = ["Document validation failed. Please ensure your document complies."]
            return _failure(400, {"root": root, **self.invalid})
        recipient = _recipient(body)
        doctype = unqualified(str(body.get("doctypeId") or ""))
        process = unqualified(str(body.get("processId") or ""))
        if refused := self.rejection(recipient, doctype):
            return _not_sent(refused)
        taken = self.remember(
            id=f"doc_{next(self._ids):026d}",
            company=self.company,
            sender=self.senders[0] if self.senders else read(xml)[1],
            receiver=recipient,
            document_type=doctype,
            process=process,
            xml=xml,
        )
        if self.crash_after_sending:
            return _failure(400, "duplicate key value violates unique constraint")
        return web.json_response({"success": True, **self._summary(taken)})

    async def _identifiers(self, request: web.Request) -> web.Response:
        if not self.senders or request.match_info["company"] != self.company:
            return _failure(404, "Not found")
        rows = [
            {"id": f"ci_{one}", "scheme": one[:4], "identifier": one[5:].lower()}
            for one in self.senders
        ]
        return web.json_response({"success": True, "identifiers": rows})

    async def _verify(self, request: web.Request) -> web.Response:
        address = str((await _json(request)).get("peppolAddress", "")).lower()
        known = self.receivers.get(address)
        if known is None or self.lookup_down:
            return web.json_response({"success": True, "isValid": False})
        rows = [
            {
                "name": one.partition("##")[0].rpartition("::")[2],
                "docTypeId": f"busdox-docid-qns::{one}",
            }
            for one in sorted(known.document_types)
        ]
        return web.json_response(
            {
                "success": True,
                "isValid": True,
                "smpUrl": "https://smp.example",
                "supportedDocuments": rows,
            }
        )

    async def _documents(self, request: web.Request) -> web.Response:
        query = request.query
        since = datetime.fromisoformat(query.get("from", "1970-01-01T00:00:00+00:00"))
        rows = [
            self._row(one)
            for one in reversed(self.taken)
            if self.listing
            and one.at >= since.astimezone(UTC)
            and query.get("search", "").lower() in (one.number or one.id).lower()
            and query.get("companyId", one.company) == one.company
            and query.get("direction", "outgoing") == "outgoing"
        ]
        limit = int(query.get("limit", "10"))
        pagination = {"total": len(rows), "page": 1, "limit": limit, "totalPages": 1}
        return web.json_response(
            {"success": True, "documents": rows[:limit], "pagination": pagination}
        )

    async def _document(self, request: web.Request) -> web.Response:
        for one in self.taken:
            if one.id == request.match_info["id"]:
                one.poll()
                row = {**self._row(one), "xml": one.xml.decode()}
                return web.json_response({"success": True, "document": row})
        return _failure(404, "Document not found")

    def _summary(self, one: Taken) -> dict[str, Any]:
        status: dict[str, Any] = {}
        if self.newer:
            status = {"deliveryStatus": _word(one)}
            if _word(one) == "failed":
                status["deliveryFailure"] = {"channel": "peppol", "category": one.fails}
        return {
            "id": one.id,
            "teamId": "team_sandbox",
            "companyId": one.company,
            "peppolMessageId": f"{one.id}@sandbox" if one.delivered else None,
            "envelopeId": f"envelope-{one.id}",
            "sentOverPeppol": one.delivered or not self.newer,
            "sentOverEmail": False,
            "emailRecipients": [],
            **status,
        }

    def _row(self, one: Taken) -> dict[str, Any]:
        cii = "CrossIndustryInvoice" in one.document_type
        field = "creditNoteNumber" if "CreditNote" in one.document_type else "invoiceNumber"
        return {
            **self._summary(one),
            "direction": "outgoing",
            "senderId": one.sender,
            "receiverId": one.receiver,
            "docTypeId": f"busdox-docid-qns::{one.document_type}",
            "processId": f"cenbii-procid-ubl::{one.process}",
            "createdAt": one.at.isoformat(),
            "parsed": None if cii else {field: one.number},
        }


def _recipient(body: dict[str, Any]) -> str:
    recipient = str(body.get("recipient") or "")
    if ":" in recipient:
        return recipient
    return "0208:" + "".join(c for c in recipient if c.isdigit())


def _word(one: Taken) -> str:
    if not one.settled:
        return "pending"
    return "failed" if one.fails else "delivered"


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        data = json.loads(await request.read())
    except ValueError:
        data = {}
    return data if isinstance(data, dict) else {}


def _failure(status: int, errors: str | dict[str, list[str]]) -> web.Response:
    told = {"root": [errors]} if isinstance(errors, str) else errors
    return web.json_response({"success": False, "errors": told}, status=status)


def _not_sent(why: str) -> web.Response:
    told = f"Failed to send document over Peppol network. {why}"
    failure = {"channel": "peppol", "category": "recipient_rejected"}
    body = {"success": False, "errors": {"root": [told]}, "deliveryFailure": failure}
    return web.json_response(body, status=422)
