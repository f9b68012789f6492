"""Processes and time: polls, work, deaths, lost and late hints, a clock that is set."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import rule

from sync.errors import StoreError
from sync.sending import Sender
from tests.engine.crash import Process
from tests.engine.machine_base import DIE_AT, Base, invoices
from tests.engine.world import ME, ORG


class Processes(Base):
    """Rules about what runs, when, and for how long."""

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
        """This host's clock alone, back or forth.

        After a jump forward the earlier time is believed for longer than any list lags
        (`sync.clock`), so the lists have caught up when the later one is.
        """
        if seconds > 0:
            self.world.clock.forward(self.world.sevdesk.lag)
        self.world.clock.jump(timedelta(seconds=seconds))
        self.did("clock jumps", True)

    @rule(minutes=st.integers(1, 12))
    def run(self, minutes: int) -> None:
        self._run(minutes)
        self.did("run", True)

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
