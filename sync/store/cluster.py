"""Redis Cluster: the clients, and transactions on it.

What redis-py 7.4 lacks here, each found with three masters of which one was killed:

- After a fail-over it goes on calling the promoted node a replica: `SCAN` passes it by, and with a
  single shard no node is left to ask. The nodes that it sends commands to are others than those
  that it closes. `Nodes` keeps one object for each node, and its role up to date.
- It forgets the address that it was given for those of the nodes. Where nodes come back under other
  addresses, that one is the only way to find them.
- A transaction runs in a thread with an event loop of its own, and fails when the cluster was not
  asked for anything before or lost a node. So transactions are sent here, on one connection to the
  node of their keys, once.
- When all connections to a node are in use it fails instead of waiting.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio.cluster import ClusterNode, ClusterPipeline, NodesManager, RedisCluster
from redis.commands import AsyncRedisClusterCommands
from redis.exceptions import AskError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sync.errors import StoreError
from sync.store.connections import hardened, unsent
from sync.store.failures import store_errors

POOL_TIMEOUT = 5.0  # seconds to wait for a free connection


class Nodes(NodesManager):
    """The nodes as the cluster says they are."""

    def __init__(self, of: NodesManager) -> None:
        """In the place of a manager that has found nothing yet."""
        super().__init__(
            list(of.startup_nodes.values()),
            of.require_full_coverage,
            of.connection_kwargs,
            event_dispatcher=of._event_dispatcher,  # noqa: SLF001 - the parent's own
        )
        self._given = dict(self.startup_nodes)

    def set_nodes(
        self,
        old: dict[str, ClusterNode],
        new: dict[str, ClusterNode],
        remove_old: bool = False,
    ) -> None:
        """Take over roles, too, and keep the addresses that we were given."""
        super().set_nodes(old, new, remove_old)
        for name, node in new.items():
            old[name].server_type = node.server_type
        if old is self.startup_nodes:
            for name, node in self._given.items():
                old.setdefault(name, node)

    async def initialize(self) -> None:
        """Learn nodes and slots."""
        await super().initialize()
        known: dict[int, list[ClusterNode]] = {}  # many slots share one list
        for slot, nodes in self.slots_cache.items():
            kept = known.setdefault(id(nodes), [self.nodes_cache[n.name] for n in nodes])
            self.slots_cache[slot] = kept


class FollowingCluster(RedisCluster):
    """redis-py's cluster client, following a fail-over."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As redis-py's."""
        super().__init__(*args, **kwargs)
        usual = hardened(self.connection_kwargs["connection_class"])
        self.connection_kwargs["connection_class"] = usual
        for node in self.nodes_manager.startup_nodes.values():
            node.connection_class = usual
        self.nodes_manager: NodesManager = Nodes(self.nodes_manager)


class StoreCluster(FollowingCluster):
    """The cluster client, raising `StoreError`."""

    def __init__(self, *args: Any, max_connections: int = 32, **kwargs: Any) -> None:
        """At most `max_connections` commands at once to one node; others wait."""
        super().__init__(*args, **kwargs)
        self._places: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(max_connections)
        )

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """Run one command on the node of its key."""
        with store_errors():
            async with self._place(args):
                try:
                    return await super().execute_command(*args, **kwargs)
                except RedisError as error:
                    if not unsent(error):
                        raise
                return await super().execute_command(
                    *args, **kwargs
                )  # by the nodes as they are now

    def pipeline(self, transaction: Any | None = None, shard_hint: Any | None = None) -> Any:
        """A transaction on the keys of one hash tag, or a pipeline on any keys."""
        if shard_hint:
            raise ValueError("a cluster takes no shard_hint")
        return Transaction(self) if transaction else Pipeline(self)

    async def send_to_node_of(self, key: str, commands: list[tuple[Any, ...]]) -> list[Any]:
        """Send commands on one connection to the key's node, without repeating what was done.

        Returns the raw answers; an error that the server gave to one of them is raised after all
        were read. Raises `StoreError` if the connection fails.
        """
        with store_errors():
            try:
                return await self._send_to_node_of(key, commands)
            except RedisError as error:
                # MOVED (an AskError): nothing was done, another node serves the key now.
                if not (isinstance(error, AskError) or unsent(error)):
                    raise
            self._initialize = True
            return await self._send_to_node_of(key, commands)

    async def _send_to_node_of(self, key: str, commands: list[tuple[Any, ...]]) -> list[Any]:
        await self.initialize()
        node = self.get_node_from_key(key)
        if node is None:
            raise StoreError("no node of the cluster serves the key")
        try:
            return await _on_one_connection(node, commands)
        except (RedisConnectionError, RedisTimeoutError, OSError):
            await node.disconnect_free_connections()
            self._initialize = True  # the next command learns the slots anew
            raise

    async def each_master(self) -> dict[str, str]:
        """A key of each master: what is to be done on all of them can be done with these."""
        with store_errors():
            await self.initialize()
            found: dict[str, str] = {}
            masters = {nodes[0].name for nodes in self.nodes_manager.slots_cache.values()}
            number = 0
            while len(found) < len(masters):
                key, number = f"xt:{{{number}}}:look", number + 1
                node = self.get_node_from_key(key)
                if node is not None:
                    found.setdefault(node.name, key)
            return found

    @asynccontextmanager
    async def _place(self, args: tuple[Any, ...]) -> AsyncIterator[None]:
        """One of the places of the node that the command most likely goes to."""
        place = self._places[self._likely_node(args)]
        try:
            async with asyncio.timeout(POOL_TIMEOUT):
                await place.acquire()
        except TimeoutError:
            raise RedisConnectionError("no connection became free") from None
        try:
            yield
        finally:
            place.release()

    def _likely_node(self, args: tuple[Any, ...]) -> str:
        """A wrong guess costs nothing: the place is a bound, not an address."""
        at = 3 if args[0] in ("EVAL", "EVALSHA") else 1
        key = args[at] if len(args) > at else ""
        slot = self.keyslot(key) if isinstance(key, (str, bytes)) else 0
        nodes = self.nodes_manager.slots_cache.get(slot)
        return nodes[0].name if nodes else ""


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
        options.pop("keys", None)  # which redis-py notes for a cache of its own
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
        await node.disconnect_if_needed(connection)
        return await exchange(connection, commands)
    finally:
        node.release(connection)


async def exchange(connection: Any, commands: list[tuple[Any, ...]]) -> list[Any]:
    """Send commands and read the raw answers.

    All leave in one piece: a connection that is found lost is opened anew before a piece is sent,
    and half of a transaction must not go on without its begin. An error that the server gave to
    one of them is raised after all were read.
    """
    try:
        await connection.send_packed_command(connection.pack_commands(commands))
        return _without_errors([await _answer(connection) for _ in commands])
    except BaseException as error:
        if not isinstance(error, ResponseError):
            await connection.disconnect(nowait=True)  # an answer may still be on its way
        raise


async def _answer(connection: Any) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def _without_errors(answers: list[Any]) -> list[Any]:
    for answer in answers:
        if isinstance(answer, ResponseError):
            raise answer
    return answers
