"""Redis Cluster: the client, and transactions on it.

redis-py 7.4 runs each command of a cluster transaction in a thread with an event loop of its own,
and fails when the cluster was not asked for anything before or lost a node. So transactions are
sent here, on one connection to the node of their keys, once.
"""

from __future__ import annotations

from typing import Any

from redis.asyncio.cluster import ClusterNode, ClusterPipeline, RedisCluster
from redis.asyncio.connection import Connection
from redis.commands import AsyncRedisClusterCommands
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from sync.errors import StoreError
from sync.store.failures import store_errors


class StoreCluster(RedisCluster):
    """redis-py's cluster client, raising `StoreError`."""

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """Run one command on the node of its key."""
        with store_errors():
            return await super().execute_command(*args, **kwargs)

    def pipeline(self, transaction: Any | None = None, shard_hint: Any | None = None) -> Any:
        """A transaction on the keys of one hash tag, or a pipeline on any keys."""
        if shard_hint:
            raise ValueError("a cluster takes no shard_hint")
        return Transaction(self) if transaction else Pipeline(self)

    async def send_to_node_of(self, key: str, commands: list[tuple[Any, ...]]) -> list[Any]:
        """Send commands on one connection to the key's node, without repeating any.

        Returns the raw answers; an error that the server gave to one of them is raised after all
        were read. Raises `StoreError` if the connection fails.
        """
        with store_errors():
            try:
                await self.initialize()
                node = self.get_node_from_key(key)
                if node is None:
                    raise StoreError("no node of the cluster serves the key")
                return await _on_one_connection(node, commands)
            except RedisConnectionError:
                await self.aclose()  # the next command learns the slots anew
                raise


class Pipeline(ClusterPipeline):
    """A pipeline that raises `StoreError`."""

    _event_dispatcher: Any = None  # redis-py declares it and leaves it out

    async def execute(
        self, raise_on_error: bool = True, allow_redirections: bool = True
    ) -> list[Any]:
        """Send all commands; as in redis-py, errors of commands included."""
        with store_errors():
            return await super().execute(raise_on_error, allow_redirections)


class Transaction(AsyncRedisClusterCommands):
    """MULTI and EXEC around commands that each name their key first."""

    _event_dispatcher: Any = None  # redis-py declares it for all users of its commands

    def __init__(self, cluster: StoreCluster) -> None:
        """Collect commands; nothing is sent before `execute`."""
        self._cluster = cluster
        self._commands: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def execute_command(self, *args: Any, **options: Any) -> Transaction:
        """Collect one command."""
        self._commands.append((args, options))
        return self

    async def execute(self) -> list[Any]:
        """Send them; all or none are done. Raises `StoreError`."""
        commands, self._commands = self._commands, []
        if not commands:
            return []
        key = commands[0][0][1]
        sent = [("MULTI",), *(args for args, _ in commands), ("EXEC",)]
        answers = (await self._cluster.send_to_node_of(key, sent))[-1]
        parse = self._cluster.response_callbacks
        return [
            parse[args[0]](answer, **options) if args[0] in parse else answer
            for (args, options), answer in zip(commands, answers, strict=True)
        ]


async def _on_one_connection(node: ClusterNode, commands: list[tuple[Any, ...]]) -> list[Any]:
    connection = node.acquire_connection()
    try:
        await connection.connect()  # type: ignore[no-untyped-call]
        for args in commands:
            await connection.send_command(*args)
        return _without_errors([await _answer(connection) for _ in commands])
    except BaseException as error:
        if not isinstance(error, ResponseError):
            await connection.disconnect(nowait=True)  # an answer may still be on its way
        raise
    finally:
        node.release(connection)


async def _answer(connection: Connection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def _without_errors(answers: list[Any]) -> list[Any]:
    for answer in answers:
        if isinstance(answer, ResponseError):
            raise answer
    return answers
