"""docket's connections, so that it goes on after a fail-over by itself.

docket 0.27 opens its own connections to the store, and lacks four things:

- It reads without a time limit. When a host is gone without a word, nothing ever answers, and the
  worker would wait for ever.
- It keeps connections to a server that was the master once (see `sync.store.connections`).
- On a cluster it uses redis-py's client as it is, which loses track of the nodes (see
  `sync.store.cluster`).
- On a cluster it subscribes at one node, chosen at the start. A worker begins its work when it has
  subscribed, so after that node's death it would never begin again. So any living master is asked.

It has no setting for any of them, so the name of its connection class is bound to another.
"""

from __future__ import annotations

import importlib
import random
from typing import Any, ClassVar, Final, override

from docket._redis import CONNECT_TIMEOUT, RedisConnection
from redis.asyncio import ConnectionPool
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError

from sync.store.cluster import FollowingCluster
from sync.store.connections import leave_demoted

HEALTH_CHECK: Final = 30  # seconds of idleness after which a connection is checked before use


class JobsConnection(RedisConnection):
    """For jobs: docket asks the server to hold an answer back for 50 ms at most."""

    read_seconds: ClassVar = 10.0

    @override
    async def _connection_pool_from_url(
        self, decode_responses: bool = False, protocol: int | None = None
    ) -> ConnectionPool:
        pool = await super()._connection_pool_from_url(decode_responses, protocol)
        self._limit(pool)
        leave_demoted(pool)
        return pool

    @override
    async def _create_cluster_client(self) -> RedisCluster:
        client = FollowingCluster.from_url(
            self._normalized_url(),
            socket_timeout=self.read_seconds,
            socket_connect_timeout=CONNECT_TIMEOUT,
            retry=Retry(ExponentialBackoff(cap=0.5, base=0.02), 3),
        )
        return await client.initialize()

    @override
    def _create_node_pool(self) -> ConnectionPool:
        pool = super()._create_node_pool()
        self._limit(pool)
        if self._cluster_client is not None:
            usual: Any = pool.connection_class
            pool.connection_class = _to_any_master(usual, self._cluster_client)
        return pool

    def _limit(self, pool: ConnectionPool) -> None:
        pool.connection_kwargs["socket_timeout"] = self.read_seconds
        pool.connection_kwargs.setdefault("health_check_interval", HEALTH_CHECK)


class StrikesConnection(JobsConnection):
    """For strikes, which are not used here: docket waits for them, a minute at a time."""

    read_seconds: ClassVar = 75.0


def _to_any_master(usual: Any, cluster: RedisCluster) -> Any:
    class ToAnyMaster(usual):  # type: ignore[misc]
        async def _connect(self) -> None:
            try:
                await cluster.initialize()
                node = random.choice(cluster.get_primaries())  # noqa: S311 - not a secret
                self.host, self.port = node.host, int(node.port)
                await super()._connect()
            except (RedisError, OSError):
                cluster._initialize = True  # noqa: SLF001 - the nodes are learned anew
                raise

    return ToAnyMaster


def follow_failovers() -> None:
    """Let docket connect with these classes, in this whole process."""
    importlib.import_module("docket.docket").RedisConnection = JobsConnection  # type: ignore[attr-defined]
    importlib.import_module("docket.strikelist").RedisConnection = StrikesConnection  # type: ignore[attr-defined]
