"""Errors of Slack are classed once, and no call is repeated by a library."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.slack import (
    ChannelClosedError,
    MessageGoneError,
    SlackClients,
    SlackError,
    SlackRefusedError,
    SlackUnavailableError,
    TokenGoneError,
)
from tests.sandbox.slack import FakeSlack

TOKEN = "xoxb-token-of-the-tests"


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack("secret", TOKEN) as slack:
        yield slack


@pytest.fixture
async def clients(slack: FakeSlack) -> AsyncIterator[SlackClients]:
    made = SlackClients(slack.api_url)
    yield made
    await made.aclose()


async def post(clients: SlackClients, channel: str = "C0INVOICES") -> None:
    await clients.call(TOKEN, "chat_postMessage", channel=channel, text="hello")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("is_archived", ChannelClosedError),
        ("channel_not_found", ChannelClosedError),
        ("not_in_channel", ChannelClosedError),
        ("token_revoked", TokenGoneError),
        ("account_inactive", TokenGoneError),
        ("invalid_auth", TokenGoneError),
        ("message_not_found", MessageGoneError),
        ("edit_window_closed", MessageGoneError),
        ("internal_error", SlackUnavailableError),
        ("invalid_blocks", SlackRefusedError),
        ("missing_scope", SlackRefusedError),
        ("something_new", SlackRefusedError),
    ],
)
async def test_codes_are_classed(
    slack: FakeSlack, clients: SlackClients, code: str, kind: type[SlackError]
) -> None:
    slack.faults.add("chat.postMessage", "error", code=code)
    with pytest.raises(kind) as caught:
        await post(clients)
    assert caught.value.code == code


@pytest.mark.parametrize("fault", ["server_error", "drop_before", "drop_after"])
async def test_trouble_is_unavailable_and_nothing_is_sent_again(
    slack: FakeSlack, clients: SlackClients, fault: str
) -> None:
    slack.faults.add("chat.postMessage", fault)
    with pytest.raises(SlackUnavailableError):
        await post(clients)
    assert len(slack.calls("chat.postMessage")) == 1


async def test_a_rate_limit_says_how_long(slack: FakeSlack, clients: SlackClients) -> None:
    slack.faults.add("chat.postMessage", "rate_limited", retry_after=17)
    with pytest.raises(SlackUnavailableError) as caught:
        await post(clients)
    assert caught.value.retry_after == 17
    assert len(slack.calls("chat.postMessage")) == 1


async def test_an_unbelievable_wait_is_cut(slack: FakeSlack, clients: SlackClients) -> None:
    slack.faults.add("chat.postMessage", "rate_limited", retry_after=10**9)
    with pytest.raises(SlackUnavailableError) as caught:
        await post(clients)
    assert caught.value.retry_after <= 300


async def test_an_error_repeats_nothing_that_was_sent(
    slack: FakeSlack, clients: SlackClients
) -> None:
    slack.faults.add("chat.postMessage", "error", code="invalid_blocks")
    with pytest.raises(SlackError) as caught:
        await clients.call(TOKEN, "chat_postMessage", channel="C0INVOICES", text="canary")
    assert "canary" not in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_calls_share_one_session(clients: SlackClients) -> None:
    assert clients.web().session is clients.web(TOKEN).session


async def test_an_expired_response_url_is_refused(slack: FakeSlack, clients: SlackClients) -> None:
    with pytest.raises(SlackRefusedError):
        await clients.respond(f"{slack.core.api_root}/response/none", {"text": "hello"})


async def test_an_answer_is_not_taken_to_where_a_redirect_points(clients: SlackClients) -> None:
    elsewhere: list[str] = []

    async def moved(_request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async def taken(request: web.Request) -> web.Response:
        elsewhere.append(await request.text())
        return web.Response()

    app = web.Application()
    app.add_routes([web.post("/respond", moved), web.post("/elsewhere", taken)])
    async with TestServer(app) as server:
        with pytest.raises(SlackRefusedError):
            await clients.respond(str(server.make_url("/respond")), {"text": "hello"})
    assert elsewhere == []


@pytest.mark.parametrize("status", [200, 403, 404])
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html", "<html>Sign in to the guests' network</html>"),
        ("text/plain", "blocked"),
        ("application/json", "<html>"),
        ("application/json", "[1]"),
        ("application/json", "null"),
        ("application/json", '{"message": "no route"}'),
        ("application/json", ""),
    ],
)
async def test_what_is_not_slacks_word_is_no_refusal(
    status: int, content_type: str, body: str
) -> None:
    """A proxy or a portal in between: the message is told later, not given up."""

    async def portal(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=body, content_type=content_type)

    app = web.Application()
    app.router.add_route("*", "/api/{method}", portal)
    async with TestServer(app) as server:
        clients = SlackClients(str(server.make_url("/api/")))
        with pytest.raises(SlackUnavailableError):
            await post(clients)
        await clients.aclose()
