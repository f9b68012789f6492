"""Calls back from the access point: what each of them makes due, and how many are listened to.

Nothing in a call is believed (`sync.peppol.webhooks`): it makes xTool ask for the status of an
invoice that it knows, a little earlier than it would have. So a lost call costs nothing, and a
forged one costs one question at most. Whoever calls learns nothing, not even whether the
document is known.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import structlog
from pydantic import SecretStr

from sync import listening
from sync.book import Book
from sync.errors import StaleRecordError
from sync.peppol.access_point import Webhook
from sync.peppol.webhooks import documents_in, signed_by
from sync.ports import Ports
from sync.store.keys import Keys
from sync.store.organisation import organisations
from sync.store.pace import Pacer, PausedError

log = structlog.get_logger(__name__)

PER_SECOND: Final = 5.0  # calls without a signature that are looked into, over all processes
BURST: Final = 20
SAME_SECONDS: Final = 10  # an invoice is not made due again sooner than after this
BUDGET: Final = "xt:{callbacks}:pace"


class Verdict(StrEnum):
    """What the caller is told."""

    TAKEN = "taken"  # whatever came of it
    REFUSED = "refused"  # the signature is wrong
    NOT_OFFERED = "not offered"  # this access point does not call, or no secret is set


class Callbacks:
    """Takes the calls of the one access point. Safe to use from many tasks at once."""

    def __init__(self, ports: Ports, secret: SecretStr | None) -> None:
        """`secret`: PEPPOL_WEBHOOK_SECRET, for an access point that signs."""
        self._ports = ports
        self._secret = secret.get_secret_value() if secret else ""
        self._budget = Pacer(
            ports.clients, BUDGET, per_second=PER_SECOND, burst=BURST, longest_wait=0.0
        )

    async def take(self, body: bytes, signature: str) -> Verdict:
        """Listen to one call. Raises `StoreError`."""
        kind = self._ports.access_point.capabilities.webhook
        signs = kind is Webhook.SIGNED
        if kind is Webhook.NONE or (signs and not self._secret):
            return Verdict.NOT_OFFERED
        if signs and not signed_by(self._secret, body, signature):
            return Verdict.REFUSED
        if not signs and not await self._affordable():
            return Verdict.TAKEN  # the usual status polls find out as well, only later
        for provider_id in documents_in(body):
            await self._called(provider_id)
        return Verdict.TAKEN

    async def _affordable(self) -> bool:
        """Whether a call that anybody can make is within what is spent on such calls."""
        try:
            await self._budget.take()
        except PausedError:
            return False
        return True

    async def _called(self, provider_id: str) -> None:
        for org, invoice_id in await self._known_as(provider_id):
            book = Book(self._ports, org)
            record = await book.store.records.get(invoice_id)
            if record is None or not listening.listens(record):
                continue
            if not await self._first(org, invoice_id):
                continue
            try:
                await book.write(record, listening.called_back(record, self._ports.now()))
            except StaleRecordError:
                continue  # somebody is at it just now
            log.info("access point called", org=org, invoice=invoice_id)

    async def _known_as(self, provider_id: str) -> list[tuple[str, str]]:
        """Organisation and invoice; at most one, as the access point's ids are its own."""
        redis: Any = self._ports.clients.redis
        orgs = sorted(await organisations(self._ports.clients))
        pipe = redis.pipeline(transaction=False)
        for org in orgs:
            pipe.hget(Keys(org).providers, provider_id)
        found = await pipe.execute() if orgs else []
        return [(org, str(i)) for org, i in zip(orgs, found, strict=True) if i is not None]

    async def _first(self, org: str, invoice_id: str) -> bool:
        """Whether the invoice was not made due by a call a moment ago."""
        redis: Any = self._ports.clients.exact
        key = Keys(org).called(invoice_id)
        return bool(await redis.set(key, "1", nx=True, ex=SAME_SECONDS))
