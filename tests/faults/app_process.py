"""Workers for the fault tests, as real processes.

`python -m tests.faults.app_process` imports everything once and then forks one worker for each
line of JSON on its standard input: a fork starts in milliseconds where a new interpreter takes two
seconds. It has no thread and no event loop when it forks. It answers with lines of JSON:
`{"started": pid}` and `{"ended": pid, "status": …}` (an exit code, or a signal's number below
zero). The workers are killed when their standard input closes.

A worker is `open_runtime`, `register` and `working`, as in production, with the waits made short.
Documents are converted and checked by the real functions, in the worker itself unless `documents`
says "process".
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import hashlib
import json
import logging
import os
import selectors
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

import structlog

from bot import hearing, notifier, posting, processes, refusal, trouble
from bot.settings import BotSettings
from sync import drain, jobs, outages, polling, runtime, tagging
from sync.documents import work
from sync.documents.pipeline import DocumentPreparer
from sync.documents.source import SourceDocument
from sync.documents.work import Made, Plan
from sync.log import configure_logging
from sync.model import ParticipantId
from sync.peppol import doctypes
from sync.peppol.access_point import Lookup, NotRegistered, Registered
from sync.peppol.errors import because
from sync.ports import Order, Prepared
from sync.runtime import Runtime, open_runtime
from sync.settings import Settings
from tests import loopback
from tests.faults.host_time import believe_the_host, set_host_clock
from tests.faults.traps import Trap, arm
from tests.sandbox.seed import HOTEL, SENDER

log = structlog.get_logger(__name__)

TOLD = "test:told"  # list in the store: what the notifier told, as JSON of the events


@dataclass(frozen=True)
class Launch:
    """What a worker is told. Times in seconds."""

    settings: Mapping[str, Any] = field(repr=False)
    log: str
    trap: str = ""
    submit_seconds: float = 1.2  # of one submission; its attempt is settled after twice this
    redelivery: float = 1.0
    sweep: float = 0.5
    taken_for: float = 1.5
    lease: float = 1.2
    drain_seconds: float = jobs.DRAIN_SECONDS
    notice: float = outages.NOTICE.total_seconds()  # an outage of the store that is told
    kept: int = notifier.KEPT  # events of an organisation whose token is revoked
    week: float = 0.0  # without anybody to tell, after which it is paused; 0: a real one
    card_lasts: float = trouble.LASTS.total_seconds()  # trouble of a message, before a note
    documents: str = "inside"  # or "process"; "none" takes every document as it is
    network: Mapping[str, list[str]] | None = None  # participant -> types; None: ask the provider
    slack: Mapping[str, Any] | None = field(default=None, repr=False)  # run the whole app
    web: bool = False
    work: bool = True
    ahead: float = 0.0  # so far is this host's clock ahead of the others'
    by: str = "store"  # whose clock decides; "host": as if there were none of the store's

    def dump(self) -> bytes:
        """One line."""
        return json.dumps(asdict(self)).encode() + b"\n"


class InPlace:
    """The documents' functions in this process: forks need no second process to start."""

    async def read(self, source: bytes) -> SourceDocument:
        """As the real worker."""
        return work.read(source)

    async def make(self, source: bytes, plan: Plan) -> tuple[Made, bytes]:
        """As the real worker."""
        return work.make(source, plan)


class AsItIs:
    """No conversion: for tests of thousands of invoices that are about something else."""

    async def prepare(self, source: bytes, order: Order) -> Prepared:
        """The document as it came, to the one receiver."""
        return Prepared(
            content=source,
            sha256=hashlib.sha256(source).hexdigest(),
            sender=ParticipantId.parse(SENDER),
            receiver=ParticipantId.parse(HOTEL),
            document_type=doctypes.BIS_INVOICE,
            country="DE",
            rules="none",
        )


def quicken(launch: Launch) -> None:
    """Shorten the waits that an operator cannot set."""
    runtime.SUBMIT_SECONDS = launch.submit_seconds
    jobs.REDELIVERY = timedelta(seconds=launch.redelivery)
    jobs.SWEEP = timedelta(seconds=launch.sweep)
    jobs.DRAIN_SECONDS = launch.drain_seconds
    outages.NOTICE = timedelta(seconds=launch.notice)
    notifier.KEPT = launch.kept
    trouble.LASTS = timedelta(seconds=launch.card_lasts)
    trouble.LONGEST = max(trouble.FIRST, trouble.LASTS / 3)
    if launch.week:
        shorten_the_week(timedelta(seconds=launch.week))
    drain.TAKEN_FOR = tagging.UNDER_WAY = timedelta(seconds=launch.taken_for)
    polling.LEASE_SECONDS = launch.lease
    notifier.LEASE_SECONDS = posting.LOCK_SECONDS = launch.lease


def shorten_the_week(week: timedelta) -> None:
    """Ten refusals in it, each after a time of silence of at least a second."""
    refusal.LASTS, refusal.TIMES, refusal.APART = week, 5, timedelta(seconds=0.5)
    hearing.SILENT_SECONDS = hearing.LISTEN_SECONDS = 1
    jobs.TICK = timedelta(seconds=0.3)


def equip(rt: Runtime, launch: Launch) -> None:
    """Give the runtime the test's documents and network."""
    if launch.by == "host":
        believe_the_host(rt)
    access_point = rt.ports.access_point
    look = access_point.lookup

    async def registered(participant: ParticipantId) -> Lookup:
        types = (launch.network or {}).get(str(participant).lower())
        if types is None:
            return NotRegistered(
                because("peppol.lookup.not_registered", participant=str(participant))
            )
        return Registered(frozenset(types))

    if launch.documents == "none":
        rt.ports.preparer = AsItIs()
        return
    worker = rt.documents if launch.documents == "process" else InPlace()
    rt.ports.preparer = DocumentPreparer(
        worker, look if launch.network is None else registered, access_point.capabilities
    )


async def notify(rt: Runtime, org: str) -> None:
    """Tell what happened: into a list of the store, at least once, then forget it."""
    store: Any = rt.clients.exact
    events = await rt.ports.organisation(org).events("", 500)
    for event in events:
        await store.rpush(TOLD, json.dumps({"org": org, **event.model_dump(mode="json")}))
    if events:
        await rt.ports.organisation(org).trim_events(events[-1].id)


async def run(launch: Launch) -> None:
    """Work until SIGTERM."""
    quicken(launch)
    if launch.ahead:
        set_host_clock(launch.ahead)
    await (run_worker(launch) if launch.slack is None else run_app(launch))


async def run_app(launch: Launch) -> None:
    """The app as `xtool serve` and `xtool worker` run it."""

    @asynccontextmanager
    async def opened(settings: Settings) -> AsyncIterator[Runtime]:
        async with open_runtime(settings) as rt:
            equip(rt, launch)
            yield rt

    processes.open_runtime = opened  # type: ignore[attr-defined]
    bot_settings = BotSettings.load(**(launch.slack or {}))
    settings = Settings.load(**launch.settings)
    await processes.run(settings, bot_settings, with_web=launch.web, with_worker=launch.work)


async def run_worker(launch: Launch) -> None:
    """The worker alone, telling into the store."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with open_runtime(Settings.load(**launch.settings)) as rt:
        equip(rt, launch)

        async def tell(org: str) -> None:
            await notify(rt, org)

        async def tick(_org: str) -> None:
            return  # digests by the day are `bot`'s

        jobs.register(rt.docket, rt.ports, tell, tick)
        async with jobs.working(rt.docket, rt.ports):
            log.info("working", pid=os.getpid())
            await ended.wait()
            log.info("stopping")
            rt.stopping.ask()
    log.info("ended")


# ---- forking --------------------------------------------------------------------------------


def child(launch: Launch) -> None:
    """The life of a forked worker. Never returns."""
    code = 70
    try:
        with contextlib.suppress(AttributeError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        out = os.open(launch.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (out, 1), (out, 2)):
            os.dup2(source, target)
        loopback.install()
        configure_logging(level=logging.INFO)
        if launch.trap:
            arm(Trap.parse(launch.trap))
        asyncio.run(run(launch))
        code = 0
    except BaseException:
        log.exception("worker failed")
    finally:
        sys.stdout.flush()
        os._exit(code)


def main() -> None:
    """Fork a worker for each line; report starts and ends."""
    warm_up()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    poll = selectors.DefaultSelector()
    poll.register(0, selectors.EVENT_READ)
    poll.register(read, selectors.EVENT_READ)
    pending = b""
    while True:
        for key, _ in poll.select():
            if key.fd == read:
                os.read(read, 4096)
                _report_ended(answers)
                continue
            got = os.read(0, 65536)
            if not got:
                return  # the workers end with this process
            *lines, pending = (pending + got).split(b"\n")
            for line in lines:
                _say(answers, started=_fork(line, write))


def _fork(line: bytes, wakeup: int) -> int:
    launch = Launch(**json.loads(line))
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(wakeup)
        child(launch)
    return pid


def _report_ended(answers: Any) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            _say(answers, ended=pid, status=os.waitstatus_to_exitcode(status))


def _say(answers: Any, **facts: int) -> None:
    answers.write(json.dumps(facts) + "\n")
    answers.flush()


def warm_up() -> None:
    """Import and load what every worker needs."""
    work.warm_up()


if __name__ == "__main__":
    main()
