"""Care for the other side: a rate limit and a circuit breaker, shared by all workers.

Both are one script call on the store's clock, so the workers' clocks do not matter.

    SyncError
    └── PausedError     upstream.paused   nothing was sent; try again after `retry_after` seconds
"""

from __future__ import annotations

import asyncio
import math
from enum import IntEnum

from sync.errors import Kind, SyncError
from sync.store.redis import Clients
from sync.store.scripts import load

LONGEST_HOLD = 3600.0  # seconds; a longer Retry-After is asked for again
PROBE_SECONDS = 60.0  # a probe that was lost with its worker is repeated after this

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
    """

    def __init__(
        self,
        clients: Clients,
        key: str,
        *,
        per_second: float,
        burst: int = 1,
        longest_wait: float = 30.0,
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
        self._longest = math.ceil(longest_wait * 1_000_000)

    async def pace(self) -> None:
        """Wait for the next free place.

        Raises `PausedError` when it is further away than `longest_wait`, and `StoreError`.
        """
        wait = await self.take()
        if wait > 0:
            await asyncio.sleep(wait)

    async def take(self) -> float:
        """As `pace`, but returns the seconds to wait instead of waiting."""
        wait = await _PACE.run(
            self._clients.exact, self._key, self._interval, self._burst, self._longest
        )
        if wait < 0:
            raise PausedError("the next free place is too far away", retry_after=-wait / 1e6)
        return float(wait) / 1e6

    async def hold(self, seconds: float) -> None:
        """Let nobody pass for `seconds`, at most an hour: the other side said Retry-After."""
        held = math.ceil(min(max(seconds, 0.0), LONGEST_HOLD) * 1_000_000)
        await _HOLD.run(self._clients.exact, self._key, held, self._interval, self._burst)


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
        longest_pause: float = 300.0,
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
