"""What the adapters have in common: HTTP answers that mean the same at every provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sync.errors import Reason
from sync.peppol.access_point import (
    DeliveryState,
    DeliveryStatus,
    NotTaken,
    Rejected,
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
        status = str(answer.status)
        busy = because("peppol.access_point.busy", provider=provider, status=status)
        return NotTaken(busy, answer.retry_after)
    return None


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


def too_large(provider: str, size: int, limit: int) -> Rejected:
    """The document is larger than the provider carries."""
    return Rejected(
        because(
            "peppol.access_point.too_large",
            provider=provider,
            bytes=str(size),
            limit=str(limit),
        )
    )


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


def cannot_ask(provider: str) -> DeliveryStatus:
    """The provider did not answer the question for a status."""
    reason = because("peppol.access_point.no_answer", provider=provider)
    return DeliveryStatus(DeliveryState.UNKNOWN, "", reason)


def not_told(provider: str, answer: Answer) -> DeliveryStatus:
    """The provider's answer to the question for a status says nothing."""
    reason = refusal(provider, answer.status, "")
    if reason is None and answer.status == 404:
        reason = because("peppol.access_point.not_found", provider=provider)
    return DeliveryStatus(
        DeliveryState.UNKNOWN,
        str(answer.status),
        reason or unclear(provider, answer).reason,
        retry_after=answer.retry_after,
    )


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
