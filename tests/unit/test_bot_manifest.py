"""The manifest says what the code does, no more and no less."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot import listeners
from bot.manifest import (
    EVENTS_PATH,
    EXAMPLE_URL,
    REDIRECT_PATH,
    SCOPES,
    manifest_for,
    to_yaml,
)

ROOT = Path(__file__).parents[2]
MANIFEST = manifest_for(EXAMPLE_URL)

# What each method of the Web API that the code calls needs (docs.slack.dev/reference/methods).
NEEDS = {
    "chat_postMessage": "chat:write",
    "chat_update": "chat:write",
    "chat_postEphemeral": "chat:write",
    "users_info": "users:read",
    "files_upload_v2": "files:write",
    "views_open": None,
    "views_update": None,
    "views_publish": None,
    "auth_test": None,
}


class Registered:
    """Notes what the listeners register."""

    def __init__(self) -> None:
        self.commands: list[Any] = []
        self.events: list[Any] = []

    def command(self, name: Any) -> Any:
        self.commands.append(name)
        return lambda listener: listener

    def event(self, name: Any, middleware: Any = ()) -> Any:
        self.events.append(name)
        return lambda listener: listener

    def action(self, _name: Any) -> Any:
        return lambda listener: listener

    view = view_closed = action


@pytest.fixture
def registered() -> Registered:
    found = Registered()
    listeners.register(found, None)  # type: ignore[arg-type]
    return found


def test_commands_are_those_that_are_registered(registered: Registered) -> None:
    commands = [c["command"] for c in MANIFEST["features"]["slash_commands"]]
    assert commands == registered.commands


def test_events_are_those_that_are_registered(registered: Registered) -> None:
    events = MANIFEST["settings"]["event_subscriptions"]["bot_events"]
    assert sorted(events) == sorted(registered.events)


def test_urls_share_one_base_and_the_served_paths() -> None:
    settings = MANIFEST["settings"]
    events = EXAMPLE_URL + EVENTS_PATH
    assert settings["event_subscriptions"]["request_url"] == events
    assert settings["interactivity"]["request_url"] == events
    assert [c["url"] for c in MANIFEST["features"]["slash_commands"]] == [events]
    assert MANIFEST["oauth_config"]["redirect_urls"] == [EXAMPLE_URL + REDIRECT_PATH]


def test_scopes_are_those_that_oauth_asks_for() -> None:
    assert MANIFEST["oauth_config"]["scopes"]["bot"] == list(SCOPES)
    assert "user" not in MANIFEST["oauth_config"]["scopes"]


def methods_called() -> set[str]:
    text = "\n".join(path.read_text() for path in (ROOT / "bot").rglob("*.py"))
    return {method for method in NEEDS if f'"{method}"' in text}


def test_every_method_that_is_called_is_known_here() -> None:
    text = "\n".join(path.read_text() for path in (ROOT / "bot").rglob("*.py"))
    form = r"\"((?:chat|views|files|users|auth|conversations|usergroups)_[A-Za-z0-9_]+)\""
    assert set(re.findall(form, text)) - {"conversations_select"} <= set(NEEDS)


def test_scopes_are_complete_and_minimal() -> None:
    needed = {scope for method in methods_called() if (scope := NEEDS[method])}
    # commands: the slash command; chat:write.public: posting without an invitation
    assert set(SCOPES) == needed | {"commands", "chat:write.public"}


@pytest.mark.parametrize(("scope", "reason"), SCOPES.items())
def test_each_scope_has_its_reason_in_the_readme(scope: str, reason: str) -> None:
    assert f"| `{scope}` | {reason} |" in (ROOT / "README.md").read_text()


def test_the_file_is_what_the_code_makes() -> None:
    text = (ROOT / "manifest.yml").read_text()
    body = "".join(line for line in text.splitlines(True) if not line.startswith("#"))
    assert body == to_yaml(MANIFEST)


def test_the_file_can_be_read_back() -> None:
    assert yaml.safe_load(to_yaml(MANIFEST)) == MANIFEST


def test_slacks_limits_of_a_manifest() -> None:
    shown, features = MANIFEST["display_information"], MANIFEST["features"]
    assert len(shown["name"]) <= 35
    assert len(shown["description"]) <= 140
    assert 175 <= len(shown["long_description"]) <= 4000
    assert len(shown["background_color"]) == 7
    assert len(features["bot_user"]["display_name"]) <= 80
    (command,) = features["slash_commands"]
    assert command["command"].startswith("/")
    assert len(command["command"]) <= 32
    assert len(command["description"]) <= 2000
    assert len(command["usage_hint"]) <= 1000


def test_home_tab_is_on_and_messages_are_read_only() -> None:
    home = MANIFEST["features"]["app_home"]
    assert home["home_tab_enabled"]
    assert home["messages_tab_enabled"]
    assert home["messages_tab_read_only_enabled"]


def test_no_rotation_and_no_socket_mode() -> None:
    assert MANIFEST["settings"]["token_rotation_enabled"] is False
    assert MANIFEST["settings"]["socket_mode_enabled"] is False


@pytest.mark.parametrize("url", ["http://x.example", "", "xtool.example.com", "https://"])
def test_an_address_that_slack_cannot_reach_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="public address"):
        manifest_for(url)


def test_a_slash_at_the_end_makes_no_difference() -> None:
    assert manifest_for(EXAMPLE_URL + "/") == MANIFEST
