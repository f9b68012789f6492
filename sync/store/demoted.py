"""Leaving a server that is not the master any more.

After a fail-over behind one address (a proxy, a DNS name, Sentinel) a new connection reaches the
new master, but the old ones may live on: to a server that refuses every write from now on. redis-py
keeps them, so the first refusal closes them here.
"""

from __future__ import annotations

from typing import Any

from redis.asyncio import ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError


def leave_demoted(*pools: ConnectionPool) -> None:
    """Let the idle connections of all `pools` be closed when one of them meets a read-only server.

    The refusal itself is raised as a lost connection, so that what may be repeated is repeated.
    """
    for pool in pools:
        usual: Any = pool.connection_class
        pool.connection_class = _leaving(usual, pools)


def _leaving(usual: Any, pools: tuple[ConnectionPool, ...]) -> Any:
    class Leaving(usual):  # type: ignore[misc]
        async def read_response(self, *args: Any, **options: Any) -> Any:
            try:
                return await super().read_response(*args, **options)
            except ReadOnlyError as refusal:
                await self.disconnect(nowait=True)
                for pool in pools:
                    await pool.disconnect(inuse_connections=False)
                raise RedisConnectionError(f"READONLY {refusal}") from None

    return Leaving
