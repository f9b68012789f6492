"""What the servers promise about a write that they have acknowledged, and how to ask for more.

A write that is not on the disk is lost with a power cut. One that no replica has is lost when a
replica takes over, as replication is asynchronous. Both would forget an attempt to send, and send
the invoice again; so the attempt waits for both before its request leaves (`Clients.secure`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from redis.exceptions import ResponseError

from sync.errors import StoreError
from sync.store.cluster import StoreCluster

type Risk = Literal["no_aof", "aof_failing", "no_waitaof", "eviction", "replica_not_required"]

_WEAKEST_FIRST = ("no", "", "everysec", "always")


@dataclass(frozen=True, slots=True)
class Durability:
    """What one server promises, or the least of what all nodes of a cluster do."""

    server: str  # `valkey 9.1.2`, `redis 6.2.14`
    aof: bool  # written to a file before it is acknowledged: survives a killed server
    aof_ok: bool  # the last write and the last rewrite of that file succeeded
    fsync: str  # always, everysec, no; empty when the server does not tell
    waitaof: bool  # can be asked to be on disk: survives a power cut
    maxmemory_policy: str  # must be noeviction; empty when the server does not tell
    replicas: int = 0  # connected to the master that has the fewest
    min_replicas: int = 0  # `min-replicas-to-write`: with fewer it refuses writes

    @property
    def risks(self) -> tuple[Risk, ...]:
        """What can be lost, worst first; empty when nothing acknowledged can be."""
        policy = self.maxmemory_policy
        found: list[Risk] = []
        if not self.aof:
            found.append("no_aof")
        if not self.aof_ok:
            found.append("aof_failing")
        if policy and policy != "noeviction":
            found.append("eviction")
        if self.aof and not self.waitaof and self.fsync != "always":
            found.append("no_waitaof")
        if self.replicas and not self.min_replicas:
            found.append("replica_not_required")
        return tuple(found)

    @property
    def tells_of_disk(self) -> bool:
        """Whether the server writes to its disk by itself and says when it did."""
        return self.waitaof and self.fsync in ("always", "everysec")


def weakest(found: Sequence[Durability]) -> Durability:
    """What all of them promise. One node of a cluster is enough to lose something."""
    policies = [one.maxmemory_policy for one in found]
    return Durability(
        server=found[0].server,
        aof=all(one.aof for one in found),
        aof_ok=all(one.aof_ok for one in found),
        fsync=min((one.fsync for one in found), key=_WEAKEST_FIRST.index),
        waitaof=all(one.waitaof for one in found),
        maxmemory_policy=next((p for p in policies if p not in ("", "noeviction")), policies[0]),
        replicas=min(one.replicas for one in found),
        min_replicas=min(one.min_replicas for one in found),
    )


async def ask(client: Any) -> Durability:
    """Ask the server, or each master of a cluster. Raises `StoreError`.

    What it will not tell (managed services hide CONFIG) stays empty.
    """
    if not isinstance(client, StoreCluster):
        return await _ask(client, {})
    await client.each_master()  # who they are
    masters = {nodes[0].name: nodes[0] for nodes in client.nodes_manager.slots_cache.values()}
    asked = [await _ask(client, {"target_nodes": node}) for node in masters.values()]
    return weakest([*asked, *await _replicas(client, asked[0])])


async def _replicas(client: StoreCluster, like: Durability) -> list[Durability]:
    """What those promise who may take over; one that is away promises nothing now."""
    found = []
    for node in client.get_replicas():
        try:
            told = await _ask(client, {"target_nodes": node})
        except StoreError:
            continue
        found.append(_as_master(told, like))
    return found


def _as_master(replica: Durability, like: Durability) -> Durability:
    """As it would be once it took over: by now it has no replicas, and takes no WAITAOF."""
    return Durability(
        server=replica.server,
        aof=replica.aof,
        aof_ok=replica.aof_ok,
        fsync=replica.fsync,
        waitaof=replica.aof and like.waitaof,
        maxmemory_policy=replica.maxmemory_policy,
        replicas=like.replicas,
        min_replicas=replica.min_replicas,
    )


async def _ask(client: Any, at: dict[str, Any]) -> Durability:
    server = await client.info("server", **at)
    persistence = await client.info("persistence", **at)
    replication = await client.info("replication", **at)
    aof = str(persistence.get("aof_enabled")) == "1"
    healthy = all(
        persistence.get(field, "ok") == "ok"
        for field in ("aof_last_write_status", "aof_last_bgrewrite_status")
    )
    return Durability(
        server=_server_name(server),
        aof=aof,
        aof_ok=healthy,
        fsync=_known(await _config(client, "appendfsync", at)),
        waitaof=aof and await _knows_waitaof(client, at),
        maxmemory_policy=await _config(client, "maxmemory-policy", at),
        replicas=int(replication.get("connected_slaves", 0)),
        min_replicas=await _min_replicas(client, at),
    )


def _known(fsync: str) -> str:
    return fsync if fsync in _WEAKEST_FIRST else ""


def _server_name(info: dict[str, Any]) -> str:
    if "valkey_version" in info:
        return f"valkey {info['valkey_version']}"
    return f"redis {info.get('redis_version', 'unknown')}"


async def _config(client: Any, name: str, at: dict[str, Any]) -> str:
    try:
        answer: dict[str, str] = await client.config_get(name, **at)
    except ResponseError:
        return ""
    return str(answer.get(name, ""))


async def _min_replicas(client: Any, at: dict[str, Any]) -> int:
    told = await _config(client, "min-replicas-to-write", at)
    return int(told) if told.isdecimal() else 0


async def _knows_waitaof(client: Any, at: dict[str, Any]) -> bool:
    try:
        await client.execute_command("WAITAOF", 0, 0, 0, **at)
    except ResponseError:
        return False
    return True


def replicas_online(info: str) -> int:
    """How many replicas follow closely, by the text of INFO replication."""
    return len(re.findall(r"^slave\d+:.*\bstate=online\b", info, re.MULTILINE))
