"""The state machine notices when the engine is broken: each safeguard is taken away once.

A test that passes says little before it was seen to fail. Here each protection of the engine is
removed by hand, and the machine of `test_machine.py`, unchanged, must find it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from sync import book, delivery, planner, tags
from sync.answers import Answers
from sync.book import Book
from sync.errors import Reason, StaleRecordError
from sync.model import InvoiceRecord, InvoiceState, TagKind
from sync.peppol.access_point import Absent, Accepted, CannotTell, DeliveryState, DeliveryStatus
from sync.reading import Reader, Reading
from sync.service import Service
from sync.settling import Settler
from sync.store import records
from sync.store.scripts import TRANSITION
from sync.submitting import Submitter
from sync.tagging import Tagger
from tests.engine.machine import EngineMachine

type Patch = pytest.MonkeyPatch

SABOTAGES: dict[str, Callable[[Patch], None]] = {}


def sabotage(act: Callable[[Patch], None]) -> Callable[[Patch], None]:
    SABOTAGES[act.__name__] = act
    return act


# ---- sending --------------------------------------------------------------------------------


@sabotage
def no_compare_and_set(patch: Patch) -> None:
    """Whoever writes last wins."""
    check = "if version ~= ARGV[3] then return -1 end"
    assert check in TRANSITION.text
    text = TRANSITION.text.replace(check, "")
    digest = "0" * 40  # not known to the server, so the text is sent
    patch.setattr(records, "TRANSITION", dataclasses.replace(TRANSITION, text=text, digest=digest))


@sabotage
def attempt_is_not_written_before_the_request(patch: Patch) -> None:
    claim = Submitter._claim

    async def only_in_memory(self: Submitter, record: InvoiceRecord, company: str) -> InvoiceRecord:
        write = self._book.write

        async def nothing(before: InvoiceRecord, after: InvoiceRecord, **_: Any) -> InvoiceRecord:
            return after

        self._book.write = nothing  # type: ignore[assignment, method-assign]
        try:
            return await claim(self, record, company)
        finally:
            self._book.write = write  # type: ignore[method-assign]

    patch.setattr(Submitter, "_claim", only_in_memory)


@sabotage
def lost_answer_is_called_failed(patch: Patch) -> None:
    patch.setattr(
        delivery, "lost", lambda record, reason, now, policy: delivery.refused(record, reason, now)
    )


@sabotage
def lost_answer_is_sent_again(patch: Patch) -> None:
    def again(record: InvoiceRecord, reason: Reason, now: datetime, policy: Any) -> InvoiceRecord:
        return delivery.not_taken(record, now, policy, 0.5, reason=reason)

    patch.setattr(delivery, "lost", again)


@sabotage
def cannot_tell_is_taken_for_absent(patch: Patch) -> None:
    after_find = Answers.after_find

    def believing(self: Answers, record: InvoiceRecord, outcome: Any, asked: datetime) -> Any:
        found = Absent() if isinstance(outcome, CannotTell) else outcome
        return after_find(self, record, found, asked)

    patch.setattr(Answers, "after_find", believing)


@sabotage
def accepted_is_called_delivered(patch: Patch) -> None:
    after_submit = Answers.after_submit

    def too_soon(self: Answers, record: InvoiceRecord, outcome: Any) -> InvoiceRecord:
        if isinstance(outcome, Accepted):
            outcome = Accepted(outcome.provider_id, DeliveryStatus(DeliveryState.DELIVERED, "200"))
        return after_submit(self, record, outcome)

    patch.setattr(Answers, "after_submit", too_soon)


@sabotage
def abandoned_attempt_is_ready_again(patch: Patch) -> None:
    async def ready(self: Settler, record: InvoiceRecord) -> None:
        await self._book.write(record, delivery.absent(record, self._ports.now()))

    patch.setattr(Settler, "abandon", ready)


# ---- tags -----------------------------------------------------------------------------------


@sabotage
def old_tag_is_removed_before_the_new_one_is_added(patch: Patch) -> None:
    async def swapped(
        self: Tagger, record: InvoiceRecord, wanted: TagKind, present: dict[TagKind, list[str]]
    ) -> InvoiceRecord:
        relation = next(iter(present.get(wanted, ())), "")
        await self._remove(i for ids in present.values() for i in ids if i != relation)
        if not relation:
            relation = (await self._add(record, wanted)).id
        return await self._done(record, wanted, relation)

    patch.setattr(Tagger, "_swap", swapped)


@sabotage
def fresh_writes_count(patch: Patch) -> None:
    """A tag written less than 30 s ago that a list does not show yet is taken for removed."""
    patch.setattr(tags, "is_fresh", lambda record, now, settles_within: False)


@sabotage
def pending_writes_count(patch: Patch) -> None:
    """A tag whose write was begun and not ended is taken for removed where it is missing."""

    def vanished(record: InvoiceRecord, now: datetime, settles: timedelta) -> bool:
        return not tags.is_fresh(record, now, settles) and tags.was_seen(record)

    patch.setattr(tags, "vanished", vanished)
    patch.setattr(planner, "vanished", vanished)


@sabotage
def unseen_tags_count_as_removed(patch: Patch) -> None:
    """A tag that was never proven to be there is taken for removed where it is missing."""
    patch.setattr(tags, "was_seen", lambda record: True)


@sabotage
def one_reading_is_enough(patch: Patch) -> None:
    """A removal that one list shows is believed, whatever the second one shows."""
    plan = planner.plan
    first: list[planner.Plan] = []

    def once(snapshot: planner.Snapshot) -> planner.Plan:
        if first:
            return first.pop()
        made = plan(snapshot)
        if made.reexports and not made.lost:
            first.append(made)
        return made

    patch.setattr(planner, "plan", once)


@sabotage
def what_a_repair_left_counts_as_seen(patch: Patch) -> None:
    """A tag that was there before is called proven by the write that took off the others."""
    done = Tagger._done

    async def seen(
        self: Tagger, record: InvoiceRecord, kind: TagKind, relation: str, *, left: bool = False
    ) -> InvoiceRecord:
        written = await done(self, record, kind, relation, left=left)
        if not left:
            return written
        return await self._book.write(
            written, written.model_copy(update={"tag_seen": True, "tag_left": False})
        )

    patch.setattr(Tagger, "_done", seen)


@sabotage
def what_is_in_flight_is_imported_again(patch: Patch) -> None:
    patch.setattr(tags, "IN_FLIGHT", frozenset())


@sabotage
def what_was_sent_is_not_known(patch: Patch) -> None:
    """A poll reads the records of what was not sent, and nothing of what else is listed."""

    async def unsent_only(self: Reader, *, afresh: bool) -> Reading:
        _, unsent = await self._records.open_ids()
        known = await self._known(unsent)
        return Reading(known, await self.lists(afresh=afresh), frozenset())

    patch.setattr(Reader, "read", unsent_only)


# ---- people, hints, events ------------------------------------------------------------------


@sabotage
def clicks_are_not_versioned(patch: Patch) -> None:
    """A click that comes too late is written over what the first one did."""
    decide = Service._decide

    async def over(self: Service, org: str, invoice: str, states: Any, change: Any) -> Any:
        write = Book.write

        async def whatever(book: Book, before: Any, after: Any, **more: Any) -> InvoiceRecord:
            try:
                return await write(book, before, after, **more)
            except StaleRecordError:
                now = await book.store.records.get(after.invoice_id)
                assert now is not None
                return await write(book, now, after.model_copy(update={"version": now.version}))

        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(Book, "write", whatever)
            return await decide(self, org, invoice, states, change)

    patch.setattr(Service, "_decide", over)


@sabotage
def no_sweep(patch: Patch) -> None:
    async def nothing(ports: Any) -> None: ...

    patch.setattr("tests.engine.hints._sweep", nothing)


@sabotage
def failures_are_not_told(patch: Patch) -> None:
    event_of = book.event_of

    def silent(before: InvoiceRecord | None, after: InvoiceRecord) -> Any:
        return None if after.state is InvoiceState.FAILED else event_of(before, after)

    patch.setattr(book, "event_of", silent)


@sabotage
def nobody_is_told_to_read_events(patch: Patch) -> None:
    async def nothing(self: Any, org: str) -> None: ...

    patch.setattr("tests.engine.hints.HintsOf.hint_notify", nothing)


@sabotage
def deadlines_are_not_told(patch: Patch) -> None:
    patch.setattr(delivery, "TELL_AFTER", {})
    patch.setattr(delivery, "tell", lambda record: record)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SABOTAGES)
def test_the_machine_finds(
    name: str, machine: type[EngineMachine], monkeypatch: pytest.MonkeyPatch
) -> None:
    SABOTAGES[name](monkeypatch)
    search = settings(
        max_examples=2000,
        stateful_step_count=30,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow],
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=search)
