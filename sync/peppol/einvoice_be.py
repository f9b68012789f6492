"""e-invoice.be: a draft is stored first, and sent by a second call with its id.

Read from the official OpenAPI document 1.1.0. The hand-over is `POST …/send`; everything before it
leaves at worst a draft that nobody sends. So:

- the draft's id is made durable before it is sent, and a second `send` answers 405;
- an attempt without an id was certainly not sent; one whose document is still a draft is made
  certain by deleting the draft, which the service allows for drafts only;
- the ids of sender and receiver are always given: without them the service derives them from tax
  numbers, whatever the document's endpoints say;
- only Peppol BIS Billing 3.0 in UBL is taken, and the service parses it into its own model;
- an account in the service's test mode mails documents instead of sending them.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

from sync.errors import Finding
from sync.model import ParticipantId, ResponseKind
from sync.peppol import outcomes, participants
from sync.peppol.access_point import (
    Absent,
    Accepted,
    CannotTell,
    Capabilities,
    DeliveryState,
    DeliveryStatus,
    Find,
    FindOutcome,
    Found,
    Guard,
    Lookup,
    NotTaken,
    Registered,
    Rejected,
    Response,
    Save,
    Submission,
    SubmitOutcome,
    Webhook,
)
from sync.peppol.doctypes import BIS_UBL, DOCTYPE_SCHEME
from sync.peppol.errors import because, bounded
from sync.peppol.wire import Answer, NoAnswerError, Wire

PRODUCTION: Final = "https://api.e-invoice.be"

CAPABILITIES: Final = Capabilities(
    name="e-invoice.be",
    idempotency_key=True,  # by state: a document that is no draft is not sent again
    find=Find.OWN_ID,
    two_phase=True,
    document_types=BIS_UBL,
    max_document_bytes=10_000_000,
    webhook=Webhook.SIGNED,
    sends_sender=True,
    own_lookup=True,
    tells_responses=True,
)

_NAME: Final = CAPABILITIES.name
_RESPONSES: Final = {
    "mlr_received": ResponseKind.MLS,
    "imr_received": ResponseKind.INVOICE_RESPONSE,
}


class EInvoiceBe:
    """One e-invoice.be account."""

    def __init__(self, wire: Wire) -> None:
        """The account is the API key's."""
        self._wire = wire

    @property
    def capabilities(self) -> Capabilities:
        """Two phases, idempotent by state, BIS UBL only."""
        return CAPABILITIES

    async def lookup(self, participant: ParticipantId) -> Lookup:
        """`GET /api/lookup`."""
        params = {"peppol_id": str(participants.normalised(participant))}
        try:
            answer = await self._wire.ask("GET", "/api/lookup", params=params)
        except NoAnswerError:
            return outcomes.lookup_down(_NAME, participant, "no answer")
        if not answer.ok:
            return outcomes.lookup_down(_NAME, participant, f"HTTP {answer.status}")
        return _registration(participant, answer.record())

    async def submit(self, submission: Submission, guard: Guard, save: Save) -> SubmitOutcome:
        """Store the draft, `save` its id, validate it, and send it."""
        if refused := outcomes.not_carried(CAPABILITIES, submission):
            return refused
        half = self._wire.submit_seconds / 2
        try:
            async with asyncio.timeout(half):
                ready = await self._prepare(submission, save)
        except (TimeoutError, NoAnswerError):
            return NotTaken(because("peppol.access_point.unreachable", provider=_NAME))
        if not isinstance(ready, str):
            return ready
        return await self._send(submission, ready, guard, half)

    async def find(self, submission: Submission) -> FindOutcome:
        """By the draft's id. Without one nothing was sent: it is durable before the sending."""
        provider_id = submission.provider_id
        if not provider_id:
            return Absent()
        status = await self.status(provider_id)
        if status.provider_status == "DRAFT":
            return await self._discard(provider_id)
        if status.state is not DeliveryState.UNKNOWN:
            return Found(provider_id, status)
        reason = status.reason or because("peppol.access_point.not_found", provider=_NAME)
        if reason.code == "peppol.access_point.not_found":
            return Absent()
        return CannotTell(reason, temporary=True)

    async def status(self, provider_id: str) -> DeliveryStatus:
        """`GET /api/documents/{id}`, and its timeline once it is sent or failed."""
        try:
            answer = await self._wire.ask("GET", _path(provider_id))
        except NoAnswerError:
            return outcomes.cannot_ask(_NAME)
        state = outcomes.text(answer.record(), "state")
        if not answer.ok or not state:
            return outcomes.not_told(_NAME, answer, not_there=_is_not_there(answer))
        if state == "TRANSIT":
            return outcomes.pending(state)
        if state not in ("SENT", "FAILED"):
            reason = because("peppol.access_point.unclear_answer", provider=_NAME, status=state)
            return DeliveryStatus(DeliveryState.UNKNOWN, bounded(state), reason)
        return _ended(state, await self._timeline(provider_id))

    async def _prepare(self, submission: Submission, save: Save) -> str | SubmitOutcome:
        """The id of a draft that can be sent, or why there is none."""
        body, content_type = _multipart(submission.document)
        answer = await self._wire.ask(
            "POST", "/api/documents/ubl", content=body, content_type=content_type
        )
        provider_id = outcomes.text(answer.record(), "id")
        if answer.status != 201 or not provider_id:
            return _not_stored(answer)
        await save(provider_id)
        answer = await self._wire.ask("POST", _path(provider_id) + "/validate")
        if answer.status == 200 and answer.record().get("is_valid") is True:
            return provider_id
        return _not_valid(answer)

    async def _send(
        self, submission: Submission, provider_id: str, guard: Guard, seconds: float
    ) -> SubmitOutcome:
        params = {
            "sender_peppol_scheme": submission.sender.scheme,
            "sender_peppol_id": submission.sender.value,
            "receiver_peppol_scheme": submission.receiver.scheme,
            "receiver_peppol_id": submission.receiver.value,
        }
        try:
            answer = await self._wire.transfer(
                _path(provider_id) + "/send", b"", "", guard, params=params, seconds=seconds
            )
        except NoAnswerError as error:
            return outcomes.lost(_NAME, error)
        return await self._sent(submission, provider_id, answer)

    async def _sent(
        self, submission: Submission, provider_id: str, answer: Answer
    ) -> SubmitOutcome:
        state = outcomes.text(answer.record(), "state")
        if answer.status == 200 and state in ("TRANSIT", "SENT", "FAILED"):
            return Accepted(provider_id, await self._at_once(provider_id, state))
        if answer.status == 405:  # it is no draft any more: it was sent
            return await self._already_sent(provider_id, answer)
        if outcome := outcomes.everywhere(_NAME, answer, _detail(answer)):
            return outcome
        return _refused(submission, answer) or outcomes.unclear(_NAME, answer)

    async def _at_once(self, provider_id: str, state: str) -> DeliveryStatus:
        """How far it is by the answer to `send`; why it failed stands in the timeline alone."""
        if state == "TRANSIT":
            return outcomes.pending(state)
        return _ended(state, await self._timeline(provider_id) if state == "FAILED" else [])

    async def _already_sent(self, provider_id: str, answer: Answer) -> SubmitOutcome:
        status = await self.status(provider_id)
        if status.state is DeliveryState.UNKNOWN:
            return outcomes.unclear(_NAME, answer)
        return Accepted(provider_id, status)

    async def _discard(self, provider_id: str) -> FindOutcome:
        """Delete a draft, so that a request which still travels cannot send it."""
        try:
            answer = await self._wire.ask("DELETE", _path(provider_id))
        except NoAnswerError:
            return outcomes.ask_again(_NAME)
        gone = _is_not_there(answer) or answer.record().get("is_deleted") is True
        return Absent() if gone else outcomes.ask_again(_NAME)

    async def _timeline(self, provider_id: str) -> list[dict[str, Any]]:
        try:
            answer = await self._wire.ask("GET", _path(provider_id) + "/timeline")
        except NoAnswerError:
            return []
        return [outcomes.mapping(one) for one in outcomes.listing(answer.record().get("events"))]


def _is_not_there(answer: Answer) -> bool:
    """Whether the service itself says so. A proxy's 404, while it is restarted, proves nothing."""
    return answer.status == 404 and "detail" in answer.record()


def _path(provider_id: str) -> str:
    return f"/api/documents/{quote(provider_id, safe='')}"


def _multipart(document: bytes) -> tuple[bytes, str]:
    """One file field. The boundary is random, so the document cannot hold it."""
    boundary = secrets.token_hex(16)
    head = (
        f"--{boundary}\r\n"
        'Content-Disposition: form-data; name="file"; filename="document.xml"\r\n'
        "Content-Type: application/xml\r\n\r\n"
    )
    body = head.encode() + document + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def _not_stored(answer: Answer) -> SubmitOutcome:
    """Why there is no draft. Nothing was sent, so what is unclear can simply be repeated."""
    if outcome := outcomes.everywhere(_NAME, answer, _detail(answer)):
        return outcome
    if answer.status in (400, 406, 413, 415, 422):
        return _invalid(answer)
    return outcomes.later(_NAME, answer)


def _not_valid(answer: Answer) -> SubmitOutcome:
    """Why the draft is not sent. Nothing was sent, so what is unclear can simply be repeated."""
    if outcome := outcomes.everywhere(_NAME, answer, _detail(answer)):
        return outcome
    if answer.record().get("is_valid") is False or answer.status in (400, 406, 422):
        return _invalid(answer)
    return outcomes.later(_NAME, answer)


def _refused(submission: Submission, answer: Answer) -> SubmitOutcome | None:
    """What the document promises for `send`: nothing was sent."""
    if "detail" not in answer.record():
        return None
    if answer.status == 409:
        reason = because(
            "peppol.access_point.sender_not_allowed",
            provider=_NAME,
            sender=str(submission.sender),
            detail=_detail(answer),
        )
        return Rejected(reason)
    if answer.status == 404:  # the draft is gone: this attempt was given up meanwhile
        return outcomes.later(_NAME, answer)
    if answer.status in (400, 406, 422):
        return _invalid(answer)
    return None


def _invalid(answer: Answer) -> Rejected:
    reason = because(
        "peppol.access_point.invalid_document",
        provider=_NAME,
        detail=_detail(answer),
        findings=tuple(_findings(answer.record())),
    )
    return Rejected(reason)


def _findings(record: dict[str, Any]) -> Iterator[Finding]:
    for one in outcomes.listing(record.get("issues"))[:50]:
        issue = outcomes.mapping(one)
        if issue.get("type") == "error":
            yield Finding(
                rule=bounded(outcomes.text(issue, "rule_id")),
                message=bounded(outcomes.text(issue, "message")),
                location=bounded(outcomes.text(issue, "location")),
            )


def _detail(answer: Answer) -> str:
    detail = answer.record().get("detail")
    if isinstance(detail, str):
        return bounded(detail)
    told = (outcomes.text(outcomes.mapping(one), "msg") for one in outcomes.listing(detail)[:5])
    return bounded("; ".join(filter(None, told)))


def _ended(state: str, timeline: list[dict[str, Any]]) -> DeliveryStatus:
    responses = tuple(_responses(timeline))
    if state == "SENT":
        return DeliveryStatus(DeliveryState.DELIVERED, state, responses=responses)
    failures = [one for one in timeline if one.get("event_type") == "send_failed"]
    details = outcomes.mapping(failures[-1].get("details")) if failures else {}
    told = outcomes.text(details, "error", "message", "reason", "detail")
    return outcomes.failed(_NAME, state, told)


def _responses(timeline: list[dict[str, Any]]) -> Iterator[Response]:
    for event in timeline:
        kind = _RESPONSES.get(str(event.get("event_type")))
        if kind is not None:
            details = outcomes.mapping(event.get("details"))
            code = outcomes.text(details, "response_code", "status_code", "code", "status")
            told = outcomes.text(details, "text", "message", "description", "reason")
            yield Response(kind, bounded(code)[:10], bounded(told))


def _registration(participant: ParticipantId, record: dict[str, Any]) -> Lookup:
    dns = outcomes.mapping(record.get("dnsInfo"))
    metadata = outcomes.mapping(record.get("serviceMetadata"))
    if dns.get("status") == "error":
        # The service names the network's retired zone in its examples: no certain "no".
        return outcomes.not_confirmed(_NAME, participant)
    taken = frozenset(_document_types(metadata))
    if dns.get("status") != "success" or not taken:
        told = outcomes.text(metadata, "error") or "no document types"
        return outcomes.lookup_down(_NAME, participant, told)
    return Registered(taken)


def _document_types(metadata: dict[str, Any]) -> Iterator[str]:
    for endpoint in outcomes.listing(metadata.get("endpoints")):
        for one in outcomes.listing(outcomes.mapping(endpoint).get("documentTypes")):
            row = outcomes.mapping(one)
            scheme, value = outcomes.text(row, "scheme"), outcomes.text(row, "value")
            if value:
                yield value if scheme == DOCTYPE_SCHEME else f"{scheme}::{value}"
