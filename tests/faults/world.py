"""The world of a fault test: sevDesk and an access point on loopback, a real Valkey, workers.

The stand-ins live in the test's process, so they survive every kill, and their own count of what
they accepted is the truth that the promises are measured by.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from sync import delivery, jobs
from sync.model import InvoiceRecord, InvoiceState, TagKind
from sync.peppol import doctypes
from sync.runtime import Runtime, open_runtime
from sync.settings import Settings
from sync.store.keys import Keys
from tests.faults.app_process import TOLD, Launch
from tests.faults.processes import Launcher, StoreServer, Worker
from tests.sandbox.access_points import (
    EInvoiceBeStandIn,
    PhossApStandIn,
    RecommandStandIn,
    StandIn,
)
from tests.sandbox.cii import Party
from tests.sandbox.seed import COMPANY, HOTEL, REJECTING_RECEIVER
from tests.sandbox.sevdesk import Contact, Invoice, SevdeskAccount, SevdeskStandIn

TYPES = (doctypes.BIS_INVOICE.id, doctypes.BIS_CREDIT_NOTE.id)
RESTING = frozenset(
    {
        InvoiceState.SENT,
        InvoiceState.FAILED,
        InvoiceState.WITHDRAWN,
        InvoiceState.BLOCKED,
        InvoiceState.WAITING,
    }
)
LOOK_EVERY = 0.03  # seconds between two looks at a condition
LOOK_AT_ALL = 0.1  # where each look reads all records


def stand_in(provider: str) -> StandIn:
    """A provider's stand-in with its default account."""
    makers: dict[str, Callable[[], StandIn]] = {
        "recommand": RecommandStandIn,
        "e-invoice-be": EInvoiceBeStandIn,
        "phoss-ap": PhossApStandIn,
    }
    made = makers[provider]()
    made.retry_after = 1
    return made


def credentials(provider: str) -> dict[str, str]:
    """The settings of the stand-in's account."""
    if provider == "phoss-ap":
        return {"peppol_api_key": "token_sandbox"}
    return {
        "peppol_api_key": "key_sandbox",
        "peppol_api_secret": "secret_sandbox",
        "peppol_company_id": "c_sandbox",
    }


class Store(Protocol):
    """What a world needs of its store."""

    @property
    def url(self) -> str:
        """For REDIS_URL."""
        ...


@dataclass(frozen=True, slots=True)
class Tenant:
    """One organisation with its account."""

    org: str
    account: SevdeskAccount
    customer: Contact
    difficult: Contact  # its access point rejects everything

    def add(self, count: int = 1, *, difficult: bool = False) -> list[Invoice]:
        """New open invoices."""
        contact = self.difficult if difficult else self.customer
        return [self.account.add_invoice(contact) for _ in range(count)]


@dataclass
class World:
    """Everything of one test."""

    directory: Path
    provider: str
    launcher: Launcher
    sevdesk: SevdeskStandIn
    access_point: StandIn
    store: Any  # as `Store`; mostly a `StoreServer`
    settings: dict[str, Any] = field(repr=False)
    rt: Runtime
    knobs: dict[str, Any]
    tenants: list[Tenant] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)

    # ---- people -----------------------------------------------------------------------------

    async def connect(self, org: str = "T1") -> Tenant:
        """A company connects its account."""
        number = len(self.tenants) + 1
        token = f"{number:032x}"
        account = self.sevdesk.add_account(token, company(number))
        account.numbers = itertools.count(number * 100_000 + 1)  # told apart by the access point
        customer = account.add_contact("Hotel Alsterblick GmbH", tagged="xTool", vat="DE999100018")
        difficult = account.add_contact("Reederei Kappel KG", tagged="xTool", vat="DE999100042")
        await self.rt.service.connect(org, token, "U1")
        tenant = Tenant(org, account, customer, difficult)
        self.tenants.append(tenant)
        return tenant

    # ---- workers ----------------------------------------------------------------------------

    def start(self, trap: str = "", **knobs: Any) -> Worker:
        """A worker process."""
        log = self.directory / f"worker-{len(self.workers) + 1}.log"
        launch = Launch(settings=self.settings, log=str(log), trap=trap, **{**self.knobs, **knobs})
        worker = Worker(self.launcher, launch)
        self.workers.append(worker)
        return worker

    async def finish_first_sync(self, tenant: Tenant) -> None:
        """Let one invoice through: of many in a first sync a person would be asked."""
        tenant.add()
        worker = self.start()
        await self.until_quiet()
        worker.kill()

    async def kill_all(self) -> None:
        """SIGKILL for all workers."""
        for worker in self.workers:
            worker.kill()
        await self.until(lambda: not any(w.alive for w in self.workers), 10, "the workers end")

    # ---- waiting ----------------------------------------------------------------------------

    async def until(
        self,
        condition: Callable[[], bool | Awaitable[bool]],
        seconds: float,
        what: str,
        every: float = LOOK_EVERY,
    ) -> float:
        """Wait for a condition, no longer than it takes; fails after `seconds`.

        Returns how long it took.
        """
        began = time.monotonic()
        while True:
            met = condition()
            if met if isinstance(met, bool) else await met:
                return time.monotonic() - began
            if time.monotonic() - began > seconds:
                pytest.fail(f"not within {seconds:g} s: {what}\n{await self.describe()}")
            await asyncio.sleep(every)

    async def until_quiet(self, seconds: float = 30.0) -> float:
        """Wait until nothing is left to do."""
        return await self.until(self.is_quiet, seconds, "everything is settled", LOOK_AT_ALL)

    async def until_decided(self, seconds: float = 30.0) -> float:
        """As `until_quiet`, with a person who looks up what nobody else can know."""

        async def decided() -> bool:
            return await self.is_quiet() and not await self.decide()  # nobody is asked any more

        return await self.until(decided, seconds, "all is settled and decided", LOOK_AT_ALL)

    async def decide(self) -> int:
        """Answer what a person is asked about an unconfirmed invoice; how many were asked about.

        The person looks at the access point: it is there, or it is sent again.
        """
        service, asked = self.rt.service, 0
        for tenant in self.tenants:
            for record in (await self.records(tenant)).values():
                if record.state is not InvoiceState.UNCONFIRMED or not record.overdue:
                    continue
                there = self.accepted(tenant.account.invoices[record.invoice_id])
                wish = service.arrived if there else service.send_again
                await wish(tenant.org, record.invoice_id, "U1")
                asked += 1
        return asked

    async def is_quiet(self) -> bool:
        """Whether every invoice rests, is tagged as it should be, and everything was told."""
        for tenant in self.tenants:
            if await self.restless(tenant):
                return False
        return True

    async def restless(self, tenant: Tenant) -> list[str]:
        """What is still to come for an organisation, in words."""
        records = await self.records(tenant)
        found = [f"{i.number} was not imported" for i in wanted(tenant) if i.id not in records]
        found += [f"{r.number} is {r.state}" for r in records.values() if not rests(r)]
        found += [
            f"{r.number} wants {delivery.tag_wanted(r)}, has {self.tags(tenant, r)}"
            for r in records.values()
            if delivery.tag_wanted(r) is not None or self.tags(tenant, r) != [tag(r)]
        ]
        untold = await self.redis.xlen(Keys(tenant.org).events)
        return found + ([f"{untold} events were not told"] if untold else [])

    # ---- looking ----------------------------------------------------------------------------

    @property
    def redis(self) -> Any:
        """The store, as the test sees it."""
        return self.rt.clients.redis

    async def records(self, tenant: Tenant) -> dict[str, InvoiceRecord]:
        """All records of an organisation by invoice."""
        records = self.rt.ports.organisation(tenant.org).records
        found = await records.get_many(sorted(await records.all_ids()))
        return {record.invoice_id: record for record in found}

    async def states(self) -> Counter[str]:
        """How many invoices are in each state."""
        found: Counter[str] = Counter()
        for tenant in self.tenants:
            found.update(r.state.value for r in (await self.records(tenant)).values())
        return found

    async def told(self) -> list[dict[str, Any]]:
        """What the notifier told, oldest first."""
        return [json.loads(line) for line in await self.redis.lrange(TOLD, 0, -1)]

    def accepted(self, invoice: Invoice) -> int:
        """How often the access point accepted an invoice, by its own count."""
        return sum(1 for one in self.access_point.taken if one.number == invoice.number)

    def tags(self, tenant: Tenant, record: InvoiceRecord) -> list[str]:
        """xTool's tags on an invoice in sevDesk."""
        found = tenant.account.tags_of(tenant.account.invoices[record.invoice_id])
        return [name for name in found if name.startswith("xTool-")]

    def doubles(self) -> int:
        """Accepted submissions beyond the first of each invoice."""
        counts = self.access_point.counts().values()
        return sum(counts) - len(counts)

    async def describe(self) -> str:
        """For a failure's message: what is open, and the end of the workers' logs."""
        lines = [f"accepted: {len(self.access_point.taken)}, doubles: {self.doubles()}"]
        for tenant in self.tenants:
            try:
                lines += (await self.restless(tenant))[:20]
            except Exception as error:  # noqa: BLE001 - the store may be the trouble
                lines.append(f"{tenant.org}: {error!r}")
        for worker in self.workers[-3:]:
            lines.append(f"worker {worker.pid} ended with {worker.status}, its log ends:")
            lines += [json.dumps(entry)[:500] for entry in worker.log()[-12:]]
        return "\n".join(lines)

    # ---- the promises -----------------------------------------------------------------------

    async def check_promises(self, *, doubles: int = 0) -> None:
        """At most once, none lost, one right tag each, everything told."""
        assert self.doubles() == doubles
        told = {(e["org"], e["invoice_id"], e["after"]) for e in await self.told()}
        for tenant in self.tenants:
            records = await self.records(tenant)
            assert {i.id for i in wanted(tenant)} <= records.keys()
            for record in records.values():
                self._check(tenant, record, told)

    async def check_ends(self) -> None:
        """What can be delivered was accepted exactly once, and what is refused never was.

        By the access point's own count; the records must agree with it.
        """
        for tenant in self.tenants:
            records = await self.records(tenant)
            for invoice in wanted(tenant):
                good = invoice.contact == tenant.customer.id
                end = InvoiceState.SENT if good else InvoiceState.FAILED
                assert self.accepted(invoice) == int(good), invoice.number
                assert records[invoice.id].state is end, invoice.number

    def _check(
        self, tenant: Tenant, record: InvoiceRecord, told: set[tuple[str, str, str]]
    ) -> None:
        invoice = tenant.account.invoices[record.invoice_id]
        assert rests(record), f"{record.number} is stuck in {record.state}"
        if record.state is InvoiceState.SENT:
            assert self.accepted(invoice), f"{record.number} was never accepted"
        if record.state in (InvoiceState.FAILED, InvoiceState.BLOCKED):
            assert record.reason is not None, f"{record.number} has no reason"
        ours = self.tags(tenant, record)
        assert ours == [tag(record)], f"{record.number} is {record.state}, its tags are {ours}"
        assert (tenant.org, record.invoice_id, record.state.value) in told, record.number


def company(number: int) -> Party:
    """The seller of the n-th account."""
    return replace(COMPANY, name=f"{COMPANY.name} {number}") if number > 1 else COMPANY


def wanted(tenant: Tenant) -> Iterator[Invoice]:
    """The invoices that are to be imported."""
    contacts = {tenant.customer.id, tenant.difficult.id}
    for invoice in tenant.account.invoices.values():
        if invoice.contact in contacts and invoice.e_invoice and invoice.status in (200, 750):
            yield invoice


def rests(record: InvoiceRecord) -> bool:
    """Whether nothing more happens by itself, or a person was asked."""
    return record.state in RESTING or (record.state is InvoiceState.UNCONFIRMED and record.overdue)


def tag(record: InvoiceRecord) -> str:
    """The tag that an invoice should carry."""
    kinds = {
        InvoiceState.SENT: TagKind.SENT,
        InvoiceState.FAILED: TagKind.FAILED,
        InvoiceState.BLOCKED: TagKind.FAILED,
    }
    return kinds.get(record.state, TagKind.UPLOADED).name_for("xTool")


@asynccontextmanager
async def open_world(
    directory: Path,
    launcher: Launcher,
    provider: str = "recommand",
    *,
    settings: dict[str, Any] | None = None,
    sevdesk: SevdeskStandIn | None = None,
    store: Store | None = None,
    **knobs: Any,
) -> AsyncIterator[World]:
    """A world without tenants and workers. `knobs` as in `Launch`, for all its workers.

    `store`: one that runs already, and is not stopped at the end.
    """
    sevdesk = sevdesk or SevdeskStandIn()
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        access_point = stand_in(provider)
        if store is None:
            store = StoreServer(directory / "store")
            stack.push_async_callback(store.stop)
            await store.start()
        await stack.enter_async_context(sevdesk)
        stack.push_async_callback(access_point.stop)
        await access_point.start()
        register_receivers(access_point)
        chosen = {
            **usual_settings(directory, sevdesk, access_point, store),
            "peppol_provider": provider,
            **credentials(provider),
            **(settings or {}),
        }
        rt = await stack.enter_async_context(open_runtime(Settings.load(**chosen)))
        jobs.register(rt.docket, rt.ports, no_work_here, no_work_here)
        network = None if provider == "recommand" else network_of(access_point)
        world = World(
            directory=directory,
            provider=provider,
            launcher=launcher,
            sevdesk=sevdesk,
            access_point=access_point,
            store=store,
            settings=chosen,
            rt=rt,
            knobs={"network": network, **knobs},
        )
        stack.push_async_callback(world.kill_all)
        yield world


def usual_settings(
    directory: Path, sevdesk: SevdeskStandIn, access_point: StandIn, store: Store
) -> dict[str, Any]:
    """Short waits, and addresses of this world."""
    return {
        "sevdesk_api_url": sevdesk.base_url,
        "sevdesk_rps": 100,
        "peppol_api_url": access_point.url,
        "redis_url": store.url,
        "encryption_keys": base64.b64encode(b"only for the fault tests, really").decode(),
        "data_dir": str(directory / "data"),
        "poll_seconds": 1,
        "retry_seconds": 0.2,
    }


def register_receivers(access_point: StandIn, pending: int = 1) -> None:
    """A hotel that takes everything after some status calls, and one that rejects everything."""
    access_point.register(HOTEL, *TYPES, pending_polls=pending)
    access_point.register(REJECTING_RECEIVER, *TYPES, rejects=1_000_000)


def network_of(access_point: StandIn) -> dict[str, list[str]]:
    """The receivers, for workers whose provider has no look-up of its own here."""
    return {who: sorted(one.document_types) for who, one in access_point.receivers.items()}


async def no_work_here(org: str) -> None:
    """The test's own process only adds jobs, as a web process does."""
    raise AssertionError(f"the test's process was given work for {org}")
