"""The limits of Slack's blocks, messages and views: kept by the stand-in, one more is refused."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from tests.sandbox.slack import validate_message, validate_view
from tests.unit.sandbox_slack_support import (
    BUTTON,
    FIELD,
    INPUT,
    SECTION,
    client,
    clock,
    modal,
    slack,
)

__all__ = ["client", "clock", "slack"]


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
