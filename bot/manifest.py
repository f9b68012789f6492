"""The Slack app manifest: what the app may do and where Slack reaches it.

`manifest.yml` at the top of the repository is `manifest_for("https://xtool.example.com")`.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import yaml

from bot.listeners.commands import COMMAND
from bot.listeners.events import EVENTS

# Each scope and why the app needs it; the README repeats the reasons.
SCOPES: dict[str, str] = {
    "commands": "the command /sevdesk",
    "chat:write": "results in the chosen channel, answers in direct messages",
    "chat:write.public": "results in a public channel without inviting the app first",
    "users:read": "who may connect and send: admins, full members, guests, other companies",
    "files:write": "documents of an invoice and the audit list, sent to who asks for them",
}
EVENTS_PATH = "/slack/events"
INSTALL_PATH = "/slack/install"
REDIRECT_PATH = "/slack/oauth_redirect"
EXAMPLE_URL = "https://xtool.example.com"


def manifest_for(url: str) -> dict[str, Any]:
    """The manifest for an app that Slack reaches at `url`. Raises `ValueError` unless it is https.

    Token rotation stays off: it cannot be switched off again, and two processes that refresh the
    same token lose it.
    """
    base = _base(url)
    return {
        "_metadata": {"major_version": 1, "minor_version": 1},
        "display_information": _display(),
        "features": _features(base),
        "oauth_config": {
            "redirect_urls": [base + REDIRECT_PATH],
            "scopes": {"bot": list(SCOPES)},
        },
        "settings": {
            "event_subscriptions": {
                "request_url": base + EVENTS_PATH,
                "bot_events": sorted(EVENTS),
            },
            "interactivity": {"is_enabled": True, "request_url": base + EVENTS_PATH},
            "org_deploy_enabled": True,
            "socket_mode_enabled": False,
            "token_rotation_enabled": False,
        },
    }


def _base(url: str) -> str:
    parts = urlsplit(url.strip())
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("Slack needs a public address such as https://xtool.example.com")
    return url.strip().rstrip("/")


def _display() -> dict[str, Any]:
    return {
        "name": "xTool",
        "description": "Sends your sevDesk e-invoices over the Peppol network",
        "long_description": (
            "xTool watches your company's sevDesk account. E-invoices of the contacts that you "
            "tag are checked, turned into the document that the receiver accepts, and sent over "
            "the Peppol network. The result appears as a tag in sevDesk and as a message in the "
            "channel that you choose; what needs a person comes with the reason in plain words "
            "and the button that solves it."
        ),
        "background_color": "#0b3d5c",
    }


def _features(base: str) -> dict[str, Any]:
    return {
        "app_home": {
            "home_tab_enabled": True,
            "messages_tab_enabled": True,
            "messages_tab_read_only_enabled": True,
        },
        "bot_user": {"display_name": "xTool", "always_online": True},
        "slash_commands": [
            {
                "command": COMMAND,
                "url": base + EVENTS_PATH,
                "description": "Connect sevDesk, sync, and see your invoices",
                "usage_hint": "connect | sync | status | invoices | retry | settings | help",
                "should_escape": False,
            }
        ],
    }


def to_yaml(manifest: dict[str, Any]) -> str:
    """The manifest as Slack's form takes it."""
    text: str = yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True, width=100)
    return text
