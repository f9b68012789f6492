"""The bodies of interactions, as Slack builds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.sandbox.slack.core import Core
from tests.sandbox.slack.fields import option_of, typed
from tests.sandbox.slack.workspace import Channel, Json, Message, OpenView, User


@dataclass(frozen=True)
class Place:
    """Where an interaction happens: a workspace, and the Enterprise Grid org above it."""

    team_id: str
    team_domain: str = "lindhof"
    enterprise_id: str | None = None
    is_enterprise_install: bool = False

    @property
    def team(self) -> Json:
        """The `team` object."""
        extra = {"enterprise_id": self.enterprise_id} if self.enterprise_id else {}
        return {"id": self.team_id, "domain": self.team_domain, **extra}

    @property
    def enterprise(self) -> Json | None:
        """The `enterprise` object."""
        return {"id": self.enterprise_id, "name": "Grid"} if self.enterprise_id else None


@dataclass
class Target:
    """An element that a person can use, and what it stands in."""

    container: Message | OpenView
    block: Json
    element: Json


def command_form(
    core: Core, place: Place, user: User, channel: Channel, command: str, text: str
) -> dict[str, str]:
    """The form of a slash command."""
    names = {"private": "privategroup", "im": "directmessage"}
    form = {
        "token": "not-used",
        "team_id": place.team_id,
        "team_domain": place.team_domain,
        "channel_id": channel.id,
        "channel_name": names.get(channel.kind, channel.name),
        "user_id": user.id,
        "user_name": user.name,
        "command": command,
        "text": text,
        "api_app_id": core.app_id,
        "is_enterprise_install": str(place.is_enterprise_install).lower(),
        "response_url": core.new_response_url("commands", user.id, channel.id, None),
        "trigger_id": core.new_trigger(user.id),
    }
    if place.enterprise_id:
        form |= {"enterprise_id": place.enterprise_id, "enterprise_name": "Grid"}
    return form


def _common(core: Core, place: Place, user: User, kind: str) -> Json:
    person = {"id": user.id, "username": user.name, "name": user.name, "team_id": user.team_id}
    return {
        "type": kind,
        "user": person,
        "api_app_id": core.app_id,
        "token": "not-used",
        "team": place.team,
        "enterprise": place.enterprise,
        "is_enterprise_install": place.is_enterprise_install,
    }


def view_object(core: Core, place: Place, view: OpenView) -> Json:
    """The `view` of a payload."""
    return view.payload(team_id=place.team_id, app_id=core.app_id, bot_id=core.bot_id)


def action_of(core: Core, target: Target, chosen: Any) -> Json:
    """One entry of `actions`: the element and what was chosen."""
    element = target.element
    action: Json = {
        "action_id": element["action_id"],
        "block_id": target.block["block_id"],
        "type": element["type"],
        "action_ts": core.workspace.next_ts(),
    }
    if element["type"] in {"button", "workflow_button"}:
        kept = ("text", "value", "url", "style")
        return action | {key: element[key] for key in kept if key in element}
    if element["type"] == "overflow":
        return action | {"selected_option": option_of(element, chosen)}
    return action | typed(element, chosen)


def block_actions(core: Core, place: Place, user: User, target: Target, action: Json) -> Json:
    """The payload of a click, with a trigger and, in a message, a response URL."""
    payload = _common(core, place, user, "block_actions")
    payload |= {"actions": [action], "trigger_id": core.new_trigger(user.id)}
    if isinstance(target.container, OpenView):
        return payload | _in_view(core, place, target.container)
    return payload | _in_message(core, user, target.container)


def _in_view(core: Core, place: Place, view: OpenView) -> Json:
    container = {"type": "view", "view_id": view.id}
    return {"container": container, "view": view_object(core, place, view)}


def _in_message(core: Core, user: User, message: Message) -> Json:
    channel = core.workspace.channels[message.channel]
    container: Json = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": message.is_ephemeral,
    }
    if message.thread_ts:
        container["thread_ts"] = message.thread_ts
    answer: Json = {
        "container": container,
        "channel": {"id": channel.id, "name": channel.name},
        "state": {"values": message.state},
        "response_url": core.new_response_url("actions", user.id, channel.id, message),
    }
    if not message.is_ephemeral:  # Slack does not repeat ephemeral messages
        answer["message"] = message.payload(core.bot_id, core.app_id)
    return answer


def view_submission(core: Core, place: Place, user: User, view: OpenView) -> Json:
    """The payload of a modal's submit button."""
    payload = _common(core, place, user, "view_submission")
    trigger = core.new_trigger(user.id, view.id)
    shown = view_object(core, place, view)
    return payload | {"trigger_id": trigger, "view": shown, "response_urls": []}


def view_closed(core: Core, place: Place, user: User, view: OpenView, *, cleared: bool) -> Json:
    """The payload of a modal's cancel button."""
    payload = _common(core, place, user, "view_closed")
    return payload | {"view": view_object(core, place, view), "is_cleared": cleared}
