"""Recommand: carries any document type verbatim, has no idempotency.

Read from the service's public source (brbxai/recommand-peppol, recommand/recommand-peppol, 2026):

- `POST /{company}/send` answers after the AS4 exchange; its row is written after that. So a
  listing that does not show the document proves nothing.
- 400 is a validation failure (`errors` has fields) *or* any exception, also after the AS4
  exchange (`errors` has only `root`).
- The sender is the company's identifier with the lowest scheme; it cannot be given. So it is
  asked for now and then, and a document that names another sender is not handed over.
- 401 is also the answer to an unpaid subscription.
- A recipient without a colon is read as a Belgian enterprise number.
- The `email` option turns a failure into a success by e-mail; it is never used, but a company
  may have defaults, so `sentOverPeppol` decides.
- `POST /verify` says `isValid: false` for an unknown receiver and for any outage alike.
"""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, unquote

from sync.errors import Finding
from sync.model import ParticipantId
from sync.peppol import outcomes, participants
from sync.peppol.access_point import (
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
    Save,
    Submission,
    SubmitOutcome,
    Unknown,
    Webhook,
)
from sync.peppol.doctypes import qualified_doctype, qualified_process, unqualified
from sync.peppol.errors import because, bounded
from sync.peppol.wire import Answer, NoAnswerError, Wire

PRODUCTION: Final = "https://app.recommand.eu/api/v1"

CAPABILITIES: Final = Capabilities(
    name="Recommand",
    idempotency_key=False,
    find=Find.CONTENT,
    two_phase=False,
    document_types=None,
    max_document_bytes=10_000_000,
    webhook=Webhook.UNSIGNED,
    sends_sender=False,
    own_lookup=True,
)

_NAME: Final = CAPABILITIES.name
_CLOCK_SKEW: Final = timedelta(minutes=2)
_SENDER_SECONDS: Final = 600.0
_COMPANIES: Final = 1000  # whose senders are remembered
_PAGE: Final = 50  # newest documents that are looked through

_WORDS: Final = {
    "pending": DeliveryState.PENDING,
    "queued": DeliveryState.PENDING,
    "sending": DeliveryState.PENDING,
    "retrying": DeliveryState.PENDING,
    "sent": DeliveryState.DELIVERED,
    "delivered": DeliveryState.DELIVERED,
    "failed": DeliveryState.FAILED,
    "rejected": DeliveryState.FAILED,
    "error": DeliveryState.FAILED,
}

_AMBIGUOUS: Final = ("timeout", "timed out", "signal", "transport")
"""Words in a 422 that tell of an AS4 exchange without an end: the receiver may have it."""


def basic(key: str, secret: str) -> dict[str, str]:
    """The header of HTTP Basic authentication."""
    return {"authorization": "Basic " + b64encode(f"{key}:{secret}".encode()).decode()}


class Recommand:
    """One Recommand account."""

    def __init__(
        self, wire: Wire, company: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`company` is used for submissions that name none."""
        self._wire = wire
        self._company = company
        self._clock = clock
        self._senders: dict[str, tuple[float, frozenset[str]]] = {}

    @property
    def capabilities(self) -> Capabilities:
        """Verbatim, found by content, no idempotency."""
        return CAPABILITIES

    async def lookup(self, participant: ParticipantId) -> Lookup:
        """`POST /verify`."""
        body = {"peppolAddress": str(participants.normalised(participant))}
        try:
            answer = await self._wire.ask("POST", "/verify", body=body)
        except NoAnswerError:
            return outcomes.lookup_down(_NAME, participant, "no answer")
        if not answer.ok or "isValid" not in answer.record():
            return outcomes.lookup_down(_NAME, participant, f"HTTP {answer.status}")
        return _registration(participant, answer.record())

    async def submit(self, submission: Submission, guard: Guard, save: Save) -> SubmitOutcome:
        """`POST /{company}/send`. The provider's id is known only afterwards: no `save`."""
        del save
        if refused := outcomes.not_carried(CAPABILITIES, submission):
            return refused
        try:
            if refused := await self._wrong_sender(submission):
                return refused
        except NoAnswerError:
            return NotTaken(because("peppol.access_point.unreachable", provider=_NAME))
        path = f"/{quote(submission.company or self._company, safe='')}/send"
        body = json.dumps(_request(submission)).encode()
        try:
            answer = await self._wire.transfer(path, body, "application/json", guard)
        except NoAnswerError as error:
            return outcomes.lost(_NAME, error)
        return _outcome(answer)

    async def find(self, submission: Submission) -> FindOutcome:
        """Look through what the company sent since the attempt began."""
        try:
            for search in (submission.number, ""):
                for row in await self._sent_since(submission, search):
                    if await self._is_it(submission, row):
                        return Found(str(row["id"]), _delivery(row))
        except NoAnswerError:
            return outcomes.ask_again(_NAME)
        return CannotTell(because("peppol.access_point.not_found", provider=_NAME))

    async def status(self, provider_id: str) -> DeliveryStatus:
        """`GET /documents/{id}`."""
        try:
            answer = await self._wire.ask("GET", f"/documents/{quote(provider_id, safe='')}")
        except NoAnswerError:
            return outcomes.cannot_ask(_NAME)
        row = outcomes.mapping(answer.record().get("document"))
        if not answer.ok or not row:
            return outcomes.not_told(_NAME, answer)
        return _delivery(row)

    async def _wrong_sender(self, submission: Submission) -> Rejected | None:
        """Refuse a document whose sender is not what the envelope will say."""
        senders = await self._sends_as(submission.company or self._company)
        if not senders or participants.key(submission.sender) in senders:
            return None
        reason = because(
            "peppol.access_point.sender_not_allowed",
            provider=_NAME,
            sender=str(submission.sender),
            detail=", ".join(sorted(senders)),
        )
        return Rejected(reason)

    async def _sends_as(self, company: str) -> frozenset[str]:
        """The company's ids of the lowest scheme: one of them is every envelope's sender.

        Empty if the service does not tell. Remembered for some minutes.
        """
        until, senders = self._senders.get(company, (float("-inf"), frozenset()))
        if self._clock() < until:
            return senders
        answer = await self._wire.ask("GET", f"/companies/{quote(company, safe='')}/identifiers")
        senders = _lowest(answer.record()) if answer.ok else frozenset()
        if senders and len(self._senders) < _COMPANIES:
            self._senders[company] = (self._clock() + _SENDER_SECONDS, senders)
        return senders

    async def _sent_since(self, submission: Submission, search: str) -> list[dict[str, Any]]:
        since = (submission.claimed_at - _CLOCK_SKEW).astimezone(UTC)
        params = {
            "direction": "outgoing",
            "companyId": submission.company or self._company,
            "from": since.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "limit": str(_PAGE),
            "excludeAttachments": "true",
        }
        if search:
            params["search"] = search
        answer = await self._wire.ask("GET", "/documents", params=params)
        if not answer.ok or not isinstance(answer.record().get("documents"), list):
            raise NoAnswerError(sent=False)
        rows = (outcomes.mapping(row) for row in answer.record()["documents"])
        found = [row for row in rows if _may_be(submission, row)]
        return [row for row in found if not _is_earlier(submission, row)]

    async def _is_it(self, submission: Submission, row: dict[str, Any]) -> bool:
        """Whether a row is this document: a number may be used twice, also by another seller.

        Raises `NoAnswerError`.
        """
        number = _number(row)
        if number and number != submission.number:
            return False
        answer = await self._wire.ask("GET", f"/documents/{quote(str(row['id']), safe='')}")
        if not answer.ok:
            raise NoAnswerError(sent=False)
        xml = outcomes.mapping(answer.record().get("document")).get("xml")
        if not xml or not submission.document:  # not shown, or not kept here any more
            return bool(number)
        return isinstance(xml, str) and xml.strip().encode() == submission.document.strip()


def _lowest(record: dict[str, Any]) -> frozenset[str]:
    rows = [outcomes.mapping(row) for row in outcomes.listing(record.get("identifiers"))]
    ids = [
        (scheme, f"{scheme}:{value}".lower())
        for row in rows
        if (scheme := outcomes.text(row, "scheme")) and (value := outcomes.text(row, "identifier"))
    ]
    lowest = min((scheme for scheme, _ in ids), default="")
    return frozenset(one for scheme, one in ids if scheme == lowest)


def _request(submission: Submission) -> dict[str, str]:
    return {
        "recipient": str(submission.receiver),
        "documentType": "xml",
        "document": submission.document.decode("utf-8"),
        "doctypeId": qualified_doctype(submission.document_type),
        "processId": qualified_process(submission.document_type),
    }


def _outcome(answer: Answer) -> SubmitOutcome:
    record = answer.record()
    if answer.status == 200:
        return _taken(answer, record)
    detail = _detail(record)
    if answer.status == 401 and "billing" in detail.lower():
        return Rejected(because("peppol.access_point.subscription", provider=_NAME, detail=detail))
    if outcome := outcomes.everywhere(_NAME, answer, detail):
        return outcome
    if record.get("success") is False and (refused := _refused(answer, record)):
        return refused
    return outcomes.unclear(_NAME, answer)


def _refused(answer: Answer, record: dict[str, Any]) -> SubmitOutcome | None:
    """A refusal in the service's own words; a proxy's page with the same status is none."""
    detail = _detail(record)
    if answer.status == 400 and (findings := tuple(_findings(record))):
        code = "peppol.access_point.invalid_document"
        return Rejected(because(code, provider=_NAME, detail=detail, findings=findings))
    if answer.status == 404:
        return Rejected(because("peppol.access_point.company", provider=_NAME, detail=detail))
    if answer.status == 422:
        return _not_sent(answer, record)
    return None


def _taken(answer: Answer, record: dict[str, Any]) -> SubmitOutcome:
    provider_id = outcomes.text(record, "id")
    if record.get("success") is not True or not provider_id:
        return outcomes.unclear(_NAME, answer)
    status = _delivery(record)
    if status.reason is not None and status.reason.code == "peppol.access_point.sent_by_email":
        return Rejected(status.reason)
    return Accepted(provider_id, status)


def _not_sent(answer: Answer, record: dict[str, Any]) -> SubmitOutcome:
    failure = outcomes.mapping(record.get("deliveryFailure"))
    detail = _detail(record) or outcomes.text(failure, "category", "channel")
    told = f"{detail} {outcomes.text(failure, 'category')}".lower()
    if any(word in told for word in _AMBIGUOUS):
        return Unknown(outcomes.unclear(_NAME, answer).reason)
    return Rejected(because("peppol.access_point.not_delivered", provider=_NAME, detail=detail))


def _delivery(row: dict[str, Any]) -> DeliveryStatus:
    """How far a document is, by an answer to `send` or a row of `documents`."""
    word = outcomes.text(row, "deliveryStatus").lower()
    by_peppol = row.get("sentOverPeppol") is True
    if row.get("sentOverEmail") is True and not by_peppol and not _is_pending(word):
        # Whatever the word is: an e-mail that was delivered is no delivery over Peppol.
        reason = because("peppol.access_point.sent_by_email", provider=_NAME)
        return DeliveryStatus(DeliveryState.FAILED, "sentOverEmail", reason)
    if word in _WORDS:
        return _by_word(row, word)
    if by_peppol:
        return outcomes.delivered(word or "sentOverPeppol")
    return DeliveryStatus(
        DeliveryState.UNKNOWN,
        word,
        because("peppol.access_point.unclear_answer", provider=_NAME, status=word or "200"),
    )


def _is_pending(word: str) -> bool:
    return _WORDS.get(word) is DeliveryState.PENDING


def _by_word(row: dict[str, Any], word: str) -> DeliveryStatus:
    state = _WORDS[word]
    if state is not DeliveryState.FAILED:
        return DeliveryStatus(state, word)
    failure = outcomes.mapping(row.get("deliveryFailure"))
    return outcomes.failed(_NAME, word, outcomes.text(failure, "message", "category", "channel"))


def _may_be(submission: Submission, row: dict[str, Any]) -> bool:
    receiver = outcomes.text(row, "receiverId").lower()
    doctype = unqualified(outcomes.text(row, "docTypeId"))
    return (
        bool(outcomes.text(row, "id"))
        and row.get("direction", "outgoing") == "outgoing"
        and receiver.endswith(participants.key(submission.receiver))
        and doctype == submission.document_type.id
    )


def _is_earlier(submission: Submission, row: dict[str, Any]) -> bool:
    """Whether a row is an attempt before this one, which ended otherwise than this one may.

    One that was refused has no id that we know, but it is older, by the service's clock.
    """
    if row["id"] in submission.earlier:
        return True
    if _delivery(row).state is not DeliveryState.FAILED:
        return False
    try:
        made = datetime.fromisoformat(outcomes.text(row, "createdAt"))
    except ValueError:
        return False
    return (made if made.tzinfo else made.replace(tzinfo=UTC)) < submission.claimed_at


def _number(row: dict[str, Any]) -> str:
    parsed = outcomes.mapping(row.get("parsed"))
    return outcomes.text(parsed, "invoiceNumber", "creditNoteNumber")


def _findings(record: dict[str, Any]) -> Iterator[Finding]:
    """What a 400 says about single fields; `root` alone may also be a crash after sending."""
    for name, told in outcomes.mapping(record.get("errors")).items():
        if name == "root":
            continue
        for message in outcomes.listing(told)[:20]:
            rule, colon, rest = str(message).partition(": ")
            known = colon and " " not in rule
            yield Finding(
                rule=bounded(rule) if known else "",
                message=bounded(rest if known else message),
                location=bounded(name),
            )


def _detail(record: dict[str, Any]) -> str:
    errors = record.get("errors")
    root = outcomes.mapping(errors).get("root", errors)
    told = root if isinstance(root, list) else [root]
    return bounded(" ".join(str(one) for one in told[:5] if isinstance(one, str)))


def _registration(participant: ParticipantId, record: dict[str, Any]) -> Lookup:
    if record["isValid"] is not True:
        return outcomes.not_confirmed(_NAME, participant)
    if taken := frozenset(_document_types(record)):
        return Registered(taken)
    return outcomes.lookup_down(_NAME, participant, "no document types in the answer")


def _document_types(record: dict[str, Any]) -> Iterator[str]:
    for row in outcomes.listing(record.get("supportedDocuments")):
        if doctype := outcomes.text(outcomes.mapping(row), "docTypeId"):
            yield unqualified(doctype)
    for url in outcomes.listing(record.get("serviceMetadataReferences")):
        _, services, doctype = str(url).partition("/services/")
        if services:
            yield unqualified(unquote(doctype))
