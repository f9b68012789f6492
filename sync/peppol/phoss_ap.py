"""phoss-ap: an access point of one's own, which takes our id for the document's envelope.

Read from its public source (phax/phoss-ap, v0.12):

- the SBDH instance id is chosen by us: it is the attempt's id, and `GET /status/{id}` with 404
  and an empty body means that the submission was never stored. A 404 with a body is not
  phoss-ap's: a reverse proxy says so while phoss-ap is restarted, also just after it took one;
- nothing keeps a second submission with the same id out: both are sent. The status of an id that
  is there twice is 404, as if it had never been stored. So each attempt has an id of its own, also
  when the same document is sent again after "absent": with the same id two copies would look like
  none, and a third would follow;
- the submission is stored first and sent within the same request. 422 with a sending report
  means that the first try failed and that *it goes on by itself*: it was taken;
- 404 on submission, with an empty body, means that sending is switched off.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

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
    Rejected,
    Response,
    Save,
    Submission,
    SubmitOutcome,
    Webhook,
)
from sync.peppol.doctypes import qualified_doctype, qualified_process
from sync.peppol.errors import because, bounded
from sync.peppol.wire import Answer, NoAnswerError, Wire

CAPABILITIES: Final = Capabilities(
    name="phoss-ap",
    idempotency_key=False,
    find=Find.OWN_ID,
    two_phase=False,
    document_types=None,
    max_document_bytes=10_000_000,
    webhook=Webhook.NONE,
    sends_sender=True,
    own_lookup=False,
    tells_responses=True,
)

_NAME: Final = CAPABILITIES.name

_STATES: Final = {
    "pending": DeliveryState.PENDING,
    "sending": DeliveryState.PENDING,
    "failed": DeliveryState.PENDING,  # the last try failed, the next one is planned
    "sent": DeliveryState.DELIVERED,
    "permanently_failed": DeliveryState.FAILED,
    "rejected": DeliveryState.FAILED,
}


class PhossAp:
    """One phoss-ap installation."""

    def __init__(self, wire: Wire) -> None:
        """The installation is the URL's."""
        self._wire = wire

    @property
    def capabilities(self) -> Capabilities:
        """Verbatim, found by our own id."""
        return CAPABILITIES

    async def lookup(self, participant: ParticipantId) -> Lookup:
        """It looks receivers up while it sends, but has no call for it."""
        return outcomes.lookup_down(_NAME, participant, "no call for it")

    async def submit(self, submission: Submission, guard: Guard, save: Save) -> SubmitOutcome:
        """`POST /api/outbound/submit/…`; its id is the attempt's, so there is nothing to `save`."""
        del save
        if refused := outcomes.not_carried(CAPABILITIES, submission):
            return refused
        try:
            answer = await self._wire.transfer(
                _path(submission),
                submission.document,
                "application/xml",
                guard,
                params={"sbdhInstanceID": submission.attempt_id},
            )
        except NoAnswerError as error:
            return outcomes.lost(_NAME, error)
        return _outcome(submission.attempt_id, answer)

    async def find(self, submission: Submission) -> FindOutcome:
        """By our own id."""
        answer = await self._status(submission.attempt_id)
        if answer is None:
            return outcomes.ask_again(_NAME)
        if answer.status == 404 and answer.body == b"":
            return Absent()
        status = _delivery(answer)
        if status.state is DeliveryState.UNKNOWN:
            reason = status.reason or outcomes.unclear(_NAME, answer).reason
            return CannotTell(reason, temporary=True)
        return Found(submission.attempt_id, status)

    async def status(self, provider_id: str) -> DeliveryStatus:
        """`GET /api/outbound/status/{id}`, the archive included."""
        answer = await self._status(provider_id)
        return outcomes.cannot_ask(_NAME) if answer is None else _delivery(answer)

    async def _status(self, provider_id: str) -> Answer | None:
        path = f"/api/outbound/status/{quote(provider_id, safe='')}"
        try:
            return await self._wire.ask("GET", path, params={"includeArchive": "true"})
        except NoAnswerError:
            return None


def _path(submission: Submission) -> str:
    parts = (
        participants.qualified(submission.sender),
        participants.qualified(submission.receiver),
        qualified_doctype(submission.document_type),
        qualified_process(submission.document_type),
        submission.country,
    )
    return "/api/outbound/submit/" + "/".join(quote(part, safe="") for part in parts)


def _outcome(attempt_id: str, answer: Answer) -> SubmitOutcome:
    report = answer.record()
    if answer.status == 200 and report:
        done = report.get("overallSuccess", report.get("sendingSuccess")) is True
        word = "sent" if done else "sending"
        status = outcomes.delivered(word) if done else outcomes.pending(word)
        return Accepted(attempt_id, status)
    if answer.status == 422 and report:
        return Accepted(attempt_id, outcomes.pending("failed"))
    if outcome := outcomes.everywhere(_NAME, answer, ""):
        return outcome
    if answer.status == 400 and isinstance(detail := answer.json(), str):
        code = "peppol.access_point.invalid_document"
        return Rejected(because(code, provider=_NAME, detail=detail))
    if answer.status == 404 and not answer.body:
        return Rejected(because("peppol.access_point.disabled", provider=_NAME))
    return outcomes.unclear(_NAME, answer)


def _delivery(answer: Answer) -> DeliveryStatus:
    record = answer.record()
    word = outcomes.text(record, "status")
    state = _STATES.get(word)
    if not answer.ok or state is None:
        return outcomes.not_told(_NAME, answer)
    responses = tuple(_responses(record))
    if any(one.code == "RE" for one in responses):
        code = "peppol.delivery.rejected"
        told = outcomes.text(record, "errorDetails") or "message level status RE"
        reason = because(code, provider=_NAME, detail=told)
        return DeliveryStatus(DeliveryState.FAILED, bounded(word), reason, responses)
    if state is DeliveryState.FAILED:
        return outcomes.failed(_NAME, word, outcomes.text(record, "errorDetails"))
    return DeliveryStatus(state, word, responses=responses)


def _responses(record: dict[str, Any]) -> Iterator[Response]:
    _, received, code = outcomes.text(record, "mlsStatus").partition("received_")
    if received:
        yield Response(ResponseKind.MLS, bounded(code).upper()[:10])
