"""What all rules of the machine stand on: the ground, the world, its processes, and what is known.

No rule is here: see `tests.engine.machine`.
"""

from __future__ import annotations

import asyncio
import random
import sys
import uuid
from collections import Counter
from collections.abc import Awaitable, Iterable, Iterator
from datetime import timedelta
from typing import Any

from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant
from structlog.typing import EventDict

from sync.model import ConnectionState
from sync.peppol.access_point import Webhook
from sync.polling import Poller
from tests.engine.crash import Crash, Process
from tests.engine.direct import DirectClients
from tests.engine.hints import Hints
from tests.engine.stored import Stored, read
from tests.engine.world import ME, ORG, Engine, World

NTH = st.integers(0, 11)  # which of those that there are
# An idle process has few points; those of a submission (see `Dying`) matter most.
DIE_AT = st.one_of(st.integers(1, 9), st.integers(1, 70), st.integers(-4, -1))
EFFECTS: Counter[tuple[str, bool]] = Counter()  # rule, whether it changed something
invoices = Bundle("invoices")


class Ground:
    """What all examples share: one event loop, one connection, and what was logged in vain."""

    def __init__(self, url: str) -> None:
        self.runner = asyncio.Runner()
        self.loop = self.runner.get_loop()
        self.clients = DirectClients(url)
        self.line = self.clients.lines[0]
        self.unexpected: list[str] = []
        self.begin_again()

    def begin_again(self) -> None:
        """Each example begins alike, so that what one found can be repeated."""
        self.unexpected.clear()
        self.clients.turns.seed(0)
        self._chance = random.Random(0)

    def uuid4(self) -> uuid.UUID:
        """As `uuid.uuid4`, in the same order in each example."""
        return uuid.UUID(int=self._chance.getrandbits(128), version=4)

    def log(self, _logger: Any, method: str, fields: EventDict) -> EventDict:
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


class Dying(Process):
    """A process that dies at a point; a negative one counts only those around submissions."""

    def reach(self, name: str) -> None:
        if self.die_at is not None and self.die_at < 0 and "access point" in name:
            self.die_at += 1
            if self.die_at == 0:
                self.die_at = len(self.points) + 1
        super().reach(name)


class Base(RuleBasedStateMachine):
    """The world, and what more than one kind of rule does in it."""

    ground: Ground  # set by the test

    def __init__(self) -> None:
        super().__init__()
        self.stored = Stored()
        self.clicked: Counter[str] = Counter()  # so often more than imported it may be accepted
        self.arrived: set[str] = set()  # invoices of which a person said so
        self.contradicted: set[str] = set()  # attempts of which the access point told two ends
        self.again: Counter[str] = Counter()  # how often an invoice may have been imported again
        self.hurried: set[str] = set()  # lost a tag by hand while lists lag
        self.number = 0
        self.looked_at = -1
        self.hints = Hints(look=self.look)
        self.ground.begin_again()
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

    def wanted_again(self, *invoices: str) -> None:
        """A person took off the last tag of these, or said that they did."""
        self.again.update(invoices)

    def asked_for(self, invoice: str) -> None:
        """By a click, a person wants this import accepted once more than it was."""
        accepted = self.world.provider.accepted(f"RE-{invoice}")
        beyond = accepted + 1 - self.imported(invoice)
        self.clicked[invoice] = max(self.clicked[invoice], beyond)

    def imported(self, invoice: str) -> int:
        """How often it was."""
        self.look()
        found = self.stored.records.get(invoice)
        return found.generation if found else 0

    def _state(self) -> ConnectionState | None:
        found = self.do(self.engine.service.connection(ORG))
        return found.state if found else None

    def _configure(self, *, ask: bool) -> None:
        if self._state() is None:
            return
        self.do(
            self.engine.service.configure(ORG, ME, ask_before_sending=ask, sender=None, company="")
        )

    def _run(self, minutes: int) -> None:
        if minutes:
            self.do(self._run_for(timedelta(minutes=minutes)))

    async def _run_for(self, time: timedelta) -> None:
        await self.hints.run_until(self.world, self.engine, self.world.clock() + time)

    async def _die(self, die_at: int, *, two: bool) -> bool:
        process = Dying(die_at)
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

    @invariant()
    def look(self) -> None:
        """The store is consistent and changes with its versions, and every change is told."""
        if self.looked_at == self.ground.line.calls:
            return  # nobody has asked the store for anything since then
        answer = self.ground.line.ask([read(ORG, self.stored.after)])[0]
        problems = self.stored.take(answer, self.engine.ports.now())
        assert not problems, problems
        self.looked_at = self.ground.line.calls


def one[T](nth: int, of: Iterable[T]) -> Iterator[T]:
    """One of several, or nothing if there is none."""
    several = list(of)
    if several:
        yield several[nth % len(several)]


def _is_crash(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.split(Crash)[1] is None
    return isinstance(error, Crash)
