"""A guard: tests talk to loopback only.

An audit hook sees every connection and look-up of this process, whichever library makes it. It
refuses the call, and the test that made it fails even if a library swallows the refusal.
"""

from __future__ import annotations

import ipaddress
import sys
from typing import Any

refused: list[str] = []

_EVENTS = {"socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"}
_NAMES = {"localhost", "localhost.localdomain", "ip6-localhost", "", None}


class NotLoopbackError(OSError):
    """A test tried to talk to the world."""


def is_loopback(host: Any) -> bool:
    """Whether a host name or address is this machine's own loopback."""
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host in _NAMES or str(host).endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return False


def _target(event: str, args: tuple[Any, ...]) -> Any:
    """The host that is asked for; loopback for unix sockets and sockets that are connected."""
    if event == "socket.getaddrinfo":
        return args[0]
    address = args[1] if len(args) > 1 else None
    return address[0] if isinstance(address, tuple) else None


def _guard(event: str, args: tuple[Any, ...]) -> None:
    if event not in _EVENTS:
        return
    host = _target(event, args)
    if not is_loopback(host):
        refused.append(f"{event} {host!r}")
        raise NotLoopbackError(f"a test may talk to loopback only, not to {host!r} ({event})")


def install() -> None:
    """Guard this process until it ends; there is no way back."""
    sys.addaudithook(_guard)
