"""Faults of the Slack stand-in that a test or a person switches on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum


class FaultKind(StrEnum):
    """What goes wrong with a call."""

    RATE_LIMITED = "rate_limited"  # 429 with Retry-After
    SERVER_ERROR = "server_error"  # 500 with an HTML page
    DROP_BEFORE = "drop_before"  # connection dies, nothing was done
    DROP_AFTER = "drop_after"  # it was done, the answer is lost
    ERROR = "error"  # `ok: false` with `code`
    SLOW = "slow"  # answered after `seconds`
    HOLD = "hold"  # answered when the test releases it


@dataclass
class Fault:
    """One fault. `times` counts down; `None` stays until it is cleared."""

    kind: FaultKind
    times: int | None = 1
    retry_after: int = 1
    seconds: float = 0.0
    code: str = ""
    about: str = ""  # only calls whose body has this, in ASCII
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        """Let held calls go on."""
        self.released.set()


class Faults:
    """Faults by method name; `*` means every Web API method.

    Besides methods: `response_url` and `upload`.
    """

    def __init__(self) -> None:
        self._by_method: dict[str, list[Fault]] = {}
        self.one_message_a_second = False

    def add(
        self,
        method: str,
        kind: FaultKind | str,
        *,
        times: int | None = 1,
        retry_after: int = 1,
        seconds: float = 0.0,
        code: str = "",
        about: str = "",
    ) -> Fault:
        """Switch a fault on for the next `times` calls of `method`."""
        fault = Fault(FaultKind(kind), times, retry_after, seconds, code, about)
        self._by_method.setdefault(method, []).append(fault)
        return fault

    def clear(self, method: str | None = None) -> None:
        """Switch off the faults of one method, or all."""
        for name in [method] if method else list(self._by_method):
            for fault in self._by_method.pop(name, []):
                fault.release()

    def active(self, method: str) -> bool:
        """Whether a fault waits for a call of `method`."""
        return bool(self._by_method.get(method))

    def take(self, method: str, body: str = "") -> Fault | None:
        """The fault of this call, if any; counts it."""
        for name in (method, "*"):
            for fault in self._by_method.get(name, []):
                if fault.about in body:
                    self._count(name, fault)
                    return fault
        return None

    def _count(self, name: str, fault: Fault) -> None:
        if fault.times is None:
            return
        fault.times -= 1
        if fault.times <= 0:
            self._by_method[name].remove(fault)
