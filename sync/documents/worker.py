"""Runs the CPU work on documents in processes of their own, off the event loop.

Why processes and not threads: a document comes from outside. A thread that lxml, pypdf or Saxon
keeps busy cannot be stopped, shares the interpreter's lock (measured with two busy cores: the loop
stalled for 92 ms by invoices of ten lines and for 950 ms by one of 4,000; with a process for 8 ms),
and its memory is ours. A process is killed after `seconds` of processor time, killed when it grows
by more than `megabytes`, and replaced when it has grown old. It does not get our environment, where
the tokens are.

Why one process and not a pool of `concurrent.futures`: that pool cannot kill a task that takes
too long, and a worker that dies breaks it as a whole. One process does some 40 documents a second
and holds 75 MB, or some 280 MB with the official rules on Saxon; more can be asked for.

It is a fresh interpreter, not a fork: forking a process that has threads is undefined. It is
started and warmed up at start-up (0.6 s; with the official rules 1.5 s).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final, Self

from sync.documents import frames, rules
from sync.documents.errors import DocumentError, WorkerError
from sync.documents.frames import Frame
from sync.documents.source import SourceDocument
from sync.documents.work import Made, Plan
from sync.errors import Kind, Reason

WAIT_SECONDS: Final = 60.0
"""By the clock, for an answer. Only a machine that is stopped or very busy takes so long."""
OLD_AFTER: Final = 2_000
"""Documents. Saxon grew by 47 MB in 1,500 runs."""
_WATCH_SECONDS: Final = 0.05
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
_RULES_DIRECTORY: Final = "EUINVOICE_ARTIFACTS_DIR"


class DocumentWorker:
    """Reads and makes documents. Safe to use from many tasks of one event loop."""

    def __init__(self, *, processes: int = 1, seconds: float = 10.0, megabytes: int = 512) -> None:
        """One document may take `seconds` of processor time and `megabytes` beside the rules."""
        self._children = [_Child(seconds, megabytes) for _ in range(processes)]
        self._free: asyncio.LifoQueue[_Child] = asyncio.LifoQueue()
        for child in self._children:
            self._free.put_nowait(child)
        self._closed = False
        self.rules = ""

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()

    async def start(self) -> str:
        """Start the processes and load the rules. The release of the rules, for people.

        Raises `WorkerError`, and `RulesError` if the official rules are here but damaged.
        """
        releases = await asyncio.gather(*(child.start() for child in self._children))
        self.rules = releases[0]
        return self.rules

    async def read(self, source: bytes) -> SourceDocument:
        """What the document says. Raises `DocumentError`."""
        answer = await self._run(Frame({"do": "read"}, source))
        return SourceDocument.model_validate(answer.head)

    async def make(self, source: bytes, plan: Plan) -> tuple[Made, bytes]:
        """The document to send. Raises `DocumentError`."""
        head = {"do": "make", "plan": plan.model_dump(mode="json")}
        answer = await self._run(Frame(head, source))
        return Made.model_validate(answer.head), answer.blob

    async def close(self) -> None:
        """End the processes. Work under way ends with `document.worker`."""
        self._closed = True
        await asyncio.gather(*(child.stop() for child in self._children))

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that are alive."""
        return tuple(pid for child in self._children if (pid := child.pid) is not None)

    async def _run(self, request: Frame) -> Frame:
        child = await self._free.get()
        try:
            if self._closed:
                raise WorkerError("the worker is closed")
            return await self._ask(child, request)
        finally:
            self._free.put_nowait(child)

    async def _ask(self, child: _Child, request: Frame) -> Frame:
        """A process that died is replaced and asked once more; twice is the document's fault."""
        try:
            return await child.ask(request)
        except _DiedError:
            if self._closed:
                raise WorkerError("the worker is closed") from None
        try:
            return await child.ask(request)
        except _DiedError:
            raise WorkerError(code="document.crashed", kind=Kind.PERMANENT) from None


class _DiedError(Exception):
    """The process ended by itself."""


class _Child:
    """One process. Used by one task at a time."""

    def __init__(self, seconds: float, megabytes: int) -> None:
        self._seconds = seconds
        self._megabytes = megabytes
        self._process: asyncio.subprocess.Process | None = None
        self._asked = 0
        self._official = False  # which rules were there when it was started
        self._warm = 0.0  # megabytes held when it was ready: interpreter, libraries, rules

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> str:
        """Start and warm up. The release of the rules."""
        await self.stop()
        self._official = rules.available()
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "sync.documents.child",
                str(os.getpid()),
                str(self._seconds),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,
                limit=1024 * 1024,
            )
        except OSError as exc:
            raise WorkerError(f"no process: {exc.strerror}") from None
        self._asked = 0
        try:
            ready = _result(await self._bounded(Frame({"do": "warm"})))
        except _DiedError:
            raise WorkerError("the process died while it started") from None
        except DocumentFailedError as error:
            await self.stop()
            raise (rules.unusable() if error.reason.code == rules.BROKEN else error) from None
        self._warm = _resident(self.pid)
        return str(ready.head.get("rules", ""))

    async def ask(self, request: Frame) -> Frame:
        """Raises `DocumentError`, or `_DiedError` if the process ended by itself."""
        if self.pid is None or self._is_old():
            await self.start()
        self._asked += 1
        return _result(await self._bounded(request))

    async def stop(self) -> None:
        """End the process and everything that belongs to it."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()  # one that is ending already keeps the signal that ended it
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()

    def _is_old(self) -> bool:
        """After many documents, or when it keeps half of what one document may take.

        Also when the rules were fetched meanwhile: loading them must not count as a document's.
        """
        grown = _resident(self.pid) - self._warm > self._megabytes / 2
        return self._asked >= OLD_AFTER or grown or rules.available() != self._official

    async def _bounded(self, request: Frame) -> Frame:
        """One exchange within time and memory. A process that is in doubt is ended."""
        process = self._process
        if process is None:
            raise _DiedError
        watch = asyncio.create_task(self._watch(process))
        answer = None
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                answer = await _exchange(process, request)
            return answer
        except TimeoutError:
            raise WorkerError("no answer in time") from None
        except (OSError, EOFError, ValueError):
            await self.stop()
            raise self._why_ended(process, too_large=watch.done()) from None
        finally:
            watch.cancel()
            if answer is None:  # also when cancelled: an answer may still come, to nobody
                await asyncio.shield(self.stop())

    def _why_ended(self, process: asyncio.subprocess.Process, *, too_large: bool) -> Exception:
        """What ended a process: its size, the kernel's timer, or something else."""
        if too_large:
            limit = str(self._megabytes)
            return WorkerError(code="document.memory", kind=Kind.PERMANENT, megabytes=limit)
        if process.returncode == -signal.SIGPROF:
            limit = f"{self._seconds:g}"
            return WorkerError(code="document.timeout", kind=Kind.PERMANENT, seconds=limit)
        return _DiedError()

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Kill the process when it grows too large. Returns then, and only then."""
        while _resident(process.pid) - self._warm <= self._megabytes:  # noqa: ASYNC110 - nobody else knows it
            await asyncio.sleep(_WATCH_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            process.kill()


async def _exchange(process: asyncio.subprocess.Process, request: Frame) -> Frame:
    """Write the request and read its answer. Raises `OSError`, `EOFError` or `ValueError`."""
    if process.stdin is None or process.stdout is None:  # pragma: no cover - both are pipes
        raise EOFError
    process.stdin.write(frames.pack(request))
    await process.stdin.drain()
    head, blob = frames.lengths(await process.stdout.readexactly(frames.LENGTHS.size))
    return frames.unpack(
        await process.stdout.readexactly(head), await process.stdout.readexactly(blob)
    )


def _result(answer: Frame) -> Frame:
    """The answer, or the error that it carries."""
    if "error" in answer.head:
        reason = Reason.model_validate(answer.head["error"])
        raise DocumentFailedError(reason)
    ok: dict[str, Any] = answer.head["ok"]
    return Frame(ok, answer.blob)


class DocumentFailedError(DocumentError):
    """What the process reported: any code of `sync.documents.errors`."""

    def __init__(self, reason: Reason) -> None:
        """The reason as it was."""
        super().__init__(code=reason.code, kind=reason.kind, findings=reason.findings)
        self.params = reason.params


def _resident(pid: int | None) -> float:
    """Megabytes that a process holds; 0 where that cannot be seen (it ended, or not Linux)."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return 0.0
    return int(pages) * _PAGE / 1_000_000


def _environment() -> dict[str, str]:
    """What the process needs and no more: no token, no key, no password."""
    names = (*_INHERITED, _RULES_DIRECTORY)
    own = {name: os.environ[name] for name in names if name in os.environ}
    return own | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
