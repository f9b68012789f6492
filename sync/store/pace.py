"""Care for the other side: a rate limit and a circuit breaker, shared by all workers.

Both are one script call on the store's clock, so the workers' clocks do not matter.

    SyncError
    └── PausedError     upstream.paused   nothing was sent; try again after `retry_after` seconds
"""

from __future__ import annotations

import asyncio
import math
from enum import IntEnum
from typing import Any

from sync.errors import Kind, SyncError
from sync.store.redis import Clients
from sync.store.scripts import load

LONGEST_HOLD = 3600.0  # seconds; a longer Retry-After is asked for again
PROBE_SECONDS = 60.0  # a probe that was lost with its worker is repeated after this

SLOWER = 1.5  # times wider is the space between two requests after a refusal
SLOWEST = 5.0  # seconds between two requests; never wider
STALE = 1.0  # seconds; refusals sooner after one another are of the same old pace
QUIET_SECONDS = 60.0  # without a refusal, and
QUIET_REQUESTS = 40  # without a refusal: then a twentieth of the full pace more
REMEMBERED = 7 * 24 * 3600  # seconds without a request after which the full pace is tried again

_PACE = load("pace")
_HOLD = load("hold")
_ASK = load("breaker_ask")
_TELL = load("breaker_tell")


class PausedError(SyncError):
    """An account is not asked for a while; the request did not leave."""

    code = "upstream.paused"
    kind = Kind.TRANSIENT


class Pacer:
    """Spaces requests to one account evenly, over all workers, in the order of asking.

    `pace` is awaited before each request; a place that is taken is used up even if the caller
    gives up meanwhile.

    The pace is what the other side bears: each refusal (`hold`) makes it slower by `SLOWER`, and
    takes the burst away. It becomes faster again by a twentieth of the full pace whenever there
    was none for both `QUIET_SECONDS` and `QUIET_REQUESTS`. The second of them bounds what is
    wasted on trying: an account that is polled now and then is not tried by each poll.
    """

    def __init__(
        self,
        clients: Clients,
        key: str,
        *,
        per_second: float,
        burst: int = 1,
        longest_wait: float = 30.0,
        quiet_seconds: float = QUIET_SECONDS,
        quiet_requests: int = QUIET_REQUESTS,
    ) -> None:
        """`burst`: requests that may go at once after a rest; `longest_wait` in seconds.

        `key` names the account and holds its organisation's hash tag.
        """
        if per_second <= 0 or burst < 1:
            raise ValueError("a pace is positive, and a burst at least one request")
        self._clients = clients
        self._key = key
        self._interval = math.ceil(1_000_000 / per_second)  # microseconds
        self._burst = burst
        self._longest = _microseconds(longest_wait)
        self._quiet = (_microseconds(quiet_seconds), quiet_requests)

    async def pace(self) -> None:
        """Wait for the next free place.

        Raises `PausedError` when it is further away than `longest_wait`, and `StoreError`.
        """
        wait, epoch = await self._take()
        while wait > 0:
            await asyncio.sleep(wait)
            # Others may have been refused meanwhile, which makes this place void.
            if epoch == await self._epoch():
                return
            wait, epoch = await self._take()

    async def take(self) -> float:
        """As `pace`, but returns the seconds to wait instead of waiting."""
        wait, _ = await self._take()
        return wait

    async def _take(self) -> tuple[float, int]:
        wait, epoch = await _PACE.run(
            self._clients.exact,
            self._key,
            self._interval,
            self._burst,
            self._longest,
            *self._quiet,
            REMEMBERED * 1000,
        )
        if wait < 0:
            raise PausedError("the next free place is too far away", retry_after=-wait / 1e6)
        return float(wait) / 1e6, int(epoch)

    async def _epoch(self) -> int:
        redis: Any = self._clients.redis
        return int(await redis.hget(self._key, "e") or 0)

    async def hold(self, seconds: float) -> None:
        """Too many requests, the other side said: nobody passes for `seconds`, at most an hour.

        From then on the pace is slower. Refusals in the same second, or while it holds, were
        still asked at the old pace, and count as one.
        """
        await _HOLD.run(
            self._clients.exact,
            self._key,
            _microseconds(min(max(seconds, 0.0), LONGEST_HOLD)),
            self._interval,
            _microseconds(SLOWEST),
            str(SLOWER),
            _microseconds(STALE),
            REMEMBERED * 1000,
        )

    async def per_second(self) -> float:
        """The pace in force, as it was for the last request."""
        redis: Any = self._clients.redis
        kept = float(await redis.hget(self._key, "i") or 0)
        return 1e6 / max(kept, self._interval)


def _microseconds(seconds: float) -> int:
    return math.ceil(seconds * 1_000_000)


class Change(IntEnum):
    """What the outcome of a request did to a breaker; each is told to one caller only."""

    NONE = 0
    OPENED = 1
    CLOSED = 2


class Breaker:
    """Stops asking an account that failed several times in a row, and probes it now and then."""

    def __init__(
        self,
        clients: Clients,
        key: str,
        *,
        failures: int = 5,
        first_pause: float = 15.0,
        longest_pause: float = 60.0,
    ) -> None:
        """Open after `failures` transient errors in a row; the pause doubles with each more.

        Pauses are in seconds. `key` names the account and holds its organisation's hash tag.
        """
        self._clients = clients
        self._key = key
        self._failures = failures
        self._first = math.ceil(first_pause * 1000)
        self._longest = math.ceil(longest_pause * 1000)

    async def check(self) -> None:
        """Return if a request may go; raise `PausedError` if not, and `StoreError`.

        When a pause is over, one caller passes and the others wait for what it tells.
        """
        wait = await _ASK.run(
            self._clients.exact, self._key, self._failures, math.ceil(PROBE_SECONDS * 1000)
        )
        if wait > 0:
            raise PausedError("the account kept failing", retry_after=wait / 1000)

    async def tell(self, *, ok: bool) -> Change:
        """Report the outcome: `ok` is any answer that is not transient, a refusal included."""
        outcome = "ok" if ok else "failed"
        changed = await _TELL.run(
            self._clients.exact, self._key, outcome, self._failures, self._first, self._longest
        )
        return Change(changed)
