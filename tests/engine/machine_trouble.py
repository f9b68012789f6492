"""What goes wrong outside: sevDesk fails or refuses the token, the access point has its ways."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from pydantic import SecretStr

from sync.callbacks import Callbacks
from sync.errors import StoreError
from sync.model import ConnectionState
from sync.peppol.access_point import DeliveryState, Find
from sync.sevdesk.errors import RateLimitedError, UnavailableError, WriteUnconfirmedError
from sync.store.keys import Keys
from tests.engine.access_point import Behaviour, Provider, Taken
from tests.engine.machine_base import NTH, Base, one
from tests.engine.sevdesk import Fault
from tests.engine.world import ORG

CALLS = ["tag_relations", "invoices", "invoice", "xml", "contact", "add_tag", "*"]
CALLS += ["remove_tag_relation"]
ERRORS: dict[str, Callable[[], Exception]] = {
    "503": lambda: UnavailableError("503", status="503", message=""),
    "429": lambda: RateLimitedError("429"),
    "lost": lambda: WriteUnconfirmedError("timeout", status="", message=""),
}
SECRET = "secret of calls back"


class Trouble(Base):
    """Rules about sevDesk's and the access point's bad days."""

    @rule(
        call=st.sampled_from(CALLS),
        error=st.sampled_from(sorted(ERRORS)),
        after=st.booleans(),
        times=st.integers(1, 3),
        minutes=st.sampled_from([0, 6, 6]),
    )
    def sevdesk_fails(self, call: str, error: str, after: bool, times: int, minutes: int) -> None:
        fault = Fault(call, ERRORS[error], times, after)
        self.world.sevdesk.faults.append(fault)
        self._run(minutes)
        self.did("sevDesk fails", fault.times < times)

    @rule(nth=NTH, second=st.booleans())
    def a_list_misses_a_row(self, nth: int, second: bool) -> None:
        """Once: another person took a tag off while the first or the second list was read."""
        self.world.sevdesk.missed += [None, nth] if second else [nth]
        self.do(self.engine.poll())
        self.did("a list misses a row", not self.world.sevdesk.missed)
        self.world.sevdesk.missed.clear()

    @rule(minutes=st.integers(0, 90), restored=st.booleans())
    def revoke_the_token(self, minutes: int, restored: bool) -> None:
        self.world.sevdesk.token = "another"
        self._run(minutes)
        self.did("revoke token", self._state() is ConnectionState.BROKEN)
        if restored:
            self.restore_the_token(70)

    @precondition(lambda self: self.world.sevdesk.token != "good-token")
    @rule(minutes=st.sampled_from([0, 6, 70]))
    def restore_the_token(self, minutes: int) -> None:
        was = self._state()
        self.world.sevdesk.token = "good-token"
        self._run(minutes)
        self.did("restore token", was is not self._state())

    @rule(
        behaviour=st.sampled_from(list(Behaviour)),
        find=st.sampled_from(list(Find)),
        two_phase=st.booleans(),
        tells=st.booleans(),
        turns=st.sampled_from([1, 1, 10, 60]),
    )
    def next_submission(
        self, behaviour: Behaviour, find: Find, two_phase: bool, tells: bool, turns: int
    ) -> None:
        provider: Provider = self.world.provider
        provider.script.append(behaviour)
        provider.find, provider.two_phase = find, two_phase
        provider.tells, provider.turns = tells, turns
        self.did("another access point", True)

    @rule(status=st.integers(0, 2), find=st.integers(0, 2))
    def access_point_is_down(self, status: int, find: int) -> None:
        self.world.provider.status_down, self.world.provider.find_down = status, find
        self.did("access point is down", status or find)

    @rule(
        nth=NTH,
        becomes=st.sampled_from(["the same", "late", "failed", "delivered"]),
        times=st.integers(1, 3),
        work=st.booleans(),
    )
    def status_comes(self, nth: int, becomes: str, times: int, work: bool) -> None:
        """The access point calls, twice, late, about an old attempt, or says something else."""
        known = dict(self.stored.records)
        for provider_id, taken in one(nth, self.world.provider.taken.items()):
            self.contradicted |= _says(taken, becomes)
            self.do(self._called(taken.submission.number[3:], provider_id, times))
        if work:
            self.do(self.engine.work())
        self.look()
        self.did("duplicate and late status", known != self.stored.records)

    async def _called(self, invoice: str, provider_id: str, times: int) -> None:
        body = json.dumps({"document_id": provider_id}).encode()
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        self.ground.line.ask([("DEL", Keys(ORG).called(invoice))])  # its ten seconds are over
        webs = (self.engine, self.other, self.engine)[:times]
        calls = (Callbacks(web.ports, SecretStr(SECRET)).take(body, signature) for web in webs)
        with contextlib.suppress(StoreError):
            await asyncio.gather(*calls)


def _says(taken: Taken, becomes: str) -> set[str]:
    """What the access point says of a submission from now on; whose end is another now."""
    before = taken.end
    if becomes == "late":
        taken.said = 0  # "processing", although the end was told before
    elif becomes != "the same":
        taken.end = DeliveryState.FAILED if becomes == "failed" else DeliveryState.DELIVERED
    return set() if taken.end is before else {taken.submission.attempt_id}
