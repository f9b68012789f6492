"""Fixtures of the Slack stand-in's tests: the stand-in, a client of slack_sdk's, an app."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from tests.sandbox.slack import FakeSlack

SIGNING = "8f742231b10e8888abcd99yyyzzz85a5"
TOKEN = "xoxb-made-up-for-this-test"
SECTION = {"type": "section", "text": {"type": "mrkdwn", "text": "Hello"}}
BUTTON = {"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}}
ACTIONS = {"type": "actions", "block_id": "row", "elements": [BUTTON]}
FIELD = {"type": "plain_text_input", "action_id": "token", "min_length": 3}
INPUT = {
    "type": "input",
    "block_id": "secret",
    "label": {"type": "plain_text", "text": "Token"},
    "element": FIELD,
}


def modal(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    title = {"type": "plain_text", "text": "Connect"}
    frame = {"type": "modal", "title": title, "submit": {"type": "plain_text", "text": "Save"}}
    return {**frame, "blocks": list(blocks), **more}


class Clock:
    """The time of the stand-in, in seconds since 1970; tests move it."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class App:
    """An app that keeps what it is sent and answers as the test says."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], str]] = []
        self.form: list[dict[str, str]] = []
        self.payloads: list[dict[str, Any]] = []
        self.reply: Callable[[], web.Response] = web.Response
        self.gate: asyncio.Event | None = None

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.text()
        self.requests.append((dict(request.headers), body))
        if request.content_type == "application/json":
            self.payloads.append(json.loads(body))
        else:
            form = {k: str(v) for k, v in (await request.post()).items()}
            self.form.append(form)
            if "payload" in form:
                self.payloads.append(json.loads(form["payload"]))
        if self.gate is not None:
            await self.gate.wait()
        return self.reply()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def slack(clock: Clock) -> AsyncIterator[FakeSlack]:
    async with FakeSlack(SIGNING, TOKEN, clock=clock, answer_seconds=0.2) as started:
        yield started


@pytest.fixture
async def client(slack: FakeSlack) -> AsyncIterator[AsyncWebClient]:
    async with aiohttp.ClientSession() as session:
        yield AsyncWebClient(TOKEN, base_url=slack.api_url, session=session, retry_handlers=[])


@pytest.fixture
async def app(slack: FakeSlack) -> AsyncIterator[App]:
    made = App()
    application = web.Application()
    application.router.add_post("/slack/events", made.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    slack.connect_app(f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events")
    yield made
    await runner.cleanup()


async def refusal(call: Any) -> str:
    """Slack's code of a call that it refuses."""
    with pytest.raises(SlackApiError) as error:
        await call
    return str(error.value.response["error"])


async def trigger(slack: FakeSlack, app: App) -> str:
    """The trigger that a command of the admin's carries."""
    await slack.command("connect")
    return app.form[-1]["trigger_id"]
