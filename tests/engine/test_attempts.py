"""Whose attempt it is, and when: other providers and accounts, late answers, clocks."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from sync.model import InvoiceState, Outcome, TagKind
from sync.peppol.access_point import (
    Capabilities,
    Find,
    FindOutcome,
    Guard,
    Save,
    Submission,
    SubmitOutcome,
)
from sync.sending import Sender
from tests.engine.access_point import AccessPointStandIn, Behaviour, Provider
from tests.engine.crash import Process
from tests.engine.world import ME, ORG, Engine, S, World, record

T = TagKind


class AnotherAccessPoint(AccessPointStandIn):
    """As the stand-in, under another provider's name."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, name="another")


# ---- another provider ---------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", [Behaviour.LOST_ACCEPTED, Behaviour.BREAKS_ACCEPTED])
async def test_an_attempt_at_one_provider_is_never_settled_by_another(
    world: World, engine: Engine, behaviour: Behaviour
) -> None:
    world.provider.script = [behaviour]
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await engine.work()
    assert (await record(engine, "1")).state is S.UNCONFIRMED
    other, after = Provider(find=Find.OWN_ID), world.engine()
    after.ports.access_point = AnotherAccessPoint(other, Process())
    await world.run_for(after, hours=3)
    assert (world.provider.accepted("RE-1"), other.accepted("RE-1")) == (1, 0)
    found = await record(after, "1")
    assert (found.state, found.overdue) == (S.UNCONFIRMED, True), "a person is asked"


async def test_a_delivery_at_one_provider_is_not_asked_of_another(
    world: World, engine: Engine
) -> None:
    world.provider.otherwise = Behaviour.PENDING
    world.provider.polls = 10_000
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await engine.work()
    other, after = Provider(), world.engine()
    after.ports.access_point = AnotherAccessPoint(other, Process())
    await world.run_for(after, hours=49)
    assert other.status_calls == 0
    found = await record(after, "1")
    assert (found.state, found.overdue) == (S.SUBMITTED, True), "a person is asked"


# ---- another account at the same provider ---------------------------------------------------


def in_another_account(
    world: World, *marks: str, find: Find = Find.OWN_ID
) -> tuple[Engine, Provider]:
    """A process with the settings of another account, which knows nothing of the first one's."""
    other, after = Provider(find=find, status_down=1_000_000), world.engine()
    after.ports.access_point = AccessPointStandIn(other, Process())
    after.ports.account = lambda _company: marks
    return after, other


async def lost_in_the_first_account(world: World, engine: Engine, mark: str = "first") -> None:
    """An attempt was taken, and its answer lost."""
    engine.ports.account = lambda _company: (mark,)
    world.provider.script = [Behaviour.LOST_ACCEPTED]
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await engine.work()
    assert (await record(engine, "1")).state is S.UNCONFIRMED


async def test_what_another_account_does_not_know_a_person_is_asked_about(
    world: World, engine: Engine
) -> None:
    await lost_in_the_first_account(world, engine)
    after, other = in_another_account(world, "second")
    await world.run_for(after, hours=3)
    found = await record(after, "1")
    assert (found.state, found.overdue) == (S.UNCONFIRMED, True), "a person is asked"
    assert found.reason is not None
    assert found.reason.code == "attempt.other_account"
    assert (world.provider.accepted("RE-1"), other.accepted("RE-1")) == (1, 0)


async def test_a_person_decides_about_what_went_to_another_account(
    world: World, engine: Engine
) -> None:
    await lost_in_the_first_account(world, engine)
    after, other = in_another_account(world, "second")
    await world.run_for(after, hours=1)
    assert (await after.service.send_again(ORG, "1", ME)).outcome is Outcome.STARTED
    await world.run_for(after, minutes=1)
    found = await record(after, "1")
    assert (found.state, other.accepted("RE-1")) == (S.SENT, 1)
    assert found.attempt is not None
    assert found.attempt.account == "second"


async def test_what_the_account_finds_counts_whatever_its_credentials_are(
    world: World, engine: Engine
) -> None:
    await lost_in_the_first_account(world, engine)
    rotated = world.engine()
    rotated.ports.account = lambda _company: ("rotated",)
    await world.run_for(rotated, minutes=5)
    assert (await record(rotated, "1")).state is S.SENT
    assert world.provider.accepted("RE-1") == 1


@pytest.mark.parametrize(
    ("noted", "marks"),
    [
        ("first", ("first",)),
        ("first", ("by a newer key of the vault", "first")),
        ("", ("second",)),  # from before accounts were noted
    ],
)
async def test_the_same_account_is_believed_that_it_has_nothing(
    world: World, engine: Engine, noted: str, marks: tuple[str, ...]
) -> None:
    engine.ports.account = lambda _company: (noted,)
    world.provider.script = [Behaviour.LOST_NOT_TAKEN]
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await engine.work()
    engine.ports.account = lambda _company: marks
    await world.run_for(engine, minutes=5)
    assert (await record(engine, "1")).state is S.SENT
    assert world.provider.accepted("RE-1") == 1


async def test_the_mark_is_of_the_company_that_the_organisation_uses(
    world: World, engine: Engine
) -> None:
    engine.ports.account = lambda company: (f"mark of {company}",)
    await engine.service.configure(ORG, ME, ask_before_sending=False, sender=None, company="c9")
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await engine.work()
    found = await record(engine, "1")
    assert found.attempt is not None
    assert found.attempt.account == "mark of c9"


async def test_a_delivery_that_another_account_does_not_know_does_not_fail(
    world: World, engine: Engine
) -> None:
    engine.ports.account = lambda _company: ("first",)
    world.provider.otherwise = Behaviour.PENDING
    world.provider.polls = 10_000
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await engine.work()
    after, other = in_another_account(world, "second")
    await world.run_for(after, hours=49)
    found = await record(after, "1")
    assert (found.state, found.overdue) == (S.SUBMITTED, True), "a person is asked"
    assert other.status_calls > 0
    assert other.accepted("RE-1") == 0


async def test_absent_counts_only_to_a_question_from_after_the_deadline(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked too early, answered after it: the request may have arrived in between."""
    world.provider.script = [Behaviour.LOST_NOT_TAKEN]
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await engine.work()
    lost = await record(engine, "1")
    assert lost.attempt is not None
    assert world.clock() < lost.attempt.deadline
    early = lost.model_copy(update={"next_at": world.clock()})
    await engine.ports.organisation(ORG).records.put(early)
    original, slow = AccessPointStandIn.find, [timedelta(minutes=2)]

    async def find(self: AccessPointStandIn, submission: Submission) -> FindOutcome:
        outcome = await original(self, submission)
        if slow:
            world.clock.forward(slow.pop())
        return outcome

    monkeypatch.setattr(AccessPointStandIn, "find", find)
    await engine.work()
    assert not slow
    assert (await record(engine, "1")).state is S.UNCONFIRMED
    await world.run_for(engine, minutes=5)
    assert (await record(engine, "1")).state is S.SENT
    assert world.provider.accepted("RE-1") == 1


# ---- clocks -------------------------------------------------------------------------------


async def test_a_clock_that_jumps_during_a_request_sends_nothing_twice(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider has not stored it yet, and says with right that it has nothing."""
    original, slow, asked = AccessPointStandIn.submit, asyncio.Event(), asyncio.Event()
    submissions: list[str] = []

    async def slowly(
        self: AccessPointStandIn, submission: Submission, guard: Guard, save: Save
    ) -> SubmitOutcome:
        submissions.append(submission.attempt_id)
        asked.set()
        if len(submissions) == 1:
            await slow.wait()
        return await original(self, submission, guard, save)

    monkeypatch.setattr(AccessPointStandIn, "submit", slowly)
    world.sevdesk.add_invoice("1")
    await engine.poll()
    working = asyncio.create_task(engine.work())
    await asked.wait()
    world.clock.forward(timedelta(hours=1))
    for _ in range(4):
        # The first drain is still at it, so look at the invoice as its other tasks would.
        await Sender(engine.ports, ORG).advance("1")
        world.clock.forward(timedelta(seconds=30))
    slow.set()
    await working
    await world.run_for(engine, minutes=21)
    assert world.provider.accepted("RE-1") == 1
    assert (await record(engine, "1")).state is S.SENT


# ---- durable ------------------------------------------------------------------------------


async def test_nothing_leaves_while_its_attempt_is_not_on_the_disk(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server can tell, and says: not yet."""
    durable = [False]

    async def secure(key: str, data: str = "", timeout_ms: int = 2000) -> str:
        return "" if durable[0] else "disk"

    monkeypatch.setattr(engine.ports.clients, "secure", secure)
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await engine.work()
    assert world.provider.requests["RE-1"] == 0
    durable[0] = True
    await world.run_for(engine, minutes=21)
    assert world.provider.accepted("RE-1") == 1


# ---- one attempt is not another -----------------------------------------------------------


@pytest.mark.parametrize("again", ["retry", "re-export"])
async def test_an_attempt_is_never_settled_by_the_one_before(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    """Both have the same number and receiver, and began within the minutes that clocks differ."""
    world.provider.find = Find.CONTENT
    first = Behaviour.FAILED_LATER if again == "retry" else Behaviour.DELIVERED
    world.provider.script = [first, Behaviour.LOST_NOT_TAKEN]
    world.sevdesk.add_invoice("1")
    await world.run_for(engine, minutes=6)
    (before,) = world.provider.taken
    original, asked = AccessPointStandIn.find, list[Submission]()

    async def find(self: AccessPointStandIn, submission: Submission) -> FindOutcome:
        asked.append(submission)
        return await original(self, submission)

    monkeypatch.setattr(AccessPointStandIn, "find", find)
    if again == "retry":
        await engine.service.retry(ORG, "1", ME)
    else:
        world.sevdesk.untag("Invoice", "1")
    await world.run_for(engine, minutes=21)
    assert {submission.earlier for submission in asked} == {(before,)}
    assert (await record(engine, "1")).state is S.UNCONFIRMED


# ---- an answer that comes late ----------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "state"), [(Behaviour.DELIVERED, S.SENT), (Behaviour.REJECTED, S.FAILED)]
)
async def test_an_answer_that_comes_after_the_deadline_still_counts(
    world: World,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    behaviour: Behaviour,
    state: InvoiceState,
) -> None:
    """The worker was paused; another one took the attempt for abandoned and can find nothing."""
    world.provider.find, world.provider.script = Find.NONE, [behaviour]
    original, paused, asked = AccessPointStandIn.submit, asyncio.Event(), asyncio.Event()

    async def slowly(
        self: AccessPointStandIn, submission: Submission, guard: Guard, save: Save
    ) -> SubmitOutcome:
        answer = await original(self, submission, guard, save)
        asked.set()
        await paused.wait()
        return answer

    monkeypatch.setattr(AccessPointStandIn, "submit", slowly)
    world.sevdesk.add_invoice("1")
    await engine.poll()
    working = asyncio.create_task(engine.work())
    await asked.wait()
    other = world.engine()
    await world.run_for(other, minutes=6)
    assert (await record(other, "1")).state is S.UNCONFIRMED
    paused.set()
    await working
    assert (await record(engine, "1")).state is state
    assert world.provider.requests["RE-1"] == 1
