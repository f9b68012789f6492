"""The jobs on docket: hints to look at something, never the truth about it.

| job | key | what |
|---|---|---|
| `poll` | organisation | perpetual: poll sevDesk |
| `sync_now` | run | poll once, because a person asked |
| `deliver` | organisation and quarter of a second | work off what is due for its invoices |
| `notify` | organisation and half a second | tell Slack what happened |
| `sweep` | | perpetual: give lost hints again |
| `tick_all` | | perpetual: what `bot` does by the clock |

Hints for the same time fall together; a hint for a later time is never swallowed by one that
runs, because its key holds its time. Any job may run twice, late or never.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import structlog
from docket import Docket, Perpetual, Worker
from redis.exceptions import RedisError

from sync.docket_store import follow_failovers
from sync.docket_time import docket_told_by
from sync.drain import Drain, next_due
from sync.errors import StoreError
from sync.model import ConnectionState
from sync.outages import tell_outages
from sync.polling import Poller
from sync.ports import Ports
from sync.store.keys import Keys
from sync.store.organisation import erase_again, organisations
from sync.store.redis import classify
from sync.watch import StoreWatch, quiet_docket, workers_alive

__all__ = ["DocketJobs", "Notify", "open_docket", "register", "workers_alive", "working"]

log = structlog.get_logger(__name__)

Notify = Callable[[str], Awaitable[None]]

NAME = "xtool-jobs"
REDELIVERY = timedelta(seconds=20)  # a killed worker's jobs run again after this
CHECK = timedelta(milliseconds=50)  # with docket's default of 250 ms: 40 jobs a second
CONCURRENCY = 48  # docket stalls above 64 with its pool of connections
SWEEP = timedelta(seconds=15)
TICK = timedelta(minutes=1)
DRAIN_SECONDS = 25.0  # for running work when the process is to end
RESTART_SECONDS = 1.0


class DocketJobs:
    """`ports.Jobs` on docket."""

    def __init__(self, docket: Docket, now: Callable[[], datetime]) -> None:
        """Put jobs on `docket`, which tells the time by the same clock as `now`."""
        self._docket = docket
        self._now = now

    async def hint_delivery(self, org: str, at: datetime) -> None:
        """Something is due for an invoice of `org`."""
        slot = math.ceil(at.timestamp() * 4)
        await self._add("deliver", f"deliver:{org}:{slot}", _time(slot / 4), org)

    async def hint_notify(self, org: str) -> None:
        """Events of `org` were written."""
        slot = math.floor(self._now().timestamp() * 2) + 1
        await self._add("notify", f"notify:{org}:{slot}", _time(slot / 2), org)

    async def hint_poll(self, org: str, *, soon: bool = False) -> None:
        """Poll `org` again and again; `soon`: the next time is now."""
        put = self._docket.replace if soon else self._docket.add
        with _store_errors():
            await put("poll", self._now(), f"poll:{org}")(org)

    async def sync_now(self, org: str, run_id: str, actor: str) -> None:
        """Poll `org` once, now."""
        await self._add("sync_now", f"sync:{run_id}", self._now(), org, run_id, actor)

    async def _add(self, name: str, key: str, when: datetime, *args: str) -> None:
        with _store_errors():
            await self._docket.add(name, when, key)(*args)


@contextlib.contextmanager
def _store_errors() -> Any:
    try:
        yield
    except (RedisError, OSError) as error:
        mapped = classify(error)
        if mapped is None:
            raise
        raise mapped from None


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@asynccontextmanager
async def open_docket(url: str, now: Callable[[], datetime]) -> AsyncIterator[Docket]:
    """The docket of this process, by the clock `now`. `register` gives it its functions.

    docket names the schemes of URLs as we do, and keeps its keys in one slot of a cluster.
    """
    follow_failovers()
    with docket_told_by(now):
        async with Docket(name=NAME, url=url, execution_ttl=timedelta(0)) as docket:
            yield docket


def register(docket: Docket, ports: Ports, notify: Notify, tick: Notify) -> None:
    """Give the job names their functions; a process that only adds jobs needs them too.

    `notify` is for an organisation of which events were written, `tick` for each organisation
    about once a minute.
    """
    drain = Drain(ports)

    async def poll(org: str, again: Perpetual = Perpetual(every=ports.poll)) -> None:  # noqa: B008 - docket's way
        connection = await ports.organisation(org).connection()
        if connection is None or connection.state is ConnectionState.DISCONNECTED:
            again.cancel()
            return
        await Poller(ports, org).poll(uuid.uuid4().hex)

    async def sync_now(org: str, run_id: str, actor: str) -> None:
        await Poller(ports, org).poll(run_id, actor)

    async def deliver(org: str) -> None:
        await drain.run(org)

    async def sweep(_again: Perpetual = Perpetual(every=SWEEP, automatic=True)) -> None:  # noqa: B008
        await _sweep(ports)

    async def tick_all(_again: Perpetual = Perpetual(every=TICK, automatic=True)) -> None:  # noqa: B008
        for org in await organisations(ports.clients):
            await _logged(tick, org)

    for function in (poll, sync_now, deliver, sweep, tick_all):
        docket.register(function)
    docket.register(notify, names=["notify"])


async def _logged(tick: Notify, org: str) -> None:
    """One organisation's trouble is not another's."""
    try:
        await tick(org)
    except Exception:
        log.exception("tick failed", org=org)


async def _sweep(ports: Ports) -> None:
    """Give again what hints may have been lost: by a crash between a write and its hint.

    One organisation's trouble is not another's: on a cluster its node may be away and theirs not.
    Raises `StoreError` when all were looked after.
    """
    away: StoreError | None = None
    orgs = sorted(await organisations(ports.clients))
    for look in (partial(_tidy, ports), *(partial(_give_again, ports, org) for org in orgs)):
        try:
            await look()
        except StoreError as error:
            away = error
        except Exception:
            log.exception("a part of the sweep failed")
    if away is not None:
        raise away


async def _tidy(ports: Ports) -> None:
    """What is about no single organisation."""
    await erase_again(ports.clients, ports.now())
    await tell_outages(ports)


async def _give_again(ports: Ports, org: str) -> None:
    redis: Any = ports.clients.redis
    connection = await ports.organisation(org).connection()
    if connection is not None and connection.state is not ConnectionState.DISCONNECTED:
        await ports.jobs.hint_poll(org)
    due = await next_due(ports, org)
    if due is not None and due <= ports.now():
        await ports.jobs.hint_delivery(org, ports.now())
    if await redis.xlen(Keys(org).events):
        await ports.jobs.hint_notify(org)


@asynccontextmanager
async def working(docket: Docket, ports: Ports) -> AsyncIterator[None]:
    """Work on jobs inside the block; at its end let running ones finish, for a while.

    Whoever ends the block has told `ports.stopping` before, so that long jobs end early.
    """
    quiet_docket()
    worker = Worker(
        docket,
        concurrency=CONCURRENCY,
        redelivery_timeout=REDELIVERY,
        minimum_check_interval=CHECK,
        scheduling_resolution=CHECK,
        reconnection_delay=timedelta(seconds=1),
    )
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(worker)
        running = asyncio.create_task(_run_on(worker))
        alive = asyncio.create_task(StoreWatch(ports, worker.name).run())
        try:
            yield
        finally:
            alive.cancel()
            await _end(stack, running)
            await asyncio.gather(alive, return_exceptions=True)


async def _run_on(worker: Worker) -> None:
    """Run, and run again after a mistake of docket's own: a process without it would be silent."""
    while True:
        try:
            await worker.run_forever()
            return
        except Exception:
            log.exception("jobs stopped, starting again")
        await asyncio.sleep(RESTART_SECONDS)


async def _end(stack: contextlib.AsyncExitStack, running: asyncio.Task[None]) -> None:
    """Stop taking jobs and wait for those that run; cancel what takes too long."""
    closing = asyncio.ensure_future(stack.pop_all().aclose())
    done, _ = await asyncio.wait({closing}, timeout=DRAIN_SECONDS)
    if not done:
        log.warning("jobs cut off", after=DRAIN_SECONDS)
        for task in asyncio.all_tasks():
            if task.get_name().startswith(f"{NAME} - task:"):
                task.cancel()
        running.cancel()
    await asyncio.gather(closing, running, return_exceptions=True)
