"""A Valkey Cluster of several masters with replicas, as real processes on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from redis import Redis
from redis.crc import key_slot
from redis.exceptions import RedisError

from sync.embedded import find_server

SLOTS = 16384
PATIENCE = 40.0  # seconds for anything that a busy machine may make late


class Node:
    """One Valkey server with a TCP port."""

    def __init__(self, directory: Path, **options: Any) -> None:
        """Not started yet. `options` as in its configuration, `_` for `-`."""
        self.directory = directory
        self.port = free_port()
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.frozen = False
        self.client: Any = Redis(
            host="127.0.0.1", port=self.port, decode_responses=True, protocol=2, socket_timeout=3
        )

    async def start(self) -> None:
        """Start it, on what it kept."""
        self._spawn()
        await until(self.answers, f"the server at {self.port} answers")

    def _spawn(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        options: dict[str, Any] = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self.directory,
            "logfile": self.directory / "log",
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "repl-diskless-sync-delay": 0,
            "repl-ping-replica-period": 1,
            **{name.replace("_", "-"): value for name, value in self.options.items()},
        }
        command = [str(find_server())]
        for name, value in options.items():
            command += [f"--{name}", *str(value).split()] if value != "" else [f"--{name}", ""]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    @property
    def alive(self) -> bool:
        """Whether it can answer."""
        running = self._process is not None and self._process.poll() is None
        return running and not self.frozen

    def answers(self) -> bool:
        """Whether it is ready."""
        with contextlib.suppress(RedisError, OSError):
            return bool(self.client.ping())
        return False

    def send(self, number: int) -> None:
        """Send its process a signal."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """SIGKILL; nothing is written any more."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self.frozen = False

    def freeze(self) -> None:
        """SIGSTOP."""
        self.send(signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        """SIGCONT."""
        self.send(signal.SIGCONT)
        self.frozen = False

    def info(self, section: str) -> dict[str, Any]:
        """A section of INFO."""
        return dict(self.client.info(section))

    def stop(self) -> None:
        """End it."""
        self.kill()
        self.client.close()


class ValkeyCluster:
    """Masters with one replica each; the slots in equal parts."""

    def __init__(self, directory: Path, masters: int = 3, **options: Any) -> None:
        """Not started yet."""
        self._size = masters
        self.nodes = [
            Node(
                directory / str(number),
                cluster_enabled="yes",
                cluster_node_timeout=1500,
                cluster_replica_validity_factor=0,  # on one machine time is no sign of age
                **options,
            )
            for number in range(2 * masters)
        ]

    @property
    def url(self) -> str:
        """Of any node; the others are learned from it."""
        port = next(node.port for node in self.nodes if node.alive)
        return f"redis+cluster://127.0.0.1:{port}"

    async def start(self) -> str:
        """Start all nodes, make them one cluster and wait until the replicas follow."""
        await asyncio.gather(*(node.start() for node in self.nodes))
        first, *others = self.nodes
        for number, node in enumerate(self.nodes[: self._size]):
            begin, end = number * SLOTS // self._size, (number + 1) * SLOTS // self._size - 1
            node.client.execute_command("CLUSTER", "ADDSLOTSRANGE", begin, end)
            node.client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in others:
            first.client.execute_command("CLUSTER", "MEET", "127.0.0.1", node.port)
        await until(self._all_know_all, "the nodes know each other")
        for master, replica in zip(self.nodes[: self._size], self.nodes[self._size :], strict=True):
            identity = master.client.execute_command("CLUSTER", "MYID")
            replica.client.execute_command("CLUSTER", "REPLICATE", identity)
        await until(self.healthy, "the replicas follow")
        return self.url

    def _all_know_all(self) -> bool:
        tables = [table(node) for node in self.nodes]
        return all(
            len(known) == len(self.nodes)
            and not any("handshake" in flags for flags in known.values())
            for known in tables
        )

    def healthy(self) -> bool:
        """Whether all slots are served, and each living replica follows."""
        for node in self.nodes:
            if not node.alive:
                continue
            cluster = node.client.execute_command("CLUSTER INFO")
            following = node.info("replication")
            linked = following["role"] == "master" or following["master_link_status"] == "up"
            if cluster["cluster_state"] != "ok" or not linked:
                return False
        return True

    def master_of(self, key: str) -> Node:
        """The living node that serves a key."""
        slot = key_slot(key.encode())
        for node in self.nodes:
            if node.alive and (node.info("replication"))["role"] == "master":
                for begin, end in slots(node):
                    if begin <= slot <= end:
                        return node
        raise AssertionError(f"nobody serves {key}")

    def replica_of(self, master: Node) -> Node:
        """The living node that follows a master."""
        for node in self.nodes:
            if node.alive and node is not master:
                told = node.info("replication")
                if told["role"] == "slave" and told["master_port"] == master.port:
                    return node
        raise AssertionError(f"nobody follows {master.port}")

    def taken_over(self, key: str, dead: Node) -> bool:
        """Whether another living node serves a key, and says that all is well."""
        with contextlib.suppress(AssertionError, RedisError, OSError):
            serving = self.master_of(key)
            state = serving.client.execute_command("CLUSTER INFO")
            return serving is not dead and state["cluster_state"] == "ok"
        return False

    async def heal(self) -> None:
        """Bring back who is dead or frozen, and wait until all follow."""
        for node in self.nodes:
            if node.frozen:
                node.thaw()
            if not node.alive:
                await node.start()
        await until(self.healthy, "the cluster is whole again")

    def keys(self, begin: str) -> list[str]:
        """All keys of all masters that begin so."""
        masters = [n for n in self.nodes if n.alive and n.info("replication")["role"] == "master"]
        return [k for n in masters for k in n.client.scan_iter(count=1000) if k.startswith(begin)]

    def empty(self) -> None:
        """Forget all keys and scripts."""
        for node in self.nodes:
            if (node.info("replication"))["role"] == "master":
                node.client.flushall()
                node.client.script_flush()

    def stop(self) -> None:
        """End all nodes."""
        for node in self.nodes:
            node.stop()


def table(node: Node) -> Mapping[str, str]:
    """What a node knows of the nodes: address to flags."""
    known: dict[str, dict[str, str]] = node.client.execute_command("CLUSTER NODES")
    return {address: told["flags"] for address, told in known.items()}


def slots(node: Node) -> list[tuple[int, int]]:
    """The ranges of slots that a node serves, by its own word."""
    known: dict[str, Any] = node.client.execute_command("CLUSTER NODES")
    mine = next(told for told in known.values() if "myself" in told["flags"])
    return [(int(part[0]), int(part[-1])) for part in mine["slots"]]


async def until(
    condition: Callable[[], bool | Awaitable[bool]], what: str, seconds: float = PATIENCE
) -> float:
    """Wait for a condition; how long it took in seconds."""
    began = time.monotonic()
    while True:
        met = condition()
        if met if isinstance(met, bool) else await met:
            return time.monotonic() - began
        if time.monotonic() - began > seconds:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(0.02)


_given: set[int] = set()


def free_port() -> int:
    """A port that nobody has, whose cluster bus port, 10,000 above, is valid and free."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port < 55_000 and port not in _given and _is_free(port + 10_000):
            _given.add(port)
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
