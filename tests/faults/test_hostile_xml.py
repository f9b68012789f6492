"""Hostile and broken documents through the whole process: the others go on."""

from __future__ import annotations

import asyncio
import errno
import os
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


def external(url: str, file: Path) -> str:
    """Asks for a file of this machine and for a page of another."""
    return (
        f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY f SYSTEM "{file.as_uri()}">'
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


@asynccontextmanager
async def unread(directory: Path) -> AsyncIterator[tuple[Path, list[str]]]:
    """A file that nobody should open, and whether somebody did.

    It is a pipe: only while somebody has it open for reading can it be opened for writing.
    """
    file, opened = directory / "secret.txt", list[str]()
    os.mkfifo(file)

    async def look() -> None:
        while True:
            try:
                os.close(os.open(file, os.O_WRONLY | os.O_NONBLOCK))
                opened.append("opened")
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
            await asyncio.sleep(0.02)

    looking = asyncio.create_task(look())
    yield file, opened
    assert not looking.done()
    looking.cancel()


def hostile(tenant: Tenant, url: str, file: Path) -> dict[str, str]:
    """One invoice of each kind, and the reason that it has to end with."""
    good = tenant.account.xml(tenant.add()[0])
    padding = "<!-- " + "x" * 50_000_000 + " -->"
    texts = (
        (BOMB, "document.doctype"),
        (external(url, file), "document.doctype"),
        (good + padding, "sevdesk.answer_too_large"),
        (good.replace("UTF-8", "UTF-16", 1), "document.not_xml"),
        (good[: len(good) // 2], "document.not_xml"),
        ("\x00\x01\x02 no document at all", "sevdesk.bad_answer"),
    )
    invoices = tenant.add(len(texts))
    for invoice, (text, _) in zip(invoices, texts, strict=True):
        invoice.xml = text.encode()
    return {i.id: reason for i, (_, reason) in zip(invoices, texts, strict=True)}


class Watch:
    """The most memory that a worker and any of its children held, in MB, and their work."""

    def __init__(self, pid: int) -> None:
        """Of this worker and its children."""
        self._pid = pid
        self.worker = self.child = 0.0
        self._worked: dict[int, float] = {}

    @property
    def seconds(self) -> float:
        """Processor time of the children so far, their start and the rules included."""
        return sum(self._worked.values())

    async def run(self) -> None:
        """Look twenty times a second."""
        while True:
            try:
                process = psutil.Process(self._pid)
                self.worker = max(self.worker, peak(process))
                for child in process.children(recursive=True):
                    self.child = max(self.child, peak(child))
                    times = child.cpu_times()
                    self._worked[child.pid] = times.user + times.system
            except psutil.Error:
                pass
            await asyncio.sleep(0.05)


def peak(process: psutil.Process) -> float:
    """The most memory that a process ever held, in MB; where the system does not say, now."""
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return float(process.memory_info().rss) / 1e6


@asynccontextmanager
async def watched(world: World) -> AsyncIterator[Watch]:
    """A worker with the real process for documents."""
    watch = Watch(world.start(documents="process").pid)
    task = asyncio.create_task(watch.run())
    yield watch
    task.cancel()


async def test_hostile_documents_end_with_a_reason_and_the_others_are_sent(
    launcher: Launcher, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """Nothing outside is asked, no memory is blown up, and every other invoice is sent."""
    async with (
        open_world(tmp_path, launcher) as world,
        somewhere() as (url, asked),
        unread(tmp_path) as (file, opened),
    ):
        tenant = await world.connect()
        await world.finish_first_sync(tenant)
        bad = hostile(tenant, url, file)
        tenant.add(3)
        async with watched(world) as watch:
            took = await world.until_quiet(50)
        records = await world.records(tenant)
        assert (asked, opened) == ([], [])
        reasons = {i: records[i].reason for i in bad}
        assert {i: str(reason and reason.code) for i, reason in reasons.items()} == bad
        assert {records[i].state for i in bad} == {InvoiceState.FAILED, InvoiceState.BLOCKED}
        assert {r.state for i, r in records.items() if i not in bad} == {InvoiceState.SENT}
        assert 0 < watch.child < 512
        assert watch.worker < 512
        figure(f"{took:.1f} s, worker {watch.worker:.0f} MB, child {watch.child:.0f} MB")
        await world.check_promises()


def large(tenant: Tenant) -> Invoice:
    """An honest invoice of 4,000 lines."""
    lines = [Line(f"Position {n}", Decimal(1), Decimal("1.25")) for n in range(4000)]
    return tenant.account.add_invoice(tenant.customer, lines)


@pytest.mark.slow
@pytest.mark.timeout(200)
async def test_four_thousand_lines_are_sent_for_ten_seconds_of_work(
    launcher: Launcher, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """Large, but honest: it is sent, and so are smaller ones.

    The seconds are the processor's: what other programs do at the same time is not its work.
    """
    async with open_world(tmp_path, launcher) as world:
        tenant = await world.connect()
        await world.finish_first_sync(tenant)
        async with watched(world) as watch:
            tenant.add()
            await world.until_quiet(50)  # the process for documents is warm
            before = watch.seconds
            large(tenant)
            tenant.add(3)
            took = await world.until_quiet(100)
            await asyncio.sleep(0.1)  # for one more look
            worked = watch.seconds - before
        assert set(await world.states()) == {InvoiceState.SENT}
        assert 0 < worked <= 10
        assert max(watch.worker, watch.child) < 512
        figure(
            f"{worked:.1f} s of the processor for all four documents, {took:.1f} s in all, "
            f"worker {watch.worker:.0f} MB, child {watch.child:.0f} MB"
        )
        await world.check_promises()
        await world.check_ends()
