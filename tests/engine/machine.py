"""Anything in any order: a machine that drives the real engine, and what must always hold.

Time, sevDesk, the access point and the jobs are stand-ins; the store is real. After each step the
store is consistent, each change was told in its order, nothing was accepted more often than people
asked for, and nothing went wrong that the engine has no name for. At the end the world calms down,
and then nothing may be stuck, lost or told never; work is done only where a hint or the sweep says
so. What a rule did is in `EFFECTS`, and in the events of `--hypothesis-show-statistics`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)
from pydantic import SecretStr

from sync import delivery
from sync.callbacks import Callbacks
from sync.errors import StoreError
from sync.model import ConnectionState, InvoiceRecord, InvoiceState, Outcome, TagKind
from sync.peppol.access_point import DeliveryState, Find, Webhook
from sync.polling import Poller
from sync.sending import Sender
from sync.sevdesk.errors import RateLimitedError, UnavailableError, WriteUnconfirmedError
from sync.store.keys import Keys
from tests.engine.access_point import Behaviour, Provider, Taken
from tests.engine.crash import Crash, Process
from tests.engine.direct import DirectClients
from tests.engine.hints import NEVER, Hints
from tests.engine.sevdesk import Fault
from tests.engine.stored import Stored, read
from tests.engine.world import ME, ORG, Engine, World, stuck

S = InvoiceState
TAG_NAMES = ["xTool-Uploaded", "xTool-Peppol-Failed", "xTool-Peppol-Sent"]
CALLS = ["tag_relations", "invoices", "invoice", "xml", "contact", "add_tag", "*"]
CALLS += ["remove_tag_relation"]
ERRORS: dict[str, Callable[[], Exception]] = {
    "503": lambda: UnavailableError("503", status="503", message=""),
    "429": lambda: RateLimitedError("429"),
    "lost": lambda: WriteUnconfirmedError("timeout", status="", message=""),
}
TOLD_WITHIN = dict(delivery.TELL_AFTER)
SECRET = "secret of calls back"
NTH = st.integers(0, 11)  # which of those that there are
DIE_AT = st.one_of(st.integers(1, 9), st.integers(1, 70))  # an idle process has few points
EFFECTS: Counter[tuple[str, bool]] = Counter()  # rule, whether it changed something


class Ground:
    """What all examples share: one event loop, one connection, and what was logged in vain."""

    def __init__(self, url: str) -> None:
        self.runner = asyncio.Runner()
        self.loop = self.runner.get_loop()
        self.clients = DirectClients(url)
        self.line = self.clients.lines[0]
        self.unexpected: list[str] = []

    def log(self, _logger: Any, method: str, fields: dict[str, Any]) -> dict[str, Any]:
        """A processor of structlog: what is logged as our own mistake is a finding."""
        known = fields["event"] == "submit"  # an adapter that raises is one of the behaviours
        if method in ("error", "exception", "critical") and not known:
            error = sys.exc_info()[1]
            self.unexpected.append(f"{fields}: {error!r}")
        return fields

    def end_tasks(self) -> None:
        """Nothing of one example goes on in the next."""
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        if left:
            self.loop.run_until_complete(asyncio.wait(left))

    def close(self) -> None:
        self.loop.run_until_complete(self.clients.aclose())
        self.runner.close()


class EngineMachine(RuleBasedStateMachine):
    """People, sevDesk, the access point, processes and time, in any order."""

    ground: Ground  # set by the test
    invoices = Bundle("invoices")

    def __init__(self) -> None:
        super().__init__()
        self.stored = Stored()
        self.allowed: dict[str, int] = {}  # how often an invoice may have been accepted
        self.arrived: set[str] = set()  # invoices of which a person said so
        self.contradicted: set[str] = set()  # attempts of which the access point told two ends
        self.hurried: set[str] = set()  # lost a tag by hand while lists lag
        self.number = 0
        self.looked_at = -1
        self.hints = Hints(look=self.look)
        self.ground.unexpected.clear()
        self.ground.clients.turns.seed(0)
        self.do(self._set_up())

    def do[T](self, work: Awaitable[T]) -> T:
        async def run() -> T:
            return await work

        return self.ground.loop.run_until_complete(run())

    def did(self, name: str, changed: object) -> None:
        """Note whether a rule had an effect."""
        EFFECTS[name, bool(changed)] += 1
        event(f"{name}: {'an effect' if changed else 'nothing'}")

    async def _set_up(self) -> None:
        self.ground.line.ask([("FLUSHALL",)])
        self.world = World("", opened=[self.ground.clients], told_to=self.hints.of)
        account = self.world.add_account()
        account.clock = self.world.clock.true
        account.add_contact("c1")
        account.add_contact("p1", tagged=False, parent="c1")
        account.add_contact("c2", tagged=False)
        self.world.provider.webhook = Webhook.SIGNED
        self.engine = self.world.engine()
        self.other = self.world.engine()
        await self.engine.service.connect(ORG, "good-token", ME)
        await self.engine.poll()

    def asked_for(self, *invoices: str) -> None:
        """A person wants these sent once more than they were."""
        for invoice in invoices:
            accepted = self.world.provider.accepted(f"RE-{invoice}")
            self.allowed[invoice] = max(self.allowed.get(invoice, 1), accepted + 1)

    def touch_tags(self, act: Callable[[], object]) -> int:
        """Whatever loses its last tag by `act`, a renamed one included, is wanted again."""
        sevdesk = self.world.sevdesk
        before = {i: len(sevdesk.on_invoice(i)) for i in sevdesk.invoices}
        act()
        lost = [i for i, n in before.items() if len(sevdesk.on_invoice(i)) < n]
        self.asked_for(*(i for i in lost if not sevdesk.kinds(i)))
        if sevdesk.lag:
            # A repair by a list from before may take off what was left; it is put back, and that
            # is no wish to send again.
            self.hurried.update(lost)
        return len(lost)

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.do(self._calm_down())
        finally:
            self.ground.end_tasks()

    # ---- in sevDesk ---------------------------------------------------------------------

    @initialize(
        target=invoices,
        behaviours=st.lists(st.sampled_from(list(Behaviour)), min_size=2, max_size=5),
        then=st.sampled_from(["nothing", "poll", "run", "run", "die"]),
        die_at=DIE_AT,
        find=st.sampled_from(list(Find)),
        tells=st.booleans(),
        ask=st.sampled_from([False, False, False, True]),
        lag=st.sampled_from([0, 0, 10, 25]),
        seed=st.integers(0, 2**16),
    )
    def begin(
        self,
        behaviours: list[Behaviour],
        then: str,
        die_at: int,
        find: Find,
        tells: bool,
        ask: bool,
        lag: int,
        seed: int,
    ) -> object:
        """Hypothesis leaves whole rules out of an example, so some invoices begin outside."""
        self.ground.clients.turns.seed(seed)
        self.world.provider.find, self.world.provider.tells = find, tells
        self.world.sevdesk.lag = timedelta(seconds=lag)
        self.configure(ask)
        numbers = [self._add("c1", b"ok", b, "nothing", 1) for b in behaviours[1:]]
        return multiple(*numbers, self._add("c1", b"ok", behaviours[0], then, die_at))

    @rule(
        target=invoices,
        contact=st.sampled_from(["c1", "c1", "c1", "p1", "c2"]),
        word=st.sampled_from([b"ok"] * 6 + [b"blocked", b"broken", b"down", None]),
        behaviour=st.sampled_from([Behaviour.DELIVERED, *Behaviour]),
        then=st.sampled_from(["nothing", "poll", "run", "run", "die"]),
        die_at=DIE_AT,
    )
    def add_invoice(
        self, contact: str, word: bytes | None, behaviour: Behaviour, then: str, die_at: int
    ) -> str:
        known = len(self.stored.records)
        added = self._add(contact, word, behaviour, then, die_at)
        self.look()
        self.did("add invoice", True)
        self.did("add invoice, and it is imported", len(self.stored.records) > known)
        return added

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
        self.did("edit invoice", True)

    @rule(invoice=invoices, status=st.sampled_from(["1000", "200", "200", "750"]))
    def pay_invoice(self, invoice: str, status: str) -> None:
        """In full, in part, or the money goes back."""
        self._status("pay invoice", invoice, status)

    @rule(invoice=consumes(invoices))
    def cancel_invoice(self, invoice: str) -> None:
        """It shows as paid, and so does its cancellation (facts: sevDesk status values)."""
        self._status("cancel invoice", invoice, "1000")
        self.number += 1
        number = f"SR-{invoice}"
        account = self.world.sevdesk
        account.add_invoice(str(self.number), status="1000", invoice_type="SR", number=number)

    @rule(invoice=invoices)
    def draft_invoice(self, invoice: str) -> None:
        self._status("make it a draft", invoice, "100")

    def _status(self, name: str, invoice: str, status: str) -> None:
        self.did(name, self.world.sevdesk.invoices[invoice].row.status != status)
        self.world.sevdesk.set_status(invoice, status)

    @rule(invoice=consumes(invoices))
    def delete_invoice(self, invoice: str) -> None:
        self.world.sevdesk.delete(invoice)
        self.did("delete invoice", invoice in self.stored.records)

    @rule(minutes=st.integers(0, 6))
    def untag_the_contact_for_a_while(self, minutes: int) -> None:
        self.world.sevdesk.untag("Contact", "c1", "xTool")
        self._run(minutes)
        self.world.sevdesk.tag("Contact", "c1", "xTool")
        self.did("untag contact", minutes)

    @rule()
    def tag_another_contact(self) -> None:
        """Or take the tag off again."""
        on = any(r.object_id == "c2" for r in self.world.sevdesk.relations.values())
        act = self.world.sevdesk.untag if on else self.world.sevdesk.tag
        act("Contact", "c2", "xTool")
        self.did("tag contact", True)

    @rule(nth=NTH, minutes=st.sampled_from([0, 0, 6]))
    def remove_tags(self, nth: int, minutes: int) -> None:
        account = self.world.sevdesk
        lost = self.touch_tags(lambda: account.untag("Invoice", self._tagged(nth)))
        self._run(minutes)
        self.did("remove tags by hand", lost)

    @rule(invoice=invoices, name=st.sampled_from(TAG_NAMES))
    def add_tag(self, invoice: str, name: str) -> None:
        self.world.sevdesk.tag("Invoice", invoice, name)
        self.did("add tag by hand", True)

    @rule(nth=NTH, which=NTH)
    def remove_one_tag(self, nth: int, which: int) -> None:
        account = self.world.sevdesk
        invoice = self._tagged(nth)
        names = [account.tags.get(r.tag_id, "") for r in account.on_invoice(invoice)]
        name = next(_one(which, names), "none")
        lost = self.touch_tags(lambda: account.untag("Invoice", invoice, name))
        self.did("remove one tag by hand", lost)

    def _tagged(self, nth: int) -> str:
        """An invoice with tags, or nothing."""
        account = self.world.sevdesk
        return next(_one(nth, (i for i in account.invoices if account.on_invoice(i))), "")

    @rule(nth=NTH, minutes=st.sampled_from([0, 0, 6]))
    def rename_a_tag(self, nth: int, minutes: int) -> None:
        name = self._used(nth)
        self.world.sevdesk.rename_tag(name, f"old {name}")
        self._run(minutes)
        self.did("rename tag", name)

    @rule(nth=NTH, minutes=st.sampled_from([0, 6, 6]))
    def delete_a_tag(self, nth: int, minutes: int) -> None:
        """Of few invoices it looks like their removal."""
        name = self._used(nth)
        self.touch_tags(lambda: self.world.sevdesk.delete_tag(name))
        self._run(minutes)
        self.did("delete tag", name)
        self.did("delete tag, and a person is asked", self._state() is ConnectionState.HELD)

    def _used(self, nth: int) -> str:
        """One of xTool's tags that is on an invoice, or nothing."""
        account = self.world.sevdesk
        on = {account.tags.get(r.tag_id, "") for r in account.relations.values()}
        return next(_one(nth, sorted(on & set(TAG_NAMES))), "")

    @rule(removes=st.booleans(), names=st.booleans(), lag=st.sampled_from([0, 10, 25]))
    def change_habits(self, removes: bool, names: bool, lag: int) -> None:
        self.world.sevdesk.removes = removes
        self.world.sevdesk.embed_names = names
        self.world.sevdesk.lag = timedelta(seconds=lag)
        self.world.clock.forward(timedelta(seconds=30))  # no list shows less than one before it
        self.did("change sevDesk's habits", True)

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

    @rule(nth=NTH)
    def a_list_misses_a_row(self, nth: int) -> None:
        """Once: another person took a tag off while the list was read."""
        self.world.sevdesk.missed.append(nth)
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

    def _state(self) -> ConnectionState | None:
        found = self.do(self.engine.service.connection(ORG))
        return found.state if found else None

    # ---- the access point ---------------------------------------------------------------

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
        for provider_id, taken in _one(nth, self.world.provider.taken.items()):
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

    # ---- people -------------------------------------------------------------------------

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
        for invoice, wish in _one(nth, shown):
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
            self.asked_for(*invoices)
        self.do(self._quietly(self.engine.service.resolve_hold(ORG, ME, resend=resend)))
        self.did("answer about lost tags", invoices)

    async def _quietly(self, work: Awaitable[object]) -> None:
        """A person would be told that the store is away, and try again."""
        with contextlib.suppress(StoreError):
            await work

    @rule(ask=st.booleans())
    def configure(self, ask: bool) -> None:
        if self._state() is None:
            return
        self.do(
            self.engine.service.configure(ORG, ME, ask_before_sending=ask, sender=None, company="")
        )
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

    # ---- processes and time -------------------------------------------------------------

    @rule(person=st.booleans())
    def poll(self, person: bool) -> None:
        run = self.do(self.engine.poll(trigger=ME if person else "poll"))
        self.did("poll", run is not None and run.error is None)

    @rule()
    def work(self) -> None:
        self.do(self.engine.work())

    @rule(gaps=st.lists(st.integers(1, 20), min_size=2, max_size=4), person=st.booleans())
    def poll_soon_again(self, gaps: list[int], person: bool) -> None:
        """While lists still show what was, and writes are under way."""
        for gap in gaps:
            self.do(self.engine.poll(trigger=ME if person else "poll"))
            self.do(self.engine.work())
            self.world.clock.forward(timedelta(seconds=gap))
        self.did("poll soon again", True)

    @rule(seconds=st.sampled_from([1, 6, 31, 61, 301, 3601, 90_000]))
    def time_passes(self, seconds: int) -> None:
        self.world.clock.forward(timedelta(seconds=seconds))
        self.did("time passes", True)

    @rule(seconds=st.sampled_from([-7200, -301, -61, -5, 5, 61, 301, 7200]))
    def clock_jumps(self, seconds: int) -> None:
        """This host's clock alone, back or forth."""
        self.world.clock.jump(timedelta(seconds=seconds))
        self.did("clock jumps", True)

    @rule(minutes=st.integers(1, 12))
    def run(self, minutes: int) -> None:
        self._run(minutes)
        self.did("run", True)

    def _run(self, minutes: int) -> None:
        if minutes:
            self.do(self._run_for(timedelta(minutes=minutes)))

    async def _run_for(self, time: timedelta) -> None:
        await self.hints.run_until(self.world, self.engine, self.world.clock() + time)

    @rule(times=st.integers(1, 8))
    def hints_are_lost(self, times: int) -> None:
        self.hints.refused, swept = times, self.hints.swept
        self._run(6)
        self.did("hints are lost", self.hints.refused < times)
        self.did("the sweep finds them", self.hints.swept > swept)
        self.hints.refused = 0

    @rule()
    def two_workers(self) -> None:
        async def both() -> None:
            await asyncio.gather(
                self.engine.poll(), self.other.poll(), self.engine.work(), self.other.work()
            )

        self.do(both())
        self.did("two workers", True)

    @rule(invoice=invoices)
    def hints_too_many(self, invoice: str) -> None:
        async def late_and_twice() -> None:
            engines = (self.engine, self.other, self.engine)
            await asyncio.gather(*(Sender(e.ports, ORG).advance(invoice) for e in engines))

        self.do(late_and_twice())
        self.did("late and duplicate hints", invoice in self.stored.records)

    @rule(die_at=DIE_AT, two=st.booleans())
    def crash(self, die_at: int, two: bool) -> None:
        self.did("crash", self.do(self._die(die_at, two=two)))

    async def _die(self, die_at: int, *, two: bool) -> bool:
        process = Process(die_at)
        dying = self.world.engine(process)
        work: list[Awaitable[object]] = [self._live(dying)]
        if two:
            work.append(self.other.work())
        for result in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(result, BaseException) and not _is_crash(result):
                raise result
        await self.world.after_a_crash()
        return process.dead

    async def _live(self, dying: Engine) -> None:
        await Poller(dying.ports, ORG).poll("dying")
        await dying.work()

    @rule(nth=DIE_AT)
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
        self.did("the store fails", count[0] > nth)

    # ---- what must always hold ----------------------------------------------------------

    @invariant()
    def look(self) -> None:
        """The store is consistent and changes with its versions, and every change is told."""
        if self.looked_at == self.ground.line.calls:
            return  # nobody has asked the store for anything since then
        answer = self.ground.line.ask([read(ORG, self.stored.after)])[0]
        problems = self.stored.take(answer, self.engine.ports.now())
        assert not problems, problems
        self.looked_at = self.ground.line.calls

    @invariant()
    def nothing_is_accepted_more_often_than_asked_for(self) -> None:
        accepted = Counter(t.submission.number for t in self.world.provider.taken.values())
        for number, times in accepted.items():
            allowed = self.allowed.get(number.removeprefix("RE-"), 1)
            assert times <= allowed, f"{number} was accepted {times} times"

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
        await self.engine.service.resolve_hold(ORG, ME, resend=False)
        await self.engine.poll(trigger=ME)  # a renamed tag may be noticed by a person's sync only
        await self._run_for(timedelta(hours=2))
        self._check_the_end()
        connection = await self.engine.service.connection(ORG)
        assert connection is not None
        assert connection.state is ConnectionState.ACTIVE
        refused = await self.engine.ports.organisation(ORG).flag("removal_refused")
        for found in self.stored.records.values():
            self._check_tags(found, refused=bool(refused))

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


def _says(taken: Taken, becomes: str) -> set[str]:
    """What the access point says of a submission from now on; whose end is another now."""
    before = taken.end
    if becomes == "late":
        taken.said = 0  # "processing", although the end was told before
    elif becomes != "the same":
        taken.end = DeliveryState.FAILED if becomes == "failed" else DeliveryState.DELIVERED
    return set() if taken.end is before else {taken.submission.attempt_id}


def _shown(found: InvoiceRecord) -> list[str]:
    """The buttons on the card of an invoice."""
    if found.state in delivery.RETRYABLE:
        return ["retry", "retry", "dismiss"]
    if found.state is S.WAITING:
        return ["send", "send", "dismiss"]
    unsure = found.state is S.UNCONFIRMED or (found.state is S.SUBMITTED and found.overdue)
    return ["arrived", "send_again"] if unsure else []


def _one[T](nth: int, of: Iterable[T]) -> Iterator[T]:
    """One of several, or nothing if there is none."""
    several = list(of)
    if several:
        yield several[nth % len(several)]


def _is_crash(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.split(Crash)[1] is None
    return isinstance(error, Crash)
