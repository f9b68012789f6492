"""The process's HTTP client: its errors can be believed, and shown."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import httpx
import pytest

from sync.sevdesk.transport import TokenAuth, build_http
from tests.unit.sevdesk_support import TOKEN

GARBAGE = [
    b"",
    b"HTTP/1.1 abc nonsense\r\n\r\n",
    b"not http at all\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
]


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """The client as the process has it."""
    async with build_http() as made:
        yield made


@pytest.mark.parametrize("number", range(len(GARBAGE)))
async def test_a_broken_answer_is_a_read_error_that_shows_no_header(
    http: httpx.AsyncClient, number: int
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(GARBAGE[number])
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(httpx.ReadError) as caught:
            await http.get(url, auth=TokenAuth(TOKEN))
    error = caught.value
    assert TOKEN not in f"{error!r} {error.__cause__!r} {error.__context__!r}"


async def test_a_refused_connection_is_a_connect_error(http: httpx.AsyncClient) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(httpx.ConnectError):
            await http.get(f"http://127.0.0.1:{port}/")


async def test_a_name_that_does_not_exist_is_a_connect_error(http: httpx.AsyncClient) -> None:
    with pytest.raises(httpx.ConnectError):
        await http.get("http://nowhere.localhost:1/")


async def test_a_silent_server_is_a_read_error(http: httpx.AsyncClient) -> None:
    async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(nothing, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(httpx.ReadError):
            await http.get(url, timeout=0.05)
        await http.aclose()


@pytest.mark.parametrize("ending", ["stall", "reset"])
async def test_a_body_that_breaks_off_is_a_read_error(http: httpx.AsyncClient, ending: str) -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        if ending == "reset":
            await asyncio.sleep(0.05)  # the client has the head and waits for the body
            writer.transport.abort()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(half, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(httpx.ReadError) as caught:
            await http.get(url, timeout=0.3)
        assert caught.value.__cause__ is None
        await http.aclose()
