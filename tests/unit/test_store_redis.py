from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    ClusterError,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    RedisClusterException,
    ResponseError,
    SlotNotCoveredError,
    TryAgainError,
)

from sync.embedded import EmbeddedStore
from sync.errors import ConfigurationError, Kind, StoreError
from sync.store.durability import weakest
from sync.store.failures import classify, store_errors
from sync.store.redis import Clients, Durability, StoreRedis, check_url, hash_tag

CANARY = "c4nary-s3cret"


class LossyProxy:
    """Forwards to the store; loses the answer to the next command that is told to be lost."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.lose = b""
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_unix_connection(self.upstream)
        self._writers |= {writer, up_writer}
        with contextlib.suppress(OSError):
            while request := await reader.read(65536):
                up_writer.write(request)
                answer = await up_reader.read(65536)
                if self.lose and self.lose in request:
                    self.lose = b""
                    break
                writer.write(answer)
        for end in (writer, up_writer):
            end.close()

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


@pytest.fixture
async def lossy(redis_url: str, tmp_path: Path) -> AsyncIterator[tuple[LossyProxy, Clients]]:
    proxy = LossyProxy(redis_url.removeprefix("unix://"))
    path = tmp_path / "proxy.sock"
    server = await asyncio.start_unix_server(proxy.serve, path)
    clients = Clients(f"unix://{path}")
    yield proxy, clients
    await clients.aclose()
    proxy.close()
    server.close()
    await server.wait_closed()


async def test_exact_does_not_repeat_a_command_whose_answer_was_lost(
    lossy: tuple[LossyProxy, Clients], clients: Clients
) -> None:
    proxy, through = lossy
    proxy.lose = b"INCR"
    with pytest.raises(StoreError):
        await through.exact.incr("{a}:n")
    assert await clients.redis.get("{a}:n") == "1"


async def test_an_exact_pipeline_does_not_repeat_either(
    lossy: tuple[LossyProxy, Clients], clients: Clients
) -> None:
    proxy, through = lossy
    proxy.lose = b"INCR"
    pipe = through.exact.pipeline()
    pipe.incr("{a}:n")
    with pytest.raises(StoreError):
        await pipe.execute()
    assert await clients.redis.get("{a}:n") == "1"


async def test_exact_goes_on_after_a_lost_answer(lossy: tuple[LossyProxy, Clients]) -> None:
    proxy, through = lossy
    proxy.lose = b"INCR"
    with pytest.raises(StoreError):
        await through.exact.incr("{a}:n")
    assert await through.exact.incr("{a}:n") == 2


async def test_reads_repeat_a_command_whose_answer_was_lost(
    lossy: tuple[LossyProxy, Clients], clients: Clients
) -> None:
    proxy, through = lossy
    await clients.exact.set("{a}:k", "v")
    proxy.lose = b"GET"
    assert await through.redis.get("{a}:k") == "v"


async def test_text_is_decoded_and_blobs_are_not(clients: Clients) -> None:
    await clients.exact.set("{a}:k", b"\xff\x00<xml>")
    assert await clients.blobs.get("{a}:k") == b"\xff\x00<xml>"
    await clients.exact.set("{a}:k", "Müller")
    assert await clients.redis.get("{a}:k") == await clients.exact.get("{a}:k") == "Müller"


async def test_a_burst_waits_for_a_connection_instead_of_failing(clients: Clients) -> None:
    await asyncio.gather(*(clients.exact.set(f"{{a}}:{n}", "v") for n in range(1000)))
    assert await clients.redis.dbsize() == 1000


async def test_a_blocking_read_returns_when_nothing_comes(clients: Clients) -> None:
    assert await clients.redis.xread({"{a}:stream": "$"}, block=200) == []


async def test_a_store_that_is_not_there_is_a_store_error(tmp_path: Path) -> None:
    clients = Clients(f"unix://{tmp_path / 'nothing.sock'}")
    for client in (clients.redis, clients.exact, clients.blobs):
        with pytest.raises(StoreError) as caught:
            await client.execute_command("PING")
        assert (caught.value.reason_code, caught.value.kind) == (
            "store.unavailable",
            Kind.TRANSIENT,
        )
    await clients.aclose()


async def test_a_wrong_command_stays_what_it_is(clients: Clients) -> None:
    await clients.exact.set("{a}:k", "text")
    with pytest.raises(ResponseError):
        await clients.exact.incr("{a}:k")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ResponseError("MISCONF Errors writing to the AOF file: No space left"), "store.refused"),
        (ResponseError("OOM command not allowed when used memory > 'maxmemory'"), "store.refused"),
        (ResponseError("NOREPLICAS Not enough good replicas to write."), "store.refused"),
        (ReadOnlyError("You can't write against a read only replica."), "store.refused"),
        (BusyLoadingError("Redis is loading the dataset in memory"), "store.unavailable"),
        (ResponseError("MASTERDOWN Link with MASTER is down"), "store.unavailable"),
        (ClusterDownError("The cluster is down"), "store.unavailable"),
        (TryAgainError("Multiple keys request during rehashing of slot"), "store.unavailable"),
        (MovedError("1234 127.0.0.1:7001"), "store.unavailable"),
        (ClusterError("TTL exhausted."), "store.unavailable"),
        (SlotNotCoveredError('Slot "1" not covered by the cluster.'), "store.unavailable"),  # type: ignore[no-untyped-call]
        (RedisClusterException("All slots are not covered after query"), "store.unavailable"),  # type: ignore[no-untyped-call]
        (ResponseError("BUSY Valkey is busy running a script."), "store.unavailable"),
        (ResponseError("UNBLOCKED force unblock from blocking"), "store.unavailable"),
        (AuthenticationError("invalid username-password pair"), "store.unavailable"),
        (ConnectionResetError("reset"), "store.unavailable"),
    ],
)
def test_what_the_server_says_is_classed(error: Exception, code: str) -> None:
    found = classify(error)
    assert found is not None
    assert found.reason_code == code


@pytest.mark.parametrize(
    "error",
    [
        NoScriptError("No matching script"),
        ResponseError("ERR x"),
        ResponseError("BUSYGROUP Consumer Group name already exists"),
    ],
)
def test_mistakes_are_not_classed(error: Exception) -> None:
    assert classify(error) is None


async def test_an_error_does_not_show_the_url(tmp_path: Path) -> None:
    clients = Clients(f"redis://user:{CANARY}@127.0.0.1:1/0")
    with pytest.raises(StoreError) as caught:
        await clients.exact.execute_command("PING")
    shown = f"{caught.value!r} {caught.value.__cause__!r}"
    assert CANARY not in shown
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    await clients.aclose()


@pytest.mark.parametrize("url", ["", "http://x", f"memory://{CANARY}", "localhost:6379"])
def test_another_url_is_refused_by_the_name_of_the_setting(url: str) -> None:
    with pytest.raises(ConfigurationError, match="REDIS_URL") as caught:
        check_url(url)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("scheme", ["redis+sentinel", "rediss+sentinel", "sentinel"])
def test_of_sentinels_it_is_said_what_to_give_instead(scheme: str) -> None:
    with pytest.raises(ConfigurationError, match="one address") as caught:
        check_url(f"{scheme}://u:{CANARY}@a:26379,b:26379/main")
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "cluster"),
    [
        ("redis://localhost", False),
        ("rediss://:p@localhost:1", False),
        ("unix:///a/b.sock", False),
        ("redis+cluster://localhost", True),
        ("rediss+cluster://localhost", True),
    ],
)
async def test_each_kind_of_url_makes_clients(url: str, cluster: bool) -> None:
    clients = Clients(url)
    assert clients.is_cluster is cluster
    await clients.aclose()


def test_tls_checks_the_certificate() -> None:
    client = Clients("rediss://localhost").exact
    assert isinstance(client, StoreRedis)
    pool: Any = client.connection_pool
    connection = pool.make_connection()
    assert connection.ssl_context.cert_reqs.name == "CERT_REQUIRED"
    assert connection.ssl_context.check_hostname


def test_the_hash_tag_is_found_as_the_cluster_finds_it() -> None:
    assert [hash_tag(key) for key in ("xt:{T1}:a", "{T1}{T2}", "plain", "{}x", "a{b")] == [
        "T1",
        "T1",
        "plain",
        "{}x",
        "a{b",
    ]


async def test_the_embedded_server_promises_everything(tmp_path: Path) -> None:
    async with EmbeddedStore(tmp_path, watch=False) as url:
        clients = Clients(url, files=tmp_path)
        promised = await clients.durability()
        assert await clients.secure("{a}:k") == ""
        await clients.aclose()
    assert promised.server.startswith("valkey ")
    assert (promised.fsync, promised.risks) == ("everysec", ())


@pytest.mark.parametrize(
    ("changes", "risks"),
    [
        ({"aof": False, "waitaof": False}, ("no_aof",)),
        ({"waitaof": False}, ("no_waitaof",)),
        ({"waitaof": False, "fsync": "always"}, ()),
        ({"early": True}, ("no_waitaof",)),
        ({"aof_ok": False}, ("aof_failing",)),
        ({"maxmemory_policy": "allkeys-lru"}, ("eviction",)),
        ({"maxmemory_policy": "", "fsync": ""}, ()),
        ({"replicas": 1}, ("replica_not_required",)),
        ({"replicas": 1, "min_replicas": 1}, ()),
    ],
)
def test_each_risk_is_named(changes: dict[str, object], risks: tuple[str, ...]) -> None:
    best: dict[str, object] = {
        "server": "valkey 9",
        "aof": True,
        "aof_ok": True,
        "fsync": "everysec",
        "waitaof": True,
        "maxmemory_policy": "noeviction",
    }
    assert Durability(**{**best, **changes}).risks == risks  # type: ignore[arg-type]


def test_a_cluster_promises_what_its_weakest_node_does() -> None:
    good = Durability("valkey 9", True, True, "always", True, "noeviction", 2, 1)
    others = [
        replace(good, aof=False),
        replace(good, aof_ok=False),
        replace(good, fsync="everysec"),
        replace(good, waitaof=False),
        replace(good, maxmemory_policy="allkeys-lru"),
        replace(good, replicas=0),
        replace(good, min_replicas=0),
        replace(good, early=True),
    ]
    for other in others:
        assert weakest([good, other]) == weakest([other, good]) == other
    assert weakest([good]) == good


async def test_a_write_is_on_disk_before_it_is_called_safe(tmp_path: Path) -> None:
    """A frozen disk, that is one that the server may write to and does not sync."""
    async with EmbeddedStore(tmp_path, watch=False) as url:
        clients = Clients(url)
        await clients.exact.set("{a}:k", "v")
        assert await clients.secure("{a}:k") == ""
        await clients.exact.config_set("appendfsync", "no")  # after its promises were asked for
        await clients.exact.set("{a}:k", "v2")
        assert await clients.secure("{a}:k", timeout_ms=150) == "disk"
        await clients.aclose()


@pytest.mark.parametrize(
    ("waits", "on_disk", "fsync", "early"),
    [
        (0.0, 1, "everysec", True),
        (0.0, 1, "", True),
        (0.0, 1, "always", False),  # it syncs with each write
        (0.4, 1, "everysec", False),
        (0.0, 0, "everysec", False),  # it says that it has not
    ],
)
async def test_an_answer_that_comes_before_the_disk_has_the_write_is_found_out(
    waits: float,
    on_disk: int,
    fsync: str,
    early: bool,
    clients: Clients,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two writes one right after the other: once a second is not that often."""

    async def send(_key: str, commands: list[tuple[object, ...]]) -> list[object]:
        assert [command[0] for command in commands] == ["SET", "WAITAOF"]
        await asyncio.sleep(waits)
        return [b"OK", [on_disk, 0]]

    async def config(*_: object, **__: object) -> dict[str, str]:
        return {"appendfsync": fsync}

    monkeypatch.setattr(clients.exact, "send_to_node_of", send)
    monkeypatch.setattr(clients.exact, "config_get", config)
    promised = await clients.durability()
    assert promised.early is early
    assert ("no_waitaof" in promised.risks) is early


async def test_files_that_cannot_be_synced_are_not_called_safe(tmp_path: Path) -> None:
    async with EmbeddedStore(tmp_path / "store", watch=False) as url:
        clients = Clients(url, files=tmp_path / "elsewhere")
        assert await clients.secure("{a}:k") == "disk"
        await clients.aclose()


async def test_a_server_that_never_syncs_is_not_waited_for_in_vain(tmp_path: Path) -> None:
    """Its operator wanted it so, and the doctor says what can be lost."""
    async with EmbeddedStore(tmp_path, watch=False) as url:
        clients = Clients(url)
        await clients.exact.config_set("appendfsync", "no")
        assert await clients.secure("{a}:k", timeout_ms=150) == ""
        await clients.aclose()


async def test_where_there_is_no_file_nothing_is_waited_for(tmp_path: Path) -> None:
    async with EmbeddedStore(tmp_path, watch=False) as url:
        clients = Clients(url)
        await clients.exact.config_set("appendonly", "no")
        assert (await clients.durability()).risks == ("no_aof",)
        assert await clients.secure("{a}:k", timeout_ms=10_000) == ""
        await clients.aclose()


async def test_a_file_that_is_switched_off_while_we_run_is_noticed(tmp_path: Path) -> None:
    async with EmbeddedStore(tmp_path, watch=False) as url:
        clients = Clients(url)
        assert (await clients.durability()).waitaof
        await clients.exact.config_set("appendonly", "no")
        assert await clients.secure("{a}:k") == ""
        assert (await clients.durability()).risks == ("no_aof",)
        await clients.aclose()


async def test_a_server_that_does_not_know_waitaof_is_found_out(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Redis 6.2 answers."""
    ask: Callable[..., Awaitable[object]] = clients.exact.execute_command

    async def old(*args: object, **options: object) -> object:
        return await ask("NO-SUCH" if args[0] == "WAITAOF" else args[0], *args[1:], **options)

    monkeypatch.setattr(clients.exact, "execute_command", old)
    assert not (await clients.durability()).waitaof
    assert await clients.secure("{a}:k") == ""


async def test_a_write_that_is_not_there_any_more_is_not_safe(clients: Clients) -> None:
    """Between the write and the question another server took over that never saw it."""
    await clients.exact.execute_command("HSET", "{a}:k", "d", "mine")
    assert await clients.secure("{a}:k", "mine") == ""
    await clients.exact.execute_command("HSET", "{a}:k", "d", "another's, of the same version")
    assert await clients.secure("{a}:k", "mine") == "write"
    await clients.exact.delete("{a}:k")
    assert await clients.secure("{a}:k", "mine") == "write"


async def test_a_lost_write_is_noticed_also_where_the_new_server_has_no_file(
    tmp_path: Path,
) -> None:
    """The master synced a file, the replica that took over has none and knows of no write."""
    async with EmbeddedStore(tmp_path, watch=False) as url:
        clients = Clients(url)
        assert (await clients.durability()).waitaof
        await clients.exact.config_set("appendonly", "no")
        await clients.exact.execute_command("HSET", "{a}:k", "d", "another's")
        assert await clients.secure("{a}:k", "mine") == "write"
        await clients.exact.execute_command("HSET", "{a}:k", "d", "mine")
        assert await clients.secure("{a}:k", "mine") == ""
        await clients.aclose()


async def test_a_server_that_does_not_answer_what_it_is_asked_is_not_believed(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not to a second question either: what can not be asked of a replica is not safe."""
    monkeypatch.setattr("sync.store.redis.replicas_online", lambda _info: 1)
    ask: Callable[..., Awaitable[list[object]]] = clients.exact.send_to_node_of

    async def without_wait(key: str, commands: list[tuple[object, ...]]) -> list[object]:
        other = [("NO-SUCH",) if command[0] == "WAIT" else command for command in commands]
        return await ask(key, other)

    monkeypatch.setattr(clients.exact, "send_to_node_of", without_wait)
    with pytest.raises(StoreError) as raised:
        await clients.secure("{a}:k")
    assert raised.value.reason_code == "store.refused"


@pytest.mark.parametrize("piece", [1, 2])
async def test_a_connection_that_is_lost_half_way_leaves_no_half_of_a_transaction(
    clients: Clients, piece: int
) -> None:
    """After a lost connection the next command goes over a new one, which knows of no MULTI."""
    assert isinstance(clients.exact, StoreRedis)
    pool: Any = clients.exact.connection_pool
    usual: Any = pool.connection_class

    class Lost(usual):  # type: ignore[misc]
        left = 0

        async def send_packed_command(self, *args: Any, **options: Any) -> None:
            await super().send_packed_command(*args, **options)
            Lost.left -= 1
            if Lost.left == 0:
                await self.disconnect(nowait=True)

    pool.connection_class = Lost
    pool.connection_kwargs["socket_timeout"] = 0.5
    await clients.exact.execute_command("PING")
    Lost.left = piece
    keys = [f"{{a}}:{number}" for number in range(3)]
    commands: list[tuple[Any, ...]] = [("MULTI",), *(("SET", key, "1") for key in keys), ("EXEC",)]
    with contextlib.suppress(StoreError):
        await clients.exact.send_to_node_of(keys[0], commands)
    assert await clients.redis.exists(*keys) in (0, len(keys))


async def test_the_server_is_asked_for_its_promises_once(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    ask: Callable[..., Awaitable[object]] = clients.exact.execute_command

    async def counted(*args: object, **options: object) -> object:
        asked.append(args[0])
        return await ask(*args, **options)

    monkeypatch.setattr(clients.exact, "execute_command", counted)
    await clients.durability()
    first = len(asked)
    await clients.durability()
    assert first > 0
    assert len(asked) == first


def test_store_errors_lets_other_errors_pass() -> None:
    with pytest.raises(KeyError), store_errors():
        raise KeyError("x")
