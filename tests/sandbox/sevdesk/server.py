"""The stand-in: an aiohttp application that behaves as sevDesk was recorded to behave."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Any, Self

from aiohttp import web

from tests.sandbox.cii import Party
from tests.sandbox.sevdesk.calls import ApiError, SevdeskCalls
from tests.sandbox.sevdesk.faults import Drop, Fault
from tests.sandbox.sevdesk.state import SevdeskAccount

PREFIX = "/api/v1"


@dataclass(frozen=True, slots=True)
class Logged:
    """A request that arrived. `account` instead of the token, empty when it was refused."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    account: str
    at: float


class SevdeskStandIn(SevdeskCalls):
    """sevDesk for tests and the local demo; several accounts, told apart by their token."""

    def __init__(self, clock: Callable[[], datetime] | None = None) -> None:
        super().__init__()
        self.accounts: list[SevdeskAccount] = []
        self.faults: list[Fault] = []
        self.log: list[Logged] = []
        self.accepted = 0  # requests that were not answered with an injected fault or 429
        self._clock = clock or (lambda: datetime.now(UTC))
        self._ids = itertools.count(135_171_000)
        self._rate: tuple[float, float] | None = None
        self._bucket = (0.0, 0.0)
        self._runner: web.AppRunner | None = None
        self.base_url = ""

    # --- control ---

    def add_account(self, token: str, company: Party) -> SevdeskAccount:
        """A new, empty account."""
        account = SevdeskAccount(
            self._next_id(), token, company, ids=self._next_id, clock=self._clock
        )
        self.accounts.append(account)
        return account

    def inject(self, *faults: Fault) -> None:
        """Order faults; the first that matches a request is used."""
        self.faults.extend(faults)

    def limit_rate(self, per_second: float | None, burst: float = 1.0) -> None:
        """Answer 429 above a rate per account-independent bucket; None takes the limit away."""
        self._rate = None if per_second is None else (per_second, burst)
        self._bucket = (burst, time.monotonic())

    def calls(self, method: str = ".*", path: str = ".*") -> list[Logged]:
        """The logged requests whose method and path match the regexes."""
        return [
            one
            for one in self.log
            if re.fullmatch(method, one.method) and re.search(path, one.path)
        ]

    @property
    def counters(self) -> Counter[str]:
        """Requests by method and path with ids left out: `GET /Invoice/{id}/getXml`."""
        shapes = (f"{one.method} {re.sub(r'/[0-9]+', '/{id}', one.path)}" for one in self.log)
        return Counter(shapes)

    def forget(self) -> None:
        """Empty the request log."""
        self.log.clear()

    async def start(self, port: int = 0) -> str:
        """Listen on loopback; returns the base URL."""
        self._runner = web.AppRunner(self.app(), access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}{PREFIX}"
        return self.base_url

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def app(self) -> web.Application:
        """The application, to be mounted elsewhere."""
        app = web.Application(client_max_size=1024 * 1024)
        app.router.add_route("*", "/{tail:.*}", self._serve)
        return app

    # --- one request ---

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix(PREFIX)
        account = self._account(request)
        query = tuple(request.query.items())
        name = account.id if account else ""
        self.log.append(Logged(request.method, path, query, name, time.monotonic()))
        fault = next((f for f in self.faults if f.matches(request.method, path)), None)
        if fault is not None:
            return await self._faulty(request, fault)
        limited = self._limited()
        if limited is not None:
            return limited
        self.accepted += 1
        return _respond(*await self._perform(request, path))

    async def _faulty(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        await asyncio.sleep(fault.delay)
        status, body = fault.status or 0, fault.body
        if fault.drop is Drop.BEFORE:
            return _cut(request)
        if fault.status is None or fault.applied:
            done = await self._perform(request, request.path.removeprefix(PREFIX))
            if fault.status is None:
                status, body = done
        if fault.drop is Drop.AFTER:
            return _cut(request)
        if fault.drop is Drop.MID_BODY:
            return await _half(request, status, body)
        return _respond(status, body, fault.content_type, fault.headers)

    async def _perform(self, request: web.Request, path: str) -> tuple[int, bytes]:
        try:
            return 200, _dump(await self._dispatch(request, path))
        except ApiError as error:
            return error.status, _dump(error.body)
        except PermissionError:
            return 401, _dump({"status": 401, "message": "Authentication required"})

    async def _dispatch(self, request: web.Request, path: str) -> Any:
        account = self._account(request)
        if account is None:
            raise PermissionError
        if account.downgraded:
            raise ApiError(403, "You do not have permission to access this resource")
        for method, pattern, handler in self.routes():
            found = re.fullmatch(pattern, path)
            if found and method == request.method:
                body = await _body(request)
                return handler(account, request, {**found.groupdict(), **body})
        raise ApiError(404, f"No route found for {request.method} {path}")

    def _account(self, request: web.Request) -> SevdeskAccount | None:
        token = request.headers.get("Authorization", "")
        matching = (a for a in self.accounts if a.token == token and not a.revoked)
        return next(matching, None)

    def _limited(self) -> web.Response | None:
        if self._rate is None:
            return None
        per_second, burst = self._rate
        tokens, then = self._bucket
        now = time.monotonic()
        tokens = min(burst, tokens + (now - then) * per_second)
        self._bucket = (max(tokens - 1, 0) if tokens >= 1 else tokens, now)
        if tokens >= 1:
            return None
        wait = str(ceil((1 - tokens) / per_second))
        return _respond(429, b"{}", headers={"Retry-After": wait})

    def _next_id(self) -> str:
        return str(next(self._ids))


async def _body(request: web.Request) -> dict[str, Any]:
    if not request.can_read_body:
        return {}
    try:
        given = json.loads(await request.read())
    except ValueError:
        raise ApiError(400, "Syntax error") from None
    return given if isinstance(given, dict) else {}


def _dump(payload: Any) -> bytes:
    """Objects are wrapped, except what Factory/create gives (SPEC) and errors."""
    bare = isinstance(payload, dict) and (
        "error" in payload or "objectName" in payload or "status" in payload
    )
    return json.dumps(payload if bare else {"objects": payload}).encode()


def _respond(
    status: int,
    body: bytes,
    content_type: str = "application/json",
    headers: dict[str, str] | None = None,
) -> web.Response:
    return web.Response(status=status, body=body, content_type=content_type, headers=headers)


def _cut(request: web.Request) -> web.Response:
    """Close the connection without a byte."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _half(request: web.Request, status: int, body: bytes) -> web.StreamResponse:
    """Announce the whole body, send half, close."""
    response = web.StreamResponse(status=status, headers={"Content-Type": "application/json"})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
