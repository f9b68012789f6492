"""The process that reads documents: bounded, replaced, no secrets, gone with its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from sync.documents import frames, rules, worker
from sync.documents.choose_type import How
from sync.documents.errors import DocumentError, WorkerError
from sync.documents.frames import Frame
from sync.documents.work import Plan
from sync.documents.worker import DocumentWorker
from sync.errors import Kind
from tests.unit.documents_support import OURS, THEIRS, load, many_lines, pdf

PLAN = Plan(how=How.TO_UBL, sender=OURS, receiver=THEIRS)
pytestmark = pytest.mark.faults


async def test_it_reads_and_makes_as_the_functions_do() -> None:
    async with DocumentWorker() as documents:
        assert (await documents.read(load())).number == "MW-2026-0042"
        made, xml = await documents.make(load(), PLAN)
        assert made.rules == documents.rules
        assert b"MW-2026-0042" in xml


async def test_what_is_wrong_with_a_document_comes_back_as_it_was() -> None:
    async with DocumentWorker() as documents:
        with pytest.raises(DocumentError) as caught:
            await documents.read(b"<Order/>")
        assert caught.value.reason.code == "document.root"
        assert caught.value.reason.params == {"root": "Order"}
        with pytest.raises(DocumentError) as caught:
            await documents.make(load().replace(b"99661-MUSTER-95", b" "), PLAN)
        assert caught.value.reason.code == "document.invalid"
        assert caught.value.reason.findings


async def test_many_tasks_share_it() -> None:
    async with DocumentWorker() as documents:
        found = await asyncio.gather(*(documents.read(load()) for _ in range(20)))
        assert {document.number for document in found} == {"MW-2026-0042"}
        assert len(documents.pids) == 1


async def test_rules_that_were_fetched_meanwhile_are_loaded_by_a_new_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the memory and time that loading takes would count as the next document's."""
    fetched = False
    monkeypatch.setattr(rules, "available", lambda: fetched)
    async with DocumentWorker() as documents:
        await documents.read(load())
        before = documents.pids
        await documents.read(load())
        assert documents.pids == before
        fetched = True
        await documents.read(load())
        after = documents.pids
        assert after != before
        await documents.read(load())
        assert documents.pids == after


async def test_a_document_that_takes_too_long_is_given_up_and_the_next_goes_on() -> None:
    async with DocumentWorker(seconds=0.2) as documents:
        (before,) = documents.pids
        with pytest.raises(WorkerError) as caught:
            await documents.make(many_lines(2_000), PLAN)
        assert caught.value.reason.code == "document.timeout"
        assert caught.value.reason.kind is Kind.PERMANENT
        assert caught.value.reason.params == {"seconds": "0.2"}
        assert not psutil.pid_exists(before)
        assert (await documents.read(load())).number == "MW-2026-0042"


async def test_a_document_that_needs_too_much_memory_is_given_up() -> None:
    async with DocumentWorker() as documents:
        for child in documents._children:
            child._megabytes = 8
            child._is_old = lambda: False  # type: ignore[method-assign]
        with pytest.raises(WorkerError) as caught:
            await documents.make(many_lines(3_000), PLAN)
        assert caught.value.reason.code == "document.memory"


async def test_a_process_that_was_killed_is_replaced_unseen() -> None:
    async with DocumentWorker() as documents:
        (before,) = documents.pids
        os.kill(before, signal.SIGKILL)
        assert (await documents.read(load())).number == "MW-2026-0042"
        assert documents.pids != (before,)


async def test_a_document_that_kills_its_process_twice_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    async def die(_: object, request: Frame) -> Frame:
        asked.append(request)
        raise worker._DiedError

    monkeypatch.setattr(worker._Child, "ask", die)
    with pytest.raises(WorkerError) as caught:
        await DocumentWorker().read(load())
    assert caught.value.reason.code == "document.crashed"
    assert len(asked) == 2


async def test_an_old_process_is_replaced_before_it_grows_further() -> None:
    async with DocumentWorker() as documents:
        (before,) = documents.pids
        documents._children[0]._asked = worker.OLD_AFTER
        await documents.read(load())
        assert documents.pids != (before,)


async def test_a_task_that_is_cancelled_leaves_no_answer_for_the_next() -> None:
    async with DocumentWorker() as documents:
        slow = asyncio.create_task(documents.make(many_lines(1_000), PLAN))
        await asyncio.sleep(0.1)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        assert (await documents.read(load())).number == "MW-2026-0042"


async def test_closing_ends_the_process_and_the_work_in_it() -> None:
    documents = DocumentWorker()
    await documents.start()
    (pid,) = documents.pids
    busy = asyncio.create_task(documents.make(many_lines(2_000), PLAN))
    await asyncio.sleep(0.1)
    await documents.close()
    with pytest.raises(WorkerError) as caught:
        await busy
    assert caught.value.reason.kind is Kind.TRANSIENT
    assert not psutil.pid_exists(pid)
    with pytest.raises(WorkerError):
        await documents.read(load())


async def test_the_loop_is_not_blocked_by_a_large_document() -> None:
    async with DocumentWorker() as documents:
        turns = []

        async def watch() -> None:
            while True:
                before = time.thread_time()
                await asyncio.sleep(0.005)
                turns.append(time.thread_time() - before)

        watching = asyncio.create_task(watch())
        await documents.make(many_lines(1_000), PLAN)
        watching.cancel()
        # The time of this thread alone, since a busy machine stalls us too; a loop that waits for
        # the other process would have no turns. The benchmark measures by the clock on the wall.
        assert max(turns) < 0.1
        assert len(turns) > 10


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_the_process_does_not_have_our_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEPPOL_API_SECRET", "hunter2")
    monkeypatch.setenv("XTOOL_ENCRYPTION_KEYS", "hunter2")
    async with DocumentWorker() as documents:
        (pid,) = documents.pids
        assert b"hunter2" not in _environment_of(pid)


def _environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


PARENT = """
import asyncio
from sync.documents.worker import DocumentWorker

async def main():
    documents = DocumentWorker()
    await documents.start()
    print(documents.pids[0], flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_the_process_ends_with_a_parent_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.is_running()
        parent.send_signal(signal.SIGKILL)
    gone, alive = psutil.wait_procs([child], timeout=10)
    assert gone
    assert not alive


async def test_a_zugferd_pdf_goes_through_the_process() -> None:
    async with DocumentWorker() as documents:
        assert (await documents.read(pdf(load("zugferd-cii.xml")))).from_pdf


def test_an_answer_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        frames.lengths(frames.LENGTHS.pack(frames.MAX_HEAD + 1, 0))


def test_a_message_comes_out_as_it_went_in() -> None:
    packed = frames.pack(Frame({"do": "read", "ä": [1]}, b"\x00<a/>"))
    size = frames.LENGTHS.size
    head, blob = frames.lengths(packed[:size])
    assert frames.unpack(packed[size : size + head], packed[-blob:]) == Frame(
        {"do": "read", "ä": [1]}, b"\x00<a/>"
    )
