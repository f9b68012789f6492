"""A world to run the engine in: one Valkey, stand-ins outside, a clock that tests move.

`World` is what outlives a process: the store, sevDesk, the access point, the time. `Engine` is
one life of a process in it; after a crash a test makes another.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sync import delivery
from sync.connecting import Connecting
from sync.delivery import Policy
from sync.drain import TAKEN_FOR, Drain, next_due
from sync.errors import Kind, Reason
from sync.model import (
    Connection,
    ConnectionState,
    DocumentType,
    Event,
    InvoiceRecord,
    InvoiceState,
    ParticipantId,
    SyncRun,
)
from sync.polling import Poller
from sync.ports import Jobs, NotPrepared, Order, Ports, Prepared
from sync.service import Service
from sync.store.keys import Keys
from sync.store.redis import Clients
from sync.vault import Vault
from tests.engine.access_point import AccessPointStandIn, Behaviour, Provider
from tests.engine.crash import Process, crashing
from tests.engine.sevdesk import SevdeskAccount, SevdeskStandIn
from tests.engine.stored import Stored, read

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
POLL = timedelta(seconds=300)
ORG = "T1"
ME = "U1"
SENDER = ParticipantId(scheme="9930", value="DE123456788")
RECEIVER = ParticipantId(scheme="0204", value="991-1234512345-06")
TYPE = DocumentType(id="urn:test::Invoice##billing::2.1", process="urn:test:billing")
S = InvoiceState


class Clock:
    """The time of the world, as this host's clock shows it."""

    def __init__(self) -> None:
        self.at = START
        self.skew = timedelta(0)

    def __call__(self) -> datetime:
        return self.at + self.skew

    def true(self) -> datetime:
        """The time of everybody else."""
        return self.at

    def forward(self, by: timedelta) -> None:
        self.at += by

    def to(self, at: datetime) -> None:
        self.at = max(self.at, at - self.skew)

    def jump(self, by: timedelta) -> None:
        """Somebody sets the clock; no time passes."""
        self.skew += by


@dataclass
class RecordingJobs:
    """`sync.ports.Jobs` that keeps what it was told."""

    deliveries: list[tuple[str, datetime]] = field(default_factory=list)
    notified: Counter[str] = field(default_factory=Counter)
    polls: list[tuple[str, bool]] = field(default_factory=list)
    syncs: list[tuple[str, str, str]] = field(default_factory=list)

    async def hint_delivery(self, org: str, at: datetime) -> None:
        self.deliveries.append((org, at))

    async def hint_notify(self, org: str) -> None:
        self.notified[org] += 1

    async def hint_poll(self, org: str, *, soon: bool = False) -> None:
        self.polls.append((org, soon))

    async def sync_now(self, org: str, run_id: str, actor: str) -> None:
        self.syncs.append((org, run_id, actor))


class WordPreparer:
    """Decides by the first word of the document: `ok`, `blocked`, `broken` or `down`."""

    def __init__(self) -> None:
        self.orders: list[Order] = []

    async def prepare(self, source: bytes, order: Order) -> Prepared | NotPrepared:
        self.orders.append(order)
        word = source.split(b" ")[0]
        if word == b"down":
            return NotPrepared(reason=Reason(code="peppol.lookup.down", kind=Kind.TRANSIENT))
        if word == b"blocked" and order.chosen is None:
            return NotPrepared(
                reason=Reason(code="peppol.lookup.not_registered", kind=Kind.PRECONDITION),
                candidates=(RECEIVER,),
            )
        if word == b"broken":
            return NotPrepared(reason=Reason(code="document.broken", kind=Kind.PERMANENT))
        content = b"document of " + source
        return Prepared(
            content=content,
            sha256=hashlib.sha256(content).hexdigest(),
            sender=order.sender or SENDER,
            receiver=order.chosen or RECEIVER,
            document_type=TYPE,
            country="DE",
            rules="test",
        )


@dataclass
class Engine:
    """One life of a process."""

    world: World
    ports: Ports
    process: Process
    connecting: Connecting
    service: Service
    jobs: RecordingJobs
    drain: Drain
    preparer: WordPreparer

    async def poll(self, org: str = ORG, trigger: str = "poll") -> SyncRun | None:
        return await Poller(self.ports, org).poll(f"run-{next(self.world.runs)}", trigger)

    async def sync_now(self, run_id: str, actor: str) -> SyncRun | None:
        """A person's sync."""
        return await Poller(self.ports, ORG).poll(run_id, actor)

    async def work(self, org: str = ORG) -> None:
        """Whatever is due now."""
        await self.drain.run(org)


@dataclass
class World:
    """What outlives a process."""

    url: str
    clock: Clock = field(default_factory=Clock)
    accounts: dict[str, SevdeskAccount] = field(default_factory=dict)
    provider: Provider = field(default_factory=Provider)
    vault: Vault = field(default_factory=lambda: Vault([b"k" * 32]))
    runs: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    opened: list[Clients] = field(default_factory=list)
    poll_every: timedelta = POLL
    stopping: bool = False
    told_to: Callable[[Process], Jobs] | None = None  # where hints go, instead of being recorded

    # ---- what is in it ----------------------------------------------------------------------

    def add_account(self, account_id: str = "100", token: str = "good-token") -> SevdeskAccount:
        account = SevdeskAccount(account_id, self.clock, token)
        self.accounts[token] = account
        return account

    @property
    def sevdesk(self) -> SevdeskAccount:
        return next(iter(self.accounts.values()))

    def engine(self, process: Process | None = None) -> Engine:
        """A fresh process."""
        process = process or Process()
        if not self.opened:
            self.opened.append(Clients(self.url))
        clients = self.opened[0]
        jobs, preparer = RecordingJobs(), WordPreparer()

        async def open_(org: str) -> SevdeskStandIn:
            return await connecting.open(org)  # type: ignore[return-value]

        ports = Ports(
            clients=crashing(clients, process),
            jobs=self.told_to(process) if self.told_to else jobs,
            access_point=AccessPointStandIn(self.provider, process),
            look=AccessPointStandIn(self.provider, process).lookup,
            preparer=preparer,
            sevdesk=open_,
            policy=Policy(),
            poll=self.poll_every,
            now=self.clock,
            jitter=lambda: 0.5,
            stopping=lambda: self.stopping,
        )
        connecting = Connecting(ports, self.vault, lambda org, token: self._client(token, process))
        return Engine(
            world=self,
            ports=ports,
            process=process,
            connecting=connecting,
            service=Service(ports, connecting, "https://sevdesk.invalid"),
            jobs=jobs,
            drain=Drain(ports),
            preparer=preparer,
        )

    def _client(self, token: str, process: Process) -> SevdeskStandIn:
        return SevdeskStandIn(self.accounts, token, process)

    async def close(self) -> None:
        for clients in self.opened:
            await clients.aclose()

    # ---- time passes ------------------------------------------------------------------------

    async def after_a_crash(self, org: str = ORG) -> None:
        """The leases of the dead end; they are real time, which tests do not wait for."""
        redis: Any = self.opened[0].redis
        await redis.delete(Keys(org).lease)
        self.clock.forward(TAKEN_FOR)

    async def run_until(self, engine: Engine, until: datetime, org: str = ORG) -> None:
        """Polls and due work in the order of their time."""
        poll_at = self.clock()
        while True:
            due = await next_due(engine.ports, org)
            if due and due <= self.clock():
                await engine.work(org)
                due = await next_due(engine.ports, org)
            at = min(poll_at, due) if due else poll_at
            if at > until:
                self.clock.to(until)
                return
            self.clock.to(at)
            if self.clock() >= poll_at:
                await engine.poll(org)
                poll_at += self.poll_every

    async def run_for(self, engine: Engine, org: str = ORG, **time: float) -> None:
        """For days an hour is often enough: what is due in between comes at its time."""
        span, often = timedelta(**time), self.poll_every
        if span > timedelta(days=1):
            self.poll_every = max(often, timedelta(hours=1))
        await self.run_until(engine, self.clock() + span, org)
        self.poll_every = often


async def settled(world: World, engine: Engine, org: str = ORG, **time: float) -> None:
    """Polls and due work of so much time; of four polls, unless it is given."""
    await world.run_for(engine, org, **(time or {"minutes": 21}))


async def record(engine: Engine, invoice_id: str, org: str = ORG) -> InvoiceRecord:
    """The record, which must be there."""
    found = await engine.ports.organisation(org).records.get(invoice_id)
    assert found is not None, f"{invoice_id} has no record"
    return found


async def events(engine: Engine, org: str = ORG) -> list[Event]:
    return await engine.service.events(org, "", 100_000)


async def told(engine: Engine, invoice_id: str, org: str = ORG) -> list[str]:
    """The states that `bot` was told of, oldest first."""
    return [e.after for e in await events(engine, org) if e.invoice_id == invoice_id]


async def connection(engine: Engine, org: str = ORG) -> Connection:
    found = await engine.ports.organisation(org).connection()
    assert found is not None
    return found


def stuck(found: InvoiceRecord) -> bool:
    """Neither final, nor waiting for a person who knows, nor to be looked at again."""
    if found.state in delivery.FINAL | {S.WAITING, S.BLOCKED}:
        return False
    return delivery.wake_at(found) is None and not found.overdue


async def inconsistencies(engine: Engine, org: str = ORG) -> list[str]:
    """What does not fit together in the store of an organisation."""
    answer = await engine.world.opened[0].redis.execute_command(*read(org))
    return Stored().take(answer, engine.ports.now())


def active(found: Connection) -> bool:
    return found.state is ConnectionState.ACTIVE


async def with_one(world: World, engine: Engine, *script: Behaviour, xml: bytes = b"ok") -> None:
    """One invoice goes its way, while the access point answers by the script."""
    world.provider.script = list(script)
    world.sevdesk.add_invoice("1", xml=xml)
    await settled(world, engine)
