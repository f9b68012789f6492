"""What reading, converting and checking an invoice costs.

1. One ten-line invoice, warm: everything that `work.make` does (bounds, read, convert, read again,
   compare, check) against `euinvoice` alone (parse, write with its own checks) with the same judge
   behind it. The two take turns, so that a busy machine slows both. Promise: below 1.5 times.
2. The longest stall of an event loop while invoices go through the worker process, beside the
   same loop doing nothing. Promise: below 50 ms.
3. The worker process's memory over 2,000 documents, without replacing it. Promise: bounded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from euinvoice import parse_detailed, profiles, to_xml

from sync.documents import check, work, worker
from sync.documents.choose_type import BIS, How
from sync.documents.convert import addressed
from sync.documents.read import open_document
from sync.documents.work import Plan
from sync.documents.worker import DocumentWorker
from tests.benchmarks.figures import Figure, percentile
from tests.unit.documents_support import OURS, THEIRS, load, many_lines

ROUNDS = 200
DOCUMENTS = 2_000
PLAN = Plan(how=How.TO_UBL, sender=OURS, receiver=THEIRS)


async def measure() -> list[Figure]:
    """All figures of this file."""
    figures = _ratio()
    started = time.perf_counter()
    async with DocumentWorker() as documents:
        figures.append(Figure("worker, start and warm-up", time.perf_counter() - started, "s"))
        figures += await _stalls(documents)
        figures += await _memory(documents)
    return figures


def _milliseconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return (time.perf_counter() - started) * 1000


def _euinvoice_alone(source: bytes) -> None:
    """What one would write with the library: parse, address, write, judge."""
    invoice = addressed(parse_detailed(source).invoice, OURS, THEIRS)
    xml = to_xml(invoice, profile=profiles.PEPPOL, syntax="ubl")
    # The judge takes a parsed document; reading it is part of judging for both.
    check.check(open_document(xml), BIS)


def _ratio() -> list[Figure]:
    source = many_lines(10)
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(ROUNDS + 10):
        one = _milliseconds(lambda: work.make(source, PLAN))
        other = _milliseconds(lambda: _euinvoice_alone(source))
        if number >= 10:  # warm
            ours.append(one)
            theirs.append(other)
    mine, alone = percentile(ours, 0.5), percentile(theirs, 0.5)
    return [
        Figure("ten lines, read, convert, compare, check, median", mine, "ms"),
        Figure("ten lines, euinvoice alone and the same judge, median", alone, "ms"),
        Figure("ratio, promised below 1.5", mine / alone, ""),
    ]


async def _longest_stall(job: Callable[[], Awaitable[None]]) -> float:
    """The longest time in ms that the loop did not turn."""
    stalls: list[float] = []

    async def watch() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            stalls.append((time.perf_counter() - before) * 1000 - 1)

    watching = asyncio.create_task(watch())
    await job()
    watching.cancel()
    return max(stalls)


async def _stalls(documents: DocumentWorker) -> list[Figure]:
    small, large = many_lines(10), many_lines(4_000)
    heavy = load("xrechnung-cii-attachment.xml").replace(b"JVBERi0", b"JVBERi0" + b"A" * 8_000_000)

    async def idle() -> None:
        await asyncio.sleep(2)

    async def through(source: bytes, count: int) -> None:
        for _ in range(count):
            await documents.read(source)
            await documents.make(source, PLAN)

    jobs: dict[str, Callable[[], Awaitable[None]]] = {
        "nothing to do": idle,
        "100 invoices of ten lines": lambda: through(small, 100),
        "an invoice of 4,000 lines, 5 MB": lambda: through(large, 1),
        "three with an attachment of 6 MB": lambda: through(heavy, 3),
    }
    return [
        Figure(f"longest stall of the loop, {name}", await _longest_stall(job), "ms")
        for name, job in jobs.items()
    ]


async def _memory(documents: DocumentWorker) -> list[Figure]:
    """In a fresh process that is not replaced on the way."""
    for child in documents._children:
        await child.start()
        child._is_old = lambda: False  # type: ignore[method-assign]
    source = many_lines(10)
    figures = []
    started = time.perf_counter()
    for number in range(DOCUMENTS + 1):
        await documents.make(source, PLAN)
        if number % (DOCUMENTS // 4) == 0:
            megabytes = worker._resident(documents.pids[0])
            figures.append(Figure(f"worker, memory after {number or 1} documents", megabytes, "MB"))
    rate = DOCUMENTS / (time.perf_counter() - started)
    return [*figures, Figure("worker, ten-line invoices a second", rate, "/s")]
