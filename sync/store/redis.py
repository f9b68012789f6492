"""The clients for Redis or Valkey, with settings of our own.

redis-py repeats a command whose answer was lost (measured with 7.4.1: `INCR` counted twice), so
there are several clients on one URL:

- `redis`: reads and other commands that may be repeated. Retries, and may block for less than
  half of `SOCKET_TIMEOUT`.
- `exact`: every state transition. Never repeats: a lost answer is a `StoreError`, and the caller
  reads the record again.
- `blobs`: as `exact`, but replies are bytes; for documents.

`redis` and `exact` decode replies to `str`. All speak RESP2, so replies have one shape.
Errors of the connection and refusals of the server are raised as `StoreError`
(`sync.store.failures`).
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urlsplit

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import ResponseError

from sync.errors import ConfigurationError, StoreError
from sync.store.cluster import StoreCluster, exchange
from sync.store.connections import leave_demoted
from sync.store.durability import Durability, ask, replicas_online, sync_files
from sync.store.failures import classify, store_errors

__all__ = ["Clients", "Durability", "StoreCluster", "StoreRedis", "classify", "store_errors"]

log = structlog.get_logger(__name__)

type Missing = Literal["", "write", "replica", "disk"]

SOCKET_TIMEOUT = 10.0  # seconds; a blocking read must ask for less than half of it
CONNECT_TIMEOUT = 3.0  # seconds
POOL_TIMEOUT = 5.0  # seconds to wait for a free connection
HEALTH_CHECK = 30  # seconds of idleness after which a connection is checked before use
NO_SENTINEL = (
    "cannot name Sentinels: give one address (a proxy or a DNS name) that leads to the primary"
)
SCHEMES = ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster")


class StorePipeline(Pipeline):
    """A pipeline that raises `StoreError`."""

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send all commands; as in redis-py, errors of commands included."""
        with store_errors():
            return await super().execute(raise_on_error)

    async def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """A command after WATCH."""
        with store_errors():
            return await super().immediate_execute_command(*args, **options)  # type: ignore[no-untyped-call]


class StoreRedis(Redis):
    """redis-py's client, raising `StoreError`."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run one command."""
        with store_errors():
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    async def send_to_node_of(self, key: str, commands: list[tuple[Any, ...]]) -> list[Any]:  # noqa: ARG002
        """As `StoreCluster.send_to_node_of`, where one node has all keys."""
        with store_errors():
            connection = await self.connection_pool.get_connection()  # type: ignore[no-untyped-call]
            try:
                return await exchange(connection, commands)
            finally:
                await self.connection_pool.release(connection)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> StorePipeline:
        """A pipeline on one connection."""
        return StorePipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class Clients:
    """All clients of one process; make one, share it, `aclose` it at the end.

    They must be used in the event loop in which they were used first.
    """

    def __init__(self, url: str, *, max_connections: int = 32, files: Path | None = None) -> None:
        """Connect nowhere yet. `url`: redis, rediss, unix, redis+cluster or rediss+cluster.

        `files`: the directory of an embedded store, whose append-only files this process syncs by
        itself. Raises `ConfigurationError` for another URL.
        """
        self.is_cluster = "+cluster" in check_url(url)
        quick = Retry(ExponentialBackoff(cap=0.5, base=0.02), 3)
        never = Retry(NoBackoff(), 0)
        connect = _cluster if self.is_cluster else _single
        self.redis = connect(url, quick, max_connections, decode=True)
        self.exact = connect(url, never, max_connections, decode=True)
        self.blobs = connect(url, never, max(4, max_connections // 4), decode=False)
        single = [c for c in (self.redis, self.exact, self.blobs) if isinstance(c, StoreRedis)]
        leave_demoted(*(client.connection_pool for client in single))
        self._durability: Durability | None = None
        self._files = files

    async def aclose(self) -> None:
        """Close all connections."""
        for client in (self.redis, self.exact, self.blobs):
            await client.aclose()

    async def look(self) -> None:
        """Write to every master of a cluster: one that is lost pauses a part of the work.

        Of a single server nothing is asked. Raises `StoreError`.
        """
        if isinstance(self.exact, StoreCluster):
            keys = (await self.exact.each_master()).values()
            await asyncio.gather(*(self.exact.set(key, "1", ex=60) for key in keys))

    async def durability(self, *, refresh: bool = False) -> Durability:
        """What the server promises; asked once, then remembered unless `refresh`."""
        if self._durability is None or refresh:
            found = await ask(self.exact)
            self._durability = replace(found, early=False) if self._files else found
        return self._durability

    async def secure(self, key: str, data: str = "", timeout_ms: int = 2000) -> Missing:
        """Wait until a write that was acknowledged survives what the servers can be asked for.

        It is on the disk of its master, and on a replica if one follows, so that neither a power
        cut nor a fail-over forgets it. `key` is any key of the same organisation; with `data` it
        is the record that was written, whose JSON must still be that: between the write and this
        another server may have taken over that never saw it. Returns what is missing after
        `timeout_ms` for each, or nothing. What the server cannot be asked for is not missing:
        `durability` names it. With `everysec` the server syncs once a second, so this takes up to
        one, if its WAITAOF waits at all (`sync.store.durability`). Raises `StoreError`.

        WAIT and WAITAOF speak of the writes of their own connection, and with a pool that is not
        the connection of the earlier write; so a marker is written on the same connection first.
        Whatever the server acknowledged before it stands before it.
        """
        try:
            missing = await self._ask_for(key, data, timeout_ms, await self.durability())
        except ResponseError:  # the file was switched off, or another server answers by now
            now = await self.durability(refresh=True)
            try:
                missing = await self._ask_for(key, data, timeout_ms, now)
            except ResponseError as error:
                raise StoreError(f"not asked: {str(error)[:200]}", code="store.refused") from None
        if missing:
            log.info("not safe yet", missing=missing)
        return missing

    async def _ask_for(self, key: str, data: str, timeout_ms: int, promised: Durability) -> Missing:
        """`secure` of a server that is as `promised`. Raises `ResponseError` if it is not."""
        (before,) = await self.exact.send_to_node_of(key, [("INFO", "replication")])
        follows = replicas_online(before) > 0
        commands: list[tuple[Any, ...]] = [
            ("SET", f"xt:{{{hash_tag(key)}}}:durable", "1", "EX", 60),
            ("HGET", key, "d") if data else ("ECHO", ""),
            ("INFO", "replication"),
            ("WAIT", 1, timeout_ms) if follows else ("ECHO", "0"),
        ]
        if promised.waitaof:
            commands.append(("WAITAOF", 1, 0, timeout_ms))
        missing = _missing(await self.exact.send_to_node_of(key, commands), data, promised)
        if self._files is None or missing:
            return missing
        return "" if await asyncio.to_thread(sync_files, self._files) else "disk"


def _missing(answers: list[Any], data: str, promised: Durability) -> Missing:
    """What the answers to the commands of `secure` leave open."""
    _, found, info, copies, *disks = answers
    if data and found != data:
        return "write"
    if replicas_online(info) and not int(copies):
        return "replica"
    if disks and int(disks[0][0]) < 1 and promised.tells_of_disk:
        return "disk"
    return ""


def check_url(url: str) -> str:
    """The URL's scheme. Raises `ConfigurationError`, which never repeats the URL."""
    scheme = urlsplit(url).scheme
    if "sentinel" in scheme:
        raise ConfigurationError(f"REDIS_URL {NO_SENTINEL}", variable="REDIS_URL")
    if scheme not in SCHEMES:
        raise ConfigurationError(
            "REDIS_URL must begin with redis://, rediss://, unix://, redis+cluster:// or "
            "rediss+cluster://, for example redis://localhost:6379/0",
            variable="REDIS_URL",
        )
    return scheme


def hash_tag(key: str) -> str:
    """The part of a key that decides its cluster slot (Redis Cluster specification)."""
    start = key.find("{")
    end = key.find("}", start + 1)
    return key[start + 1 : end] if start >= 0 and end > start + 1 else key


def _options(retry: Retry, *, decode: bool) -> dict[str, Any]:
    return {
        "decode_responses": decode,
        "protocol": 2,
        "retry": retry,
        "socket_timeout": SOCKET_TIMEOUT,
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "health_check_interval": HEALTH_CHECK,
    }


def _single(url: str, retry: Retry, max_connections: int, *, decode: bool) -> StoreRedis:
    pool: BlockingConnectionPool = BlockingConnectionPool.from_url(
        url, max_connections=max_connections, timeout=POOL_TIMEOUT, **_options(retry, decode=decode)
    )
    return cast(StoreRedis, StoreRedis.from_pool(pool))


def _cluster(url: str, retry: Retry, max_connections: int, *, decode: bool) -> StoreCluster:
    plain = url.replace("+cluster", "", 1)
    client = StoreCluster.from_url(
        plain, max_connections=max_connections, **_options(retry, decode=decode)
    )
    return cast(StoreCluster, client)
