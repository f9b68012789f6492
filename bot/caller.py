"""Who did something, where, and how they are answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.installations import Installed


@dataclass(frozen=True, slots=True)
class Caller:
    """One command, click or submission, reduced to what an answer needs.

    `screen` says what the person looks at: a message, a modal, the Home tab, or nothing
    (a command).
    """

    installed: Installed
    user: str
    channel: str = ""
    response_url: str = ""
    trigger_id: str = ""
    view_id: str = ""
    screen: str = ""  # message, ephemeral, modal, home or nothing
    message_ts: str = ""

    @property
    def org(self) -> str:
        """The organisation key."""
        return self.installed.org

    @property
    def token(self) -> str:
        """The bot's token there."""
        return self.installed.token


def of_command(installed: Installed, body: Mapping[str, Any]) -> Caller:
    """From a slash command's form."""
    return Caller(
        installed,
        user=_text(body, "user_id"),
        channel=_text(body, "channel_id"),
        response_url=_text(body, "response_url"),
        trigger_id=_text(body, "trigger_id"),
    )


def of_interaction(installed: Installed, body: Mapping[str, Any]) -> Caller:
    """From the payload of a click or a submission."""
    container, view = _part(body, "container"), _part(body, "view")
    return Caller(
        installed,
        user=_text(_part(body, "user"), "id"),
        channel=_text(_part(body, "channel"), "id") or _text(container, "channel_id"),
        response_url=_text(body, "response_url"),
        trigger_id=_text(body, "trigger_id"),
        view_id=_text(view, "id"),
        screen=_screen(container, view),
        message_ts=_text(container, "message_ts"),
    )


def _screen(container: Mapping[str, Any], view: Mapping[str, Any]) -> str:
    if view:
        return "home" if view.get("type") == "home" else "modal"
    if container.get("type") == "message":
        return "ephemeral" if container.get("is_ephemeral") is True else "message"
    return ""


def _part(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = body.get(name)
    return part if isinstance(part, Mapping) else {}


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""
