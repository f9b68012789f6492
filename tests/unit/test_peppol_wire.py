"""The wire: what leaves, when, and what an answer that never came means."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from sync.peppol import wire as wire_module
from sync.peppol.wire import Answer, NoAnswerError, Wire
from tests.unit.peppol_support import CANARY, REFUSED_PORT, go, http

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[str]:
    """A server that treats each connection as told."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    listening = await asyncio.start_server(one, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


async def answer(writer: asyncio.StreamWriter, text: str) -> None:
    writer.write(text.encode())
    await writer.drain()


@pytest.mark.parametrize("body", [b"", b"abc", b"x" * 3_000_000])
async def test_not_a_byte_leaves_when_the_guard_refuses(body: bytes) -> None:
    arrived: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(await reader.read())

    def guard() -> None:
        raise RuntimeError("too late")

    async with server(serve) as url, http() as client:
        with pytest.raises(RuntimeError, match="too late"):
            await Wire(client, url, auth={}).transfer("/x", body, "text/plain", guard)
        await asyncio.sleep(0)
    assert b"".join(arrived) == b""


async def cut_after_reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"abc")
    writer.transport.abort()


async def close_after_reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"abc")


async def half_an_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"abc")
    await answer(writer, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")


async def no_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"abc")
    await answer(writer, "220 smtp.example ESMTP\r\n")


async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"abc")
    await asyncio.sleep(0.7)


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"abc")
    await answer(writer, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n")
    for _ in range(20):
        await answer(writer, "x")
        await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    "serve", [cut_after_reading, close_after_reading, half_an_answer, no_http, never, drip]
)
async def test_whatever_happens_after_the_body_left_says_that_it_left(serve: Serve) -> None:
    async with server(serve) as url, http() as client:
        wire = Wire(client, url, auth={}, submit_seconds=0.5)
        with pytest.raises(NoAnswerError) as lost:
            await wire.transfer("/x", b"abc", "text/plain", go)
    assert lost.value.sent


async def test_a_refused_connection_says_that_nothing_left() -> None:
    async with http() as client:
        wire = Wire(client, f"http://127.0.0.1:{REFUSED_PORT}", auth={})
        with pytest.raises(NoAnswerError) as lost:
            await wire.transfer("/x", b"abc", "text/plain", go)
    assert not lost.value.sent


async def test_a_body_is_sent_once_although_the_connection_dies() -> None:
    connections: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(await reader.readuntil(b"abc"))
        writer.transport.abort()

    async with server(serve) as url, http() as client:
        with pytest.raises(NoAnswerError):
            await Wire(client, url, auth={}).transfer("/x", b"abc", "text/plain", go)
        await asyncio.sleep(0.05)
    assert len(connections) == 1


async def test_a_redirect_is_an_answer_and_not_followed() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"abc")
        await answer(
            writer, "HTTP/1.1 307 X\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n"
        )

    async with server(serve) as url, http() as client:
        got = await Wire(client, url, auth={}).transfer("/x", b"abc", "text/plain", go)
    assert got.status == 307


async def test_an_answer_that_is_too_long_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_module, "MAX_ANSWER_BYTES", 10)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"abc")
        await answer(writer, 'HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{"success":true')

    async with server(serve) as url, http() as client:
        got = await Wire(client, url, auth={}).transfer("/x", b"abc", "text/plain", go)
    assert got.body is None
    assert got.record() == {}


async def test_an_answer_that_is_no_http_shows_no_credentials() -> None:
    async with server(no_http) as url, http() as client:
        wire = Wire(client, url, auth={"authorization": CANARY}, submit_seconds=0.5)
        with pytest.raises(NoAnswerError) as lost:
            await wire.transfer("/x", b"abc", "text/plain", go)
    assert CANARY not in "".join(traceback.format_exception(lost.value))


async def test_an_error_holds_no_credentials() -> None:
    async with http() as client:
        wire = Wire(client, f"http://127.0.0.1:{REFUSED_PORT}", auth={"authorization": CANARY})
        with pytest.raises(NoAnswerError) as lost:
            await wire.ask("GET", "/x")
    assert CANARY not in repr(lost.value) + repr(wire) + repr(lost.value.__cause__)


@pytest.mark.parametrize(("header", "seconds"), [
    ("5", 5.0), (" 90 ", 90.0), ("999999", 3600.0), ("-1", None), ("soon", None),
    ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("", None), ("1e9", None),
])  # fmt: skip
def test_retry_after_is_seconds_or_nothing(header: str, seconds: float | None) -> None:
    assert Answer(429, httpx.Headers({"retry-after": header}), b"").retry_after == seconds


@pytest.mark.parametrize("body", [b"", b"[1]", b"[" * 100_000, b"\xff", b"null", None])
def test_a_body_that_is_no_object_is_an_empty_record(body: bytes | None) -> None:
    assert Answer(200, httpx.Headers(), body).record() == {}
