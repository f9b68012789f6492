"""Work that goes on after Slack has its acknowledgement.

Bolt forgets such work: errors of its lazy listeners reach nobody, and the server's shutdown does
not wait for listeners. Here every task is kept, its error is logged, and `drain` waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import structlog

log = structlog.get_logger(__name__)

DRAIN_SECONDS = 25.0  # platforms give 30 from SIGTERM to SIGKILL

_answered: ContextVar[asyncio.Event | None] = ContextVar("answered", default=None)


@contextmanager
def request() -> Iterator[None]:
    """A request of Slack's: what it spawns begins when its answer is on its way.

    The answer to a submitted modal says what to show next. Work that is done sooner would show
    its result first and have it overwritten by "One moment…", for ever.
    """
    answered = asyncio.Event()
    token = _answered.set(answered)
    try:
        yield
    finally:
        answered.set()
        _answered.reset(token)


async def _after_answer(answered: asyncio.Event | None, work: Coroutine[Any, Any, None]) -> None:
    try:
        if answered is not None:
            await answered.wait()
    except BaseException:
        work.close()
        raise
    await work


class Tasks:
    """The running tasks of a process."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()
        self.ending = False  # the process is to end: who only watches something gives up

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Start `work`; its failure is logged under `name`, never lost."""
        task = asyncio.create_task(_after_answer(_answered.get(), work), name=name)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if task.cancelled():
            log.warning("task cancelled", task=task.get_name())
        elif (error := task.exception()) is not None:
            log.error("task failed", task=task.get_name(), error=type(error).__name__)

    def __len__(self) -> int:
        return len(self._running)

    async def drain(self, seconds: float = DRAIN_SECONDS) -> int:
        """Wait for what runs, then cancel the rest; how many were cancelled."""
        self.ending = True
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while self._running and (left := end - loop.time()) > 0:
            await asyncio.wait(set(self._running), timeout=left)
        late = set(self._running)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        if late:
            log.warning("tasks cancelled at shutdown", count=len(late))
        return len(late)
