"""The real processes of a fault test: workers, forked by one launcher, and the store."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil

from sync.embedded import EmbeddedStore
from tests.faults.app_process import Launch

ROOT = Path(__file__).parents[2]


class Launcher:
    """Forks workers (`app_process`). One for a test session."""

    def __init__(self) -> None:
        """Start it; it needs two seconds to import everything, which the first fork waits for."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.app_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        self._started: list[int] = []
        self._ended: dict[int, int] = {}
        self._closed = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def fork(self, launch: Launch) -> int:
        """Start a worker; its process id."""
        assert self._process.stdin is not None
        with self._news:
            before = len(self._started)
            self._process.stdin.write(launch.dump())
            self._process.stdin.flush()
            self._news.wait_for(lambda: len(self._started) > before or self._closed, timeout=30)
            if len(self._started) == before:
                raise RuntimeError("the launcher does not answer; its error is above")
            return self._started[before]

    def status(self, pid: int) -> int | None:
        """How a worker ended: its exit code or minus a signal; None while it lives."""
        with self._news:
            return self._ended.get(pid)

    def close(self) -> None:
        """End it, and with it all workers."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._reader.join(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told: dict[str, int] = json.loads(line)
            with self._news:
                if "started" in told:
                    self._started.append(told["started"])
                else:
                    self._ended[told["ended"]] = told["status"]
                self._news.notify_all()
        with self._news:
            self._closed = True
            self._news.notify_all()


class Worker:
    """One worker process."""

    def __init__(self, launcher: Launcher, launch: Launch) -> None:
        """Fork it."""
        self._launcher = launcher
        self.launch = launch
        self.pid = launcher.fork(launch)

    @property
    def status(self) -> int | None:
        """As `Launcher.status`."""
        return self._launcher.status(self.pid)

    @property
    def alive(self) -> bool:
        """Whether it has not ended; a stopped process is alive."""
        return self.status is None

    @property
    def stopped(self) -> bool:
        """Whether it was stopped by SIGSTOP."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return bool(psutil.Process(self.pid).status() == psutil.STATUS_STOPPED)
        return False

    def send(self, number: int) -> None:
        """Send a signal; nothing if it has ended."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send(signal.SIGKILL)

    def log(self) -> list[dict[str, Any]]:
        """What it logged; lines that are no JSON as `{"event": line}`."""
        found: list[dict[str, Any]] = []
        with contextlib.suppress(FileNotFoundError):
            for line in Path(self.launch.log).read_text(errors="replace").splitlines():
                try:
                    found.append(json.loads(line))
                except ValueError:
                    found.append({"event": line})
        return found

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Log entries of an event."""
        return [entry for entry in self.log() if entry.get("event") == event]


class StoreServer:
    """A Valkey of its own that outlives the workers, and can be killed, paused and starved."""

    def __init__(self, directory: Path) -> None:
        """Not started yet."""
        self._directory = directory
        self._store = EmbeddedStore(directory, watch=False)

    @property
    def url(self) -> str:
        """The same after each restart."""
        return self._store.url

    @property
    def pid(self) -> int:
        """The server's process."""
        process = self._store._process
        assert process is not None
        return process.pid

    async def start(self) -> str:
        """Start it, on what it kept."""
        return await self._store.start()

    async def kill(self) -> None:
        """SIGKILL; nothing is written any more."""
        process = self._store._process
        assert process is not None
        process.kill()
        process.wait(10)
        self._store = EmbeddedStore(self._directory, watch=False)

    def pause(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    async def stop(self) -> None:
        """End it."""
        process = self._store._process
        if process is not None:
            process.kill()
            process.wait(10)
