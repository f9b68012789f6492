"""Anything in any order: a machine that drives the real engine, and what must always hold.

Time, sevDesk and the access point are stand-ins; the store is real. After each step the store
is consistent, nothing was accepted more often than people asked for, versions only grow. At the
end the world calms down, and then nothing may be stuck, lost or told never.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from sync import delivery
from sync.errors import StoreError
from sync.model import ConnectionState, InvoiceRecord, InvoiceState, Outcome, TagKind
from sync.peppol.access_point import Find
from sync.polling import Poller
from sync.sending import Sender
from sync.sevdesk.errors import RateLimitedError, UnavailableError, WriteUnconfirmedError
from sync.store.redis import Clients
from tests.engine.access_point import Behaviour, Provider
from tests.engine.crash import Crash, Process
from tests.engine.sevdesk import Fault
from tests.engine.world import (
    ME,
    ORG,
    Engine,
    World,
    inconsistencies,
    stuck,
)

S = InvoiceState
TAG_NAMES = ["xTool-Uploaded", "xTool-Peppol-Failed", "xTool-Peppol-Sent"]
ERRORS: dict[str, Callable[[], Exception]] = {
    "503": lambda: UnavailableError("503", status="503", message=""),
    "429": lambda: RateLimitedError("429"),
    "lost": lambda: WriteUnconfirmedError("timeout", status="", message=""),
}
server = ""  # URL of the store, set by the test


class EngineMachine(RuleBasedStateMachine):
    """People, sevDesk, the access point, processes and time, in any order."""

    invoices = Bundle("invoices")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.versions: dict[str, int] = {}
        self.allowed: dict[str, int] = {}  # how often an invoice may have been accepted
        self.seen_events = 0
        self.number = 0
        self.do(self._set_up())

    def do[T](self, work: Awaitable[T]) -> T:
        async def run() -> T:
            return await work

        return self.runner.run(run())

    async def _set_up(self) -> None:
        self.clients = Clients(server)
        await self.clients.redis.flushall()
        self.world = World(server, opened=[self.clients])
        self.world.add_account().add_contact("c1")
        self.world.sevdesk.add_contact("p1", tagged=False, parent="c1")
        self.world.sevdesk.add_contact("c2", tagged=False)
        self.engine = self.world.engine()
        self.other = self.world.engine()
        await self.engine.service.connect(ORG, "good-token", ME)
        await self.engine.poll()

    def asked_for(self, *invoices: str) -> None:
        """A person wants these sent once more than they were."""
        for invoice in invoices:
            accepted = self.world.provider.accepted(f"RE-{invoice}")
            self.allowed[invoice] = max(self.allowed.get(invoice, 1), accepted + 1)

    def touch_tags(self, act: Callable[[], object]) -> None:
        """Whatever loses its last tag by `act`, a renamed one included, is wanted again."""
        sevdesk = self.world.sevdesk
        before = {i: len(sevdesk.on_invoice(i)) for i in sevdesk.invoices}
        act()
        lost = [i for i, n in before.items() if len(sevdesk.on_invoice(i)) < n]
        self.asked_for(*(i for i in lost if not sevdesk.kinds(i)))

    def teardown(self) -> None:
        try:
            self.do(self._calm_down())
        finally:
            self.runner.run(self.clients.aclose())
            self.runner.close()

    # ---- in sevDesk ---------------------------------------------------------------------

    @initialize(
        target=invoices,
        behaviours=st.lists(st.sampled_from(list(Behaviour)), min_size=2, max_size=4),
        then=st.sampled_from(["nothing", "poll", "run", "die"]),
        die_at=st.integers(1, 60),
    )
    def begin(self, behaviours: list[Behaviour], then: str, die_at: int) -> object:
        """Hypothesis leaves whole rules out of an example, so some invoices begin outside."""
        numbers = [self._add("c1", b"ok", b, "nothing", 1) for b in behaviours[1:]]
        return multiple(*numbers, self._add("c1", b"ok", behaviours[0], then, die_at))

    @rule(
        target=invoices,
        contact=st.sampled_from(["c1", "c1", "c1", "p1", "c2"]),
        word=st.sampled_from([b"ok"] * 6 + [b"blocked", b"broken", b"down", None]),
        behaviour=st.sampled_from([Behaviour.DELIVERED, *Behaviour]),
        then=st.sampled_from(["nothing", "poll", "run", "die"]),
        die_at=st.integers(1, 60),
    )
    def add_invoice(
        self, contact: str, word: bytes | None, behaviour: Behaviour, then: str, die_at: int
    ) -> str:
        return self._add(contact, word, behaviour, then, die_at)

    def _add(
        self, contact: str, word: bytes | None, behaviour: Behaviour, then: str, die_at: int
    ) -> str:
        self.number += 1
        self.world.sevdesk.add_invoice(str(self.number), contact, xml=word)
        self.world.provider.script.append(behaviour)
        if then == "poll":
            self.do(self.engine.poll())
        elif then == "run":
            self._run(6)
        elif then == "die":
            self.do(self._die(die_at, two=False))
        return str(self.number)

    @rule(invoice=invoices, word=st.sampled_from([b"ok", b"ok", b"blocked"]))
    def edit_invoice(self, invoice: str, word: bytes) -> None:
        self.world.sevdesk.edit(invoice, xml=word)

    @rule(invoice=invoices, status=st.sampled_from(["1000", "200", "200", "750", "100"]))
    def change_status(self, invoice: str, status: str) -> None:
        self.world.sevdesk.set_status(invoice, status)

    @rule(invoice=consumes(invoices))
    def delete_invoice(self, invoice: str) -> None:
        self.world.sevdesk.delete(invoice)

    @rule(minutes=st.integers(0, 6))
    def untag_the_contact_for_a_while(self, minutes: int) -> None:
        self.world.sevdesk.untag("Contact", "c1", "xTool")
        self._run(minutes)
        self.world.sevdesk.tag("Contact", "c1", "xTool")

    @rule(invoice=invoices)
    def remove_tags(self, invoice: str) -> None:
        self.touch_tags(lambda: self.world.sevdesk.untag("Invoice", invoice))

    @rule(invoice=invoices, name=st.sampled_from(TAG_NAMES))
    def add_tag(self, invoice: str, name: str) -> None:
        self.world.sevdesk.tag("Invoice", invoice, name)

    @rule(invoice=invoices, name=st.sampled_from(TAG_NAMES))
    def remove_one_tag(self, invoice: str, name: str) -> None:
        self.touch_tags(lambda: self.world.sevdesk.untag("Invoice", invoice, name))

    @rule(name=st.sampled_from(TAG_NAMES), rename=st.booleans())
    def lose_a_tag(self, name: str, rename: bool) -> None:
        if rename:
            self.world.sevdesk.rename_tag(name, f"old {name}")
            return
        # Of few invoices it looks like their removal.
        self.touch_tags(lambda: self.world.sevdesk.delete_tag(name))

    @rule(removes=st.booleans(), names=st.booleans(), lag=st.sampled_from([0, 10, 25]))
    def change_habits(self, removes: bool, names: bool, lag: int) -> None:
        self.world.sevdesk.removes = removes
        self.world.sevdesk.embed_names = names
        self.world.sevdesk.lag = timedelta(seconds=lag)

    @rule(
        call=st.sampled_from(
            ["tag_relations", "invoices", "invoice", "xml", "contact", "add_tag", "*"]
        ),
        error=st.sampled_from(sorted(ERRORS)),
        after=st.booleans(),
        times=st.integers(1, 3),
    )
    def sevdesk_fails(self, call: str, error: str, after: bool, times: int) -> None:
        self.world.sevdesk.faults.append(Fault(call, ERRORS[error], times, after))

    @rule(minutes=st.integers(1, 90))
    def revoke_the_token_for_a_while(self, minutes: int) -> None:
        self.world.sevdesk.token = "another"
        self._run(minutes)
        self.world.sevdesk.token = "good-token"

    # ---- the access point ---------------------------------------------------------------

    @rule(
        behaviour=st.sampled_from(list(Behaviour)),
        find=st.sampled_from(list(Find)),
        two_phase=st.booleans(),
    )
    def next_submission(self, behaviour: Behaviour, find: Find, two_phase: bool) -> None:
        provider: Provider = self.world.provider
        provider.script.append(behaviour)
        provider.find, provider.two_phase = find, two_phase

    @rule(status=st.integers(0, 2), find=st.integers(0, 2))
    def access_point_is_down(self, status: int, find: int) -> None:
        self.world.provider.status_down, self.world.provider.find_down = status, find

    # ---- people -------------------------------------------------------------------------

    @rule(
        invoice=invoices,
        wish=st.sampled_from(["retry", "send", "arrived", "send_again", "dismiss"]),
        clicks=st.integers(1, 3),
    )
    def click(self, invoice: str, wish: str, clicks: int) -> None:
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

    @rule(resend=st.booleans())
    def resolve_hold(self, resend: bool) -> None:
        held = self.do(self.engine.service.connection(ORG))
        if self.do(self.engine.service.resolve_hold(ORG, ME, resend=resend)) and resend and held:
            self.asked_for(*held.held_invoices)

    @rule(ask=st.booleans())
    def configure(self, ask: bool) -> None:
        self.do(
            self.engine.service.configure(ORG, ME, ask_before_sending=ask, sender=None, company="")
        )

    @rule(minutes=st.integers(0, 6))
    def disconnect_for_a_while(self, minutes: int) -> None:
        self.do(self.engine.service.disconnect(ORG, ME))
        self._run(minutes)
        self.world.sevdesk.faults.clear()
        self.do(self.engine.service.connect(ORG, "good-token", ME))

    # ---- processes and time -------------------------------------------------------------

    @rule(person=st.booleans())
    def poll(self, person: bool) -> None:
        self.do(self.engine.poll(trigger=ME if person else "poll"))

    @rule()
    def work(self) -> None:
        self.do(self.engine.work())

    @rule(seconds=st.sampled_from([1, 6, 31, 61, 301, 3601, 90_000]))
    def time_passes(self, seconds: int) -> None:
        self.world.clock.forward(timedelta(seconds=seconds))

    @rule()
    def run_until_sent(self) -> None:
        self._run(6)

    @rule(minutes=st.integers(1, 12))
    def run(self, minutes: int) -> None:
        self._run(minutes)

    def _run(self, minutes: int) -> None:
        self.do(self.world.run_for(self.engine, minutes=minutes))

    @rule()
    def two_workers(self) -> None:
        async def both() -> None:
            await asyncio.gather(
                self.engine.poll(), self.other.poll(), self.engine.work(), self.other.work()
            )

        self.do(both())

    @rule(invoice=invoices)
    def hints_too_many(self, invoice: str) -> None:
        async def late_and_twice() -> None:
            engines = (self.engine, self.other, self.engine)
            await asyncio.gather(*(Sender(e.ports, ORG).advance(invoice) for e in engines))

        self.do(late_and_twice())

    @rule(die_at=st.integers(1, 70), two=st.booleans())
    def crash(self, die_at: int, two: bool) -> None:
        self.do(self._die(die_at, two=two))

    async def _die(self, die_at: int, *, two: bool) -> None:
        dying = self.world.engine(Process(die_at))
        work: list[Awaitable[object]] = [self._live(dying)]
        if two:
            work.append(self.other.work())
        for result in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(result, BaseException) and not _is_crash(result):
                raise result
        await self.world.after_a_crash()

    async def _live(self, dying: Engine) -> None:
        await Poller(dying.ports, ORG).poll("dying")
        await dying.work()

    @rule(nth=st.integers(1, 30))
    def store_fails(self, nth: int) -> None:
        process, count = Process(), [0]

        async def fail(name: str) -> None:
            count[0] += name.startswith("store")
            if count[0] == nth:
                count[0] += 1
                raise StoreError("refused", code="store.refused")

        process.before = fail
        flaky = self.world.engine(process)

        async def live() -> None:
            with contextlib.suppress(StoreError):
                await self._live(flaky)
            await self.world.after_a_crash()

        self.do(live())

    # ---- what must always hold ----------------------------------------------------------

    @invariant()
    def the_store_is_consistent(self) -> None:
        assert self.do(inconsistencies(self.engine)) == []

    @invariant()
    def nothing_is_accepted_more_often_than_asked_for(self) -> None:
        for invoice in map(str, range(1, self.number + 1)):
            accepted = self.world.provider.accepted(f"RE-{invoice}")
            allowed = self.allowed.get(invoice, 1)
            assert accepted <= allowed, f"{invoice} was accepted {accepted} times"

    @invariant()
    def versions_grow(self) -> None:
        for found in self.do(self._records()):
            assert found.version >= self.versions.get(found.invoice_id, 0)
            self.versions[found.invoice_id] = found.version

    @invariant()
    def events_are_only_added(self) -> None:
        count = len(self.do(self.engine.service.events(ORG, "", 100_000)))
        assert count >= self.seen_events
        self.seen_events = count

    async def _records(self) -> list[InvoiceRecord]:
        store = self.engine.ports.organisation(ORG)
        return await store.records.get_many(await store.records.all_ids())

    # ---- the end ------------------------------------------------------------------------

    async def _calm_down(self) -> None:
        """All trouble ends; then everything ends as sent, failed or waiting for a person."""
        account, provider = self.world.sevdesk, self.world.provider
        account.faults.clear()
        account.token, account.removes, account.lag = "good-token", True, timedelta(0)
        provider.script.clear()
        provider.status_down = provider.find_down = 0
        self.world.poll_every = timedelta(minutes=15)
        await self.world.run_for(self.engine, hours=3)
        await self.engine.service.resolve_hold(ORG, ME, resend=False)
        await self.world.run_for(self.engine, hours=2)
        self.nothing_is_accepted_more_often_than_asked_for()
        assert await inconsistencies(self.engine) == []
        connection = await self.engine.service.connection(ORG)
        assert connection is not None
        assert connection.state is ConnectionState.ACTIVE
        flag = await self.engine.ports.organisation(ORG).flag("removal_refused")
        told = await self._told()
        for found in await self._records():
            assert not stuck(found), f"{found.invoice_id} is stuck in {found.state}"
            assert (found.invoice_id, found.state.value) in told or found.state in _ON_THE_WAY
            self._check_tags(found, refused=bool(flag))

    async def _told(self) -> set[tuple[str, str]]:
        events = await self.engine.service.events(ORG, "", 100_000)
        return {(e.invoice_id, e.after) for e in events}

    def _check_tags(self, found: InvoiceRecord, *, refused: bool) -> None:
        """An open invoice of a synced contact has exactly one of our tags, and the right one."""
        invoice = self.world.sevdesk.invoices.get(found.invoice_id)
        synced = any(
            r.object_id == "c1" and self.world.sevdesk.tags.get(r.tag_id) == "xTool"
            for r in self.world.sevdesk.relations.values()
        )
        if invoice is None or invoice.row.status not in ("200", "750") or not synced:
            return
        if found.state in delivery.IN_FLIGHT:
            return  # who removes its tag sees the tag of its result
        kinds = self.world.sevdesk.kinds(found.invoice_id)
        # Once a removal was refused, sevDesk is not asked again, and several may stay.
        assert len(kinds) == 1 or (kinds and refused), f"{found.invoice_id}: {kinds}"
        if found.state is S.SENT:
            assert TagKind.SENT in kinds


_ON_THE_WAY = {S.IMPORTED, S.READY, S.UNCONFIRMED, S.SUBMITTED}


def _is_crash(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.split(Crash)[1] is None
    return isinstance(error, Crash)


@pytest.fixture
def machine(engine_url: str, monkeypatch: pytest.MonkeyPatch) -> type[EngineMachine]:
    """The machine, with a store. It runs an event loop of its own for each example."""
    monkeypatch.setattr(f"{__name__}.server", engine_url)
    # What waits for real time would only make an example slow.
    monkeypatch.setattr("sync.polling.PATIENCE", timedelta(0))
    monkeypatch.setattr("sync.submitting.OUTCOME_WAITS", (0.0,))
    return EngineMachine


def profile(examples: int, steps: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )


@pytest.mark.timeout(300)
def test_anything_in_any_order(machine: type[EngineMachine]) -> None:
    run_state_machine_as_test(machine, settings=profile(6, 20))


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_anything_in_any_order_for_a_night(machine: type[EngineMachine]) -> None:
    examples = int(os.environ.get("XTOOL_MACHINE_EXAMPLES", "2000"))
    run_state_machine_as_test(machine, settings=profile(examples, 50))
