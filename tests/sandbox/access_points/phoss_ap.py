"""A stand-in for phoss-ap, after its public source of 2026.

It stores first and sends within the same request; nothing keeps a repeated id out, and of an id
that is there twice it says 404; a first try that fails is a 422 although it goes on by itself.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from aiohttp import web

from sync.peppol.doctypes import unqualified
from sync.peppol.participants import IDENTIFIER_SCHEME
from tests.sandbox.access_points.base import Fault, StandIn, Taken


class PhossApStandIn(StandIn):
    """One installation."""

    def __init__(self, *, token: str = "token_sandbox") -> None:
        """`token` is what `X-Token` must hold."""
        super().__init__()
        self.sending_enabled = True
        self.first_try_fails = False  # answers 422, and delivers later by itself
        self.verification_fails = False  # stored as rejected, answers 422 with a plain text
        self.mls: dict[str, str] = {}  # instance id -> mlsStatus
        self.refused: dict[str, Taken] = {}
        self._token = token

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """The two calls that xTool makes."""
        router.add_post(
            "/api/outbound/submit/{sender}/{receiver}/{doctype}/{process}/{country}", self._submit
        )
        router.add_get("/api/outbound/status/{id}", self._status)

    def authorized(self, request: web.Request) -> bool:
        """`X-Token`."""
        return request.headers.get("X-Token") == self._token

    def refusal(self) -> web.Response:
        """401."""
        return web.Response(status=401)

    def is_submission(self, method: str, path: str) -> bool:
        """`POST /api/outbound/submit/…`."""
        return method == "POST" and path.startswith("/api/outbound/submit/")

    async def _submit(self, request: web.Request) -> web.Response:
        if not self.sending_enabled:
            return web.Response(status=404)
        ids = request.match_info
        if "::" not in ids["doctype"]:
            told = f"Failed to parse the document type ID '{ids['doctype']}'"
            return web.json_response(text=json.dumps(told), status=400)
        xml = await request.read()
        receiver = _value(ids["receiver"])
        if answer := self.scripted(receiver):
            return answer
        fault = self.next_fault(receiver)
        return await self.around(fault, lambda: self._stored(request, xml, fault))

    def _stored(self, request: web.Request, xml: bytes, fault: Fault) -> web.Response:
        ids = {name: _value(text) for name, text in request.match_info.items()}
        own_id = request.query.get("sbdhInstanceID") or str(uuid.uuid4())
        taken = self.remember(
            id=own_id,
            own_id=own_id,
            company="",
            sender=ids["sender"],
            receiver=ids["receiver"],
            document_type=unqualified(ids["doctype"]),
            process=unqualified(ids["process"]),
            country=ids["country"],
            xml=xml,
        )
        refused = self.rejection(taken.receiver, taken.document_type)
        if self.verification_fails or refused:
            self.taken.remove(taken)
            self.refused[own_id] = taken
            taken.polls_left, taken.fails = 0, refused or "verification failed"
        if self.verification_fails:
            told = json.dumps("Failed to submit outbound transaction")
            return web.json_response(text=told, status=422)
        if self.first_try_fails:
            taken.polls_left = max(taken.polls_left, 1)
        done = taken.delivered and not refused
        return web.json_response(_report(taken, done), status=200 if done else 422)

    async def _status(self, request: web.Request) -> web.Response:
        own_id = request.match_info["id"]
        found = [one for one in self.taken if one.id == own_id]
        found += [self.refused[own_id]] if own_id in self.refused else []
        if len(found) != 1:  # it reads the row only if there is exactly one
            return web.Response(status=404)
        found[0].poll()
        return web.json_response(self._row(found[0]))

    def _row(self, one: Taken) -> dict[str, Any]:
        word = "sent" if one.delivered else "permanently_failed" if one.settled else "failed"
        if self.verification_fails and one.id in self.refused:
            word = "rejected"
        return {
            "id": str(uuid.uuid4()),
            "transactionType": "business_document",
            "senderID": f"{IDENTIFIER_SCHEME}::{one.sender}",
            "receiverID": f"{IDENTIFIER_SCHEME}::{one.receiver}",
            "sbdhInstanceID": one.id,
            "status": word,
            "attemptCount": 1,
            "createdDT": one.at.isoformat(),
            "errorDetails": one.fails or None,
            "mlsStatus": self.mls.get(one.id, "pending"),
        }


def _value(text: str) -> str:
    return text.removeprefix(f"{IDENTIFIER_SCHEME}::")


def _report(taken: Taken, done: bool) -> dict[str, Any]:
    return {
        "sbdhInstanceIdentifier": taken.id,
        "sendingSuccess": done,
        "overallSuccess": done,
        "sendingResult": "SUCCESS" if done else "TRANSPORT_ERROR",
    }
