"""The Slack stand-in: real `slack_sdk` clients against it, real signatures out of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from tests.sandbox.slack import FakeSlack, InputRefusedError, validate_message, validate_view

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
    with pytest.raises(SlackApiError) as error:
        await call
    return str(error.value.response["error"])


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


# --- modals and triggers ------------------------------------------------------------------------


async def trigger(slack: FakeSlack, app: App) -> str:
    await slack.command("connect")
    return app.form[-1]["trigger_id"]


async def test_trigger_opens_a_modal_for_the_person(
    slack: FakeSlack, client: AsyncWebClient, app: App
) -> None:
    await client.views_open(trigger_id=await trigger(slack, app), view=modal(INPUT))
    assert slack.modal("admin").title == "Connect"


async def test_trigger_expires_after_three_seconds(
    slack: FakeSlack, client: AsyncWebClient, app: App, clock: Clock
) -> None:
    late = await trigger(slack, app)
    clock.now += 3.1
    assert await refusal(client.views_open(trigger_id=late, view=modal(SECTION))) == (
        "expired_trigger_id"
    )


async def test_trigger_works_once(slack: FakeSlack, client: AsyncWebClient, app: App) -> None:
    once = await trigger(slack, app)
    await client.views_open(trigger_id=once, view=modal(SECTION))
    assert await refusal(client.views_open(trigger_id=once, view=modal(SECTION))) == (
        "exchanged_trigger_id"
    )


async def test_fourth_modal_is_refused(slack: FakeSlack, client: AsyncWebClient, app: App) -> None:
    await client.views_open(trigger_id=await trigger(slack, app), view=modal(SECTION))
    for _ in range(2):
        await client.views_push(trigger_id=await trigger(slack, app), view=modal(SECTION))
    call = client.views_push(trigger_id=await trigger(slack, app), view=modal(SECTION))
    assert await refusal(call) == "push_limit_reached"


async def test_update_with_an_old_hash_is_refused(
    slack: FakeSlack, client: AsyncWebClient, app: App
) -> None:
    opened = await client.views_open(trigger_id=await trigger(slack, app), view=modal(SECTION))
    view = opened["view"]
    await client.views_update(view_id=view["id"], hash=view["hash"], view=modal(SECTION))
    call = client.views_update(view_id=view["id"], hash=view["hash"], view=modal(SECTION))
    assert await refusal(call) == "hash_conflict"


async def test_home_is_kept_per_person(slack: FakeSlack, client: AsyncWebClient) -> None:
    await client.views_publish(user_id="U0ADMIN", view={"type": "home", "blocks": [SECTION]})
    assert slack.home("admin") is not None
    assert slack.home("ben") is None


# --- requests to the app ------------------------------------------------------------------------


async def test_command_is_signed_as_slack_signs(slack: FakeSlack, app: App) -> None:
    await slack.command("/sevdesk sync now", user="ben")
    headers, body = app.requests[0]
    assert SignatureVerifier(SIGNING).is_valid_request(body, headers)
    assert (app.form[0]["command"], app.form[0]["text"]) == ("/sevdesk", "sync now")


async def test_changed_body_does_not_verify(slack: FakeSlack, app: App) -> None:
    await slack.command("sync")
    headers, body = app.requests[0]
    assert not SignatureVerifier(SIGNING).is_valid_request(body + "&x=1", headers)


async def test_answer_in_the_ack_is_seen_by_the_person_alone(slack: FakeSlack, app: App) -> None:
    app.reply = lambda: web.json_response({"text": "Usage"})
    await slack.command("help", user="ben")
    assert [m.text for m in slack.ephemerals("ben")] == ["Usage"]


async def test_slow_app_shows_operation_timeout(slack: FakeSlack, app: App) -> None:
    app.gate = asyncio.Event()
    await slack.command("sync", user="ben")
    app.gate.set()
    assert slack.notices("ben") == ["operation_timeout"]


async def test_failing_app_shows_dispatch_failed(slack: FakeSlack, app: App) -> None:
    app.reply = lambda: web.Response(status=500)
    await slack.command("sync", user="ben")
    assert slack.notices("ben") == ["dispatch_failed"]


async def test_click_carries_value_message_and_response_url(
    slack: FakeSlack, client: AsyncWebClient, app: App
) -> None:
    button = {**BUTTON, "value": "inv-1"}
    blocks = [{**ACTIONS, "elements": [button]}]
    ts = (await client.chat_postMessage(channel="C0INVOICES", text="Failed", blocks=blocks))["ts"]
    await slack.click("go", user="ben")
    payload = app.payloads[0]
    assert payload["actions"][0]["value"] == "inv-1"
    assert payload["message"]["ts"] == ts
    assert payload["response_url"].startswith(slack.core.api_root)


async def test_button_that_nobody_sees_cannot_be_clicked(slack: FakeSlack, app: App) -> None:
    with pytest.raises(LookupError):
        await slack.click("go")


async def test_response_url_works_five_times(slack: FakeSlack, app: App, clock: Clock) -> None:
    await slack.command("sync")
    hook = AsyncWebhookClient(app.form[0]["response_url"])
    answers = [await hook.send(text=str(n)) for n in range(6)]
    assert [a.status_code for a in answers] == [200] * 5 + [404]
    assert answers[5].body == "used_url"


async def test_response_url_ends_after_thirty_minutes(
    slack: FakeSlack, app: App, clock: Clock
) -> None:
    await slack.command("sync")
    clock.now += 1801
    answer = await AsyncWebhookClient(app.form[0]["response_url"]).send(text="late")
    assert (answer.status_code, answer.body) == (404, "expired_url")


async def test_response_url_of_a_click_replaces_an_ephemeral(
    slack: FakeSlack, client: AsyncWebClient, app: App
) -> None:
    await client.chat_postEphemeral(
        channel="C0INVOICES", user="U0MEMBER", text="Sure?", blocks=[ACTIONS]
    )
    await slack.click("go", user="ben")
    hook = AsyncWebhookClient(app.payloads[0]["response_url"])
    await hook.send(text="Done", replace_original=True)
    assert [m.text for m in slack.ephemerals("ben")] == ["Done"]


async def open_input(slack: FakeSlack, client: AsyncWebClient, app: App) -> None:
    await client.views_open(
        trigger_id=await trigger(slack, app),
        view=modal(INPUT, callback_id="connect", notify_on_close=True),
    )


async def test_submission_carries_what_was_typed(
    slack: FakeSlack, client: AsyncWebClient, app: App
) -> None:
    await open_input(slack, client, app)
    await slack.submit(values={"secret": "abc"})
    values = app.payloads[-1]["view"]["state"]["values"]
    assert values["secret"]["token"] == {"type": "plain_text_input", "value": "abc"}
    assert slack.views("admin") == []


async def test_required_field_stops_the_submission(
    slack: FakeSlack, client: AsyncWebClient, app: App
) -> None:
    await open_input(slack, client, app)
    with pytest.raises(InputRefusedError):
        await slack.submit()
    assert app.payloads == []


async def test_errors_are_shown_at_the_field(
    slack: FakeSlack, client: AsyncWebClient, app: App
) -> None:
    await open_input(slack, client, app)
    answer = {"response_action": "errors", "errors": {"secret": "No"}}
    app.reply = lambda: web.json_response(answer)
    await slack.submit(values={"secret": "abc"})
    assert slack.modal("admin").errors == {"secret": "No"}


async def test_errors_for_an_unknown_field_are_trouble(
    slack: FakeSlack, client: AsyncWebClient, app: App
) -> None:
    await open_input(slack, client, app)
    answer = {"response_action": "errors", "errors": {"other": "No"}}
    app.reply = lambda: web.json_response(answer)
    await slack.submit(values={"secret": "abc"})
    assert slack.modal("admin").trouble
    assert slack.notices("admin") == ["invalid_response_action"]


async def test_submission_can_update_the_modal(
    slack: FakeSlack, client: AsyncWebClient, app: App
) -> None:
    await open_input(slack, client, app)
    answer = {"response_action": "update", "view": modal(SECTION)}
    app.reply = lambda: web.json_response(answer)
    await slack.submit(values={"secret": "abc"})
    assert slack.modal("admin").all_text == "Hello"


async def test_closing_tells_the_app_that_asked(
    slack: FakeSlack, client: AsyncWebClient, app: App
) -> None:
    await open_input(slack, client, app)
    await slack.close()
    assert app.payloads[-1]["type"] == "view_closed"


async def test_event_is_repeated_with_retry_headers(slack: FakeSlack, app: App) -> None:
    app.reply = lambda: web.Response(status=500)
    await slack.open_home()
    numbers = [headers.get("X-Slack-Retry-Num") for headers, _ in app.requests]
    assert numbers == [None, "1", "2", "3"]
    assert len({payload["event_id"] for payload in app.payloads}) == 1


@pytest.mark.parametrize("tokens_first", [True, False])
async def test_uninstall_sends_both_events(slack: FakeSlack, app: App, tokens_first: bool) -> None:
    await slack.uninstall(tokens_first=tokens_first)
    kinds = [payload["event"]["type"] for payload in app.payloads]
    expected = ["app_uninstalled", "tokens_revoked"]
    assert kinds == (expected[::-1] if tokens_first else expected)


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


# --- limits ---------------------------------------------------------------------------------------


def text(kind: str, length: int) -> dict[str, str]:
    return {"type": kind, "text": "x" * length}


def option(value: str = "a", length: int = 3) -> dict[str, Any]:
    return {"text": text("plain_text", length), "value": value}


def in_actions(**element: Any) -> list[dict[str, Any]]:
    return [{"type": "actions", "elements": [element]}]


def confirm(**changed: Any) -> dict[str, Any]:
    whole = {
        "title": text("plain_text", 100),
        "text": text("plain_text", 300),
        "confirm": text("plain_text", 30),
        "deny": text("plain_text", 30),
    }
    return {**whole, **changed}


AT_THE_LIMIT: dict[str, list[dict[str, Any]]] = {
    "50 blocks": [{"type": "divider"}] * 50,
    "section": [{"type": "section", "text": text("mrkdwn", 3000)}],
    "fields": [{"type": "section", "fields": [text("mrkdwn", 1000)] * 10}],
    "field": [{"type": "section", "fields": [text("mrkdwn", 2000)]}],
    "header": [{"type": "header", "text": text("plain_text", 150)}],
    "context": [{"type": "context", "elements": [text("mrkdwn", 5)] * 10}],
    "actions": [
        {"type": "actions", "elements": [{**BUTTON, "action_id": f"a{n}"} for n in range(25)]}
    ],
    "button": in_actions(**{**BUTTON, "text": text("plain_text", 75), "value": "x" * 2000}),
    "confirm": in_actions(**BUTTON, confirm=confirm()),
    "overflow": in_actions(
        type="overflow", action_id="m", options=[option(str(n)) for n in range(5)]
    ),
    "select": in_actions(
        type="static_select", action_id="s", options=[option(str(n), 75) for n in range(100)]
    ),
    "total": [{"type": "section", "text": text("mrkdwn", 3000)}] * 4,
}
OVER_THE_LIMIT: dict[str, list[dict[str, Any]]] = {
    "51 blocks": [{"type": "divider"}] * 51,
    "section": [{"type": "section", "text": text("mrkdwn", 3001)}],
    "fields": [{"type": "section", "fields": [text("mrkdwn", 1)] * 11}],
    "field": [{"type": "section", "fields": [text("mrkdwn", 2001)]}],
    "empty text": [{"type": "section", "text": text("mrkdwn", 0)}],
    "header": [{"type": "header", "text": text("plain_text", 151)}],
    "header markdown": [{"type": "header", "text": text("mrkdwn", 5)}],
    "context": [{"type": "context", "elements": [text("mrkdwn", 5)] * 11}],
    "no elements": [{"type": "actions", "elements": []}],
    "actions": [
        {"type": "actions", "elements": [{**BUTTON, "action_id": f"a{n}"} for n in range(26)]}
    ],
    "button text": in_actions(**{**BUTTON, "text": text("plain_text", 76)}),
    "button value": in_actions(**BUTTON, value="x" * 2001),
    "button url": in_actions(**BUTTON, url="https://e.org/" + "x" * 3000),
    "action id": in_actions(**{**BUTTON, "action_id": "x" * 256}),
    "style": in_actions(**BUTTON, style="secondary"),
    "confirm title": in_actions(**BUTTON, confirm=confirm(title=text("plain_text", 101))),
    "confirm text": in_actions(**BUTTON, confirm=confirm(text=text("plain_text", 301))),
    "confirm button": in_actions(**BUTTON, confirm=confirm(confirm=text("plain_text", 31))),
    "overflow": in_actions(
        type="overflow", action_id="m", options=[option(str(n)) for n in range(6)]
    ),
    "option text": in_actions(type="static_select", action_id="s", options=[option("a", 76)]),
    "option value": in_actions(type="static_select", action_id="s", options=[option("x" * 151)]),
    "options": in_actions(
        type="static_select", action_id="s", options=[option(str(n)) for n in range(101)]
    ),
    "same option": in_actions(type="overflow", action_id="m", options=[option(), option()]),
    "initial option": in_actions(
        type="static_select", action_id="s", options=[option()], initial_option=option("b")
    ),
    "unknown block": [{"type": "banner", "text": "x"}],
    "unknown property": [{**SECTION, "color": "red"}],
    "unknown element": in_actions(type="knob", action_id="k"),
    "alert in a message": [{"type": "alert", "text": text("plain_text", 5)}],
    "input in actions": in_actions(**FIELD),
    "block id": [{**SECTION, "block_id": "x" * 256}],
    "elements of another type": [{"type": "context", "elements": 5}],
    "fields of another type": [{"type": "section", "fields": True}],
    "options of another type": in_actions(type="overflow", action_id="m", options=[5]),
    "same block id": [{**SECTION, "block_id": "a"}, {**SECTION, "block_id": "a"}],
    "same action id": [{"type": "actions", "elements": [BUTTON, BUTTON]}],
    "image without alt": [{"type": "image", "image_url": "https://e.org/a.png"}],
    "total": [{"type": "section", "text": text("mrkdwn", 3000)}] * 4 + [SECTION],
}


@pytest.mark.parametrize("name", AT_THE_LIMIT)
def test_message_at_the_limit_is_taken(name: str) -> None:
    assert validate_message({"text": "x", "blocks": AT_THE_LIMIT[name]}) == []


@pytest.mark.parametrize("name", OVER_THE_LIMIT)
def test_message_over_the_limit_is_refused(name: str) -> None:
    assert validate_message({"text": "x", "blocks": OVER_THE_LIMIT[name]})


def test_too_much_text_has_its_own_code() -> None:
    (problem,) = validate_message({"text": "x", "blocks": OVER_THE_LIMIT["total"]})
    assert problem.startswith("msg_blocks_too_long:")


def test_update_takes_less_text_than_a_new_message() -> None:
    assert validate_message({"text": "x" * 4001}) == []
    assert validate_message({"text": "x" * 4001}, update=True)


def test_message_without_anything_is_refused() -> None:
    assert validate_message({}) == ["no_text: a message needs text, blocks or attachments"]


async def test_server_says_which_block_is_wrong(client: AsyncWebClient) -> None:
    with pytest.raises(SlackApiError) as error:
        await client.chat_postMessage(
            channel="C0INVOICES", text="x", blocks=[{"type": "header", "text": text("mrkdwn", 5)}]
        )
    response = error.value.response
    assert response["error"] == "invalid_blocks"
    assert "/blocks/0/text/type" in response["errors"][0]


VIEWS_REFUSED: dict[str, dict[str, Any]] = {
    "title": modal(SECTION, title=text("plain_text", 25)),
    "submit": modal(SECTION, submit=text("plain_text", 25)),
    "metadata": modal(SECTION, private_metadata="x" * 3001),
    "callback": modal(SECTION, callback_id="x" * 256),
    "no blocks": modal(),
    "101 blocks": modal(*[{"type": "divider"}] * 101),
    "input without submit": {k: v for k, v in modal(INPUT).items() if k != "submit"},
    "alert": modal({"type": "alert", "text": text("plain_text", 201)}),
    "label": modal({**INPUT, "label": text("plain_text", 2001)}),
    "min over max": modal({**INPUT, "element": {**FIELD, "min_length": 9, "max_length": 8}}),
    "unknown property": modal(SECTION, colour="red"),
    "home with submit": {"type": "home", "blocks": [SECTION], "submit": text("plain_text", 3)},
    "type": {"type": "sheet", "blocks": [SECTION]},
}


@pytest.mark.parametrize("name", VIEWS_REFUSED)
def test_view_is_refused(name: str) -> None:
    assert validate_view(VIEWS_REFUSED[name])


@pytest.mark.parametrize(
    "view",
    [
        modal(INPUT, private_metadata="x" * 3000),
        modal({"type": "alert", "text": text("plain_text", 200), "level": "error"}),
        modal(*[{"type": "divider"}] * 100),
        {"type": "home", "blocks": [SECTION]},
    ],
)
def test_view_is_taken(view: dict[str, Any]) -> None:
    assert validate_view(view) == []
