"""What the servers promise about a write that they have acknowledged, and how to ask for more.

A write that is not on the disk is lost with a power cut. One that no replica has is lost when a
replica takes over, as replication is asynchronous. Both would forget an attempt to send, and send
the invoice again; so the attempt waits for both before its request leaves (`Clients.secure`).

WAITAOF is not believed unseen. Redis 7.4 and Valkey (9.1.2 was measured) with `everysec` answer it
as soon as the write was handed to the operating system, up to a second before it is on the disk
(redis/redis#13793). So the server is tried (`_answers_early`), and one that does not wait counts as
one that cannot be asked. What it says still means that the system has the write: of the embedded
store the files are then synced from here (`sync_files`).
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from redis.exceptions import ResponseError

from sync.errors import StoreError
from sync.store.cluster import StoreCluster

type Risk = Literal["no_aof", "aof_failing", "no_waitaof", "eviction", "replica_not_required"]

_WEAKEST_FIRST = ("no", "", "everysec", "always")
_AT_ONCE = 0.3  # seconds: two syncs of a server that makes one a second are further apart
_TRIAL_MS = 2500


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
    early: bool = False  # answers WAITAOF before the disk has the write

    @property
    def survives_power_cut(self) -> bool:
        """Whether an attempt is on the disk before its request leaves."""
        return self.aof and (self.fsync == "always" or (self.waitaof and not self.early))

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
        if self.aof and not self.survives_power_cut:
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
        early=any(one.early for one in found),
    )


async def ask(client: Any) -> Durability:
    """Ask the server, or each master of a cluster. Raises `StoreError`.

    What it will not tell (managed services hide CONFIG) stays empty.
    """
    if not isinstance(client, StoreCluster):
        return await _tried(client, "xt:{look}:look", await _ask(client, {}))
    keys = await client.each_master()
    masters = {nodes[0].name: nodes[0] for nodes in client.nodes_manager.slots_cache.values()}
    told = {name: await _ask(client, {"target_nodes": node}) for name, node in masters.items()}
    # At once: a start waits for them, and each takes two seconds where its WAITAOF does wait.
    tries = (_tried(client, keys[name], one) for name, one in told.items() if name in keys)
    asked = await asyncio.gather(*tries)
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


async def _tried(client: Any, key: str, told: Durability) -> Durability:
    """What a server promises, and whether its WAITAOF waits; `key` is one of its own."""
    if not told.waitaof or told.fsync in ("always", "no"):
        return told
    return replace(told, early=await _answers_early(client, key))


async def _answers_early(client: Any, key: str) -> bool:
    """Whether WAITAOF answers before the disk has the write.

    A server that syncs once a second cannot have two writes on the disk that come right one after
    the other. Takes two seconds where it does wait.
    """
    commands = [("SET", key, "1", "EX", 60), ("WAITAOF", 1, 0, _TRIAL_MS)]
    try:
        await client.send_to_node_of(key, commands)
        began = time.monotonic()
        _, (on_disk, _) = await client.send_to_node_of(key, commands)
    except (ResponseError, StoreError):
        return False  # it takes no write now, so there is nothing to lose
    return int(on_disk) == 1 and time.monotonic() - began < _AT_ONCE


def sync_files(directory: Path) -> bool:
    """Write what the system has of a server's append-only files to the disk.

    `directory` is the server's. Whether the disk has it now. Blocks.
    """
    files = [*directory.glob("appendonlydir/*.incr.aof"), *directory.glob("appendonly.aof")]
    try:
        for file in files:
            handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
    except OSError:
        return False
    return bool(files)


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
