"""A small hand-written stand-in for `sync`: records in memory, decisions as the real one makes."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Collection
from datetime import UTC, date, datetime
from typing import Any

from sync import delivery
from sync.errors import Reason, SyncError
from sync.model import (
    RESUMED,
    AuditEntry,
    Connection,
    ConnectionState,
    Decision,
    Event,
    EventKind,
    InvoiceRecord,
    InvoiceState,
    Outcome,
    Overview,
    Page,
    ParticipantId,
    Pause,
    StoredDocument,
    SyncRun,
)
from sync.sevdesk.errors import UnauthorizedError
from sync.sevdesk.models import Account

S = InvoiceState
TOKEN = "0123456789abcdef0123456789abcdef"


def now() -> datetime:
    return datetime.now(UTC)


class FakeService:
    """One organisation's sevDesk, without sevDesk. `fail_check` is raised by the next checks."""

    def __init__(self) -> None:
        self.records: dict[str, InvoiceRecord] = {}
        self.runs: dict[str, SyncRun] = {}
        self.now_connected: Connection | None = None
        self.told: list[Event] = []
        self.trimmed = ""
        self.entries: list[AuditEntry] = []
        self.fail_check: SyncError | None = None
        self.erased: list[str] = []
        self.tokens: list[str] = []
        self.configured: dict[str, Any] = {}
        self.chosen: list[ParticipantId] = []
        self.said_of: dict[str, str] = {}
        self.to_erase: list[str] = []
        self.written = 0  # events
        self.attempts = 0
        self.on_sync: Callable[[str], None] = self.finish_sync
        self.syncing = False
        self.resolved: list[bool] = []
        self.broken: Exception | None = None
        self.clock: Callable[[], datetime] = now

    # ---- what tests do ------------------------------------------------------------------

    def add(self, record: InvoiceRecord) -> InvoiceRecord:
        """Keep a record and write its event."""
        before = self.records.get(record.invoice_id)
        self.records[record.invoice_id] = record
        self.event(
            EventKind.INVOICE_CHANGED,
            invoice_id=record.invoice_id,
            run=record.run,
            before=before.state.value if before else "",
            after=record.state.value,
            actor=record.actor,
        )
        return record

    def event(self, kind: EventKind, **fields: str) -> None:
        """Write an event."""
        self.written += 1
        self.told.append(Event(id=f"{self.written:08d}-0", kind=kind, at=now(), **fields))

    def add_run(self, run: SyncRun) -> None:
        """Keep a run and write its event."""
        self.runs[run.id] = run
        kind = EventKind.SYNC_FINISHED if run.finished_at else EventKind.SYNC_STARTED
        self.event(kind, run=run.id)

    def finish_sync(self, run_id: str) -> None:
        """A sync that finds nothing new."""
        run = self.runs[run_id]
        self.runs[run_id] = run.model_copy(update={"finished_at": now(), "seen": 5})

    # ---- connection -----------------------------------------------------------------------

    async def check_token(self, org: str, token: str) -> Account:
        if self.broken:
            raise self.broken
        if self.fail_check:
            raise self.fail_check
        if token != TOKEN:
            raise UnauthorizedError("401")
        return Account(id="1", name="Nordwind & Söhne GmbH")

    async def connect(self, org: str, token: str, actor: str) -> Connection:
        account = await self.check_token(org, token)
        self.tokens.append(token)
        before, self.now_connected = (
            self.now_connected,
            Connection(
                org=org,
                account=account.id,
                account_name=account.name,
                connected_by=actor,
                connected_at=now(),
            ),
        )
        if before is not None and before.account == account.id:
            kept = {"sender": before.sender, "company": before.company}
            self.now_connected = self.now_connected.model_copy(update=kept)
        return self.now_connected

    async def connection(self, org: str) -> Connection | None:
        if self.broken:
            raise self.broken
        found = self.now_connected
        return None if found is None or found.state is ConnectionState.DISCONNECTED else found

    async def former(self, org: str) -> Connection | None:
        return self.now_connected

    async def configure(self, org: str, actor: str, **changes: Any) -> Connection:
        assert self.now_connected is not None
        self.configured = changes
        self.now_connected = self.now_connected.model_copy(update=changes)
        return self.now_connected

    async def disconnect(self, org: str, actor: str) -> bool:
        if self.now_connected is None:
            return False
        changes = {"state": ConnectionState.DISCONNECTED}
        self.now_connected = self.now_connected.model_copy(update=changes)
        self.event(EventKind.CONNECTION_CHANGED, after="disconnected", actor=actor)
        return True

    async def pause(self, org: str, reason: Reason) -> bool:
        found = await self.connection(org)
        if found is None or found.pause is not None:
            return False
        pause = Pause(since=self.clock(), reason=reason)
        self.now_connected = found.model_copy(update={"pause": pause})
        self.event(EventKind.CONNECTION_CHANGED, after=found.state.value)
        return True

    async def resume(self, org: str, actor: str) -> bool:
        found = await self.connection(org)
        if found is None or found.pause is None:
            return False
        self.now_connected = found.model_copy(update={"pause": None})
        since = found.pause.since.isoformat()
        self.event(EventKind.CONNECTION_CHANGED, before=since, after=RESUMED, actor=actor)
        return True

    async def erase_later(self, org: str) -> None:
        self.to_erase.append(org)

    async def erase(self, org: str) -> None:
        self.erased.append(org)
        self.now_connected = None
        self.records.clear()

    # ---- reading --------------------------------------------------------------------------

    async def sync_now(self, org: str, actor: str) -> str | None:
        if self.syncing:
            return None
        run_id = uuid.uuid4().hex
        self.runs[run_id] = SyncRun(id=run_id, org=org, trigger=actor, started_at=now())
        self.on_sync(run_id)
        return run_id

    async def run(self, org: str, run_id: str) -> SyncRun | None:
        run = self.runs.get(run_id)
        if run is None:
            return None
        counts: dict[str, int] = {}
        for record in self.records.values():
            if record.run == run_id:
                counts[record.state.value] = counts.get(record.state.value, 0) + 1
        return run.model_copy(update={"counts": counts})

    async def run_invoices(self, org: str, run_id: str, limit: int = 50) -> list[InvoiceRecord]:
        return [r for r in self.records.values() if r.run == run_id][:limit]

    async def overview(self, org: str) -> Overview:
        counts: dict[str, int] = {}
        for record in self.records.values():
            counts[record.state.value] = counts.get(record.state.value, 0) + 1
        needs = await self.attention(org, 0, 10)
        return Overview(
            connection=self.now_connected,
            counts=counts,
            needs_person=needs.items,
            needs_total=needs.total,
        )

    async def attention(self, org: str, offset: int, limit: int) -> Page:
        waiting = {S.FAILED, S.BLOCKED, S.WAITING}
        found = [
            r
            for r in self.records.values()
            if r.state in waiting or delivery.noticed_at(r) is not None
        ]
        items = tuple(found[offset : offset + limit])
        return Page(items=items, total=len(found), offset=offset)

    async def invoices(
        self, org: str, states: Collection[InvoiceState] | None, offset: int, limit: int
    ) -> Page:
        found = [r for r in self.records.values() if states is None or r.state in states]
        items = tuple(found[offset : offset + limit])
        return Page(items=items, total=len(found), offset=offset)

    async def invoice(self, org: str, invoice_id: str) -> InvoiceRecord | None:
        return self.records.get(invoice_id)

    async def by_number(self, org: str, number: str) -> InvoiceRecord | None:
        wanted = number.casefold()
        return next((r for r in self.records.values() if r.number.casefold() == wanted), None)

    async def lookup(self, participant: ParticipantId) -> str:
        return self.said_of.get(str(participant), "registered")

    async def documents(self, org: str, invoice_id: str) -> list[StoredDocument]:
        return [StoredDocument(kind="original", filename="a.xml", sha256="0", content=b"<a/>")]

    async def pdf(self, org: str, invoice_id: str) -> StoredDocument:
        return StoredDocument(kind="pdf", filename="a.pdf", sha256="1", content=b"%PDF-1.7")

    async def audit(self, org: str) -> AsyncIterator[AuditEntry]:
        for entry in self.entries:
            yield entry

    async def note(self, org: str, entry: AuditEntry) -> None:
        self.entries.append(entry)

    async def events(self, org: str, after: str, limit: int = 500) -> list[Event]:
        return [e for e in self.told if e.id > after][:limit]

    async def trim_events(self, org: str, up_to: str) -> None:
        self.trimmed = up_to

    async def waiting_events(self, org: str) -> int:
        return len(self.told)

    async def keep_events(self, org: str, newest: int) -> None:
        del self.told[:-newest]

    def invoice_url(self, invoice_id: str) -> str:
        return f"https://my.sevdesk.de/fi/edit/type/RE/id/{invoice_id}"

    # ---- decisions ------------------------------------------------------------------------

    def _decide(
        self,
        invoice_id: str,
        states: Collection[InvoiceState],
        change: Callable[[InvoiceRecord], InvoiceRecord],
    ) -> Decision:
        record = self.records.get(invoice_id)
        if record is None:
            return Decision(outcome=Outcome.NOT_FOUND)
        if record.state not in states:
            outcome = Outcome.ALREADY if record.actor else Outcome.NOT_POSSIBLE
            return Decision(outcome=outcome, record=record)
        self.attempts += 1
        return Decision(outcome=Outcome.STARTED, record=self.add(change(record)))

    async def retry(self, org: str, invoice_id: str, actor: str) -> Decision:
        return self._decide(
            invoice_id, {S.FAILED, S.BLOCKED}, lambda r: delivery.retried(r, actor, now())
        )

    async def retry_all(self, org: str, actor: str) -> int:
        decisions = [await self.retry(org, i, actor) for i in list(self.records)]
        return sum(d.outcome is Outcome.STARTED for d in decisions)

    async def send(self, org: str, invoice_id: str, actor: str) -> Decision:
        return self._decide(invoice_id, {S.WAITING}, lambda r: delivery.released(r, actor, now()))

    async def send_all(self, org: str, actor: str, *, since: date | None = None) -> int:
        wanted = [
            r.invoice_id
            for r in self.records.values()
            if since is None or (r.invoice_date and r.invoice_date >= since)
        ]
        decisions = [await self.send(org, i, actor) for i in wanted]
        return sum(d.outcome is Outcome.STARTED for d in decisions)

    async def choose_receiver(
        self, org: str, invoice_id: str, participant: ParticipantId, actor: str
    ) -> Decision:
        self.chosen.append(participant)
        return await self.retry(org, invoice_id, actor)

    async def arrived(self, org: str, invoice_id: str, actor: str) -> Decision:
        return self._decide(
            invoice_id, {S.UNCONFIRMED}, lambda r: delivery.arrived(r, actor, now())
        )

    async def send_again(self, org: str, invoice_id: str, actor: str) -> Decision:
        return self._decide(
            invoice_id, {S.UNCONFIRMED}, lambda r: delivery.sent_again(r, actor, now())
        )

    async def dismiss(self, org: str, invoice_id: str, actor: str) -> Decision:
        reason = Reason(code="withdrawn.dismissed")
        return self._decide(
            invoice_id,
            {S.FAILED, S.BLOCKED, S.WAITING},
            lambda r: delivery.withdrawn(r, reason, now(), actor),
        )

    async def resolve_hold(self, org: str, actor: str, *, resend: bool) -> bool:
        if self.now_connected is None or self.now_connected.state is not ConnectionState.HELD:
            return False
        self.resolved.append(resend)
        changes = {"state": ConnectionState.ACTIVE, "held_invoices": ()}
        self.now_connected = self.now_connected.model_copy(update=changes)
        return True
