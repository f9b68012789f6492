"""Hostile and broken documents through the whole process: the others go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import psutil
import pytest

from sync.model import InvoiceState
from tests.faults.processes import Launcher
from tests.faults.world import Tenant, World, open_world
from tests.sandbox.cii import Line
from tests.sandbox.sevdesk import Invoice

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

CII = "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100"
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b0 "boom">'
    + "".join(f'<!ENTITY b{n + 1} "{f"&b{n};" * 10}">' for n in range(9))
    + f']><a xmlns="{CII}">&b9;</a>'
)


def external(url: str) -> str:
    """Asks for a file of this machine and for a page of another."""
    return (
        '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/hostname">'
        f'<!ENTITY p SYSTEM "{url}"><!ENTITY % d SYSTEM "{url}"> %d;]>'
        f'<CrossIndustryInvoice xmlns="{CII}">&f;&p;</CrossIndustryInvoice>'
    )


@asynccontextmanager
async def somewhere() -> AsyncIterator[tuple[str, list[str]]]:
    """A server that nobody should ask, and who did."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.read(100)).decode(errors="replace"))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x.dtd", asked


def hostile(tenant: Tenant, url: str) -> list[Invoice]:
    """One invoice of each kind."""
    good = tenant.account.xml(tenant.add()[0])
    padding = "<!-- " + "x" * 50_000_000 + " -->"
    texts = (
        BOMB,
        external(url),
        good + padding,
        good.replace("UTF-8", "UTF-16", 1),
        good[: len(good) // 2],
        "\x00\x01\x02 no document at all",
    )
    invoices = tenant.add(len(texts))
    for invoice, text in zip(invoices, texts, strict=True):
        invoice.xml = text.encode()
    return invoices


class Watch:
    """The most memory that any process of a worker held, in MB."""

    def __init__(self, pid: int) -> None:
        """Of this worker and its children."""
        self._pid = pid
        self.worker = self.child = 0.0

    async def run(self) -> None:
        """Look twenty times a second."""
        while True:
            try:
                process = psutil.Process(self._pid)
                self.worker = max(self.worker, process.memory_info().rss / 1e6)
                for child in process.children(recursive=True):
                    self.child = max(self.child, child.memory_info().rss / 1e6)
            except psutil.Error:
                pass
            await asyncio.sleep(0.05)


async def work_off(world: World) -> tuple[float, Watch]:
    """With the real process for documents; how long it took, and the memory."""
    worker = world.start(documents="process")
    watch = Watch(worker.pid)
    task = asyncio.create_task(watch.run())
    took = await world.until_quiet(50)
    task.cancel()
    return took, watch


async def test_hostile_documents_end_with_a_reason_and_the_others_are_sent(
    launcher: Launcher, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """Nothing outside is asked, no memory is blown up, and every other invoice is sent."""
    async with open_world(tmp_path, launcher) as world, somewhere() as (url, asked):
        tenant = await world.connect()
        await world.finish_first_sync(tenant)
        bad = {invoice.id for invoice in hostile(tenant, url)}
        tenant.add(3)
        took, watch = await work_off(world)
        records = await world.records(tenant)
        assert asked == []
        assert {records[i].state for i in bad} <= {InvoiceState.FAILED, InvoiceState.BLOCKED}
        assert {r.state for i, r in records.items() if i not in bad} == {InvoiceState.SENT}
        assert max(watch.worker, watch.child) < 512
        figure(f"{took:.1f} s, worker {watch.worker:.0f} MB, child {watch.child:.0f} MB")
        await world.check_promises()


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_four_thousand_lines_are_sent_within_ten_seconds(
    launcher: Launcher, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """Large, but honest: it is sent, and smaller ones do not wait for it."""
    async with open_world(tmp_path, launcher) as world:
        tenant = await world.connect()
        await world.finish_first_sync(tenant)
        lines = [Line(f"Position {n}", Decimal(1), Decimal("1.25")) for n in range(4000)]
        tenant.account.add_invoice(tenant.customer, lines)
        tenant.add(3)
        took, watch = await work_off(world)
        assert set(await world.states()) == {InvoiceState.SENT}
        assert max(watch.worker, watch.child) < 512
        figure(f"{took:.1f} s, worker {watch.worker:.0f} MB, child {watch.child:.0f} MB")
        await world.check_promises()
