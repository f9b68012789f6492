"""One poll of one organisation: who polls, how it ends, and what is noted of it.

Records are read *before* the lists, so that whatever changed meanwhile is seen by its version:
a transition decided on an older record is refused, and the next poll looks again (`sync.reading`).
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import structlog

from sync.book import Book
from sync.errors import Kind, Reason, StaleRecordError, StoreError, SyncError
from sync.model import (
    Connection,
    ConnectionState,
    Event,
    EventKind,
    InvoiceState,
    SyncRun,
)
from sync.ports import Ports
from sync.sevdesk.errors import ForbiddenError
from sync.source import PROBE, NotConnectedError, Source, is_refusal, is_same
from sync.store.organisation import Lease
from sync.syncing import Round, Stopped

log = structlog.get_logger(__name__)

LEASE_SECONDS = 30.0
PATIENCE = timedelta(seconds=20)  # of a person's sync while another one runs
TRIAL = timedelta(minutes=2)  # for what was refused to be tried again before it counts as healed
OUTAGE = 2  # polls that failed one after another, after which a person is told

BUSY = Reason(code="sync.busy", kind=Kind.TRANSIENT)
# It said itself how long it is not to be asked; that sevDesk answers again changes nothing.
BUSY_ACCESS_POINT = "peppol.access_point.busy"
INTERRUPTED = Reason(code="sync.interrupted", kind=Kind.TRANSIENT)


class PausedError(SyncError):
    """The organisation is paused (`sync.pausing`)."""

    code = "connection.paused"
    kind = Kind.PRECONDITION


class Poller:
    """Polls one organisation."""

    def __init__(self, ports: Ports, org: str) -> None:
        """Work for `org`."""
        self._ports = ports
        self._book = Book(ports, org)
        self._store = self._book.store
        self._source = Source(ports, self._book)
        self.org = org

    async def poll(self, run_id: str, trigger: str = "poll") -> SyncRun | None:
        """Sync once; `trigger` is `poll`, or who asked and gets an answer in any case.

        None if there is nothing to sync or somebody is at it. Raises `StoreError`; every other
        trouble is in the run and in the connection.
        """
        run = SyncRun(id=run_id, org=self.org, trigger=trigger, started_at=self._ports.now())
        wait = PATIENCE if _by_person(run) else timedelta(0)
        why_not = await self._why_not(run)
        if why_not is not None:
            return await self._refuse(run, why_not)
        async with self._store.lease(LEASE_SECONDS, wait) as lease:
            if _by_person(run):
                await self._store.sync_begins()
            if lease is None:
                return await self._refuse(run, BUSY)
            async with _Renewed(lease) as renewed:
                return await self._run(run, renewed)

    async def _why_not(self, run: SyncRun) -> Reason | None:
        """Why nothing is synced now, as whoever asked for it is told."""
        connection = await self._store.connection()
        if connection is None or connection.state is ConnectionState.DISCONNECTED:
            return NotConnectedError("not connected").reason
        if connection.pause is not None:
            return PausedError("paused").reason
        due = connection.next_sync is None or self._ports.now() >= connection.next_sync
        waits = connection.state is ConnectionState.BROKEN and not due and not _by_person(run)
        return BUSY if waits else None

    async def _refuse(self, run: SyncRun, reason: Reason) -> SyncRun | None:
        """Whoever asked for a sync that cannot be learns why."""
        if not _by_person(run) or await self._store.connection() is None:
            return None
        return await self._end(run, reason)

    async def _run(self, run: SyncRun, lease: _Renewed) -> SyncRun | None:
        connection = await self._store.connection()
        if connection is None:
            return None
        run, begun = await self._after_interrupted(run, connection)
        work = Round(self._ports, self._book, run, lambda: not lease.lost, kept=begun)
        error: SyncError | None = None
        try:
            await work.sync(connection)
        except Stopped:
            log.info("poll ends early", org=self.org, run=run.id)
            return work.run
        except StoreError:
            raise
        except SyncError as caught:
            log.warning("poll failed", org=self.org, error=caught.reason_code, detail=str(caught))
            await self._source.connection_trouble(caught, connection)
            error = caught
        except Exception:  # a mistake of ours must not end in silence either
            log.exception("poll failed unexpectedly", org=self.org, run=run.id)
            error = SyncError("see the log", kind=Kind.TRANSIENT)
        await self._note(connection, error)
        if did_something(work.run) or begun:
            return await self._end(work.run, error.reason if error else None)
        if work.kept:
            await self._store.drop_run(run.id)
        return work.run

    async def _end(self, run: SyncRun, reason: Reason | None) -> SyncRun:
        """Store the run as finished and tell `bot`."""
        now = self._ports.now()
        ended = run.model_copy(update={"finished_at": now, "error": reason})
        event = Event(kind=EventKind.SYNC_FINISHED, at=now, run=run.id, actor=run.trigger)
        await self._store.put_run(ended, event)
        await self._book.hint_notify()
        return ended

    async def _after_interrupted(self, run: SyncRun, now: Connection) -> tuple[SyncRun, bool]:
        """Look after a sync whose process died: the sync that goes on, and whether it is that one.

        Where nobody waits for either, this poll is the rest of that sync and shares its message:
        a first sync that is killed five times is told in one. Else it is told with what it did.
        """
        open_id = await self._store.open_run()
        if open_id in ("", run.id):
            return run, False
        died = await self._store.run(open_id)
        if died is None or died.finished_at is not None:
            await self._store.drop_run(open_id)
            return run, False
        imported = max(died.imported, await self._store.run_size(open_id))
        died = died.model_copy(update={"imported": imported})
        if not (_by_person(died) or _by_person(run)) and died.started_at >= now.connected_at:
            return died, True
        await self._end(died, INTERRUPTED if _by_person(died) else None)
        return run, False

    async def _note(self, before: Connection, error: SyncError | None) -> None:
        """Write into the connection when it was synced and when it will be.

        A token that works again heals the connection (see `_healed`). An outage is told once
        when it lasts for a second poll, and once more when it is over; what waited for the end of
        it goes on now, however far apart its tries have become. Of a connection that was made
        meanwhile this poll knows nothing: its own first sync is still to come.
        """
        was_broken = is_broken(before)

        def change(connection: Connection) -> Connection | None:
            if not is_same(connection, before):
                return None
            return self._noted(connection, error, was_broken=was_broken)

        await self._book.change_connection(change, told=looks_different)
        if error is None and (was_broken or before.failures):
            await wake_postponed(self._ports, self._book, but_not=BUSY_ACCESS_POINT)

    def _noted(
        self, connection: Connection, error: SyncError | None, *, was_broken: bool
    ) -> Connection | None:
        if connection.state is ConnectionState.DISCONNECTED:
            return None
        now = self._ports.now()
        refused = is_refusal(error) or (is_broken(connection) and not was_broken)
        changes: dict[str, object] = {
            "next_sync": now + (PROBE if refused else self._ports.poll),
            "last_error": error.reason if error else None,
            "failures": connection.failures + 1 if error else 0,
        }
        if error is None:
            changes["last_sync"] = now
        if error is None and was_broken and is_broken(connection):
            changes |= _healed(connection, now)
        elif is_broken(connection):
            changes["trial"] = False
        return connection.model_copy(update=changes)


def _healed(connection: Connection, now: datetime) -> dict[str, object]:
    """What changes when sevDesk answers a poll again after it had refused the token.

    A token that may read and not write (403 on some calls) answers polls while it is refused
    elsewhere. So what waited is tried first, without a word: only if nothing was refused until
    the poll after `TRIAL` does the connection count as healed.
    """
    proven = connection.trial or connection.reason is None
    if not proven and connection.reason and connection.reason.code == ForbiddenError.code:
        return {"trial": True, "next_sync": now + TRIAL}
    return {"state": ConnectionState.ACTIVE, "reason": None, "trial": False}


def looks_different(before: Connection, after: Connection) -> bool:
    """Whether a person sees a difference: another state, trouble that lasts, or its end."""
    if before.state is not after.state:
        return True
    if is_broken(before):
        return False  # told when the state changed
    begins = before.failures < OUTAGE <= after.failures
    return begins or (before.failures >= OUTAGE and after.failures == 0)


def is_broken(connection: Connection) -> bool:
    """Whether the token is refused."""
    return connection.state is ConnectionState.BROKEN


def did_something(run: SyncRun) -> bool:
    """Whether a run is kept and told: it changed something, or a person asked for it."""
    changed = run.to_import or run.imported or run.reexported
    return bool(changed) or _by_person(run)


def _by_person(run: SyncRun) -> bool:
    return run.trigger != "poll"


async def wake_postponed(ports: Ports, book: Book, *, but_not: str = "") -> None:
    """Let everything that waited for the connection go on now; `but_not`: a reason's code."""
    now, records = ports.now(), book.store.records
    goes_on = await records.ids_in((InvoiceState.IMPORTED, InvoiceState.READY))
    # A tag that is to be written is scheduled, whatever the state.
    async for record in records.each(sorted({*goes_on, *await records.scheduled()})):
        changes: dict[str, object] = {}
        if record.tag_retry_at is not None:
            changes["tag_retry_at"] = now
        waits_for = record.reason.code if record.reason else None
        if record.state in (InvoiceState.IMPORTED, InvoiceState.READY) and waits_for != but_not:
            changes["next_at"] = now
        if not changes:
            continue
        try:
            await book.write(record, record.model_copy(update=changes))
        except StaleRecordError:
            continue  # it goes on already


class _Renewed:
    """Renew a lease as long as the block runs; `lost` when it is somebody else's."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._task: asyncio.Task[None] | None = None
        self.lost = False

    async def __aenter__(self) -> _Renewed:
        self._task = asyncio.create_task(self._renew())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _renew(self) -> None:
        while not self.lost:
            await asyncio.sleep(LEASE_SECONDS / 3)
            try:
                self.lost = not await self._lease.renew()
            except StoreError:
                log.info("lease not renewed")
