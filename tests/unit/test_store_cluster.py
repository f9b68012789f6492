"""The clients on a real cluster of one node: keys have slots, and scripts must stay in one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from redis.asyncio.cluster import ClusterNode
from redis.exceptions import ResponseError

from sync.clock import ask
from sync.embedded import find_server
from sync.errors import StoreError
from sync.store import durability
from sync.store.cluster import StoreCluster
from sync.store.durability import Durability
from sync.store.pace import Breaker, Pacer
from sync.store.records import Records
from sync.store.redis import Clients
from sync.vault import Vault, remember


def free_port() -> int:
    """A port of this machine whose cluster bus port, 10,000 above, is valid."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port < 55_000:
            return port


@contextmanager
def one_node(directory: Path) -> Iterator[int]:
    port = free_port()
    options = {"port": port, "bind": "127.0.0.1", "dir": directory, "save": ""}
    options |= {"cluster-enabled": "yes", "appendonly": "yes", "logfile": directory / "log"}
    command = [str(find_server())]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    with subprocess.Popen(command) as server:
        try:
            yield port
        finally:
            server.kill()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Clients]:
    plain = Clients(f"redis://127.0.0.1:{port}")
    async with asyncio.timeout(20):
        while not await _up(plain):  # noqa: ASYNC110 - a server sets no event of ours
            await asyncio.sleep(0.02)
    await plain.exact.flushall()
    await plain.aclose()
    clients = Clients(f"redis+cluster://127.0.0.1:{port}")
    yield clients
    await clients.aclose()


@pytest.fixture(scope="module")
def cluster_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with one_node(tmp_path_factory.mktemp("cluster")) as port:
        yield port


@pytest.fixture
async def cluster(cluster_port: int) -> AsyncIterator[Clients]:
    async with connected(cluster_port) as clients:
        yield clients


async def _up(plain: Clients) -> bool:
    """Give the only node all slots as soon as it answers."""
    try:
        state: dict[str, str] = await plain.exact.execute_command("CLUSTER INFO")
        if state["cluster_slots_assigned"] == "0":
            await plain.exact.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    except StoreError:
        return False
    return state["cluster_state"] == "ok"


async def test_the_clients_work_on_a_cluster(cluster: Clients) -> None:
    await cluster.exact.set("xt:{T1}:k", "v")
    assert await cluster.redis.get("xt:{T1}:k") == "v"
    assert await cluster.blobs.get("xt:{T1}:k") == b"v"
    assert (await cluster.durability()).waitaof
    assert await cluster.secure("xt:{T1}:k") == ""


async def test_the_scripts_stay_in_one_slot(cluster: Clients) -> None:
    assert await Pacer(cluster, "xt:{T1}:pace", per_second=1).take() == 0
    breaker = Breaker(cluster, "xt:{T1}:breaker")
    await breaker.check()
    await breaker.tell(ok=False)
    assert await remember(cluster, Vault([bytes(32)]))


async def test_a_transaction_of_one_organisation_runs(cluster: Clients) -> None:
    await cluster.durability()  # as at every start
    pipe = cluster.exact.pipeline(transaction=True)
    pipe.set("xt:{T1}:a", "1")
    pipe.incr("xt:{T1}:b")
    assert await pipe.execute() == [True, 1]


async def test_a_poll_finds_what_may_be_open(cluster: Clients) -> None:
    """Sets of two kinds in one transaction, none of them there at first."""
    records = Records(cluster, "T1")
    await records.expect(frozenset(), frozenset())
    assert await records.open_ids() == (frozenset(), frozenset())
    await records.expect(frozenset(), frozenset({"1", "2"}))
    await records.expect(frozenset({"1", "2"}), frozenset({"2", "3"}))
    await cluster.exact.zadd("xt:{T1}:state:failed", {"4": 1.0})
    await cluster.exact.zadd("xt:{T1}:state:sent", {"5": 1.0})
    assert await records.open_ids() == (frozenset({"2", "3"}), frozenset({"4"}))
    assert [found async for found in records.each(["1", "2"])] == []


async def test_a_transaction_with_a_wrong_command_is_refused_as_a_whole(cluster: Clients) -> None:
    pipe = cluster.exact.pipeline(transaction=True)
    pipe.set("xt:{T1}:a", "1")
    pipe.execute_command("NO-SUCH-COMMAND", "xt:{T1}:a")
    with pytest.raises(ResponseError):
        await pipe.execute()
    assert await cluster.redis.get("xt:{T1}:a") is None
    assert await cluster.exact.set("xt:{T1}:a", "2")


async def test_a_pipeline_of_reads_runs(cluster: Clients) -> None:
    pipe = cluster.redis.pipeline(transaction=False)
    pipe.get("xt:{T1}:a")
    pipe.hgetall("xt:{T2}:b")
    assert await pipe.execute() == [None, {}]


async def test_a_node_that_is_gone_is_a_store_error(tmp_path: Path) -> None:
    with one_node(tmp_path) as port:
        async with connected(port) as clients:
            await clients.exact.set("xt:{T1}:a", "1")
            with contextlib.suppress(StoreError):
                await clients.exact.execute_command("SHUTDOWN", "NOSAVE", target_nodes="random")
            for pipe in (clients.exact.pipeline(transaction=True), clients.redis.pipeline()):
                pipe.set("xt:{T1}:a", "1")
                with pytest.raises(StoreError):
                    await pipe.execute()
            with pytest.raises(StoreError):
                await clients.exact.get("xt:{T1}:a")


async def test_the_time_is_asked_of_the_node_of_one_key(cluster: Clients) -> None:
    told = await ask(cluster)
    now = datetime.now(UTC).timestamp()
    assert told.low - 5 < now < told.high + 5


class ThreeMasters(StoreCluster):
    """As far as `durability.ask` looks at a cluster."""

    def __init__(self) -> None:
        nodes = [SimpleNamespace(name=f"n{number}") for number in range(3)]
        slots = dict(enumerate([node] for node in nodes))
        self.nodes_manager = SimpleNamespace(slots_cache=slots)  # type: ignore[assignment]

    async def each_master(self) -> dict[str, str]:
        return {f"n{number}": f"xt:{{{number}}}:look" for number in range(3)}

    def get_replicas(self) -> list[ClusterNode]:
        return []


async def test_the_masters_are_tried_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes two seconds where its WAITAOF does wait, and a start waits for all of them."""
    syncs = Durability("redis 8.2", True, True, "everysec", True, "noeviction")
    all_asked = asyncio.Barrier(3)

    async def told(*_: object) -> Durability:
        return syncs

    async def answers_early(*_: object) -> bool:
        async with asyncio.timeout(20):
            return await all_asked.wait() == 0  # one of the three

    monkeypatch.setattr(durability, "_ask", told)
    monkeypatch.setattr(durability, "_answers_early", answers_early)
    assert (await durability.ask(ThreeMasters())).early, "the least of what all of them promise"
