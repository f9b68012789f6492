"""The steps from sevDesk's bytes to a document that can be sent, in order.

    read ─> sender ─> candidates ─> look up ─> choose receiver ─> choose type ─> make ─> size

Everything but reading and making is pure and decided here; both of those run in the worker's
process, the look-ups on the network. Whatever goes wrong ends as a reason, never as an exception.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from sync.documents import address, choose_type
from sync.documents.address import Blocked, Candidates, ContactFacts
from sync.documents.source import SourceDocument
from sync.documents.work import Made, Plan
from sync.errors import Kind, Reason, SyncError
from sync.model import ParticipantId
from sync.peppol import participants
from sync.peppol.access_point import Capabilities, Lookup
from sync.peppol.errors import because
from sync.ports import NotPrepared, Order, Prepared

Look = Callable[[ParticipantId], Awaitable[Lookup]]
Forget = Callable[[ParticipantId], None]


class Worker(Protocol):
    """Does the CPU work: `DocumentWorker`, or in tests the same functions in place."""

    async def read(self, source: bytes) -> SourceDocument:
        """What the document says. Raises `DocumentError`."""
        ...

    async def make(self, source: bytes, plan: Plan) -> tuple[Made, bytes]:
        """The document to send. Raises `DocumentError`."""
        ...


class DocumentPreparer:
    """Addresses, converts and checks documents. One per process."""

    def __init__(
        self,
        worker: Worker,
        look: Look,
        capabilities: Capabilities,
        *,
        forget: Forget = lambda _: None,
    ) -> None:
        """`look` asks where a receiver is, `forget` makes it ask again what it remembers;
        `capabilities` are the access point's."""
        self._worker = worker
        self._look = look
        self._forget = forget
        self._capabilities = capabilities

    async def prepare(self, source: bytes, order: Order) -> Prepared | NotPrepared:
        """The document that the receiver takes, or why there is none."""
        try:
            document = await self._worker.read(source)
            return await self._addressed(source, document, order)
        except SyncError as error:
            return NotPrepared(reason=error.reason, rules=error.params.get("rules", ""))

    async def _addressed(
        self, source: bytes, document: SourceDocument, order: Order
    ) -> Prepared | NotPrepared:
        sender = address.sender(document, order.sender)
        if sender is None:
            return NotPrepared(reason=_no_sender(document))
        given = address.candidates(document, contact_facts(order))
        chosen = address.choose(
            given,
            await self._lookups(given, fresh=order.fresh),
            lambda registered: self._route(document, registered.document_types) is not None,
        )
        if isinstance(chosen, Blocked):
            return NotPrepared(reason=chosen.reason, candidates=offered(chosen))
        route = self._route(document, chosen.registered.document_types)
        if route is None:  # pragma: no cover - `choose` asked the same
            return NotPrepared(reason=Reason(code="receiver.no_document_type"))
        plan = Plan(
            how=route.how,
            sender=sender,
            receiver=chosen.candidate.participant,
            buyer_reference=order.buyer_reference,
        )
        made, xml = await self._worker.make(source, plan)
        if len(xml) > self._capabilities.max_document_bytes:
            return NotPrepared(reason=_too_large(self._capabilities, len(xml)), rules=made.rules)
        return Prepared(
            content=xml,
            sha256=made.sha256,
            sender=sender,
            receiver=plan.receiver,
            document_type=route.document_type,
            country=document.seller.country,
            rules=made.rules,
            warnings=made.warnings,
        )

    def _route(
        self, document: SourceDocument, receiver_takes: frozenset[str]
    ) -> choose_type.Route | None:
        return choose_type.choose(document, receiver_takes, self._capabilities.document_types)

    async def _lookups(self, given: Candidates, *, fresh: bool) -> dict[str, Lookup]:
        """All at once; they are cached, and there are at most ten."""
        asked = address.to_ask(given)
        for participant in asked if fresh else ():
            self._forget(participant)
        answers = await asyncio.gather(*(self._look(participant) for participant in asked))
        return {participants.key(p): answer for p, answer in zip(asked, answers, strict=True)}


def contact_facts(order: Order) -> ContactFacts:
    """What the engine knows of the contact, as addressing wants it."""
    return ContactFacts(
        vat_number=order.vat_number,
        buyer_reference=order.buyer_reference,
        peppol_id=order.peppol_id,
        chosen=order.chosen,
    )


def offered(blocked: Blocked) -> tuple[ParticipantId, ...]:
    """What a person may choose from: reachable ones first."""
    return participants.distinct((*blocked.reachable, *blocked.candidates))


def _no_sender(document: SourceDocument) -> Reason:
    return Reason(
        code="sender.missing",
        kind=Kind.PRECONDITION,
        params={"vat_id": document.seller.vat_id[:40]},
    )


def _too_large(capabilities: Capabilities, size: int) -> Reason:
    return because(
        "peppol.access_point.too_large",
        provider=capabilities.name,
        bytes=str(size),
        limit=str(capabilities.max_document_bytes),
    )
