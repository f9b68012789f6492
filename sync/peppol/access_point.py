"""What xTool needs of an access point, and what it may answer.

One protocol, three adapters. Where providers differ it is data (`Capabilities`) or the adapter's
own business; nobody else asks which provider it is. Answers are data too: a caller decides by
their type, never by a status code.

    submit ── Accepted     it took the document; `status` says how far it is
           ├─ Rejected     a definite no, nothing was taken
           ├─ NotTaken     nothing was taken, the same may be tried again later
           └─ Unknown      it may have been taken: `find` it before anything else
    find   ── Found        it was taken, go on from there
           ├─ Absent       certainly not there, and it will not appear later
           └─ CannotTell   a person decides
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

from sync.errors import Reason
from sync.model import DocumentType, ParticipantId, ResponseKind


class Find(StrEnum):
    """How a submission whose answer was lost is found again."""

    OWN_ID = "own id"  # by the attempt's id, which the provider keeps
    CONTENT = "content"  # by number, receiver and time; finding nothing proves nothing
    NONE = "none"


class Webhook(StrEnum):
    """What the provider calls back with."""

    NONE = "none"
    UNSIGNED = "unsigned"  # good for nothing but asking for the status
    SIGNED = "signed"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do, as data."""

    name: str  # as people know it
    idempotency_key: bool  # a repeated submission with the same id is refused by the provider
    find: Find
    two_phase: bool  # the document is stored first, and sent by a second call with its id
    document_types: frozenset[str] | None  # ids it carries unchanged; None: any
    max_document_bytes: int
    webhook: Webhook
    sends_sender: bool  # takes the sender from us; else its company settings decide
    own_lookup: bool  # has a call that looks a receiver up
    tells_responses: bool = False  # `status` goes on to tell what came back after the delivery


@dataclass(frozen=True, slots=True)
class Submission:
    """One document on its way to one receiver, as an attempt."""

    attempt_id: str  # UUID
    sender: ParticipantId
    receiver: ParticipantId
    document_type: DocumentType
    document: bytes = field(repr=False)
    number: str  # BT-1
    country: str  # ISO 3166-1 alpha-2 of the seller: the C1 country that Peppol reports
    claimed_at: datetime  # when the attempt became durable
    company: str = ""  # the sender's company at the provider; empty: the configured one
    provider_id: str = ""  # of this attempt, once `save` was called with it
    earlier: tuple[str, ...] = ()  # the provider's ids of the invoice's attempts before this one


class DeliveryState(StrEnum):
    """How far a submission that was taken has come."""

    PENDING = "pending"
    DELIVERED = "delivered"  # the receiver's access point has it
    FAILED = "failed"
    UNKNOWN = "unknown"  # the provider could not be asked, or said nothing that is understood


@dataclass(frozen=True, slots=True)
class Response:
    """One answer over the network: `code` is `AP`, `AB`, `RE`, `IP`, `UQ`, `CA` or `PD`."""

    kind: ResponseKind
    code: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class DeliveryStatus:
    """What the provider says about a submission that it took."""

    state: DeliveryState
    provider_status: str = ""  # the provider's own word, for people
    reason: Reason | None = None  # of `FAILED` and `UNKNOWN`
    responses: tuple[Response, ...] = ()
    retry_after: float | None = None  # seconds, when the provider asked for patience


@dataclass(frozen=True, slots=True)
class Accepted:
    """The access point took the document."""

    provider_id: str
    status: DeliveryStatus


@dataclass(frozen=True, slots=True)
class Rejected:
    """A definite no: nothing was taken. The reason's kind says who must do what."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class NotTaken:
    """Nothing was taken; the same may be tried again, after `retry_after` seconds if given."""

    reason: Reason
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """The document may have been taken."""

    reason: Reason


SubmitOutcome = Accepted | Rejected | NotTaken | Unknown


@dataclass(frozen=True, slots=True)
class Found:
    """The submission was taken."""

    provider_id: str
    status: DeliveryStatus


@dataclass(frozen=True, slots=True)
class Absent:
    """The submission was certainly not taken, and will not be."""


@dataclass(frozen=True, slots=True)
class CannotTell:
    """Neither found nor certainly absent. `temporary`: asking again later may help."""

    reason: Reason
    temporary: bool = False


FindOutcome = Found | Absent | CannotTell


@dataclass(frozen=True, slots=True)
class Registered:
    """The participant is on the network and takes these document types (their ids)."""

    document_types: frozenset[str]


@dataclass(frozen=True, slots=True)
class NotRegistered:
    """The participant is not on the network.

    `certain` is False where the answer cannot be told from "could not be looked up".
    """

    reason: Reason
    certain: bool = True


@dataclass(frozen=True, slots=True)
class LookupDown:
    """Nobody could be asked. `dns` tells that it was the name system that did not answer."""

    reason: Reason
    dns: bool = False


Lookup = Registered | NotRegistered | LookupDown

Guard = Callable[[], None]
"""Raises if the attempt must not leave any more. Called as the last thing before it does."""

Save = Callable[[str], Awaitable[None]]
"""Makes the provider's id durable. Raises if the attempt is not this worker's any more."""


@runtime_checkable
class AccessPoint(Protocol):
    """One account at one access point. Safe to use from many tasks at once."""

    @property
    def capabilities(self) -> Capabilities:
        """What this provider can do."""
        ...

    async def lookup(self, participant: ParticipantId) -> Lookup:
        """Ask the provider whether the participant can be reached."""
        ...

    async def submit(self, submission: Submission, guard: Guard, save: Save) -> SubmitOutcome:
        """Hand the document over, once.

        Exactly one request hands it over; nothing is repeated. `save` is awaited with the
        provider's id if that is known before the hand-over. `guard` is called as the last thing
        before the bytes leave. What `guard` and `save` raise is passed on, and then nothing was
        handed over.
        """
        ...

    async def find(self, submission: Submission) -> FindOutcome:
        """Look for a submission whose answer was lost. Not before its attempt's deadline."""
        ...

    async def status(self, provider_id: str) -> DeliveryStatus:
        """How far the submission that the provider knows as `provider_id` has come."""
        ...
