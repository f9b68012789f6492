"""Care for sevDesk: one pace and one circuit breaker per account, shared by all workers.

Wraps the client's calls, so that neither the client nor its callers know of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import structlog

from sync.errors import Kind
from sync.ports import Sevdesk
from sync.sevdesk.errors import InvoiceXmlError, RateLimitedError, SevdeskError
from sync.store.keys import Keys
from sync.store.pace import Breaker, Change, Pacer
from sync.store.redis import Clients

log = structlog.get_logger(__name__)

BURST = 4  # requests that may go at once after a rest
RATE_LIMIT_PAUSE = 5.0  # seconds, after a 429 that names none


class Care:
    """The pace and the breaker of one organisation's account."""

    def __init__(self, clients: Clients, org: str, per_second: float) -> None:
        """`per_second`: requests to the account (XTOOL_SEVDESK_RPS)."""
        prefix = Keys(org).prefix
        self._org = org
        self._pacer = Pacer(clients, f"{prefix}pace", per_second=per_second, burst=BURST)
        self._breaker = Breaker(clients, f"{prefix}breaker")

    async def pace(self) -> None:
        """Before each request. Raises `PausedError`, `StoreError`."""
        await self._pacer.pace()

    async def hold(self, seconds: float) -> None:
        """Let nobody pass for a while: sevDesk said so. Raises `StoreError`."""
        await self._pacer.hold(seconds)

    async def call[T](self, request: Callable[..., Awaitable[T]], *args: Any) -> T:
        """One call of the client, unless the breaker is open. Raises `PausedError` then."""
        await self._breaker.check()
        try:
            result = await request(*args)
        except SevdeskError as error:
            await self._failed(error)
            raise
        await self._breaker.tell(ok=True)
        return result

    async def _failed(self, error: SevdeskError) -> None:
        if isinstance(error, RateLimitedError):
            await self.hold(error.retry_after or RATE_LIMIT_PAUSE)
            return
        # What is wrong with one invoice says nothing of the account, whatever its status.
        outage = error.kind is Kind.TRANSIENT and not isinstance(error, InvoiceXmlError)
        change = await self._breaker.tell(ok=not outage)
        if change is Change.OPENED:
            log.warning("sevdesk keeps failing, pausing", org=self._org, error=error.reason_code)


class CarefulSevdesk:
    """A sevDesk client whose every call goes through `Care`."""

    def __init__(self, client: Sevdesk, care: Care) -> None:
        """`client` waits for `care.pace` before each request by itself."""
        self._client = client
        self._care = care

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        """The call of that name, guarded."""
        request = getattr(self._client, name)

        async def guarded(*args: Any) -> Any:
            return await self._care.call(request, *args)

        return guarded


def careful(client: Sevdesk, care: Care) -> Sevdesk:
    """`client`, guarded by `care`."""
    return cast(Sevdesk, CarefulSevdesk(client, care))
