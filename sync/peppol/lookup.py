"""Whether a receiver can be reached, and with what: three answers that never get mixed up.

- `NotRegistered`: the network's own directory says no. A person must act.
- `Registered`, with the document types that it can be sent now. One that is not among them "is
  not taken": another type is tried, then a person must act.
- `LookupDown`: nobody could be asked. It is tried again.

Modes (PRODUCT.md, `PEPPOL_LOOKUP`): `sml` and `sml-test` ask DNS and SMP, `access-point` asks
the provider, `auto` asks DNS and SMP, and the provider while DNS cannot be asked.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final
from weakref import WeakValueDictionary

from sync.model import ParticipantId
from sync.peppol import participants
from sync.peppol.access_point import (
    AccessPoint,
    Lookup,
    LookupDown,
    NotRegistered,
    Registered,
)
from sync.peppol.doctypes import SENDABLE
from sync.peppol.errors import because
from sync.peppol.naptr import DnsDownError, Locator, NaptrError
from sync.peppol.smp import NotThereError, Smp, SmpDownError

FRESH_SECONDS: Final = 900.0
"""How long a yes is believed (the network's own caches: 15 minutes)."""

NO_SECONDS: Final = 120.0
"""How long a no is believed: short, a customer may be registering right now."""

DNS_REST_SECONDS: Final = 60.0
"""How long DNS is left alone after it could not be asked, in `auto`."""

CACHED: Final = 10_000


class Network:
    """The Peppol network's own directory: SML in the DNS, and SMPs."""

    def __init__(self, locator: Locator, smp: Smp) -> None:
        """One zone of the network."""
        self._locator = locator
        self._smp = smp

    async def lookup(self, participant: ParticipantId) -> Lookup:
        """Ask the SML for the SMP, and the SMP for the document types.

        Of those that xTool sends, one counts only if it is served in its process, over AS4,
        today; that takes a question for each.
        """
        base = await self._base(participant)
        if not isinstance(base, str):
            return base
        try:
            listed = await self._smp.document_types(base, participant)
            return Registered(listed - await self._not_served(base, participant, listed))
        except NotThereError:
            return _not_registered(participant)
        except SmpDownError as error:
            return _down(participant, str(error))

    async def _not_served(
        self, base: str, participant: ParticipantId, listed: frozenset[str]
    ) -> set[str]:
        ours = [one for one in SENDABLE if one.id in listed]
        answers = await asyncio.gather(
            *(self._smp.serves(base, participant, document_type) for document_type in ours),
            return_exceptions=True,  # so that none is left running when another fails
        )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return {one.id for one, served in zip(ours, answers, strict=True) if not served}

    async def _base(self, participant: ParticipantId) -> str | NotRegistered | LookupDown:
        try:
            base = await self._locator.smp(participant)
        except DnsDownError as error:
            return _down(participant, str(error), dns=True)
        except NaptrError as error:
            return _down(participant, str(error))
        return _not_registered(participant) if base is None else base


class Lookups:
    """Looks receivers up, and remembers the answers. One for the process."""

    def __init__(
        self,
        network: Network | None,
        access_point: AccessPoint | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Both are given in `auto`; the network alone for `sml`, the access point else."""
        self._network = network
        own = access_point is not None and access_point.capabilities.own_lookup
        self._access_point = access_point if own else None
        self._clock = clock
        self._dns_rests_until = float("-inf")
        self._known: OrderedDict[str, tuple[float, Lookup]] = OrderedDict()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def lookup(self, participant: ParticipantId) -> Lookup:
        """Whether the participant is on the network and what it takes."""
        key = participants.key(participant)
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:  # many invoices of one receiver ask once
            if known := self._recall(key):
                return known
            answer = await self._ask(participant)
            self._remember(key, answer)
            return answer

    def forget(self, participant: ParticipantId) -> None:
        """Ask again next time: a person says that something changed."""
        self._known.pop(participants.key(participant), None)

    async def _ask(self, participant: ParticipantId) -> Lookup:
        answer: Lookup | None = None
        if self._network is not None and not self._dns_rests:
            answer = await self._network.lookup(participant)
            if not _dns_is_down(answer):
                return answer
        if self._access_point is not None:
            self._let_dns_rest(answer)
            return await self._access_point.lookup(participant)
        return answer or _down(participant, "no way to look receivers up is set up")

    @property
    def _dns_rests(self) -> bool:
        return self._access_point is not None and self._clock() < self._dns_rests_until

    def _let_dns_rest(self, answer: Lookup | None) -> None:
        if answer is not None:
            self._dns_rests_until = self._clock() + DNS_REST_SECONDS

    def _recall(self, key: str) -> Lookup | None:
        until, answer = self._known.get(key, (float("-inf"), None))
        if answer is None or self._clock() >= until:
            return None
        self._known.move_to_end(key)
        return answer

    def _remember(self, key: str, answer: Lookup) -> None:
        if isinstance(answer, LookupDown):
            return
        seconds = FRESH_SECONDS if isinstance(answer, Registered) else NO_SECONDS
        self._known[key] = (self._clock() + seconds, answer)
        self._known.move_to_end(key)
        while len(self._known) > CACHED:
            self._known.popitem(last=False)


def _dns_is_down(answer: Lookup) -> bool:
    return isinstance(answer, LookupDown) and answer.dns


def _not_registered(participant: ParticipantId) -> NotRegistered:
    return NotRegistered(because("peppol.lookup.not_registered", participant=str(participant)))


def _down(participant: ParticipantId, detail: str, *, dns: bool = False) -> LookupDown:
    reason = because("peppol.lookup.down", participant=str(participant), detail=detail)
    return LookupDown(reason, dns=dns)
