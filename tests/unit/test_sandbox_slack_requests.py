"""What the Slack stand-in sends to an app, signed as by Slack, and the modals it opens."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from tests.sandbox.slack import FakeSlack, InputRefusedError
from tests.unit.sandbox_slack_support import (
    ACTIONS,
    BUTTON,
    INPUT,
    SECTION,
    SIGNING,
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


# --- modals and triggers ------------------------------------------------------------------------


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
