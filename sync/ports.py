"""What the engine needs from outside, as protocols.

Tests give stand-ins, `sync.runtime` the real ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from weakref import WeakValueDictionary

from sync import tags
from sync.delivery import Policy
from sync.errors import Finding, Reason
from sync.model import DocumentType, Frozen, ParticipantId
from sync.peppol.access_point import AccessPoint, Lookup
from sync.sevdesk.models import (
    Account,
    ContactRow,
    CustomField,
    CustomFieldSetting,
    InvoiceRow,
    Listing,
    Pdf,
    Tag,
    TagRelation,
)
from sync.store.organisation import Organisation
from sync.store.redis import Clients


class Sevdesk(Protocol):
    """The calls to one sevDesk account. All raise `SevdeskError`; see `SevdeskClient`."""

    async def bookkeeping_version(self) -> str:
        """Check the token."""
        ...

    async def account(self) -> Account:
        """The account of the token."""
        ...

    async def tags(self) -> Listing[Tag]:
        """All tags."""
        ...

    async def tag_relations(self) -> Listing[TagRelation]:
        """Which tag is on which object."""
        ...

    async def invoices(self, status: int) -> Listing[InvoiceRow]:
        """The invoices of a status."""
        ...

    async def invoice(self, invoice_id: str) -> InvoiceRow:
        """One invoice."""
        ...

    async def contact(self, contact_id: str) -> ContactRow:
        """One contact."""
        ...

    async def contacts(self) -> Listing[ContactRow]:
        """All contacts."""
        ...

    async def custom_field_settings(self) -> Listing[CustomFieldSetting]:
        """The contact fields that the account defined."""
        ...

    async def custom_fields(self) -> Listing[CustomField]:
        """The custom fields of all contacts."""
        ...

    async def xml(self, invoice_id: str) -> bytes:
        """The e-invoice's XML."""
        ...

    async def pdf(self, invoice_id: str) -> Pdf:
        """The PDF."""
        ...

    async def add_tag(self, invoice_id: str, name: str) -> TagRelation:
        """Put a tag on an invoice."""
        ...

    async def remove_tag_relation(self, relation_id: str) -> bool:
        """Take a tag off."""
        ...


class Order(Frozen):
    """What is known besides the document when it is prepared."""

    sender: ParticipantId | None = None  # the organisation's own id, where it is set
    chosen: ParticipantId | None = None  # the receiver that a person chose for the contact
    peppol_id: str = ""  # the contact's custom field, unchecked
    vat_number: str = ""  # of the contact
    buyer_reference: str = ""  # of the contact
    fresh: bool = False  # a person says that something changed: believe no earlier look-up


class Prepared(Frozen):
    """A document that can be sent."""

    content: bytes
    sha256: str
    sender: ParticipantId
    receiver: ParticipantId
    document_type: DocumentType
    country: str  # of the seller, ISO 3166-1 alpha-2
    rules: str  # release of the rules that judged it
    warnings: tuple[Finding, ...] = ()  # what does not keep it from being sent


class NotPrepared(Frozen):
    """Why there is no document; the reason's kind says what follows."""

    reason: Reason
    candidates: tuple[ParticipantId, ...] = ()
    rules: str = ""


class Preparer(Protocol):
    """Addresses, converts and checks documents off the event loop."""

    async def prepare(self, source: bytes, order: Order) -> Prepared | NotPrepared:
        """Turn sevDesk's document into the one that the receiver takes."""
        ...


class Jobs(Protocol):
    """Hints that something is to be looked at. A lost hint is found again by the sweep."""

    async def hint_delivery(self, org: str, at: datetime) -> None:
        """Something is due for an invoice of `org` at a time."""
        ...

    async def hint_notify(self, org: str) -> None:
        """Events of `org` were written."""
        ...

    async def hint_poll(self, org: str, *, soon: bool = False) -> None:
        """`org` is to be polled again and again; `soon`: the next time is now."""
        ...

    async def sync_now(self, org: str, run_id: str, actor: str) -> None:
        """Poll `org` once, now, because a person asked."""
        ...


def _unknown(_company: str) -> Sequence[str]:
    """No account is told from another one."""
    return ("",)


class Locks:
    """One lock for each name, for as long as somebody in this process holds or awaits it.

    They save requests, no more: what is done once or twice is the same.
    """

    def __init__(self) -> None:
        """None yet."""
        self._locks: WeakValueDictionary[tuple[str, ...], asyncio.Lock] = WeakValueDictionary()

    def __call__(self, *name: str) -> asyncio.Lock:
        """The lock of that name."""
        return self._locks.setdefault(name, asyncio.Lock())


@dataclass(slots=True)
class Ports:
    """All of them, and the settings that the engine reads."""

    clients: Clients
    jobs: Jobs
    access_point: AccessPoint
    preparer: Preparer
    sevdesk: Callable[[str], Awaitable[Sevdesk]]  # by organisation; raises if not connected
    look: Callable[[ParticipantId], Awaitable[Lookup]]  # where a receiver is
    now: Callable[[], datetime]  # the store's time (`sync.clock`), never ahead of it
    doubt: Callable[[], timedelta] = timedelta  # by how much `now` may be behind it
    account: Callable[[str], Sequence[str]] = _unknown  # marks of the one in use, by company
    policy: Policy = field(default_factory=Policy)
    prefix: str = "xTool"
    poll: timedelta = timedelta(seconds=300)
    keep_documents: timedelta = timedelta(days=400)
    sender: ParticipantId | None = None  # PEPPOL_SENDER_ID
    jitter: Callable[[], float] = lambda: 0.5
    stopping: Callable[[], bool] = lambda: False
    locks: Locks = field(default_factory=Locks)
    under_way: set[str] = field(default_factory=set)  # attempts whose request this process makes

    def organisation(self, org: str) -> Organisation:
        """The store of one organisation."""
        return Organisation(self.clients, org, self.keep_documents)

    @property
    def settles_within(self) -> timedelta:
        """For how long a written tag may be missing from lists and mean nothing."""
        return min(tags.SETTLES_WITHIN, max(self.poll, tags.SETTLES_AT_LEAST))

    @property
    def lags_within(self) -> timedelta:
        """For how long after its write a tag that one list has shown may be missing from another.

        Who polls more often than that wants to see what a removal does.
        """
        return min(tags.SETTLES_WITHIN, self.poll)
