"""What Slack sends to the app: signed requests, with its time limit and its retries."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from dataclasses import dataclass, field
from urllib.parse import urlencode

import aiohttp
from slack_sdk.signature import SignatureVerifier

from tests.sandbox.slack.core import Core
from tests.sandbox.slack.workspace import Json

ANSWER_SECONDS = 3.0
RETRY_DELAYS = (0.0, 60.0, 300.0)  # Events API: at once, after a minute, after five
FORM = "application/x-www-form-urlencoded"


@dataclass
class Delivery:
    """One request to the app and what came back. `error` is what Slack shows, or empty."""

    kind: str
    status: int = 0
    body: str = ""
    error: str = ""
    retry_num: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the app answered in time with success."""
        return not self.error

    @property
    def json(self) -> Json:
        """The body as an object; empty when it is not one."""
        try:
            value = json.loads(self.body or "{}")
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


class Outbound:
    """Signs and sends. `time_scale` shrinks the waits between event retries (0: none)."""

    def __init__(
        self, core: Core, signing_secret: str, *, answer_seconds: float, time_scale: float
    ) -> None:
        self.core = core
        self.events_url = ""
        self.answer_seconds = answer_seconds
        self.time_scale = time_scale
        self.deliveries: list[Delivery] = []
        self.replays: list[tuple[str, str, dict[str, str]]] = []
        self._verifier = SignatureVerifier(signing_secret)
        self._session: aiohttp.ClientSession | None = None
        self._background: set[asyncio.Task[None]] = set()

    def headers(self, body: str, content_type: str, *, timestamp: str = "") -> dict[str, str]:
        """Headers of a genuine request; the app's clock is real, so the timestamp is too."""
        stamp = timestamp or str(int(time.time()))
        signature = self._verifier.generate_signature(timestamp=stamp, body=body)
        return {
            "Content-Type": content_type,
            "Accept": "application/json,*/*",
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": signature or "",
        }

    async def form(self, kind: str, fields: dict[str, str]) -> Delivery:
        """A slash command, or an interaction with its `payload`."""
        body = urlencode(fields)
        return await self.send(kind, body, self.headers(body, FORM))

    async def interaction(self, payload: Json) -> Delivery:
        """`block_actions`, `view_submission` or `view_closed`."""
        return await self.form(payload["type"], {"payload": json.dumps(payload)})

    async def event(self, payload: Json, *, retry: bool = True) -> Delivery:
        """An Events API request; repeated up to three times while the app does not answer."""
        body = json.dumps(payload)
        delivery = await self.send("event", body, self.headers(body, "application/json"))
        delays = RETRY_DELAYS if retry else ()
        for number, delay in enumerate(delays, start=1):
            if delivery.ok or delivery.headers.get("X-Slack-No-Retry") == "1":
                break
            await asyncio.sleep(delay * self.time_scale)
            headers = self.headers(body, "application/json")
            headers |= {"X-Slack-Retry-Num": str(number)}
            headers |= {"X-Slack-Retry-Reason": retry_reason(delivery)}
            delivery = await self.send("event", body, headers, retry_num=number)
        return delivery

    async def send(
        self, kind: str, body: str, headers: dict[str, str], *, retry_num: int = 0
    ) -> Delivery:
        """Send exactly these bytes and headers; a test forges or replays with it."""
        delivery = Delivery(kind, retry_num=retry_num)
        self.replays.append((kind, body, headers))
        try:
            await self._exchange(delivery, body, headers)
        except TimeoutError:
            delivery.error = "operation_timeout"
        except aiohttp.ClientError:
            delivery.error = "dispatch_failed"
        self.deliveries.append(delivery)
        self.core.changes.notify()
        return delivery

    async def _exchange(self, delivery: Delivery, body: str, headers: dict[str, str]) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession(auto_decompress=True)
        timeout = aiohttp.ClientTimeout(total=self.answer_seconds)
        async with self._session.post(
            self.events_url, data=body.encode(), headers=headers, timeout=timeout
        ) as response:
            delivery.status = response.status
            delivery.headers = dict(response.headers)
            delivery.body = await response.text()
        if not 200 <= delivery.status < 300:
            delivery.error = "dispatch_failed"

    def in_background(self, payload: Json) -> None:
        """Send an event without waiting for the app, as Slack does."""
        task = asyncio.get_running_loop().create_task(self._event(payload))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _event(self, payload: Json) -> None:
        await self.event(payload)

    async def close(self) -> None:
        """Stop what still runs and close the connections."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        if self._session is not None:
            await self._session.close()


def retry_reason(delivery: Delivery) -> str:
    """`X-Slack-Retry-Reason`."""
    if delivery.error == "operation_timeout":
        return "http_timeout"
    return "http_error" if delivery.status else "connection_failed"


def event_envelope(core: Core, event: Json, *, team_id: str | None, enterprise: str | None) -> Json:
    """The outer object of an Events API request; the event id is new."""
    whole_org = team_id is None
    authorization = {
        "enterprise_id": enterprise,
        "team_id": team_id,
        "user_id": core.bot_user,
        "is_bot": True,
        "is_enterprise_install": whole_org,
    }
    return {
        "token": "not-used",
        "team_id": team_id or core.team_id,
        "enterprise_id": enterprise,
        "api_app_id": core.app_id,
        "event": {"event_ts": core.workspace.next_ts(), **event},
        "type": "event_callback",
        "event_id": f"Ev{secrets.token_hex(5).upper()}",
        "event_time": int(core.clock()),
        "authorizations": [authorization],
        "is_ext_shared_channel": False,
    }
