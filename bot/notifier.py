"""Tells people what happened: consumes the events of `sync`, at least once.

A pass reads what happened since the last one and brings each card that is concerned up to date
once, so a first import of 1,000 invoices edits one message every few seconds. The place in the
list of events is stored after the cards, so a process that dies tells again; cards are rendered
from the records and only sent when they changed, so telling again shows nothing twice.

A card that Slack does not take for now keeps no other from being shown: the pass goes on after it,
only the place in the list stays where it is until that card, or something in its place, was shown
(`bot.posting`).

One process at a time tells an organisation's events: it holds a lease, and looks again for new
events after giving it back, so nothing that arrives in between waits for the next call.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import structlog

from bot.announce import TAGS_STAY, Announcer
from bot.cards import Cards
from bot.hearing import Hearing
from bot.metrics import EVENTS_TOLD
from bot.prefs import Notify, Prefs
from bot.service import Service
from bot.slack import CardRefusedError, SlackError, SlackUnavailableError, TokenGoneError
from bot.store import BotStore, Lease
from sync.errors import SyncError
from sync.model import RESUMED, Event, EventKind

log = structlog.get_logger(__name__)

NOTIFIER = "notifier"  # the lease of whoever tells an organisation's events
LEASE_SECONDS = 60.0
BATCH = 500
AT_ONCE = 16  # organisations that one process tells; a worker runs 48 jobs
FIRST_PAUSE = 1.0  # seconds between the passes of one organisation; grows while they follow on
LONGEST_PAUSE = 5.0
CALM_SECONDS = 15.0  # after this long without a pass the next one is at once
SLACK_TRIES = 6  # passes while Slack is away; then the next call goes on
REFUSALS = 3  # cards that Slack did not take, after which it is in trouble itself
SOON = 10.0  # seconds; a card that waits for longer is left to the next call
KEPT = 1_000  # events of an organisation whose token is revoked; more become a summary


@dataclass(slots=True)
class Pace:
    """When an organisation was told last, and how long the next pass waits."""

    last: float = float("-inf")
    pause: float = FIRST_PAUSE

    def wait(self, now: float) -> float:
        """Seconds until the next pass."""
        if now - self.last > CALM_SECONDS:
            self.pause = FIRST_PAUSE
            return 0.0
        return max(0.0, self.last + self.pause - now)

    def passed(self, now: float) -> None:
        """A pass is done; the next one of a busy organisation waits a little longer."""
        if now - self.last <= CALM_SECONDS:
            self.pause = min(self.pause * 1.5, LONGEST_PAUSE)
        self.last = now


@dataclass(slots=True)
class Concerned:
    """The cards that a batch of events concerns."""

    runs: set[str] = field(default_factory=set)
    invoices: dict[str, str] = field(default_factory=dict)  # id -> newest state
    connection: list[Event] = field(default_factory=list)
    outages: list[Event] = field(default_factory=list)

    @classmethod
    def of(cls, events: Iterable[Event]) -> Concerned:
        """Gather them, each once."""
        found = cls()
        for event in events:
            if event.run:
                found.runs.add(event.run)
            if event.kind is EventKind.INVOICE_CHANGED and event.invoice_id:
                found.invoices[event.invoice_id] = event.after
            if event.kind is EventKind.CONNECTION_CHANGED:
                found.connection.append(event)
            if event.kind is EventKind.STORE_OUTAGE:
                found.outages.append(event)
        return found


@dataclass(slots=True)
class Reading:
    """How far the events were read: further than they are told for good where a card waits."""

    place: str
    left: CardRefusedError | None = None
    again_at: float = float("inf")  # when they are read again from the stored place

    def went_on(self, to: str, left: CardRefusedError | None, now: float) -> None:
        """They were read up to `to`; `left`: what Slack did not take of it."""
        self.place = to
        if left is not None:
            self.left = left
            self.again_at = min(self.again_at, now + left.retry_after)


class Notifier:
    """Consumes events; `notify` is what `sync` calls after it wrote some."""

    def __init__(
        self,
        service: Service,
        store: BotStore,
        cards: Cards,
        announcer: Announcer,
        hearing: Hearing,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        self._service = service
        self._store = store
        self._cards = cards
        self._announcer = announcer
        self._hearing = hearing
        self._monotonic = monotonic
        self._ending = asyncio.Event()
        self._sleep = sleep or self._pause
        self._paces: dict[str, Pace] = {}
        self._telling: set[str] = set()

    async def notify(self, org: str) -> None:
        """Tell what happened since the last time; safe to call often and from several hosts.

        Returns at once where this process tells the organisation's events already, or those of
        `AT_ONCE` others: whoever is called again and again while Slack is slow must not take the
        place of all other jobs. Raises `SyncError` or `SlackError` where the store or Slack stays
        away. Nothing is lost, the next call goes on.
        """
        if org in self._telling or len(self._telling) >= AT_ONCE:
            return
        self._telling.add(org)
        try:
            await self._notify(org)
        finally:
            self._telling.discard(org)

    def end(self) -> None:
        """The process is to end: pauses are over, and what is not told yet is left to others."""
        self._ending.set()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)

    async def _notify(self, org: str) -> None:
        waited = 0.0
        while not self._ending.is_set() and await self._backlog(org):
            async with self._store.lease(org, NOTIFIER, LEASE_SECONDS) as lease:
                if lease is not None:
                    if not await self._drain(org, lease):
                        return
                    continue
            # Somebody else tells. If that process dies, its lease ends and it is our turn.
            if waited > LEASE_SECONDS + 5:
                return
            await self._sleep(1.0)
            waited += 1.0

    async def _backlog(self, org: str) -> bool:
        cursor = await self._store.cursor(org)
        if await self._service.events(org, cursor, 1):
            return True
        if cursor:  # a process may have died after telling and before forgetting
            await self._service.trim_events(org, cursor)
        return False

    async def _drain(self, org: str, lease: Lease) -> bool:
        """Pass after pass until nothing is left; False: stopped with something left.

        Raises `SlackUnavailableError` where Slack stays away, or does not take a card for now.
        """
        failures = 0
        reading = Reading(await self._store.cursor(org))
        while await self._may_go_on(org):
            if reading.again_at <= self._monotonic():
                reading = Reading(await self._store.cursor(org))
            events = await self._service.events(org, reading.place, BATCH)
            if not events and reading.left is None:
                return True
            if not await lease.extend():
                return False
            try:
                await self._read(org, reading, events)
            except TokenGoneError:
                return False
            except SlackUnavailableError as error:
                failures += 1
                await self._wait(error, failures)
                reading = Reading(await self._store.cursor(org))
        return False

    async def _read(self, org: str, reading: Reading, events: list[Event]) -> None:
        if not events and reading.left is not None:
            raise reading.left  # all else is told
        reading.went_on(events[-1].id, await self._tell(org, events), self._monotonic())
        if reading.left is None:
            await self._told(org, events)

    async def _wait(self, error: SlackUnavailableError, failures: int) -> None:
        """A while. Raises `error` where that is not worth while any more: the next call goes on."""
        waits = isinstance(error, CardRefusedError) and error.retry_after > SOON
        if waits or failures >= SLACK_TRIES:
            raise error
        await self._sleep(min(max(error.retry_after, 0.5 * 2**failures), 30.0))

    async def _told(self, org: str, events: list[Event]) -> None:
        """Everything up to the last of them was told for good."""
        await self._store.save_cursor(org, events[-1].id)
        await self._service.trim_events(org, events[-1].id)
        EVENTS_TOLD.inc(len(events))

    async def _may_go_on(self, org: str) -> bool:
        """When it is time for a pass; False: the process is to end."""
        wait = self._pace(org).wait(self._monotonic())
        if wait:
            await self._sleep(wait)
        return not self._ending.is_set()

    def _pace(self, org: str) -> Pace:
        return self._paces.setdefault(org, Pace())

    async def _tell(self, org: str, events: list[Event]) -> CardRefusedError | None:
        """One pass; what Slack did not take for now, if something. Raises `TokenGoneError`."""
        if await self._store.is_silent(org):
            await self._bound(org)
            raise TokenGoneError("events", "silent")
        try:
            left = await self._catch_up(org)
            left = await self._show(org, Concerned.of(events)) or left
        except TokenGoneError as error:
            await self._hearing.refused(org, error.code)
            raise
        self._pace(org).passed(self._monotonic())
        return left

    async def _bound(self, org: str) -> None:
        """While nobody can be told, keep the newest events and remember that there were more.

        Cards show records, and those stay: a summary of them says what a person has to know, and
        hundreds of messages about syncs of last week would hide it.
        """
        if await self._service.waiting_events(org) <= KEPT:
            return
        oldest = await self._service.events(org, "", 1)
        if oldest:
            await self._store.miss(org, oldest[0].at)
        await self._service.keep_events(org, KEPT)

    async def _catch_up(self, org: str) -> CardRefusedError | None:
        """Once the token works again: the summary first."""
        since = await self._store.missed(org)
        if since is None:
            return None
        prefs = await self._store.prefs(org)
        left = await self._guarded(org, self._announcer.missed(org, prefs, since))
        if left is None:
            await self._store.caught_up(org)
        return left

    async def _show(self, org: str, concerned: Concerned) -> CardRefusedError | None:
        """Every card that is concerned, one after another; the first that is to be tried again.

        Raises `CardRefusedError` where Slack takes nothing.
        """
        prefs = await self._store.prefs(org)
        left: list[CardRefusedError] = []
        async for card in self._cards_of(org, concerned, prefs):
            refused = await self._guarded(org, card)
            if refused is None:
                continue
            left.append(refused)
            if sum(one.asked for one in left) >= REFUSALS:
                # Soon again: by then these wait, and make room for those behind them.
                raise CardRefusedError(refused.method, refused.code, 0.0, asked=True)
        if prefs.notify is Notify.DAILY:
            await self._store.count_day(org, concerned.invoices)
        return min(left, key=lambda one: one.retry_after, default=None)

    async def _cards_of(
        self, org: str, concerned: Concerned, prefs: Prefs
    ) -> AsyncIterator[Awaitable[None]]:
        """In the order in which they are shown."""
        for card in self._about_connection(org, concerned.connection, prefs):
            yield card
        for outage in concerned.outages:
            yield self._announcer.outage(org, prefs, outage)
        for run in sorted(concerned.runs):
            yield self._cards.put_run(org, run, prefs)
        places: set[str] = set()
        for invoice_id in concerned.invoices:
            record = await self._service.invoice(org, invoice_id)
            if record is None:
                continue
            place = await self._cards.place(org, record)
            if record.run and record.run not in concerned.runs:
                concerned.runs.add(record.run)
                yield self._cards.put_run(org, record.run, prefs)
            if place:
                places.add(place)
        for place in sorted(places):
            yield self._cards.put_place(org, place, prefs)

    def _about_connection(
        self, org: str, events: list[Event], prefs: Prefs
    ) -> Iterator[Awaitable[None]]:
        if any(event.after == TAGS_STAY for event in events):
            yield self._announcer.tags_stay(org, prefs)
        for event in events:
            if event.after == RESUMED:
                yield self._announcer.resumed(org, prefs, event)
        if events:
            yield self._announcer.connection(org, prefs, events)

    async def _guarded(self, org: str, work: Awaitable[None]) -> CardRefusedError | None:
        """One card that Slack does not take must not stop the others; it, if it waits."""
        try:
            await work
        except CardRefusedError as error:
            return error
        except (SlackUnavailableError, TokenGoneError, SyncError):
            raise
        except SlackError as error:
            log.warning("a card could not be shown", org=org, code=error.code)
        except Exception:  # a mistake in one card must not silence an organisation
            log.exception("a card could not be made", org=org)
        return None

    # ---- by the clock -----------------------------------------------------------------------

    async def tick(self, org: str, now: datetime | None = None) -> None:
        """Called every minute or so: what is due by time, and what an outage left untold."""
        await self._hearing.look(org)
        prefs = await self._store.prefs(org)
        if prefs.notify is Notify.DAILY and not await self._store.is_silent(org):
            day = due_day(prefs, now or datetime.now(UTC))
            if day:
                await self._guarded(org, self._announcer.daily(org, prefs, day))
        await self.notify(org)


def due_day(prefs: Prefs, now: datetime) -> str:
    """The local day whose summary may be told at `now`, as an ISO date; empty before its time."""
    local = now.astimezone(ZoneInfo(prefs.timezone))
    return local.date().isoformat() if local.strftime("%H:%M") >= prefs.daily_at else ""
