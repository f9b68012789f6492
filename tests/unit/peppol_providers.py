"""The access points as a table: how each is made, what it listens as, and where they differ."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from sync.model import DocumentType
from sync.peppol import doctypes
from sync.peppol.access_point import AccessPoint
from sync.peppol.einvoice_be import EInvoiceBe
from sync.peppol.phoss_ap import PhossAp
from sync.peppol.recommand import Recommand
from sync.peppol.registry import Account, access_point
from sync.peppol.wire import Answer, NoAnswerError
from tests.sandbox.access_points import (
    EInvoiceBeStandIn,
    PhossApStandIn,
    RecommandStandIn,
    StandIn,
)
from tests.unit.peppol_support import CANARY, RECEIVER, REFUSED_PORT, SENDER, cii, http, ubl

COMPANY = "c_sandbox"
SECRET = f"{CANARY}-either"
SECONDS = 20.0
"""For one submission, and for one question: no test waits for it."""

NOWHERE = f"http://127.0.0.1:{REFUSED_PORT}"
TYPES = frozenset(one.id for one in doctypes.SENDABLE)


def said(status: int, body: bytes | dict[str, Any] | None = b"", **headers: str) -> Answer:
    """An answer; a `body` of None was too long to be kept."""
    content = json.dumps(body).encode() if isinstance(body, dict) else body
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status, httpx.Headers(named), content)


class Scripted:
    """A wire that gives prepared answers, the last one again and again."""

    submit_seconds = SECONDS

    def __init__(self, *script: Answer | NoAnswerError) -> None:
        self.script = list(script)
        self.transfers = 0
        self.seconds: float | None = None  # of the last transfer

    def _next(self) -> Answer:
        one = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(one, NoAnswerError):
            raise one
        return one

    async def ask(self, *args: Any, **kwargs: Any) -> Answer:
        return self._next()

    async def transfer(self, *args: Any, **kwargs: Any) -> Answer:
        self.transfers += 1
        self.seconds = kwargs.get("seconds")
        return self._next()


@dataclass(frozen=True)
class Provider:
    """One kind of access point."""

    name: str  # as the settings name it
    stand_in: Callable[[], StandIn]
    over: Callable[[Any], AccessPoint]  # the adapter over a wire
    before: tuple[str, ...]  # ends of the paths that it asks for before it hands a document over
    ready: tuple[Answer, ...]  # answers to these that let it go on
    carries: tuple[DocumentType, bytes]  # a document that it carries as it is


PROVIDERS = (
    Provider(
        name="recommand",
        stand_in=lambda: RecommandStandIn(key=CANARY, secret=SECRET, senders=(str(SENDER),)),
        over=lambda wire: Recommand(wire, COMPANY),
        before=("identifiers",),
        ready=(said(404),),
        carries=(doctypes.XR_UBL_INVOICE, ubl()),
    ),
    Provider(
        name="e-invoice-be",
        stand_in=lambda: EInvoiceBeStandIn(key=CANARY),
        over=EInvoiceBe,
        before=("ubl", "validate"),
        ready=(said(201, {"id": "doc_1"}), said(200, {"is_valid": True})),
        carries=(doctypes.BIS_INVOICE, ubl()),
    ),
    Provider(
        name="phoss-ap",
        stand_in=lambda: PhossApStandIn(token=CANARY),
        over=PhossAp,
        before=(),
        ready=(),
        carries=(doctypes.XR_CII, cii()),
    ),
)


def by_name(provider: Provider) -> str:
    """How a test's case is called."""
    return provider.name


@asynccontextmanager
async def running[S: StandIn](stand_in: S) -> AsyncIterator[S]:
    """The stand-in while it listens; the receiver takes every type."""
    stand_in.register(str(RECEIVER), *TYPES)
    stand_in.slow_seconds = 0.05
    await stand_in.start()
    try:
        yield stand_in
    finally:
        await stand_in.stop()


@asynccontextmanager
async def connected(name: str, url: str, key: str = CANARY) -> AsyncIterator[AccessPoint]:
    """The adapter as the application makes it."""
    async with http() as client:
        yield access_point(client, account(name, url, key))


def account(name: str, url: str, key: str = CANARY) -> Account:
    """What a stand-in of `PROVIDERS` lets in."""
    return Account(name, url, key, SECRET, COMPANY, submit_seconds=SECONDS, ask_seconds=SECONDS)
