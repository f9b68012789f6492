"""The Slack stand-in's Web API, called by real `slack_sdk` clients; its faults."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from tests.sandbox.slack import FakeSlack
from tests.unit.sandbox_slack_support import (
    SECTION,
    SIGNING,
    TOKEN,
    App,
    Clock,
    app,
    client,
    clock,
    modal,
    refusal,
    slack,
    trigger,
)

__all__ = ["app", "client", "clock", "slack"]


# --- the Web API as slack_sdk uses it -----------------------------------------------------------


async def test_auth_test_names_team_and_bot(client: AsyncWebClient) -> None:
    answer = await client.auth_test()
    assert (answer["team_id"], answer["bot_id"]) == ("T0LINDHOF", "B0XTOOL")


async def test_posted_message_is_in_the_channel(slack: FakeSlack, client: AsyncWebClient) -> None:
    answer = await client.chat_postMessage(channel="C0INVOICES", text="Hi", blocks=[SECTION])
    assert [m.ts for m in slack.messages("invoices")] == [answer["ts"]]


async def test_update_keeps_blocks_that_are_not_given(
    slack: FakeSlack, client: AsyncWebClient
) -> None:
    ts = (await client.chat_postMessage(channel="C0INVOICES", text="Hi", blocks=[SECTION]))["ts"]
    await client.chat_update(channel="C0INVOICES", ts=ts, text="Later")
    message = slack.messages("invoices")[0]
    assert (message.text, message.blocks[0]["text"]["text"]) == ("Later", "Hello")


async def test_history_keeps_what_was_shown_before(
    slack: FakeSlack, client: AsyncWebClient
) -> None:
    ts = (await client.chat_postMessage(channel="C0INVOICES", text="Sending…"))["ts"]
    await client.chat_update(channel="C0INVOICES", ts=ts, text="Sent")
    assert slack.messages("invoices")[0].history[0]["text"] == "Sending…"


async def test_ephemeral_is_seen_by_one_person_only(
    slack: FakeSlack, client: AsyncWebClient
) -> None:
    await client.chat_postEphemeral(channel="C0INVOICES", user="U0MEMBER", text="psst")
    assert len(slack.ephemerals("U0MEMBER")) == 1
    assert slack.messages("invoices") == slack.ephemerals("admin") == []


async def test_ephemeral_cannot_be_updated(client: AsyncWebClient) -> None:
    sent = await client.chat_postEphemeral(channel="C0INVOICES", user="U0MEMBER", text="psst")
    call = client.chat_update(channel="C0INVOICES", ts=sent["message_ts"], text="x")
    assert await refusal(call) == "message_not_found"


async def test_user_id_as_channel_writes_a_direct_message(
    slack: FakeSlack, client: AsyncWebClient
) -> None:
    answer = await client.chat_postMessage(channel="U0MEMBER", text="hello")
    assert answer["channel"] == "D0MEMBER"
    assert slack.direct_messages("ben")[0].text == "hello"


async def test_users_info_gives_locale_only_when_asked(client: AsyncWebClient) -> None:
    with_locale = await client.users_info(user="U0ADMIN", include_locale=True)
    without = await client.users_info(user="U0ADMIN")
    assert with_locale["user"]["locale"] == "de-DE"
    assert "locale" not in without["user"]


@pytest.mark.parametrize(
    ("user", "flag"),
    [("U0ADMIN", "is_admin"), ("U0GUEST", "is_restricted"), ("U0EXTERN", "is_stranger")],
)
async def test_users_info_tells_kinds_apart(client: AsyncWebClient, user: str, flag: str) -> None:
    flags = (await client.users_info(user=user))["user"]
    assert [f for f in ("is_admin", "is_restricted", "is_stranger") if flags[f]] == [flag]


async def test_file_arrives_in_the_thread(slack: FakeSlack, client: AsyncWebClient) -> None:
    ts = (await client.chat_postMessage(channel="C0INVOICES", text="Failed"))["ts"]
    await client.files_upload_v2(
        channel="C0INVOICES", thread_ts=ts, filename="sent.xml", content="<Invoice/>"
    )
    (reply,) = slack.thread(slack.messages("invoices")[0])
    stored = slack.workspace.files[reply.files[0]["id"]]
    assert (stored.name, stored.content) == ("sent.xml", b"<Invoice/>")


@pytest.mark.parametrize(
    ("channel", "code"),
    [
        ("C0NOPE", "channel_not_found"),
        ("C0BOARD", "channel_not_found"),  # private, the app is not in it
        ("C0GENERAL", "not_in_channel"),
        ("C0OLD", "is_archived"),
    ],
)
async def test_posting_is_refused_with_slacks_code(
    client: AsyncWebClient, channel: str, code: str
) -> None:
    assert await refusal(client.chat_postMessage(channel=channel, text="x")) == code


@pytest.mark.parametrize(("token", "code"), [("", "not_authed"), ("xoxb-other", "invalid_auth")])
async def test_wrong_token_is_refused(slack: FakeSlack, token: str, code: str) -> None:
    stranger = AsyncWebClient(token, base_url=slack.api_url)
    assert await refusal(stranger.auth_test()) == code


async def test_revoked_token_is_refused(slack: FakeSlack, client: AsyncWebClient) -> None:
    slack.revoke_token()
    assert await refusal(client.auth_test()) == "token_revoked"


async def test_missing_scope_names_what_is_needed() -> None:
    async with FakeSlack(SIGNING, TOKEN, scopes=["commands", "chat:write"]) as slack:
        limited = AsyncWebClient(TOKEN, base_url=slack.api_url)
        with pytest.raises(SlackApiError) as error:
            await limited.users_info(user="U0ADMIN")
    assert error.value.response["needed"] == "users:read"


async def test_recorded_calls_hold_no_token(slack: FakeSlack, client: AsyncWebClient) -> None:
    await client.chat_postMessage(channel="C0INVOICES", text="x")
    assert TOKEN not in repr(slack.core.calls)


# --- faults ---------------------------------------------------------------------------------------


async def test_rate_limit_has_retry_after(slack: FakeSlack, client: AsyncWebClient) -> None:
    slack.faults.add("chat.postMessage", "rate_limited", retry_after=7)
    with pytest.raises(SlackApiError) as error:
        await client.chat_postMessage(channel="C0INVOICES", text="x")
    assert error.value.response.headers["Retry-After"] == "7"


async def test_drop_before_keeps_nothing(slack: FakeSlack, client: AsyncWebClient) -> None:
    slack.faults.add("chat.postMessage", "drop_before")
    with pytest.raises(aiohttp.ClientError):
        await client.chat_postMessage(channel="C0INVOICES", text="x")
    assert slack.messages("invoices") == []


async def test_drop_after_keeps_the_message(slack: FakeSlack, client: AsyncWebClient) -> None:
    slack.faults.add("chat.postMessage", "drop_after")
    with pytest.raises(aiohttp.ClientError):
        await client.chat_postMessage(channel="C0INVOICES", text="x")
    assert len(slack.messages("invoices")) == 1


async def test_fault_ends_after_its_times(slack: FakeSlack, client: AsyncWebClient) -> None:
    slack.faults.add("chat.postMessage", "server_error", times=1)
    with pytest.raises(SlackApiError):
        await client.chat_postMessage(channel="C0INVOICES", text="x")
    assert (await client.chat_postMessage(channel="C0INVOICES", text="x"))["ok"]


async def test_held_call_waits_for_its_release(slack: FakeSlack, client: AsyncWebClient) -> None:
    held = slack.faults.add("chat.postMessage", "hold")
    call = asyncio.create_task(client.chat_postMessage(channel="C0INVOICES", text="x"))
    await held.arrived.wait()
    assert slack.messages("invoices") == []
    held.release()
    assert (await call)["ok"]


async def test_second_message_within_a_second_is_limited(
    slack: FakeSlack, client: AsyncWebClient, clock: Clock
) -> None:
    slack.faults.one_message_a_second = True
    await client.chat_postMessage(channel="C0INVOICES", text="1")
    assert await refusal(client.chat_postMessage(channel="C0INVOICES", text="2")) == "ratelimited"
    clock.now += 1
    assert (await client.chat_postMessage(channel="C0INVOICES", text="2"))["ok"]


# --- installing, and waiting for what happens ---------------------------------------------------


@pytest.mark.filterwarnings("ignore:BasicAuth is deprecated")  # slack_sdk 3.47 still uses it
async def test_code_is_exchanged_once(slack: FakeSlack) -> None:
    query = {"client_id": "111.222", "scope": "commands", "redirect_uri": "http://127.0.0.1/r"}
    code = slack.oauth.allowed_url(query, "U0ADMIN").split("code=")[1].split("&")[0]
    anonymous = AsyncWebClient(base_url=slack.api_url)
    arguments = {
        "client_id": "111.222",
        "client_secret": "client-secret-of-the-sandbox",
        "code": code,
        "redirect_uri": query["redirect_uri"],
    }
    granted = await anonymous.oauth_v2_access(**arguments)
    assert granted["team"]["id"] == "T0LINDHOF"
    assert await refusal(anonymous.oauth_v2_access(**arguments)) == "code_already_used"
    assert granted["access_token"] not in repr(slack.core.calls)


async def test_wait_for_wakes_when_it_happens(slack: FakeSlack, client: AsyncWebClient) -> None:
    waiting = asyncio.create_task(slack.wait_for(lambda: slack.messages("invoices")))
    await client.chat_postMessage(channel="C0INVOICES", text="x")
    assert len(await waiting) == 1


async def test_wait_for_waits_for_what_is_not_there_yet(
    slack: FakeSlack, client: AsyncWebClient, app: App
) -> None:
    waiting = asyncio.create_task(slack.wait_for(lambda: slack.modal("admin").title))
    await client.views_open(trigger_id=await trigger(slack, app), view=modal(SECTION))
    assert await waiting == "Connect"


async def test_wait_for_gives_up(slack: FakeSlack) -> None:
    with pytest.raises(TimeoutError):
        await slack.wait_for(lambda: slack.messages("invoices"), timeout=0.01)
