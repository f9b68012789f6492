"""The guard that keeps tests on this machine, on trial itself."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import aiohttp
import pytest

from tests import loopback
from tests.loopback import NotLoopbackError, is_loopback

ELSEWHERE = "192.0.2.1"  # TEST-NET-1 of RFC 5737: nobody's


@pytest.fixture(autouse=True)
def forgiven(only_loopback: None) -> Iterator[None]:
    """What these tests do on purpose fails no test."""
    yield
    loopback.refused.clear()


def test_a_connection_elsewhere_is_refused_and_noted() -> None:
    with socket.socket() as probe, pytest.raises(NotLoopbackError, match=ELSEWHERE):
        probe.connect((ELSEWHERE, 80))
    assert loopback.refused == [f"socket.connect '{ELSEWHERE}'"]


def test_a_datagram_elsewhere_is_refused() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as probe, pytest.raises(NotLoopbackError):
        probe.sendto(b"x", (ELSEWHERE, 53))


def test_a_look_up_of_a_name_is_refused() -> None:
    with pytest.raises(NotLoopbackError, match="example"):
        socket.getaddrinfo("example.com", 443)


async def test_a_library_cannot_hide_it() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises((aiohttp.ClientError, OSError)):
            await session.get(f"http://{ELSEWHERE}/")
    assert loopback.refused


def test_this_machine_may_be_talked_to() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
    assert loopback.refused == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "a.localhost", ""])
def test_names_of_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "10.0.0.1", "fe80::1%lo", "localhost.example.com", "127.0.0.1.nip.io"]
)
def test_names_of_others(host: str) -> None:
    assert not is_loopback(host)
