"""What changes under the hands of a running step: accounts, providers, clocks, organisations."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sync.model import ConnectionState, InvoiceState, Outcome, TagKind
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
from sync.store.keys import Keys
from sync.store.organisation import erase_again
from tests.engine.access_point import AccessPointStandIn, Behaviour, Provider
from tests.engine.crash import Crash, Process
from tests.engine.sevdesk import SevdeskStandIn
from tests.engine.world import ME, ORG, Engine, S, World, connection, record

T = TagKind
SECOND = timedelta(seconds=1)


class AnotherAccessPoint(AccessPointStandIn):
    """As the stand-in, under another provider's name."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, name="another")


def during(
    monkeypatch: pytest.MonkeyPatch, call: str, act: Callable[[], Awaitable[object]]
) -> None:
    """Do something once, while sevDesk is answering `call`."""
    original, left = getattr(SevdeskStandIn, call), [act]

    async def interrupted(self: SevdeskStandIn, *args: Any) -> Any:
        answer = await original(self, *args)
        if left:
            self._accounts[next(iter(self._accounts))].clock.forward(SECOND)  # type: ignore[attr-defined]
            await left.pop()()
        return answer

    monkeypatch.setattr(SevdeskStandIn, call, interrupted)


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


# ---- another connection -------------------------------------------------------------------


async def test_a_poll_of_the_replaced_account_does_not_count_as_the_first_of_the_new_one(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = world.add_account("200", "new-token")
    new.add_contact("n1")
    for i in range(20):
        new.add_invoice(f"n{i}", "n1")
    world.sevdesk.add_invoice("1")
    during(monkeypatch, "xml", lambda: engine.service.connect(ORG, "new-token", ME))
    await engine.poll()
    assert (await connection(engine)).last_sync is None
    await world.run_for(engine, minutes=6)
    assert world.provider.requests.keys() <= {"RE-1"}, "sent before a person said so"


async def test_a_poll_that_begins_while_the_account_is_replaced_reads_one_account_only(
    world: World, engine: Engine
) -> None:
    new = world.add_account("200", "new-token")
    new.add_contact("n1")
    new.add_invoice("n7", "n1")
    opened = engine.ports.sevdesk

    async def replaced_first(org: str) -> Any:
        engine.ports.sevdesk = opened
        world.clock.forward(SECOND)
        await engine.service.connect(ORG, "new-token", ME)
        return await opened(org)

    engine.ports.sevdesk = replaced_first
    await engine.poll()
    await world.run_for(engine, minutes=11)
    found = await record(engine, "n7")
    assert (found.account, found.state) == ("200", S.SENT)


async def test_a_refusal_of_the_old_token_does_not_break_the_new_connection(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.accounts["fresh-token"] = world.sevdesk
    account = world.sevdesk

    async def renew_the_token() -> None:
        account.token = "fresh-token"
        await engine.service.connect(ORG, "fresh-token", ME)

    during(monkeypatch, "tag_relations", renew_the_token)
    await engine.poll()
    assert account.foreign_tokens, "the poll went on with the old token"
    assert (await connection(engine)).state is ConnectionState.ACTIVE


async def test_a_refusal_of_the_old_token_by_a_delivery_does_not_break_the_new_connection(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.accounts["fresh-token"] = account = world.sevdesk
    account.add_invoice("1")
    await engine.poll()
    process = engine.process

    async def renew_the_token(point: str) -> None:
        if point == "sevdesk add_tag":
            process.before = None
            world.clock.forward(SECOND)
            account.token = "fresh-token"
            await engine.service.connect(ORG, "fresh-token", ME)

    process.before = renew_the_token
    await engine.work()
    assert account.foreign_tokens, "the tag was written with the old token"
    assert (await connection(engine)).state is ConnectionState.ACTIVE


async def test_lost_tags_of_the_replaced_account_do_not_hold_the_new_one(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add_account("200", "new-token").add_contact("n1")
    account = world.sevdesk
    for i in range(5):
        account.add_invoice(f"{i}")
    await world.run_for(engine, minutes=16)
    account.delete_tag("xTool-Peppol-Sent")
    during(monkeypatch, "tag_relations", lambda: engine.service.connect(ORG, "new-token", ME))
    await engine.poll()
    found = await connection(engine)
    assert (found.account, found.state) == ("200", ConnectionState.ACTIVE)


# ---- erased while somebody works ----------------------------------------------------------


async def left_over(engine: Engine) -> set[str]:
    redis: Any = engine.ports.clients.redis
    found = {key async for key in redis.scan_iter(match=f"{Keys(ORG).prefix}*".replace("[", "\\["))}
    return {key for key in found if not key.endswith((":durable", ":pace", ":breaker"))}


async def sweeps(world: World, engine: Engine, **time: float) -> None:
    world.clock.forward(timedelta(**time))
    await erase_again(engine.ports.clients, engine.ports.now())


@pytest.mark.parametrize("call", ["contact", "xml", "invoice"])
async def test_a_delivery_that_outlives_the_erasing_leaves_no_key(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    world.sevdesk.add_contact("c2", parent="c1")
    world.sevdesk.add_invoice("1", "c2", xml=b"broken")
    await engine.poll()
    await engine.work()
    await engine.ports.clients.redis.delete(Keys(ORG).contacts)
    await engine.service.retry(ORG, "1", ME)
    during(monkeypatch, call, lambda: engine.service.erase(ORG))
    await engine.work()
    await sweeps(world, engine, minutes=2)
    assert await left_over(engine) == set()


@pytest.mark.parametrize("call", ["tag_relations", "invoices", "contact", "xml"])
async def test_a_poll_that_outlives_the_erasing_leaves_no_key(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr("sync.store.organisation.ERASE_WAIT", timedelta(seconds=0.05))
    world.sevdesk.embed_names = False
    world.sevdesk.add_contact("c2", parent="c1")
    world.sevdesk.add_contact("c3", parent="c1", tagged=False)
    world.sevdesk.add_invoice("1", "c2", xml=b"ok")
    world.sevdesk.add_invoice("2", "c2", xml=None)
    world.sevdesk.add_invoice("3", "c3", xml=b"ok")
    during(monkeypatch, call, lambda: engine.service.erase(ORG))
    await engine.poll()
    await sweeps(world, engine, minutes=2)
    assert await left_over(engine) == set()


async def test_what_is_written_minutes_after_the_erasing_goes_as_well(
    world: World, engine: Engine
) -> None:
    await engine.service.erase(ORG)
    await sweeps(world, engine, minutes=2)
    await engine.ports.organisation(ORG).put_document("a" * 64, b"an invoice")
    await sweeps(world, engine, minutes=15)
    assert await left_over(engine) == set()


async def test_an_organisation_that_comes_back_keeps_what_it_stores(
    world: World, engine: Engine
) -> None:
    await engine.service.erase(ORG)
    world.clock.forward(SECOND)
    await engine.service.connect(ORG, "good-token", ME)
    world.sevdesk.add_invoice("1")
    await sweeps(world, engine, minutes=2)
    await world.run_for(engine, minutes=21)
    await sweeps(world, engine, minutes=15)
    assert (await record(engine, "1")).state is S.SENT


@pytest.mark.parametrize("point", range(1, 8))
async def test_an_erasing_that_died_is_ended_by_another_process(
    world: World, engine: Engine, point: int
) -> None:
    world.sevdesk.add_invoice("1")
    await engine.poll()
    world.clock.forward(SECOND)
    dying = world.engine(Process(point))
    with pytest.raises(Crash):
        await dying.service.erase(ORG)
    begun = point > 1
    await world.after_a_crash()
    await sweeps(world, engine, minutes=2)
    assert (await left_over(engine) == set()) is begun


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


# ---- tags ---------------------------------------------------------------------------------


async def test_deleting_one_of_three_tags_sends_nothing_again(world: World, engine: Engine) -> None:
    """Most invoices keep another tag, yet nobody took five tags off by hand."""
    for i in range(5):
        world.sevdesk.add_invoice(f"{i}")
    await world.run_for(engine, minutes=11)
    for i in range(10, 20):
        world.sevdesk.add_invoice(f"{i}", xml=b"blocked")
    await world.run_for(engine, minutes=11)
    before = dict(world.provider.requests)
    world.sevdesk.delete_tag("xTool-Peppol-Sent")
    await world.run_for(engine, minutes=16)
    assert dict(world.provider.requests) == before
    assert (await connection(engine)).state is ConnectionState.HELD


# ---- nobody is left alone -----------------------------------------------------------------


async def test_a_delivery_that_nobody_can_confirm_can_be_ended_by_a_person(
    world: World, engine: Engine
) -> None:
    world.provider.otherwise = Behaviour.PENDING
    world.provider.polls = 10_000
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await world.run_for(engine, hours=49)
    assert (await record(engine, "1")).overdue
    await engine.service.arrived(ORG, "1", ME)
    await engine.work()
    assert (await record(engine, "1")).state is S.SENT
    assert world.sevdesk.kinds("1") == [T.SENT]


async def test_what_is_on_its_way_cannot_be_ended_by_a_person(world: World, engine: Engine) -> None:
    world.provider.otherwise = Behaviour.PENDING
    world.provider.polls = 10_000
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await world.run_for(engine, hours=2)
    for wish in (engine.service.arrived, engine.service.send_again):
        assert (await wish(ORG, "1", ME)).outcome is Outcome.NOT_POSSIBLE
    assert (await record(engine, "1")).state is S.SUBMITTED


async def test_a_person_can_send_again_what_was_never_reported_as_delivered(
    world: World, engine: Engine
) -> None:
    world.provider.otherwise = Behaviour.PENDING
    world.provider.polls = 10_000
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await world.run_for(engine, hours=49)
    world.provider.otherwise = Behaviour.DELIVERED
    assert (await engine.service.send_again(ORG, "1", ME)).outcome is Outcome.STARTED
    await engine.work()
    assert (await record(engine, "1")).state is S.SENT
    assert world.provider.requests["RE-1"] == 2


# ---- impatience ---------------------------------------------------------------------------


async def test_fifty_who_ask_for_a_sync_at_once_start_one(world: World, engine: Engine) -> None:
    """Each of them would wait for the others in a place of its own, of the few that there are."""
    webs = [world.engine() for _ in range(5)]
    found = await asyncio.gather(
        *(web.service.sync_now(ORG, f"U{i}") for i in range(10) for web in webs)
    )
    assert sum(run is not None for run in found) == 1
    assert sum(len(web.jobs.syncs) for web in webs) == 1


async def test_a_sync_can_be_asked_for_again_when_the_last_one_is_over(engine: Engine) -> None:
    for _ in range(2):
        assert await engine.service.sync_now(ORG, ME) is not None
        await engine.poll(trigger=ME)


async def test_a_sync_whose_job_was_lost_can_be_asked_for_again(
    world: World, engine: Engine
) -> None:
    await engine.service.sync_now(ORG, ME)
    redis: Any = engine.ports.clients.redis
    assert 0 < await redis.ttl(f"{Keys(ORG).prefix}asked") <= 30


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


# ---- nothing grows for ever ---------------------------------------------------------------


async def test_a_change_of_an_old_invoice_does_not_bring_its_sync_back_for_ever(
    world: World, engine: Engine
) -> None:
    world.sevdesk.add_invoice("1", xml=b"broken")
    await engine.poll()
    await engine.work()
    redis: Any = engine.ports.clients.redis
    run = (await record(engine, "1")).run
    keys = (Keys(ORG).run_counts(run), Keys(ORG).run_invoices(run))
    await redis.delete(Keys(ORG).run(run), *keys)  # ninety days later
    await engine.service.retry(ORG, "1", ME)
    for key in keys:
        assert await redis.ttl(key) != -1, f"{key} stays for ever"


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


# ---- corrected while it waits -------------------------------------------------------------


@pytest.mark.parametrize("wish", ["send", "send all"])
async def test_an_invoice_that_was_corrected_while_it_waited_is_sent_as_it_is_now(
    world: World, engine: Engine, wish: str
) -> None:
    await engine.service.configure(ORG, ME, ask_before_sending=True, sender=None, company="")
    world.sevdesk.add_invoice("1")
    await world.run_for(engine, minutes=6)
    assert (await record(engine, "1")).state is S.WAITING
    world.sevdesk.edit("1")
    await world.run_for(engine, minutes=6)
    if wish == "send":
        await engine.service.send(ORG, "1", ME)
    else:
        await engine.service.send_all(ORG, ME)
    await engine.work()
    assert (await record(engine, "1")).state is S.SENT
    (taken,) = world.provider.taken.values()
    assert taken.submission.document == b"document of ok 2"


async def test_an_invoice_that_did_not_change_while_it_waited_is_not_read_again(
    world: World, engine: Engine
) -> None:
    await engine.service.configure(ORG, ME, ask_before_sending=True, sender=None, company="")
    world.sevdesk.add_invoice("1")
    await world.run_for(engine, minutes=16)
    world.sevdesk.calls.clear()
    await engine.service.send(ORG, "1", ME)
    await engine.work()
    assert (await record(engine, "1")).state is S.SENT
    assert world.sevdesk.calls.keys() <= {"add_tag", "remove_tag_relation"}


# ---- no silence ---------------------------------------------------------------------------


async def test_a_mistake_in_a_sync_is_told_as_well(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def mistaken(self: SevdeskStandIn) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(SevdeskStandIn, "tag_relations", mistaken)
    run = await engine.poll(trigger=ME)
    assert run is not None
    assert run.error is not None
    assert run.error.code == "internal"
    found = await connection(engine)
    assert (found.failures, found.last_error) == (1, run.error)


async def test_an_access_point_that_loses_every_answer_is_told_once(
    world: World, engine: Engine
) -> None:
    """It is certain each time that it has nothing, and nothing ever comes of it."""
    world.provider.otherwise = Behaviour.LOST_NOT_TAKEN
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await world.run_for(engine, hours=3)
    assert (await record(engine, "1")).overdue
    entries = [e async for e in engine.service.audit(ORG)]
    assert [e.action for e in entries].count("overdue") == 1
