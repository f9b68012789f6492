"""Points of a run at which a process kills or pauses itself.

A point is armed from outside the production code: methods of its classes are wrapped. SIGKILL and
SIGSTOP come from the process itself, so they hit exactly between two steps.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bot.installations import ManyWorkspaces
from bot.slack import SlackClients
from bot.store import BotStore
from sync.jobs import DocketJobs
from sync.peppol.einvoice_be import EInvoiceBe
from sync.peppol.phoss_ap import PhossAp
from sync.peppol.recommand import Recommand
from sync.peppol.wire import Wire, _Outgoing
from sync.sevdesk.client import SevdeskClient
from sync.store.organisation import Organisation
from sync.store.records import Records
from sync.submitting import Guard, Saver

SPRUNG = "trap sprung"  # the log's last word before a kill
SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


@dataclass(slots=True)
class Trap:
    """Send oneself a signal `when` (before or after) the `nth` time that `point` is passed.

    `every` counts passes of the whole process, so a trap springs at most once.
    """

    action: str
    when: str
    point: str
    nth: int = 1
    seen: int = 0

    @classmethod
    def parse(cls, text: str) -> Trap:
        """`kill:after:put:sent:2`, the number may be left out."""
        action, when, point = text.split(":", 2)
        head, _, last = point.rpartition(":")
        if head and last.isdigit():
            return cls(action, when, head, int(last))
        return cls(action, when, point)

    def passed(self, when: str, point: str) -> None:
        """A point was reached."""
        if (when, point) != (self.when, self.point):
            return
        self.seen += 1
        if self.seen == self.nth:
            os.write(1, json.dumps({"event": SPRUNG, "point": f"{when}:{point}"}).encode() + b"\n")
            os.kill(os.getpid(), SIGNALS[self.action])


def _named(name: str) -> Callable[..., str]:
    return lambda *_args, **_kwargs: name


def _put(_self: Any, record: Any, **_kwargs: Any) -> str:
    return f"put:{record.state.value}"


def _slack(_self: Any, _token: str, method: str, **_arguments: Any) -> str:
    return f"slack:{method}"


# Where to wrap: class, method, and the point's name by the call's arguments.
WRAPPED: tuple[tuple[type, str, Callable[..., str]], ...] = (
    (SevdeskClient, "tag_relations", _named("relations")),
    (SevdeskClient, "invoices", _named("list")),
    (SevdeskClient, "xml", _named("xml")),
    (SevdeskClient, "add_tag", _named("add_tag")),
    (SevdeskClient, "remove_tag_relation", _named("remove_tag")),
    (Organisation, "put_document", _named("put_document")),
    (Organisation, "put_run", _named("put_run")),
    (Organisation, "events", _named("read_events")),
    (Organisation, "trim_events", _named("trim_events")),
    (Organisation, "erase_later", _named("erase_later")),
    (Organisation, "_unlink_all", _named("unlink")),
    (ManyWorkspaces, "remove", _named("remove_installation")),
    (BotStore, "erase", _named("bot_erase")),
    (Records, "put", _put),
    (Wire, "transfer", _named("transfer")),
    (Saver, "__call__", _named("save")),
    (SlackClients, "call", _slack),
    (DocketJobs, "hint_delivery", _named("hint")),
    *((one, "submit", _named("submit")) for one in (Recommand, EInvoiceBe, PhossAp)),
    *((one, "find", _named("find")) for one in (Recommand, EInvoiceBe, PhossAp)),
    *((one, "status", _named("status")) for one in (Recommand, EInvoiceBe, PhossAp)),
)


def arm(trap: Trap) -> None:
    """Wrap everything for `trap`; the process is this trap's until it ends."""
    for owner, name, point_of in WRAPPED:
        _wrap(owner, name, point_of, trap)
    _wrap_guard(trap)
    _wrap_bytes(trap)


def _wrap(owner: type, name: str, point_of: Callable[..., str], trap: Trap) -> None:
    original = getattr(owner, name)

    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        point = point_of(*args, **kwargs)
        trap.passed("before", point)
        try:
            return await original(*args, **kwargs)
        finally:
            trap.passed("after", point)  # also of a call that fails

    setattr(owner, name, wrapped)


def _wrap_guard(trap: Trap) -> None:
    """`guard`: the last check before the bytes leave; after it, nothing is asked any more."""
    original = Guard.__call__

    def wrapped(self: Guard) -> None:
        trap.passed("before", "guard")
        original(self)
        trap.passed("after", "guard")

    Guard.__call__ = wrapped  # type: ignore[method-assign]


def _wrap_bytes(trap: Trap) -> None:
    """`bytes`: the body was given to the socket, no answer was read."""
    original = _Outgoing.chunks

    async def wrapped(self: _Outgoing) -> Any:
        async for chunk in original(self):
            yield chunk
            trap.passed("after", "bytes")

    _Outgoing.chunks = wrapped  # type: ignore[method-assign]
