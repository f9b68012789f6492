"""The one time by which anything about a record is decided: the store's.

The hosts' own clocks may differ by minutes. If deadlines were written by one and read by another,
an attempt could be settled while its request is still under way. So every process asks the store
for its `TIME` and counts on from there by a clock that nobody sets (`steady`). On a cluster it is
always the node of one fixed key that is asked.

Nobody knows the store's time exactly: it was somewhere between the question and the answer. A
`StoreClock` keeps both bounds. It *reads as the lower one*, so that no deadline is ever taken for
passed too early; whoever writes a deadline adds `doubt`, the distance to the upper one.

The store's clock may itself be set, and after a failover another host's clock tells the time. Then
the new answer contradicts what was known. What was written by the old time is still about, so for
`hold` seconds both times are believed: the clock reads as the earlier and doubts up to the later.
`hold` must be longer than an attempt may be under way.

What is left: a process that was *started* after the store's clock was put forward knows nothing
of the time before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from sync.errors import StoreError
from sync.store.redis import Clients
from sync.store.scripts import CLOCK

log = structlog.get_logger(__name__)

KEY: Final = "xt:{clock}"  # holds nothing: it chooses the node of a cluster
EVERY_SECONDS: Final = 3.0  # between two questions
PATIENCE_SECONDS: Final = 3.0  # a later answer would say little
DRIFT: Final = 0.001  # a clock that is being set right gradually runs up to 500 ppm wrong; two do
STRANGE_SECONDS: Final = 1.0  # a contradiction worth a line in the log

_STEADY: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady() -> float:
    """Seconds by a clock that is never set and goes on while the machine sleeps.

    `time.monotonic` stands still in a suspended Linux, and what was begun before would look fresh.
    """
    return time.clock_gettime(_STEADY)


@dataclass(frozen=True, slots=True)
class Anchor:
    """When the steady clock showed `at`, the store's showed `low` to `high` (unix seconds)."""

    at: float
    low: float
    high: float

    def moved(self, at: float) -> Anchor:
        """The same knowledge at another time: less exact, as clocks drift."""
        by = at - self.at
        return Anchor(at, self.low + by * (1 - DRIFT), self.high + by * (1 + DRIFT))


def anchored(told: float, asked: float, answered: float) -> Anchor:
    """What an answer says: `told` was right at some time between `asked` and `answered`."""
    return Anchor(answered, told, told + (answered - asked))


@dataclass(frozen=True, slots=True)
class _Era:
    """Answers that agree with each other."""

    anchor: Anchor
    confirmed: float  # by the steady clock: when the last of them came


class StoreClock:
    """The store's time in this process. Calling it gives a time that is never ahead of it."""

    def __init__(self, hold: float, steady: Callable[[], float] = steady) -> None:
        """It knows nothing yet. `hold`: for how many seconds a time that was is still believed."""
        self._hold = hold
        self._steady = steady
        self._eras: tuple[_Era, ...] = ()

    def __call__(self) -> datetime:
        """The time: at most the store's. Raises `StoreError` before the first anchor."""
        return datetime.fromtimestamp(self._bounds()[0], UTC)

    def doubt(self) -> timedelta:
        """By how much it may be behind the store's time. Raises `StoreError` as well."""
        low, high = self._bounds()
        return timedelta(seconds=high - low)

    def anchor(self, found: Anchor) -> None:
        """Learn from an answer: agreeing ones narrow the bounds, others stand side by side."""
        now = self._steady()
        eras = [e for e in self._eras if now - e.confirmed <= self._hold]
        for number, era in enumerate(eras):
            both = _both(era.anchor.moved(found.at), found)
            if both is not None:
                eras[number] = _Era(both, now)
                break
        else:
            eras.append(_Era(found, now))
        self._eras = tuple(eras)

    def _bounds(self) -> tuple[float, float]:
        if not self._eras:
            raise StoreError("the store's time is not known yet")
        now = self._steady()
        anchors = [era.anchor.moved(now) for era in self._eras]
        return min(a.low for a in anchors), max(a.high for a in anchors)


def _both(one: Anchor, other: Anchor) -> Anchor | None:
    """What two answers say together, of one moment; None if they contradict each other."""
    low, high = max(one.low, other.low), min(one.high, other.high)
    return replace(one, low=low, high=high) if low <= high else None


async def ask(clients: Clients, steady: Callable[[], float] = steady) -> Anchor:
    """Ask the store for its time, once. Raises `StoreError`."""
    asked = steady()
    seconds, microseconds = await CLOCK.run(clients.exact, KEY)
    return anchored(int(seconds) + int(microseconds) / 1e6, asked, steady())


@asynccontextmanager
async def open_clock(clients: Clients, attempt: timedelta) -> AsyncIterator[StoreClock]:
    """The store's clock, which is asked for again and again inside the block.

    `attempt`: for how long one may be under way. While the store is away the clock goes on from
    the last answer. Raises `StoreError` if there is no first one: without the time nothing may be
    decided.
    """
    clock = StoreClock(hold_for(attempt))
    clock.anchor(await ask(clients))
    keeping = asyncio.create_task(_keep(clock, clients))
    try:
        yield clock
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


def hold_for(attempt: timedelta) -> float:
    """For how many seconds a former time is believed.

    Another process may learn some seconds later that the clock was set, and begin attempts by the
    former time until then; and each of us may have heard of that time last some seconds before.
    """
    return 2 * attempt.total_seconds() + 4 * (EVERY_SECONDS + PATIENCE_SECONDS)


async def _keep(clock: StoreClock, clients: Clients) -> None:
    strange = False
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                clock.anchor(await ask(clients))
        except (StoreError, TimeoutError):
            continue  # `sync.watch` tells of an outage
        except Exception:
            log.exception("the store's time could not be read")
            continue
        apart = clock.doubt().total_seconds()
        if apart > STRANGE_SECONDS and not strange:
            log.warning("the store's clock was set, or another host's tells", seconds=apart)
        strange = apart > STRANGE_SECONDS
