"""The store's clients on one blocking socket each, for tests that make very many calls.

The server is the real one and so are the commands, the scripts, the replies and the errors: only
the way of the bytes is another. redis-py's pool, streams and timeouts cost five times as much as
the answer; they have tests of their own, with the clients that the product uses.

A call lets every other task have its turn before it is sent, so tasks meet at each call, in an
order that is the same each time. `Turns` draws how many turns that are, so that a machine which
knows the seed repeats the same meeting.
"""

from __future__ import annotations

import asyncio
import copy
import random
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import hiredis
from redis._parsers.hiredis import _AsyncHiredisParser as Parser
from redis.connection import HiredisRespSerializer
from redis.exceptions import ResponseError

from sync.store.redis import Clients, StorePipeline, StoreRedis, store_errors

type Command = tuple[tuple[Any, ...], Mapping[str, Any]]


class Turns:
    """How many turns the other tasks get before a call; `seed` decides."""

    def __init__(self) -> None:
        self.seed(0)

    def seed(self, seed: int) -> None:
        self._random = random.Random(seed) if seed else None

    async def give(self) -> None:
        await asyncio.sleep(0)
        if self._random is not None:
            for _ in range(self._random.choice((0, 0, 0, 1, 3))):
                await asyncio.sleep(0)


class Line:
    """One connection. Whoever sends reads the answers before anybody else can send."""

    def __init__(self, url: str, *, decode: bool) -> None:
        encoding = "utf-8" if decode else None
        parse: Any = Parser.parse_error
        self._reader = hiredis.Reader(replyError=parse, encoding=encoding, notEnoughData=...)
        self._packer = HiredisRespSerializer()
        self._socket = _connect(url)
        self.calls = 0

    def ask(self, commands: Iterable[tuple[Any, ...]]) -> list[Any]:
        packed = [b"".join(self._packer.pack(*args)) for args in commands]
        self.calls += 1
        self._socket.sendall(b"".join(packed))
        return [self._answer() for _ in packed]

    def _answer(self) -> Any:
        while (answer := self._reader.gets()) is ...:
            received = self._socket.recv(65536)
            if not received:
                raise ConnectionError("the server hung up")
            self._reader.feed(received)
        return answer

    def close(self) -> None:
        self._socket.close()


def _connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    if parts.scheme != "unix":
        made = socket.create_connection((parts.hostname, parts.port), 10)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made
    assert parse_qs(parts.query).get("db", ["0"]) == ["0"]
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(10)
    made.connect(parts.path)
    return made


class DirectRedis(StoreRedis):
    """`StoreRedis` on a `Line`."""

    line: Line
    turns: Turns

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        await self.turns.give()
        with store_errors():
            answer = self.line.ask([args])[0]
            if isinstance(answer, ResponseError):
                raise answer
            return _shaped(self.response_callbacks, answer, (args, options))

    async def send_to_node_of(self, key: str, commands: list[tuple[Any, ...]]) -> list[Any]:
        """Also this: what waits for a socket meets the others in an order that nobody repeats."""
        await self.turns.give()
        with store_errors():
            answers = self.line.ask(commands)
            for answer in answers:
                if isinstance(answer, ResponseError):
                    raise answer
            return answers

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> StorePipeline:
        made = DirectPipeline(self.connection_pool, self.response_callbacks, transaction, None)
        made.line, made.turns = self.line, self.turns
        return made


class DirectPipeline(StorePipeline):
    """`StorePipeline` on a `Line`."""

    line: Line
    turns: Turns

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        stack, self.command_stack = self.command_stack, []
        if not stack:
            return []
        await self.turns.give()
        sent = [args for args, _ in stack]
        with store_errors():
            if self.is_transaction:
                answers = self.line.ask([("MULTI",), *sent, ("EXEC",)])[-1]
                answers = [answers] if isinstance(answers, Exception) else answers
            else:
                answers = self.line.ask(sent)
            for answer in answers:
                if isinstance(answer, Exception) and raise_on_error:
                    raise answer
        pairs = zip(answers, stack, strict=True)
        return [_shaped(self.response_callbacks, answer, command) for answer, command in pairs]


def _shaped(callbacks: Mapping[Any, Callable[..., Any]], answer: Any, command: Command) -> Any:
    """The answer as redis-py gives it."""
    args, options = command
    options = {name: value for name, value in options.items() if name != "keys"}
    if args[0] not in callbacks or isinstance(answer, Exception):
        return answer
    return callbacks[args[0]](answer, **options)


class DirectClients(Clients):
    """`Clients` on blocking sockets."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.turns = Turns()
        decoded = Line(url, decode=True)
        self.lines = (decoded, Line(url, decode=False))
        self.redis = self._direct(self.redis, decoded)
        self.exact = self._direct(self.exact, decoded)
        self.blobs = self._direct(self.blobs, self.lines[1])

    def _direct(self, client: Any, line: Line) -> Any:
        made = copy.copy(client)
        made.__class__ = DirectRedis
        made.line, made.turns = line, self.turns
        return made

    async def aclose(self) -> None:
        for line in self.lines:
            line.close()
        await super().aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
