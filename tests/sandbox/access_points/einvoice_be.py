"""A stand-in for e-invoice.be, after its official OpenAPI document 1.1.0."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from lxml import etree

from sync.peppol import doctypes
from tests.sandbox.access_points.base import Fault, StandIn, Taken, read


@dataclass
class Draft:
    """A document of the account, sent or not."""

    id: str
    xml: bytes = field(repr=False)
    at: datetime
    valid: bool = False
    taken: Taken | None = None
    attempts: int = 0
    answers: list[dict[str, Any]] = field(default_factory=list)  # of the receiver

    @property
    def state(self) -> str:
        """As the service names it."""
        if self.taken is None:
            return "DRAFT"
        if not self.taken.settled:
            return "TRANSIT"
        return "FAILED" if self.taken.fails else "SENT"


class EInvoiceBeStandIn(StandIn):
    """One tenant."""

    def __init__(self, *, key: str = "key_sandbox", senders: tuple[str, ...] = ()) -> None:
        """`senders` are the ids the tenant may send from; none given: any."""
        super().__init__()
        self.senders = {one.lower() for one in senders}
        self.drafts: dict[str, Draft] = {}
        self.issues: list[dict[str, str]] = []  # the next documents are invalid with these
        self._authorization = f"Bearer {key}"

    def answer(self, document_id: str, kind: str, **details: str) -> None:
        """The receiver answers: `mlr_received` or `imr_received`, as the timeline names it."""
        self.drafts[document_id].answers.append(_event(kind, datetime.now(UTC), **details))

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """The calls that xTool makes."""
        router.add_post("/api/documents/ubl", self._create)
        router.add_post("/api/documents/{id}/validate", self._validate)
        router.add_post("/api/documents/{id}/send", self._send)
        router.add_get("/api/documents/{id}/timeline", self._timeline)
        router.add_get("/api/documents/{id}", self._get)
        router.add_delete("/api/documents/{id}", self._delete)
        router.add_get("/api/lookup", self._lookup)

    def authorized(self, request: web.Request) -> bool:
        """Bearer token; looking up needs none."""
        public = request.path == "/api/lookup"
        return public or request.headers.get("Authorization") == self._authorization

    def refusal(self) -> web.Response:
        """401."""
        return _error(401, "API key is missing, invalid, or inactive")

    def is_submission(self, method: str, path: str) -> bool:
        """`POST …/send`."""
        return method == "POST" and path.endswith("/send")

    async def _create(self, request: web.Request) -> web.Response:
        form = await request.post()
        file = form.get("file")
        if not isinstance(file, web.FileField):
            return web.json_response(
                {"detail": [{"loc": ["body", "file"], "msg": "Field required", "type": "missing"}]},
                status=422,
            )
        xml = file.file.read()
        try:
            read(xml)
        except etree.XMLSyntaxError:
            return _error(415, "UBL file is not valid or empty")
        draft = Draft(f"doc_{uuid.uuid4().hex}", xml, datetime.now(UTC))
        self.drafts[draft.id] = draft
        return web.json_response(_document(draft), status=201)

    async def _validate(self, request: web.Request) -> web.Response:
        draft = self.drafts.get(request.match_info["id"])
        if draft is None:
            return _error(404, "Document not found")
        draft.valid = not self.issues
        return web.json_response(
            {
                "id": draft.id,
                "file_name": "document.xml",
                "is_valid": draft.valid,
                "issues": self.issues,
            }
        )

    async def _send(self, request: web.Request) -> web.Response:
        draft = self.drafts.get(request.match_info["id"])
        if draft is None:
            return _error(404, "Document not found")
        draft.attempts += 1
        if draft.taken is not None:
            return _error(405, "Document is not in draft state")
        if not draft.valid:
            return _error(400, "Document UBL is not validated yet")
        sender, receiver = self._parties(request)
        if self.senders and sender.lower() not in self.senders:
            return _error(409, f"Document is not allowed to send from the given Peppol ID {sender}")
        if answer := self.scripted(receiver):
            return answer
        fault = self.next_fault(receiver)
        return await self.around(fault, lambda: self._sent(draft, sender, receiver, fault))

    def _parties(self, request: web.Request) -> tuple[str, str]:
        """Without the parameters the service derives ids from tax numbers."""
        query = request.query
        given = [
            f"{query.get(f'{party}_peppol_scheme', '')}:{query.get(f'{party}_peppol_id', '')}"
            for party in ("sender", "receiver")
        ]
        return tuple(one if len(one) > 5 else "0208:derived" for one in given)  # type: ignore[return-value]

    def _sent(self, draft: Draft, sender: str, receiver: str, fault: Fault) -> web.Response:
        credit = b"CreditNote-2" in draft.xml
        doctype = doctypes.BIS_CREDIT_NOTE if credit else doctypes.BIS_INVOICE
        refused = self.rejection(receiver, doctype.id)
        draft.taken = self.remember(
            id=draft.id,
            company="",
            sender=sender,
            receiver=receiver,
            document_type=doctype.id,
            process=doctype.process,
            xml=draft.xml,
        )
        if refused:
            self.taken.remove(draft.taken)
            draft.taken.polls_left, draft.taken.fails = 0, refused
        return web.json_response(_document(draft))

    async def _get(self, request: web.Request) -> web.Response:
        draft = self.drafts.get(request.match_info["id"])
        if draft is None:
            return _error(404, "Document not found")
        if draft.taken is not None:
            draft.taken.poll()
        return web.json_response(_document(draft))

    async def _delete(self, request: web.Request) -> web.Response:
        draft = self.drafts.get(request.match_info["id"])
        if draft is None:
            return _error(404, "Document not found")
        if draft.taken is not None:
            return _error(400, "Only draft documents can be deleted")
        del self.drafts[draft.id]
        return web.json_response({"is_deleted": True})

    async def _timeline(self, request: web.Request) -> web.Response:
        draft = self.drafts.get(request.match_info["id"])
        if draft is None:
            return _error(404, "Document not found")
        events = [_event("document_created", draft.at)]
        events += [_event("send_attempted", draft.at)] * draft.attempts
        if draft.state == "SENT":
            events.append(_event("send_success", draft.at))
        elif draft.state == "FAILED" and draft.taken is not None:
            events.append(_event("send_failed", draft.at, error=draft.taken.fails))
        events += draft.answers
        return web.json_response({"document_id": draft.id, "events": events})

    async def _lookup(self, request: web.Request) -> web.Response:
        peppol_id = request.query.get("peppol_id", "")
        known = None if self.lookup_down else self.receivers.get(peppol_id.lower())
        types = sorted(known.document_types) if known else None
        return web.json_response(_looked_up(peppol_id, types))


def _document(draft: Draft) -> dict[str, Any]:
    number, _, _ = read(draft.xml)
    credit = b"CreditNote-2" in draft.xml
    return {
        "id": draft.id,
        "created_at": draft.at.isoformat(),
        "state": draft.state,
        "direction": "OUTBOUND",
        "document_type": "CREDIT_NOTE" if credit else "INVOICE",
        "invoice_id": number,
        "currency": "EUR",
    }


def _event(kind: str, at: datetime, **details: str) -> dict[str, Any]:
    return {"event_type": kind, "timestamp": at.isoformat(), "details": details or None}


def _error(status: int, detail: str) -> web.Response:
    return web.json_response({"detail": detail}, status=status)


def _looked_up(peppol_id: str, types: list[str] | None) -> dict[str, Any]:
    status = "success" if types else "error"
    error = None if types else "DNS lookup failed: no such domain"
    rows = [{"scheme": doctypes.DOCTYPE_SCHEME, "value": one} for one in types or []]
    endpoint = {"status": "success", "url": "https://ap.example/as4", "documentTypes": rows}
    return {
        "queryMetadata": {
            "identifierScheme": "iso6523-actorid-upis",
            "identifierValue": peppol_id,
            "smlDomain": "participant.sml.example",
            "timestamp": datetime.now(UTC).isoformat(),
            "version": "1.0.0",
        },
        "status": status,
        "errors": [error] if error else [],
        "dnsInfo": {
            "status": status,
            "smpHostname": "smp.example" if types else None,
            "smlHostname": "participant.sml.example",
            "dnsRecords": [],
            "error": error,
        },
        "serviceMetadata": {
            "status": status,
            "queryTimeMs": 1.0,
            "endpoints": [endpoint] if types else [],
            "error": error,
        },
        "businessCard": {"status": "error", "entities": [], "queryTimeMs": 1.0},
        "certificates": [],
        "executionTimeMs": 2.0,
    }
