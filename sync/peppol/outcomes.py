"""What the adapters have in common: HTTP answers that mean the same at every provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sync.errors import Reason
from sync.model import ParticipantId
from sync.peppol.access_point import (
    CannotTell,
    Capabilities,
    DeliveryState,
    DeliveryStatus,
    LookupDown,
    NotRegistered,
    NotTaken,
    Rejected,
    Submission,
    SubmitOutcome,
    Unknown,
)
from sync.peppol.errors import because
from sync.peppol.wire import Answer, NoAnswerError


def lost(provider: str, error: NoAnswerError) -> NotTaken | Unknown:
    """What an answer that never came means: it depends on whether a byte left."""
    if error.sent:
        return Unknown(because("peppol.access_point.no_answer", provider=provider))
    return NotTaken(because("peppol.access_point.unreachable", provider=provider))


def unclear(provider: str, answer: Answer) -> Unknown:
    """An answer that nobody promised: it may have been taken."""
    status = str(answer.status)
    return Unknown(because("peppol.access_point.unclear_answer", provider=provider, status=status))


def everywhere(provider: str, answer: Answer, detail: str) -> SubmitOutcome | None:
    """The outcome that an answer has at every provider, or None if the provider must say."""
    if reason := refusal(provider, answer.status, detail):
        return Rejected(reason)
    if answer.status == 429 or (answer.status == 503 and "retry-after" in answer.headers):
        return later(provider, answer)
    return None


def later(provider: str, answer: Answer) -> NotTaken:
    """Nothing was taken by this answer, and the same may be tried again."""
    reason = because("peppol.access_point.busy", provider=provider, status=str(answer.status))
    return NotTaken(reason, answer.retry_after)


def refusal(provider: str, status: int, detail: str) -> Reason | None:
    """Why the account is refused, for 401, 402 and 403."""
    told = detail or str(status)
    if status == 401:
        return because("peppol.access_point.unauthorized", provider=provider)
    if status == 402:
        return because("peppol.access_point.subscription", provider=provider, detail=told)
    if status == 403:
        return because("peppol.access_point.forbidden", provider=provider, detail=told)
    return None


def not_carried(provider: Capabilities, submission: Submission) -> Rejected | None:
    """Why the provider cannot carry the document, told before anything leaves; None if it can."""
    size, limit = len(submission.document), provider.max_document_bytes
    if size > limit:
        code = "peppol.access_point.too_large"
        return Rejected(because(code, provider=provider.name, bytes=str(size), limit=str(limit)))
    types = provider.document_types
    if types is not None and submission.document_type.id not in types:
        return Rejected(because("peppol.access_point.unsupported_type", provider=provider.name))
    return None


def pending(word: str) -> DeliveryStatus:
    """On its way."""
    return DeliveryStatus(DeliveryState.PENDING, word)


def delivered(word: str) -> DeliveryStatus:
    """The receiver's access point has it."""
    return DeliveryStatus(DeliveryState.DELIVERED, word)


def failed(provider: str, word: str, detail: str) -> DeliveryStatus:
    """The provider gave up."""
    reason = because("peppol.delivery.failed", provider=provider, detail=detail or word)
    return DeliveryStatus(DeliveryState.FAILED, word, reason)


def ask_again(provider: str) -> CannotTell:
    """The provider did not answer the question what became of a submission."""
    return CannotTell(because("peppol.access_point.no_answer", provider=provider), temporary=True)


def cannot_ask(provider: str) -> DeliveryStatus:
    """The provider did not answer the question for a status."""
    reason = because("peppol.access_point.no_answer", provider=provider)
    return DeliveryStatus(DeliveryState.UNKNOWN, "", reason)


def not_told(provider: str, answer: Answer, *, not_there: bool | None = None) -> DeliveryStatus:
    """The provider's answer to the question for a status says nothing.

    `not_there`: whether it says that the document is not there; by default each 404 does.
    """
    reason = refusal(provider, answer.status, "")
    if reason is None and (answer.status == 404 if not_there is None else not_there):
        reason = because("peppol.access_point.not_found", provider=provider)
    return DeliveryStatus(
        DeliveryState.UNKNOWN,
        str(answer.status),
        reason or unclear(provider, answer).reason,
        retry_after=answer.retry_after,
    )


def not_confirmed(provider: str, participant: ParticipantId) -> NotRegistered:
    """The provider says no, by an answer that it also gives when it could not look."""
    told = str(participant)
    reason = because("peppol.lookup.not_confirmed", participant=told, provider=provider)
    return NotRegistered(reason, certain=False)


def lookup_down(provider: str, participant: ParticipantId, detail: str) -> LookupDown:
    """The provider could not look the participant up, or said nothing that is understood."""
    told = f"{provider}: {detail}"
    return LookupDown(because("peppol.lookup.down", participant=str(participant), detail=told))


def text(record: Mapping[str, Any], *names: str) -> str:
    """The first of the fields that is a non-empty text, else an empty one."""
    for name in names:
        value = record.get(name)
        if isinstance(value, str) and value:
            return value
    return ""


def mapping(value: Any) -> dict[str, Any]:
    """`value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def listing(value: Any) -> list[Any]:
    """`value` if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []
