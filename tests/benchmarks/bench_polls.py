"""What an idle poll costs with 100, 2,000 and 20,000 known invoices of which 50 are open.

The real client over HTTP, the real store and the real planner; sevDesk's stand-in is a process of
its own, and nothing paces. sevDesk lists the relations of everything that was ever tagged, 1,000
with each request, and nothing on this side can change that; so what a poll does besides its calls
of sevDesk has a figure of its own. The baseline of the same run is the poll with 100 known.

But for the first, times are processor times of the poll's thread: other work on the machine counts
little, the garbage collector counts. The longest turn is the one callback that held the event loop
longest.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from sync import delivery
from sync.embedded import EmbeddedStore
from sync.model import (
    Attempt,
    Connection,
    DocumentType,
    InvoiceRecord,
    InvoiceState,
    ParticipantId,
    TagKind,
)
from sync.polling import Poller
from sync.ports import Ports, Sevdesk
from sync.sevdesk import SevdeskClient, build_http
from sync.store.organisation import ContactFact
from sync.store.redis import Clients
from tests.benchmarks.figures import Figure, percentile, ratio
from tests.engine.world import RecordingJobs
from tests.sandbox.cii import Line
from tests.sandbox.seed import COMPANY, TOKEN
from tests.sandbox.sevdesk import Contact, Invoice, SevdeskStandIn
from tests.sandbox.sevdesk.state import Relation

ORG = "T1"
KNOWN = (100, 2_000, 20_000)
OPEN = 50
TO_EACH = 20  # invoices to one contact
POLLS = 9  # that are measured, after one that is not
AT_ONCE = 200  # records that are written at once before
LONG_AGO = datetime(2026, 1, 5, tzinfo=UTC)
SENT_TAG, CONTACT_TAG, CONTACTS, RELATIONS = 1, 2, 1_000_000, 2_000_000  # ids from these on
ME = ParticipantId(scheme="9930", value="DE136695976")
YOU = ParticipantId(scheme="0204", value="991-1234512345-06")


@dataclass
class Meter:
    """Counts what one poll costs."""

    requests: int = 0
    calls: float = 0.0  # processor seconds of calls of sevDesk
    turns: list[float] = field(default_factory=list)  # processor seconds of each callback

    async def pace(self) -> None:
        """Before each request."""
        self.requests += 1

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Measure each callback of the event loop."""
        run: Callable[[Any], None] = asyncio.Handle._run
        self.requests, self.calls, self.turns = 0, 0.0, []

        def timed(handle: Any) -> None:
            began = time.thread_time()
            run(handle)
            self.turns.append(time.thread_time() - began)

        asyncio.Handle._run = timed  # type: ignore[assignment, method-assign]
        try:
            yield
        finally:
            asyncio.Handle._run = run  # type: ignore[assignment, method-assign]


class TimedSevdesk:
    """A client whose calls are timed."""

    def __init__(self, client: SevdeskClient, meter: Meter) -> None:
        self._client = client
        self._meter = meter

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        call = getattr(self._client, name)

        async def timed(*args: Any) -> Any:
            began = time.thread_time()
            try:
                return await call(*args)
            finally:
                self._meter.calls += time.thread_time() - began

        return timed


@dataclass
class Series:
    """What the polls of one organisation cost, each by itself, in seconds."""

    whole: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    besides: list[float] = field(default_factory=list)  # of which not in calls of sevDesk
    longest: float = 0.0
    requests: int = 0


async def measure() -> list[Figure]:
    """All figures of this file."""
    figures = [Figure("load of the machine in the last minute", os.getloadavg()[0], "")]
    least: Series | None = None
    for known in KNOWN:
        series = await _polls(known)
        least = least or series
        name = f"{known:,} known, {OPEN} open"
        figures += [
            Figure(f"{name}: idle poll", percentile(series.whole, 0.5) * 1000, "ms"),
            Figure(f"{name}: requests", series.requests / POLLS, ""),
            Figure(f"{name}: processor time", percentile(series.processor, 0.5) * 1000, "ms"),
            Figure(f"{name}: of which besides calls", percentile(series.besides, 0.5) * 1000, "ms"),
            ratio(f"{name}: the same, times the first", series.besides, least.besides),
            Figure(f"{name}: longest turn of the loop", series.longest * 1000, "ms"),
        ]
    return figures


async def _polls(known: int) -> Series:
    series, meter = Series(), Meter()
    with tempfile.TemporaryDirectory() as directory:
        store = EmbeddedStore(Path(directory))
        clients = Clients(await store.start())
        async with _sevdesk(known) as url, build_http() as http:
            client = TimedSevdesk(SevdeskClient(http, url, TOKEN, meter.pace), meter)
            ports = _ports(clients, cast(Sevdesk, client))
            await _fill(ports, known)
            await _poll(ports, meter, Series())
            gc.collect()
            gc.freeze()  # as the program does at its start
            for _ in range(POLLS):
                await _poll(ports, meter, series)
        await clients.aclose()
        await store.stop()
    return series


async def _poll(ports: Ports, meter: Meter, series: Series) -> None:
    await asyncio.sleep(0.01)  # what was done before belongs to no turn of this poll
    with meter.looking():
        began, ran = time.perf_counter(), time.thread_time()
        run = await Poller(ports, ORG).poll("run")
        whole, ran = time.perf_counter() - began, time.thread_time() - ran
    assert run is not None
    assert (run.error, run.seen, run.to_import, run.repaired) == (None, OPEN, 0, 0)
    series.whole.append(whole)
    series.besides.append(ran - meter.calls)
    series.processor.append(ran)
    series.longest = max(series.longest, *meter.turns)
    series.requests += meter.requests


# ---- the organisation -------------------------------------------------------------------------


def _ports(clients: Clients, client: Sevdesk) -> Ports:
    async def opened(_org: str) -> Sevdesk:
        return client

    unused: Any = None
    return Ports(
        clients=clients,
        jobs=RecordingJobs(),
        access_point=unused,
        preparer=unused,
        sevdesk=opened,
        look=unused,
        now=lambda: datetime.now(UTC),
    )


async def _fill(ports: Ports, known: int) -> None:
    """The store as it is once all were sent and their tags were seen."""
    store = ports.organisation(ORG)
    await store.put_connection(
        Connection(
            org=ORG,
            account="100",
            account_name=COMPANY.name,
            connected_by="U1",
            connected_at=LONG_AGO,
            last_sync=ports.now(),
        )
    )
    for start in range(1, known + 1, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, known + 1))
        await asyncio.gather(*(store.records.put(_record(number)) for number in numbers))
    contacts = {str(CONTACTS + n): _fact(CONTACTS + n) for n in range(known // TO_EACH + 1)}
    await store.put_contacts(contacts)


def _record(number: int) -> InvoiceRecord:
    """An invoice that was delivered."""
    attempt = Attempt(
        id=f"00000000-0000-4000-8000-{number:012}",
        number=1,
        adapter="recommand",
        account="a" * 64,
        sender=ME,
        receiver=YOU,
        document_type=DocumentType(id="urn:oasis:x" * 12, process="urn:fdc:peppol.eu:x" * 3),
        sha256="d" * 64,
        claimed_at=LONG_AGO,
        deadline=LONG_AGO + timedelta(minutes=1),
        provider_id=f"doc_{number:026}",
        provider_status="delivered",
    )
    made = InvoiceRecord(
        org=ORG,
        account="100",
        invoice_id=str(number),
        state_since=LONG_AGO,
        created_at=LONG_AGO,
        run="0" * 32,
        number=f"RE-{number}",
        contact_id=str(CONTACTS + number // TO_EACH),
        contact_name=f"Kunde {number // TO_EACH} GmbH",
        source_sha256="e" * 64,
        document_sha256="d" * 64,
        sender=ME,
        receiver=YOU,
        document_type=attempt.document_type,
        country="DE",
        rules="peppol-2026-09",
        attempts=1,
        attempt=attempt,
        tag=TagKind.SENT,
        tag_relation=str(RELATIONS + number),
        tagged_at=LONG_AGO,
        tag_seen=True,
    )
    return delivery.enter(made, InvoiceState.SENT, LONG_AGO)


def _fact(contact: int) -> ContactFact:
    return ContactFact(
        contact_id=str(contact), name=f"Kunde {contact} GmbH", vat_number="DE136695976"
    )


# ---- sevDesk ----------------------------------------------------------------------------------


@asynccontextmanager
async def _sevdesk(known: int) -> AsyncIterator[str]:
    """Its address; it runs in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.bench_polls", str(known),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        await process.wait()


async def _serve(known: int) -> None:
    """Contacts with the tag, invoices with theirs, of which the newest are not paid."""
    standin = SevdeskStandIn()
    account = standin.add_account(TOKEN, COMPANY)
    account.tags |= {str(SENT_TAG): "xTool-Peppol-Sent", str(CONTACT_TAG): "xTool"}
    for n in range(known // TO_EACH + 1):
        contact = Contact(str(CONTACTS + n), f"Kunde {n} GmbH")
        account.contacts[contact.id] = contact
        _relate(account.relations, contact.id, CONTACT_TAG, "Contact", int(contact.id))
    lines = (Line("Beratung", Decimal(2), Decimal(95), unit="HUR"),)
    for n in range(1, known + 1):
        _relate(account.relations, str(RELATIONS + n), SENT_TAG, "Invoice", n)
        if n > known - OPEN:
            buyer = str(CONTACTS + n // TO_EACH)
            day = LONG_AGO.date()
            account.invoices[str(n)] = Invoice(str(n), f"RE-{n}", buyer, 200, "RE", day, lines)
    sys.stdout.write(await standin.start() + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def _relate(
    relations: dict[str, Relation], relation: str, tag: int, kind: str, number: int
) -> None:
    relations[relation] = Relation(relation, str(tag), kind, str(number), LONG_AGO)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
