"""What people do in Slack: buttons, settings, connecting."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable

from hypothesis import strategies as st
from hypothesis.stateful import rule

from sync import delivery
from sync.errors import StoreError
from sync.model import InvoiceRecord, InvoiceState, Outcome
from tests.engine.machine_base import NTH, Base, invoices, one
from tests.engine.world import ME, ORG

S = InvoiceState


class People(Base):
    """Rules about clicks and wishes."""

    @rule(
        invoice=invoices,
        wish=st.sampled_from(["retry", "retry", "send", "arrived", "send_again", "dismiss"]),
        clicks=st.integers(1, 3),
    )
    def click(self, invoice: str, wish: str, clicks: int) -> None:
        self._click(invoice, wish, clicks)

    @rule(nth=NTH, clicks=st.integers(1, 3))
    def click_a_button(self, nth: int, clicks: int) -> None:
        """One that is shown: most invoices have none."""
        shown = [(i, wish) for i, found in self.stored.records.items() for wish in _shown(found)]
        for invoice, wish in one(nth, shown):
            self._click(invoice, wish, clicks)

    def _click(self, invoice: str, wish: str, clicks: int) -> None:
        async def all_of_them() -> list[Outcome]:
            webs = (self.engine, self.other, self.engine)[:clicks]
            decisions = await asyncio.gather(
                *(getattr(web.service, wish)(ORG, invoice, ME) for web in webs)
            )
            return [d.outcome for d in decisions]

        outcomes = self.do(all_of_them())
        assert outcomes.count(Outcome.STARTED) <= 1, "one transition for all clicks"
        # Only these can send a second copy of what was accepted.
        if Outcome.STARTED in outcomes and wish in ("retry", "send_again"):
            self.asked_for(invoice)
        if Outcome.STARTED in outcomes and wish == "arrived":
            self.arrived.add(invoice)
        self.did(f"click {wish}", Outcome.STARTED in outcomes)

    @rule(resend=st.booleans())
    def resolve_hold(self, resend: bool) -> None:
        held = self.do(self.engine.service.connection(ORG))
        invoices = held.held_invoices if held else ()
        if resend:
            self.wanted_again(*invoices)
        self.do(self._quietly(self.engine.service.resolve_hold(ORG, ME, resend=resend)))
        self.did("answer about lost tags", invoices)

    async def _quietly(self, work: Awaitable[object]) -> None:
        """A person would be told that the store is away, and try again."""
        with contextlib.suppress(StoreError):
            await work

    @rule(ask=st.booleans())
    def configure(self, ask: bool) -> None:
        self._configure(ask=ask)
        self.did("ask before sending", ask)

    @rule(minutes=st.integers(0, 6))
    def disconnect_for_a_while(self, minutes: int) -> None:
        self.do(self.engine.service.disconnect(ORG, ME))
        self._run(minutes)
        self._connect()
        self.did("disconnect and connect", True)

    def _connect(self) -> None:
        self.world.sevdesk.faults.clear()
        self.world.sevdesk.token = "good-token"
        self.hints.refused = 0
        self.do(self.engine.service.connect(ORG, "good-token", ME))


def _shown(found: InvoiceRecord) -> list[str]:
    """The buttons on the card of an invoice."""
    if found.state in delivery.RETRYABLE:
        return ["retry", "retry", "dismiss"]
    if found.state is S.WAITING:
        return ["send", "send", "dismiss"]
    unsure = found.state is S.UNCONFIRMED or (found.state is S.SUBMITTED and found.overdue)
    return ["arrived", "send_again"] if unsure else []
