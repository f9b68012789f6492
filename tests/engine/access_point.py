"""An access point in memory, with every way of answering."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from enum import StrEnum

from sync.model import ParticipantId
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
    Unknown,
    Webhook,
)
from sync.peppol.errors import because
from tests.engine.crash import Process

NAME = "stand-in"


class Behaviour(StrEnum):
    """What becomes of a submission."""

    DELIVERED = "delivered"  # at once
    PENDING = "pending"  # delivered after some status polls
    FAILED_LATER = "failed later"
    REJECTED = "rejected"
    NOT_TAKEN = "not taken"  # 429, refused connection
    LOST_ACCEPTED = "accepted, answer lost"
    LOST_NOT_TAKEN = "not taken, answer lost"
    BREAKS_ACCEPTED = "accepted, adapter raises"
    BREAKS_BEFORE = "adapter raises before the request"


ACCEPTING = frozenset(
    {
        Behaviour.DELIVERED,
        Behaviour.PENDING,
        Behaviour.FAILED_LATER,
        Behaviour.LOST_ACCEPTED,
        Behaviour.BREAKS_ACCEPTED,
    }
)


@dataclass
class Taken:
    """A submission that was taken."""

    submission: Submission
    polls: int  # status polls until its end is known
    end: DeliveryState
    said: int = 0


@dataclass
class Provider:
    """The provider itself; `AccessPointStandIn` is a client of it in one process."""

    find: Find = Find.OWN_ID
    two_phase: bool = False
    webhook: Webhook = Webhook.NONE
    turns: int = 1  # of others, while a request is under way
    script: list[Behaviour] = field(default_factory=list)  # of the next submissions
    otherwise: Behaviour = Behaviour.DELIVERED  # of those after the script
    polls: int = 2
    status_down: int = 0  # status calls that are not answered
    tells: bool = False  # status goes on to tell what the receiver answered
    responses: tuple[Response, ...] = ()  # that the receiver answered, to whatever was sent
    status_calls: int = 0
    find_down: int = 0  # find calls that are not answered
    taken: dict[str, Taken] = field(default_factory=dict)  # provider id -> submission
    requests: Counter[str] = field(default_factory=Counter)  # hand-overs by invoice number

    def accepted(self, number: str) -> int:
        """How many submissions of an invoice were taken."""
        return sum(t.submission.number == number for t in self.taken.values())

    def behaviour(self) -> Behaviour:
        return self.script.pop(0) if self.script else self.otherwise


class AccessPointStandIn:
    """`sync.peppol.access_point.AccessPoint` in memory."""

    def __init__(self, provider: Provider, process: Process) -> None:
        self._provider = provider
        self._process = process

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            name=NAME,
            idempotency_key=False,
            find=self._provider.find,
            two_phase=self._provider.two_phase,
            document_types=None,
            max_document_bytes=10_000_000,
            webhook=self._provider.webhook,
            sends_sender=True,
            own_lookup=True,
            tells_responses=self._provider.tells,
        )

    async def lookup(self, participant: ParticipantId) -> Lookup:
        return Registered(frozenset())

    async def submit(self, submission: Submission, guard: Guard, save: Save) -> SubmitOutcome:
        if self._provider.two_phase:
            await save(f"p-{submission.attempt_id}")
        guard()

        async def hand_over() -> SubmitOutcome:
            return await self._hand_over(submission)

        return await self._process.step("access point submit", hand_over)

    async def _hand_over(self, submission: Submission) -> SubmitOutcome:
        provider = self._provider
        behaviour = provider.behaviour()
        if behaviour is Behaviour.BREAKS_BEFORE:
            raise RuntimeError("a bug in an adapter")
        provider.requests[submission.number] += 1
        for _ in range(provider.turns):
            await asyncio.sleep(0)
        if behaviour in ACCEPTING:
            self._take(submission, behaviour)
        return self._answer(submission, behaviour)

    def _take(self, submission: Submission, behaviour: Behaviour) -> None:
        polls = 0 if behaviour is Behaviour.DELIVERED else self._provider.polls
        failed = behaviour is Behaviour.FAILED_LATER
        end = DeliveryState.FAILED if failed else DeliveryState.DELIVERED
        provider_id = f"p-{submission.attempt_id}"
        assert provider_id not in self._provider.taken, "one attempt was handed over twice"
        self._provider.taken[provider_id] = Taken(submission, polls, end)

    def _answer(self, submission: Submission, behaviour: Behaviour) -> SubmitOutcome:
        match behaviour:
            case Behaviour.DELIVERED | Behaviour.PENDING | Behaviour.FAILED_LATER:
                provider_id = f"p-{submission.attempt_id}"
                return Accepted(provider_id, _status(self._provider.taken[provider_id]))
            case Behaviour.REJECTED:
                return Rejected(
                    because(
                        "peppol.access_point.not_delivered",
                        provider=NAME,
                        detail="refused",
                    )
                )
            case Behaviour.NOT_TAKEN:
                busy = because("peppol.access_point.busy", provider=NAME, status="429")
                return NotTaken(busy)
            case Behaviour.BREAKS_ACCEPTED:
                raise RuntimeError("a bug in an adapter")
            case _:
                return Unknown(because("peppol.access_point.no_answer", provider=NAME))

    async def find(self, submission: Submission) -> FindOutcome:
        self._process.alive()
        await asyncio.sleep(0)
        provider = self._provider
        nothing = because("peppol.access_point.not_found", provider=NAME)
        if provider.find_down > 0:
            provider.find_down -= 1
            return CannotTell(nothing, temporary=True)
        own = provider.taken.get(f"p-{submission.attempt_id}")
        if provider.find is Find.OWN_ID:
            return Found(f"p-{submission.attempt_id}", _status(own)) if own else Absent()
        if provider.find is Find.CONTENT:
            for provider_id, taken in provider.taken.items():
                same = taken.submission.number == submission.number
                same = same and provider_id not in submission.earlier
                if same and taken.submission.claimed_at >= submission.claimed_at:
                    return Found(provider_id, _status(taken))
        return CannotTell(nothing)

    async def status(self, provider_id: str) -> DeliveryStatus:
        self._process.alive()
        await asyncio.sleep(0)
        self._provider.status_calls += 1
        if self._provider.status_down > 0:
            self._provider.status_down -= 1
            return DeliveryStatus(DeliveryState.UNKNOWN, "503")
        taken = self._provider.taken[provider_id]
        taken.said += 1
        return replace(_status(taken), responses=self._provider.responses)


def _status(taken: Taken) -> DeliveryStatus:
    if taken.said < taken.polls:
        return DeliveryStatus(DeliveryState.PENDING, "processing")
    if taken.end is DeliveryState.FAILED:
        reason = because("peppol.delivery.failed", provider=NAME, detail="receiver is closed")
        return DeliveryStatus(DeliveryState.FAILED, "failed", reason)
    return DeliveryStatus(taken.end, "delivered")


def only(provider: Provider, **changes: object) -> Provider:
    """A provider with some settings changed."""
    return replace(provider, **changes)  # type: ignore[arg-type]
