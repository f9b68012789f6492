"""The HTTP side: Slack's requests, health, readiness, metrics.

Signatures are verified before anything is parsed. Bolt verifies too, but only after it parsed
the body, and answers unsigned garbage with 500 and a traceback (measured: 7 of 11 cases).
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable, Mapping

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncApp
from slack_sdk.signature import SignatureVerifier

from bot import tasks
from bot.metrics import SLACK_ACK, SLACK_REQUESTS, TASKS
from bot.tasks import Tasks
from sync.errors import StoreError

log = structlog.get_logger(__name__)

MAX_BODY = 1024 * 1024  # bytes; Slack's largest payload is a view of 250 kB
TOLERANCE = 300  # seconds that a timestamp may be off, as Slack documents
READY_SECONDS = 3.0

type Check = Callable[[], Awaitable[bool]]


class Signature:
    """Verifies that a request comes from Slack."""

    def __init__(self, signing_secret: str, clock: Callable[[], float] = time.time) -> None:
        if not signing_secret:
            raise ValueError("an empty signing secret would let anybody in")
        self._verifier = SignatureVerifier(signing_secret)
        self._clock = clock

    def is_valid(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether the body is signed and its timestamp within `TOLERANCE`. Never raises."""
        timestamp = headers.get("X-Slack-Request-Timestamp", "")
        signature = headers.get("X-Slack-Signature", "")
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
            return False
        if not signature.isascii() or abs(self._clock() - int(timestamp)) > TOLERANCE:
            return False
        try:
            expected = self._verifier.generate_signature(timestamp=timestamp, body=body)
            return expected is not None and hmac.compare_digest(expected, signature)
        except (ValueError, TypeError, LookupError):
            return False


class SlackEndpoint:
    """`POST /slack/events`."""

    def __init__(self, app: AsyncApp, signature: Signature) -> None:
        self._app = app
        self._signature = signature

    async def handle(self, request: web.Request) -> web.Response:
        """Verify, then let Bolt dispatch. Nothing of the request is logged."""
        began = time.perf_counter()
        with tasks.request():
            response = await self._answer(request)
            await response.prepare(request)
            await response.write_eof()
        SLACK_REQUESTS.labels(str(response.status)).inc()
        if response.status == 200:
            SLACK_ACK.observe(time.perf_counter() - began)
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return web.Response(status=413)
        if not self._signature.is_valid(request.headers, body):
            return web.json_response({"error": "invalid signature"}, status=401)
        try:
            bolt_request = await to_bolt_request(request)
        except (ValueError, TypeError, LookupError, RecursionError, AttributeError):
            return web.json_response({"error": "unreadable request"}, status=400)
        return await to_aiohttp_response(await self._app.async_dispatch(bolt_request))


class Health:
    """`/healthz`, `/readyz` and `/metrics`."""

    def __init__(
        self,
        checks: Mapping[str, Check],
        running: Tasks,
        measure: Callable[[], Awaitable[None]],
    ) -> None:
        """`checks`: what must work for the app to be ready, by a name that is shown; `measure`:

        brings figures up to date that are read from the store, whichever process wrote them.
        """
        self._measure = measure
        self._checks = dict(checks)
        self._tasks = running

    async def alive(self, _request: web.Request) -> web.Response:
        """The process answers."""
        return web.Response(text="ok\n")

    async def ready(self, _request: web.Request) -> web.Response:
        """200 if every check passes, else 503; names and nothing else are shown."""
        results = await asyncio.gather(*(self._check(check) for check in self._checks.values()))
        found = dict(zip(self._checks, results, strict=True))
        shown = {name: "ok" if good else "failing" for name, good in found.items()}
        return web.json_response(shown, status=200 if all(results) else 503)

    async def _check(self, check: Check) -> bool:
        try:
            async with asyncio.timeout(READY_SECONDS):
                return await check()
        except Exception as error:  # noqa: BLE001 - whatever is wrong, it is not ready
            log.warning("readiness check failed", error=type(error).__name__)
            return False

    async def metrics(self, _request: web.Request) -> web.Response:
        """Prometheus' text format. What cannot be measured now keeps its last value."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._measure()
        except (StoreError, TimeoutError) as error:
            log.warning("figures are not up to date", error=type(error).__name__)
        TASKS.set(len(self._tasks))
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def routes(endpoint: SlackEndpoint, health: Health) -> list[web.RouteDef]:
    """Everything but OAuth."""
    return [
        web.post("/slack/events", endpoint.handle),
        web.get("/healthz", health.alive),
        web.get("/readyz", health.ready),
        web.get("/metrics", health.metrics),
    ]
