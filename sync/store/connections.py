"""What redis-py's connections lack when servers come and go.

- After a fail-over behind one address (a proxy, a DNS name, Sentinel) a new connection reaches the
  new master, but the old ones may live on: to a server that refuses every write from now on.
  redis-py keeps them, so the first refusal closes them here.
- It closes idle connections while it looks at the nodes of a cluster, and hands one of them out
  meanwhile. asyncio answers a write to that one with a TypeError (CPython 3.13); here it is what it
  is, a lost connection.
- It does not tell a connection that was lost with the command from one that was lost before. Only
  the first leaves open whether the command was done.
"""

from __future__ import annotations

from typing import Any

from redis.asyncio import ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, RedisError


def hardened(usual: Any) -> Any:
    """A class of connections whose errors tell whether a command may have been done: `unsent`."""

    class Hardened(usual):  # type: ignore[misc]
        async def send_packed_command(self, *args: Any, **options: Any) -> None:
            if self.is_connected and self._reader.at_eof():
                await self.disconnect(nowait=True)  # the server is gone, or was restarted
            if not self.is_connected:
                try:
                    await self.connect_check_health(check_health=False)
                except RedisError as error:
                    raise _as_unsent(error) from error.__cause__
            try:
                await super().send_packed_command(*args, **options)
            except (TypeError, AttributeError) as error:
                raise _as_unsent(RedisConnectionError("closed meanwhile")) from error

    return Hardened


def _as_unsent(error: RedisError) -> RedisError:
    error.unsent = True  # type: ignore[attr-defined]
    return error


def unsent(error: Exception) -> bool:
    """Whether the command did certainly not leave, so that it may be repeated."""
    return getattr(error, "unsent", False) is True


def leave_demoted(*pools: ConnectionPool) -> None:
    """Let the idle connections of all `pools` be closed when one of them meets a read-only server.

    The refusal itself is raised as a lost connection, so that what may be repeated is repeated.
    """
    for pool in pools:
        usual: Any = pool.connection_class
        pool.connection_class = _leaving(hardened(usual), pools)


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
