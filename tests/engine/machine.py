"""Anything in any order: a machine that drives the real engine, and what must always hold.

Time, sevDesk, the access point and the jobs are stand-ins; the store is real. After each step the
store is consistent, each change was told in its order, nothing was accepted more often than people
asked for, and nothing went wrong that the engine has no name for. At the end the world calms down,
and then nothing may be stuck, lost or told never; work is done only where a hint or the sweep says
so. What a rule did is in `EFFECTS`, and in the events of `--hypothesis-show-statistics`.

The rules are in `machine_sevdesk`, `machine_people`, `machine_trouble` and `machine_processes`;
here is what must hold after each step, and at the end.
"""

from __future__ import annotations

import sys
from collections import Counter
from datetime import timedelta

from hypothesis.stateful import invariant

from sync import delivery
from sync.model import ConnectionState, InvoiceRecord, InvoiceState, TagKind
from sync.peppol.access_point import DeliveryState
from sync.store.keys import Keys
from sync.tags import SETTLES_WITHIN, is_fresh
from tests.engine.hints import NEVER
from tests.engine.machine_base import Ground
from tests.engine.machine_people import People
from tests.engine.machine_processes import Processes
from tests.engine.machine_sevdesk import InSevdesk
from tests.engine.machine_trouble import Trouble
from tests.engine.world import ME, ORG, stuck

__all__ = ["EngineMachine", "Ground"]

S = InvoiceState
TOLD_WITHIN = dict(delivery.TELL_AFTER)


class EngineMachine(InSevdesk, People, Trouble, Processes):
    """People, sevDesk, the access point, processes and time, in any order."""

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.do(self._calm_down())
        finally:
            self.ground.end_tasks()

    # ---- what must always hold ----------------------------------------------------------

    @invariant()
    def nothing_is_accepted_more_often_than_asked_for(self) -> None:
        accepted = Counter(t.submission.number for t in self.world.provider.taken.values())
        for number, times in accepted.items():
            invoice = number.removeprefix("RE-")
            allowed = self.imported(invoice) + self.clicked[invoice]
            assert times <= allowed, f"{number} was accepted {times} times, and may be {allowed}"

    @invariant()
    def nothing_is_imported_again_that_kept_a_tag(self) -> None:
        for invoice, found in self.stored.records.items():
            assert found.generation - 1 <= self.again[invoice], f"by itself: {found!r}"

    @invariant()
    def nothing_is_called_sent_or_failed_that_is_not(self) -> None:
        for found in self.stored.records.values():
            if found.state not in (S.SENT, S.FAILED) or found.attempt is None:
                continue
            ids = (found.attempt.provider_id or "", f"p-{found.attempt.id}")
            taken = [t for i in ids if (t := self.world.provider.taken.get(i)) is not None]
            if any(t.submission.attempt_id in self.contradicted for t in taken):
                continue
            ends = {t.end for t in taken}
            if found.state is S.SENT and found.invoice_id not in self.arrived:
                assert ends == {DeliveryState.DELIVERED}, f"{ends} for {found!r}"
            if found.state is S.FAILED and found.reason != delivery.FAILED_BEFORE:
                assert DeliveryState.DELIVERED not in ends, f"{ends} for {found!r}"

    @invariant()
    def no_invoice_is_without_a_tag_by_our_own_doing(self) -> None:
        assert set(self.world.sevdesk.bare) <= self.hurried

    @invariant()
    def nothing_goes_wrong_without_a_name(self) -> None:
        assert self.ground.unexpected == []

    @invariant()
    def no_token_is_used_for_another_account(self) -> None:
        assert set(self.world.sevdesk.foreign_tokens) <= {"good-token"}

    # ---- the end ------------------------------------------------------------------------

    async def _calm_down(self) -> None:
        """All trouble ends; then everything ends as sent, failed or waiting for a person."""
        account, provider = self.world.sevdesk, self.world.provider
        account.faults.clear()
        account.token, account.removes, account.lag = "good-token", True, timedelta(0)
        provider.script.clear()
        provider.status_down = provider.find_down = self.hints.refused = 0
        self.world.poll_every = self.engine.ports.poll = timedelta(minutes=30)
        await self._run_for(timedelta(hours=3))
        await self._answer_what_is_asked()
        self._check_the_end()
        connection = await self.engine.service.connection(ORG)
        assert connection is not None
        assert connection.state is ConnectionState.ACTIVE
        refused = await self.engine.ports.organisation(ORG).flag("removal_refused")
        for found in self.stored.records.values():
            self._check_tags(found, refused=bool(refused))

    async def _answer_what_is_asked(self) -> None:
        """What loses its tags while a person is asked about others is a question of its own."""
        for _ in range(1 + len(self.world.sevdesk.invoices)):
            await self.engine.service.resolve_hold(ORG, ME, resend=False)
            await self.engine.poll(trigger=ME)  # only a person's sync may notice a renamed tag
            await self._run_for(timedelta(hours=2))
            connection = await self.engine.service.connection(ORG)
            if connection is None or connection.state is not ConnectionState.HELD:
                return

    def _check_the_end(self) -> None:
        self.look()
        self.nothing_is_accepted_more_often_than_asked_for()
        self.nothing_goes_wrong_without_a_name()
        unread = self.ground.line.ask([("XLEN", Keys(ORG).events)])[0]
        assert unread == 0, "events that nobody was told to read"
        late = self.engine.ports.now() - delivery.MAX_BACKOFF
        for found in self.stored.records.values():
            assert not stuck(found), f"{found.invoice_id} is stuck in {found.state}"
            wake = delivery.wake_at(found)
            assert wake is None or wake > late, f"{found.invoice_id} was due at {wake}"
            in_time = found.state_since + TOLD_WITHIN.get(found.state, NEVER) > late
            assert in_time or found.overdue, f"nobody was told of {found!r}"

    def _check_tags(self, found: InvoiceRecord, *, refused: bool) -> None:
        """An open invoice of a synced contact has exactly one of our tags, and the right one."""
        invoice = self.world.sevdesk.invoices.get(found.invoice_id)
        if invoice is None or invoice.row.status not in ("200", "750"):
            return
        if found.state in delivery.IN_FLIGHT or not self._synced(invoice.row.contact_id):
            return  # who removes the tag of what is in flight sees the tag of its result
        if is_fresh(found, self.engine.ports.now(), SETTLES_WITHIN):
            return  # written by a clock that was put back: it is left alone until that time
        kinds = self.world.sevdesk.kinds(found.invoice_id)
        # Once a removal was refused, sevDesk is not asked again, and several may stay.
        assert len(kinds) == 1 or (kinds and refused), f"{kinds} on {found!r}"
        if found.state is S.SENT:
            assert TagKind.SENT in kinds

    def _synced(self, contact: str) -> bool:
        meant = {contact, self.world.sevdesk.contacts[contact].parent_id}
        return any(
            r.object_id in meant and self.world.sevdesk.tags.get(r.tag_id) == "xTool"
            for r in self.world.sevdesk.relations.values()
            if r.object_name == "Contact"
        )
