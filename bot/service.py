"""What `bot` asks of `sync`: the shape of `sync.service.Service`.

All methods may be called again; what they raise on purpose is a `sync.errors.SyncError`, whose
`reason` is what a person is told.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from datetime import date
from typing import Protocol

from sync.errors import Reason
from sync.model import (
    AuditEntry,
    Connection,
    Decision,
    Event,
    InvoiceRecord,
    InvoiceState,
    Overview,
    Page,
    ParticipantId,
    StoredDocument,
    SyncRun,
)


class Account(Protocol):
    """A sevDesk account, as its own API names it."""

    @property
    def id(self) -> str:
        """sevDesk's id of it."""

    @property
    def name(self) -> str:
        """The company's name."""


class Service(Protocol):
    """Everything that people can see and do."""

    async def check_token(self, org: str, token: str) -> Account:
        """The account that the token belongs to. Raises `SyncError`; saves nothing."""

    async def connect(self, org: str, token: str, actor: str) -> Connection:
        """Check, save and start to sync."""

    async def connection(self, org: str) -> Connection | None:
        """The connection, or None."""

    async def former(self, org: str) -> Connection | None:
        """The connection, also after it was ended; None: there never was one, or it was erased."""

    async def configure(
        self,
        org: str,
        actor: str,
        *,
        ask_before_sending: bool,
        sender: ParticipantId | None,
        company: str,
    ) -> Connection:
        """Change how invoices are sent."""

    async def disconnect(self, org: str, actor: str) -> bool:
        """Stop and erase the token. False: there was none."""

    async def pause(self, org: str, reason: Reason) -> bool:
        """Begin nothing new; what is on its way is settled. False: it is so already."""

    async def resume(self, org: str, actor: str) -> bool:
        """Go on after a pause. False: there was none."""

    async def erase(self, org: str) -> None:
        """Erase everything, what `bot` keeps of the organisation included."""

    async def erase_later(self, org: str) -> None:
        """Write down that it is to be erased; it is then, whatever becomes of this process."""

    async def sync_now(self, org: str, actor: str) -> str | None:
        """Start a sync; its id, or None while one is under way."""

    async def run(self, org: str, run_id: str) -> SyncRun | None:
        """One sync with its current counts."""

    async def run_invoices(self, org: str, run_id: str, limit: int = 50) -> list[InvoiceRecord]:
        """The invoices of one sync."""

    async def overview(self, org: str) -> Overview:
        """Everything that status shows."""

    async def invoices(
        self, org: str, states: Collection[InvoiceState] | None, offset: int, limit: int
    ) -> Page:
        """A part of the list, newest first; None: all states."""

    async def attention(self, org: str, offset: int, limit: int) -> Page:
        """A part of what needs a person, whatever its state."""

    async def invoice(self, org: str, invoice_id: str) -> InvoiceRecord | None:
        """One invoice by sevDesk's id."""

    async def by_number(self, org: str, number: str) -> InvoiceRecord | None:
        """One invoice by its number."""

    async def retry(self, org: str, invoice_id: str, actor: str) -> Decision:
        """Fetch afresh and send: failed or blocked."""

    async def retry_all(self, org: str, actor: str) -> int:
        """As `retry`, for all that failed; how many."""

    async def send(self, org: str, invoice_id: str, actor: str) -> Decision:
        """Send what waited for a person."""

    async def send_all(self, org: str, actor: str, *, since: date | None = None) -> int:
        """Send all that waits, by invoice date; how many."""

    async def choose_receiver(
        self, org: str, invoice_id: str, participant: ParticipantId, actor: str
    ) -> Decision:
        """Remember the receiver for the contact, then as `retry`."""

    async def arrived(self, org: str, invoice_id: str, actor: str) -> Decision:
        """A person saw an unconfirmed one at its receiver."""

    async def send_again(self, org: str, invoice_id: str, actor: str) -> Decision:
        """A person takes the risk of a second copy."""

    async def dismiss(self, org: str, invoice_id: str, actor: str) -> Decision:
        """Do not send."""

    async def resolve_hold(self, org: str, actor: str, *, resend: bool) -> bool:
        """After most tags vanished: import again, or restore them. False: nothing was held."""

    async def lookup(self, participant: ParticipantId) -> str:
        """registered, not_registered, not_confirmed, no_document_type or down."""

    async def documents(self, org: str, invoice_id: str) -> list[StoredDocument]:
        """The XML as sevDesk gave it and as it was sent."""

    async def pdf(self, org: str, invoice_id: str) -> StoredDocument:
        """The invoice as sevDesk prints it."""

    def audit(self, org: str) -> AsyncIterator[AuditEntry]:
        """The audit list, oldest first."""

    async def note(self, org: str, entry: AuditEntry) -> None:
        """Add a line to the audit list."""

    async def events(self, org: str, after: str, limit: int = 500) -> list[Event]:
        """What happened after the event `after`; empty: from the start."""

    async def trim_events(self, org: str, up_to: str) -> None:
        """Forget events that were told."""

    async def waiting_events(self, org: str) -> int:
        """How many events were not told."""

    async def keep_events(self, org: str, newest: int) -> None:
        """Forget all but the newest, though they were not told."""

    def invoice_url(self, invoice_id: str) -> str:
        """The invoice in sevDesk's web app."""
