"""The embedded store, the clients, the pace and the vault."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sync.embedded import EmbeddedStore
from sync.errors import StoreError
from sync.store.pace import Pacer
from sync.store.redis import Clients
from sync.vault import Vault
from tests.benchmarks.figures import Figure, ratio, spread


async def measure() -> list[Figure]:
    """All figures of this file."""
    figures = await _starts()
    with tempfile.TemporaryDirectory() as directory:
        store = EmbeddedStore(Path(directory))
        clients = Clients(await store.start())
        figures += await _kills(store, clients)
        figures += await _durable(clients)
        figures += await _paces(clients)
        await clients.aclose()
        await store.stop()
    return figures + _vault()


async def _starts() -> list[Figure]:
    seconds = []
    for _ in range(10):
        with tempfile.TemporaryDirectory() as directory:
            store = EmbeddedStore(Path(directory), watch=False)
            seconds.append(await _timed(store.start))
            await store.stop()
    return spread("embedded store, empty directory to first answer", _ms(seconds), "ms")


async def _kills(store: EmbeddedStore, clients: Clients) -> list[Figure]:
    """From SIGKILL of the server to the next answer, with 10 MB of data."""
    pipe = clients.exact.pipeline(transaction=False)
    for number in range(20_000):
        pipe.set(f"k{number}", "x" * 500)
    await pipe.execute()
    seconds = []
    for _ in range(10):
        await asyncio.sleep(0.5)
        assert store._process is not None
        store._process.kill()
        store._process.wait()
        seconds.append(await _timed(lambda: _until_it_answers(clients)))
        assert await clients.redis.dbsize() == 20_000
    return spread("embedded store, SIGKILL to next answer, 10 MB", _ms(seconds), "ms")


async def _until_it_answers(clients: Clients) -> None:
    while True:
        with contextlib.suppress(StoreError):
            await clients.exact.get("k1")
            return
        await asyncio.sleep(0.001)


async def _durable(clients: Clients) -> list[Figure]:
    seconds, plain = [], []
    for _ in range(30):
        plain.append(await _timed(lambda: clients.exact.set("{a}:k", "v")))
        seconds.append(await _timed(lambda: clients.secure("{a}:k")))
    return [
        *spread("durable write (WAITAOF, everysec)", _ms(seconds), "ms"),
        ratio("the same, as a multiple of a write", seconds, plain),
    ]


async def _paces(clients: Clients) -> list[Figure]:
    pacer = Pacer(clients, "xt:{a}:pace", per_second=1e6)

    async def take(times: int) -> None:
        for _ in range(times):
            await pacer.take()

    async def ping(times: int) -> None:
        for _ in range(times):
            await clients.exact.get("xt:{a}:nothing")

    bare = await _timed(lambda: ping(3000))
    alone = await _timed(lambda: take(3000))
    together = await _timed(lambda: asyncio.gather(*(take(200) for _ in range(25))))
    slow = Pacer(clients, "xt:{b}:pace", per_second=50)
    kept = await _timed(lambda: asyncio.gather(*(slow.pace() for _ in range(101))))
    return [
        Figure("pace, one caller", 3000 / alone, "calls/s"),
        Figure("the same, as a multiple of one read", alone / bare, "x"),
        Figure("pace, 25 callers", 5000 / together, "calls/s"),
        Figure("pace of 50/s, as kept over 100 requests", 100 / kept, "requests/s"),
    ]


def _vault() -> list[Figure]:
    key = secrets.token_bytes(32)
    vault, cipher = Vault([key]), AESGCM(key)
    secret = vault.encrypt("T012345", "token", "x" * 56)
    rounds = 20_000
    began = time.perf_counter()
    for _ in range(rounds):
        vault.encrypt("T012345", "token", "x" * 56)
    middle = time.perf_counter()
    for _ in range(rounds):
        vault.decrypt("T012345", "token", secret)
    ended = time.perf_counter()
    for _ in range(rounds):
        cipher.encrypt(secrets.token_bytes(12), b"x" * 56, b"T012345")
    bare = time.perf_counter() - ended
    return [
        Figure("vault, encrypt", (middle - began) / rounds * 1e6, "µs"),
        Figure("the same, as a multiple of AES-GCM alone", (middle - began) / bare, "x"),
        Figure("vault, decrypt", (ended - middle) / rounds * 1e6, "µs"),
    ]


async def _timed(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


def _ms(seconds: list[float]) -> list[float]:
    return [value * 1000 for value in seconds]
