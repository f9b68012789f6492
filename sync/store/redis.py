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

from dataclasses import dataclass
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import ResponseError

from sync.errors import ConfigurationError
from sync.store.cluster import StoreCluster
from sync.store.failures import classify, store_errors

__all__ = ["Clients", "Durability", "StoreCluster", "StoreRedis", "classify", "store_errors"]

SOCKET_TIMEOUT = 10.0  # seconds; a blocking read must ask for less than half of it
CONNECT_TIMEOUT = 3.0  # seconds
POOL_TIMEOUT = 5.0  # seconds to wait for a free connection
HEALTH_CHECK = 30  # seconds of idleness after which a connection is checked before use
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

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> StorePipeline:
        """A pipeline on one connection."""
        return StorePipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


@dataclass(frozen=True, slots=True)
class Durability:
    """What the server promises about a write that it has acknowledged."""

    server: str  # `valkey 9.1.2`, `redis 6.2.14`
    aof: bool  # written to a file before it is acknowledged: survives a killed server
    aof_ok: bool  # the last write and the last rewrite of that file succeeded
    fsync: str  # always, everysec, no; empty when the server does not tell
    waitaof: bool  # can be asked to be on disk: survives a power cut
    maxmemory_policy: str  # must be noeviction; empty when the server does not tell

    @property
    def risks(self) -> tuple[Literal["no_aof", "aof_failing", "no_waitaof", "eviction"], ...]:
        """What can be lost, worst first; empty when nothing acknowledged can be."""
        policy = self.maxmemory_policy
        found: list[Literal["no_aof", "aof_failing", "no_waitaof", "eviction"]] = []
        if not self.aof:
            found.append("no_aof")
        if not self.aof_ok:
            found.append("aof_failing")
        if policy and policy != "noeviction":
            found.append("eviction")
        if self.aof and not self.waitaof and self.fsync != "always":
            found.append("no_waitaof")
        return tuple(found)


class Clients:
    """All clients of one process; make one, share it, `aclose` it at the end.

    They must be used in the event loop in which they were used first.
    """

    def __init__(self, url: str, *, max_connections: int = 32) -> None:
        """Connect nowhere yet. `url`: redis, rediss, unix, redis+cluster or rediss+cluster.

        Raises `ConfigurationError` for another URL.
        """
        self.is_cluster = "+cluster" in check_url(url)
        quick = Retry(ExponentialBackoff(cap=0.5, base=0.02), 3)
        never = Retry(NoBackoff(), 0)
        connect = _cluster if self.is_cluster else _single
        self.redis = connect(url, quick, max_connections, decode=True)
        self.exact = connect(url, never, max_connections, decode=True)
        self.blobs = connect(url, never, max(4, max_connections // 4), decode=False)
        self._durability: Durability | None = None

    async def aclose(self) -> None:
        """Close all connections."""
        for client in (self.redis, self.exact, self.blobs):
            await client.aclose()

    async def durability(self, *, refresh: bool = False) -> Durability:
        """What the server promises; asked once, then remembered unless `refresh`."""
        if self._durability is None or refresh:
            self._durability = await _durability(self.exact)
        return self._durability

    async def waitaof(self, key: str, timeout_ms: int = 2000) -> bool:
        """Wait until every write that was acknowledged before this call is on the disk.

        `key` is any key of the same organisation (on a cluster it chooses the node). True: it
        is on disk. False: not within `timeout_ms`, or the server cannot tell (`durability`
        says which). With `everysec` the server syncs once a second, so this takes up to one.

        WAITAOF speaks of the writes of its own connection, and with a pool that is not the
        connection of the earlier write; so a marker is written on the same connection first.
        Whatever the server acknowledged before it stands before it in the file.
        """
        if not (await self.durability()).waitaof:
            return False
        marker = f"xt:{{{hash_tag(key)}}}:durable"
        mark: tuple[Any, ...] = ("SET", marker, "1", "EX", 60)
        wait: tuple[Any, ...] = ("WAITAOF", 1, 0, timeout_ms)
        try:
            answers = await self._mark_and_wait(marker, mark, wait)
        except ResponseError:  # the file was switched off since the server was asked
            await self.durability(refresh=True)
            return False
        return int(answers[1][0]) >= 1

    async def _mark_and_wait(
        self, marker: str, mark: tuple[Any, ...], wait: tuple[Any, ...]
    ) -> list[Any]:
        if isinstance(self.exact, StoreCluster):
            return await self.exact.send_to_node_of(marker, [mark, wait])
        pipe = self.exact.pipeline(transaction=False)
        pipe.execute_command(*mark)
        pipe.execute_command(*wait)
        return await pipe.execute()


def check_url(url: str) -> str:
    """The URL's scheme. Raises `ConfigurationError`, which never repeats the URL."""
    scheme = urlsplit(url).scheme
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


async def _durability(client: StoreRedis | StoreCluster) -> Durability:
    """Ask the server; what it will not tell (managed services hide CONFIG) stays empty."""
    server = _first(await client.info("server"))
    persistence = _first(await client.info("persistence"))
    aof = str(persistence.get("aof_enabled")) == "1"
    healthy = all(
        persistence.get(field, "ok") == "ok"
        for field in ("aof_last_write_status", "aof_last_bgrewrite_status")
    )
    return Durability(
        server=_server_name(server),
        aof=aof,
        aof_ok=healthy,
        fsync=await _config(client, "appendfsync"),
        waitaof=aof and await _knows_waitaof(client),
        maxmemory_policy=await _config(client, "maxmemory-policy"),
    )


def _first(info: dict[str, Any]) -> dict[str, Any]:
    """A cluster answers INFO per node; one node stands for all."""
    values = list(info.values())
    return values[0] if values and all(isinstance(v, dict) for v in values) else info


def _server_name(info: dict[str, Any]) -> str:
    if "valkey_version" in info:
        return f"valkey {info['valkey_version']}"
    return f"redis {info.get('redis_version', 'unknown')}"


async def _config(client: StoreRedis | StoreCluster, name: str) -> str:
    try:
        answer: dict[str, str] = await client.config_get(name)
    except ResponseError:
        return ""
    return str(answer.get(name, ""))


async def _knows_waitaof(client: StoreRedis | StoreCluster) -> bool:
    """Asked by a call that waits for nothing: redis-py cannot read an old server's COMMAND INFO."""
    options = {"target_nodes": StoreCluster.RANDOM} if isinstance(client, StoreCluster) else {}
    try:
        await client.execute_command("WAITAOF", 0, 0, 0, **options)
    except ResponseError:
        return False
    return True
