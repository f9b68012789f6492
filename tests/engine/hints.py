"""Jobs as docket keeps them: hints that outlive a process, and a sweep for those that were lost.

`World.run_until` looks itself what is due; here nothing is looked at unless a hint or the sweep
said so, so what no hint and no sweep finds stays where it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sync.drain import next_due
from sync.errors import StoreError
from sync.jobs import SWEEP, _sweep
from sync.ports import Ports
from sync.store.keys import Keys
from tests.engine.crash import Process
from tests.engine.world import ORG, Engine, World

NEVER = timedelta(days=10_000)
ENDLESS = 50


@dataclass
class Hints:
    """All hints for one organisation."""

    deliveries: set[datetime] = field(default_factory=set)
    notify: bool = False
    syncs: list[tuple[str, str]] = field(default_factory=list)
    refused: int = 0  # so many of the next hints are not taken
    swept: int = 0  # hints that only the sweep gave
    look: Callable[[], None] = lambda: None  # at events, before they are forgotten
    in_vain: tuple[object, ...] = ()  # what the sweep was last asked about

    def of(self, process: Process) -> HintsOf:
        """What one process tells."""
        return HintsOf(self, process)

    def take(self) -> None:
        """One hint comes in."""
        if self.refused > 0:
            self.refused -= 1
            raise StoreError("the hint was not taken", code="store.unavailable")

    # ---- what the hints make a process do -----------------------------------------------------

    async def run_until(self, world: World, engine: Engine, until: datetime) -> None:
        """Polls, hints and the sweep in the order of their time."""
        poll_at = world.clock()
        rounds: Counter[datetime] = Counter()
        while True:
            rounds[world.clock()] += 1
            assert rounds[world.clock()] < ENDLESS, "there is always more to do at one time"
            await self._follow(engine)
            sweep_at = await self._sweep_at(engine.ports)
            at = min(poll_at, sweep_at, *self.deliveries)
            if at > until:
                world.clock.to(until)
                return
            world.clock.to(at)
            if at == sweep_at:
                await self._sweep(engine.ports)
            if at == poll_at:
                await engine.poll()
                poll_at += world.poll_every

    async def _follow(self, engine: Engine) -> None:
        """Do what hints for now ask for."""
        while self.syncs:
            run_id, actor = self.syncs.pop()
            await engine.sync_now(run_id, actor)
        now = engine.ports.now()
        due = {at for at in self.deliveries if at <= now}
        if due:
            self.deliveries -= due
            await engine.work()
        if self.notify:
            await self._notified(engine)

    async def _notified(self, engine: Engine) -> None:
        """As `bot` does: read what happened, and forget it."""
        self.notify = False
        while found := await engine.service.events(ORG, ""):
            self.look()
            await engine.service.trim_events(ORG, found[-1].id)

    # ---- what no hint says --------------------------------------------------------------------

    async def _sweep_at(self, ports: Ports) -> datetime:
        """When the sweep has something to find. It finds nothing twice."""
        now = ports.now()
        lost = await self._lost(ports)
        if not any(lost) or lost == self.in_vain:
            return now + NEVER
        self.in_vain = ()
        due = lost[0]
        return (max(due, now) if isinstance(due, datetime) else now) + SWEEP

    async def _lost(self, ports: Ports) -> tuple[object, ...]:
        """For what there is something to do, and no hint."""
        redis: Any = ports.clients.redis
        due = await next_due(ports, ORG)
        if due is not None and any(at <= max(due, ports.now()) + SWEEP for at in self.deliveries):
            due = None
        events = 0 if self.notify else await redis.xlen(Keys(ORG).events)
        return due, events

    async def _sweep(self, ports: Ports) -> None:
        before = (len(self.deliveries), self.notify)
        lost = await self._lost(ports)
        try:
            await _sweep(ports)
        except StoreError:
            return  # docket begins it again after its time
        if before == (len(self.deliveries), self.notify):
            self.in_vain = lost
        else:
            self.swept += 1


@dataclass
class HintsOf:
    """`sync.ports.Jobs` of one process; a dead one hints nothing."""

    hints: Hints
    process: Process

    def _take(self) -> Hints:
        self.process.alive()
        self.hints.take()
        return self.hints

    async def hint_delivery(self, org: str, at: datetime) -> None:
        self._take().deliveries.add(at)

    async def hint_notify(self, org: str) -> None:
        self._take().notify = True

    async def hint_poll(self, org: str, *, soon: bool = False) -> None:
        self._take()

    async def sync_now(self, org: str, run_id: str, actor: str) -> None:
        self._take().syncs.append((run_id, actor))
