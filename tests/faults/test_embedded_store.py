"""The embedded store under real kills."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from sync import embedded
from sync.embedded import EmbeddedStore
from sync.errors import StoreError
from sync.store.redis import Clients
from tests.faults.disk import FailingDisk

pytestmark = pytest.mark.faults

PATIENCE = 30.0  # seconds: these tests ask whether it happens, not how soon

linux = pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")


class Processes:
    """Starts `store_process` and cleans up after it, servers included."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[str]] = []
        self.servers: set[int] = set()

    def start(self, directory: Path, *flags: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.store_process", str(directory), *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def report(self, process: subprocess.Popen[str]) -> tuple[int, int]:
        """The server's process id and the counter, once the process has them."""
        assert process.stdout is not None
        server, count = map(int, process.stdout.readline().split())
        self.servers.add(server)
        return server, count

    def clean_up(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                pipe.close()
        for server in self.servers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(server, signal.SIGKILL)


@pytest.fixture
def processes() -> Iterator[Processes]:
    started = Processes()
    yield started
    started.clean_up()


def gone(pid: int) -> bool:
    """Whether a process ends within `PATIENCE`; a zombie counts as ended."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


def answers(directory: Path) -> bool:
    """Whether the directory's server answers within `PATIENCE`."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if embedded._answers(embedded.socket_path(directory)):
            return True
        time.sleep(0.01)
    return False


@contextlib.asynccontextmanager
async def connected(url: str, files: Path | None = None) -> AsyncIterator[Clients]:
    clients = Clients(url, files=files)
    try:
        yield clients
    finally:
        await clients.aclose()


def test_twelve_processes_that_start_at_once_share_one_server(
    processes: Processes, tmp_path: Path
) -> None:
    started = [processes.start(tmp_path) for _ in range(12)]
    reports = [processes.report(process) for process in started]
    assert len({server for server, _ in reports}) == 1
    assert sorted(count for _, count in reports) == list(range(1, 13))


@linux
def test_a_killed_parent_takes_its_server_along_and_the_next_start_finds_the_data(
    processes: Processes, tmp_path: Path
) -> None:
    for round_ in range(1, 4):
        process = processes.start(tmp_path)
        server, count = processes.report(process)
        assert count == round_
        process.kill()
        assert gone(server)


def test_an_orphaned_server_is_adopted(processes: Processes, tmp_path: Path) -> None:
    first = processes.start(tmp_path, "orphan")
    orphan, _ = processes.report(first)
    first.kill()
    first.wait()
    assert processes.report(processes.start(tmp_path)) == (orphan, 2)


def test_the_process_that_adopted_starts_a_new_server_when_the_owner_ends(
    processes: Processes, tmp_path: Path
) -> None:
    owner = processes.start(tmp_path)
    first, _ = processes.report(owner)
    adopted = processes.start(tmp_path)
    assert processes.report(adopted) == (first, 2)
    assert owner.stdin is not None
    owner.stdin.close()
    assert owner.wait(PATIENCE) == 0
    assert answers(tmp_path)
    server, count = processes.report(processes.start(tmp_path))
    assert (server != first, count) == (True, 3)


def test_a_second_server_on_a_held_directory_is_refused(tmp_path: Path) -> None:
    held = embedded._launch(embedded.find_server(), tmp_path, tmp_path / "one.sock")
    assert held is not None
    try:
        assert embedded._launch(embedded.find_server(), tmp_path, tmp_path / "two.sock") is None
    finally:
        held.kill()
        held.wait()


async def test_a_killed_server_comes_back_with_every_acknowledged_write(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    async with store as url, connected(url) as clients:
        for kill in range(3):
            written = await _write_until_killed(store, clients, f"k{kill}")
            await _until_it_answers(clients)
            assert int(await clients.redis.get(f"k{kill}")) >= written


async def _write_until_killed(store: EmbeddedStore, clients: Clients, key: str) -> int:
    """Count up while the server is killed; the last count that was acknowledged."""
    acknowledged = 0
    assert store._process is not None
    asyncio.get_running_loop().call_later(0.2, store._process.kill)
    with contextlib.suppress(StoreError):
        while True:
            acknowledged = await clients.exact.incr(key)
    assert acknowledged > 0
    return acknowledged


async def _until_it_answers(clients: Clients) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(StoreError):
                await clients.redis.execute_command("PING")
                return
            await asyncio.sleep(0.01)


async def test_a_stop_keeps_everything(tmp_path: Path) -> None:
    async with EmbeddedStore(tmp_path) as url, connected(url) as clients:
        await clients.exact.set("k", "v")
    async with EmbeddedStore(tmp_path) as url, connected(url) as clients:
        assert await clients.redis.get("k") == "v"


async def test_a_full_disk_refuses_writes_loses_nothing_and_heals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on the file's size gives the server the error that a full disk gives it."""
    if sys.platform != "linux":
        pytest.skip("prlimit is Linux's")
    popen = functools.partial(subprocess.Popen, restore_signals=False)  # EFBIG, not SIGXFSZ
    monkeypatch.setattr(subprocess, "Popen", popen)
    store = EmbeddedStore(tmp_path)
    async with store as url, connected(url) as clients:
        assert store._process is not None
        server = store._process.pid
        resource.prlimit(server, resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        written, refusal = await _fill(clients)
        assert refusal.reason_code == "store.refused"
        assert await clients.redis.get(f"k{written}") is not None
        assert "aof_failing" in (await clients.durability(refresh=True)).risks
        resource.prlimit(
            server, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )
        await _until_it_writes(clients)
    async with EmbeddedStore(tmp_path) as url, connected(url) as clients:
        assert await clients.redis.exists(*[f"k{n}" for n in range(written + 1)]) == written + 1


@linux
@pytest.mark.slow
async def test_what_was_called_safe_is_there_after_the_disk_has_failed(
    failing_disk: FailingDisk, tmp_path: Path
) -> None:
    """The disk keeps what was synced, and no more: as after a power cut, while it is written to."""
    directory = tmp_path / "store"
    store = EmbeddedStore(directory, watch=False)
    url = await store.start()
    async with connected(url, directory) as clients:
        for number in range(50):
            await clients.exact.set(f"k{number}", "x")
            assert await clients.secure(f"k{number}") == ""
        await asyncio.to_thread(failing_disk.fail)
        with contextlib.suppress(StoreError):
            await clients.exact.set("later", "x")
            assert await clients.secure("later", timeout_ms=500) == "disk"
    assert store._process is not None
    store._process.kill()
    store._process.wait()
    await asyncio.to_thread(failing_disk.unmount)
    assert await asyncio.to_thread(failing_disk.mount)
    again = EmbeddedStore(directory, watch=False)
    async with again as url, connected(url) as clients:
        assert await clients.redis.exists(*[f"k{n}" for n in range(50)]) == 50


async def _fill(clients: Clients) -> tuple[int, StoreError]:
    """Write until it is refused; the last number that was acknowledged and the refusal."""
    for number in range(10_000):
        try:
            await clients.exact.set(f"k{number}", "x" * 1000)
        except StoreError as error:
            return number - 1, error
    raise AssertionError("the disk was never full")


async def _until_it_writes(clients: Clients) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(StoreError):
                await clients.exact.set("again", "1")
                return
            await asyncio.sleep(0.05)
