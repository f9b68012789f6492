"""Writing transitions: the record, its event and its audit line in one step, then the hints."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import structlog

from sync import delivery
from sync.errors import StaleRecordError, StoreError
from sync.model import (
    RESUMED,
    AuditEntry,
    Connection,
    Event,
    EventKind,
    InvoiceRecord,
    Pause,
)
from sync.ports import Ports
from sync.store.organisation import Organisation

log = structlog.get_logger(__name__)

TRIES = 20  # of a change of the connection against others
BY_ITSELF = "xTool"  # the actor of what nobody asked for


def event_of(before: InvoiceRecord | None, after: InvoiceRecord) -> Event | None:
    """What `bot` is told of a transition; nothing where no card would look different."""
    if before is not None and _shown(before) == _shown(after):
        return None
    return Event(
        kind=EventKind.INVOICE_CHANGED,
        at=after.state_since,
        invoice_id=after.invoice_id,
        run=after.run,
        before=before.state.value if before else "",
        after=after.state.value,
        actor=after.actor,
    )


def _shown(record: InvoiceRecord) -> tuple[object, ...]:
    code = record.reason.code if record.reason else ""
    status = record.attempt.provider_status if record.attempt else ""
    told = len(record.responses)
    trouble = delivery.tag_trouble(record)
    tag = trouble.code if trouble else ""
    return (record.state, record.overdue, record.generation, record.actor, code, status, told, tag)


def audit_of(
    before: InvoiceRecord | None, after: InvoiceRecord, action: str = ""
) -> AuditEntry | None:
    """The line of a transition in the audit list; nothing where the state stays."""
    if not action and before is not None and before.state is after.state:
        return None
    attempt = after.attempt
    return AuditEntry(
        at=after.state_since,
        actor=after.actor or BY_ITSELF,
        action=action or after.state.value,
        invoice_id=after.invoice_id,
        number=after.number,
        before=before.state.value if before else "",
        after=after.state.value,
        sha256=(attempt.sha256 if attempt else "") or after.source_sha256,
        provider_id=(attempt.provider_id if attempt else None) or "",
        detail=after.reason.code if after.reason else "",
    )


class Book:
    """The records of one organisation, for writing."""

    def __init__(self, ports: Ports, org: str) -> None:
        """Write for `org`."""
        self._ports = ports
        self.store: Organisation = ports.organisation(org)
        self.org = org

    async def write(
        self,
        before: InvoiceRecord | None,
        after: InvoiceRecord,
        *,
        action: str = "",
        durable: bool = False,
        under_way: timedelta | None = None,
    ) -> InvoiceRecord:
        """Write `after` over `before`. Raises `StaleRecordError`, `StoreError`.

        `under_way`: for so long the writer goes on with it, and nobody else takes it up.
        """
        event = event_of(before, after)
        written = await self.store.records.put(
            after,
            event=event,
            audit=audit_of(before, after, action),
            durable=durable,
            not_due_before=None if under_way is None else self._ports.now() + under_way,
        )
        if before is None or before.state is not after.state:
            log.info(
                "invoice",
                org=self.org,
                invoice=after.invoice_id,
                before=before.state.value if before else None,
                after=after.state.value,
                reason=after.reason.code if after.reason else None,
            )
        await self._hint(written, told=event is not None, due=under_way is None)
        return written

    async def write_connection(
        self,
        connection: Connection,
        *,
        token: str = "",
        action: str = "",
        actor: str = "",
        ended: Pause | None = None,
    ) -> Connection:
        """Write a connection that looks different to a person, and tell `bot`.

        `ended`: the pause that is over.
        """
        now = self._ports.now()
        state = connection.state.value
        event = Event(kind=EventKind.CONNECTION_CHANGED, at=now, after=state, actor=actor)
        if ended is not None:
            over = {"before": ended.since.isoformat(), "after": RESUMED}
            event = event.model_copy(update=over)
        audit = AuditEntry(
            at=now,
            actor=actor or BY_ITSELF,
            action=action or f"connection {state}",
            detail=connection.account_name,
        )
        written = await self.store.put_connection(connection, token=token, event=event, audit=audit)
        paused = connection.pause is not None
        log.info("connection", org=self.org, state=state, account=connection.account, paused=paused)
        await self.hint_notify()
        return written

    async def change_connection(
        self,
        change: Callable[[Connection], Connection | None],
        *,
        told: Callable[[Connection, Connection], bool] = lambda _before, _after: True,
        action: str = "",
        actor: str = "",
    ) -> Connection | None:
        """Change the connection as it is now, whoever else changes it at the same time.

        `change` gives the next one, or None to leave it; None comes back then. `told`: whether
        a person sees a difference.
        """
        for _ in range(TRIES):
            before = await self.store.connection()
            after = change(before) if before is not None else None
            if before is None or after is None:
                return None
            try:
                if told(before, after):
                    ended = before.pause if after.pause is None else None
                    return await self.write_connection(
                        after, action=action, actor=actor, ended=ended
                    )
                return await self.store.put_connection(after)
            except StaleRecordError:
                await asyncio.sleep(0)
        raise StaleRecordError("the connection keeps changing")

    async def hint_notify(self) -> None:
        """Tell `bot` that there are events; the sweep does if this fails."""
        try:
            await self._ports.jobs.hint_notify(self.org)
        except StoreError:
            log.info("hint lost", org=self.org, hint="notify")

    async def _hint(self, record: InvoiceRecord, *, told: bool, due: bool) -> None:
        at = delivery.wake_at(record) if due else None
        try:
            if at is not None:
                await self._ports.jobs.hint_delivery(self.org, at)
        except StoreError:
            log.info("hint lost", org=self.org, hint="delivery")
        if told:
            await self.hint_notify()
