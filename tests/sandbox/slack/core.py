"""What the parts of the Slack stand-in share: the workspace, tokens, triggers, recorded calls."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.sandbox.slack.errors import ApiError
from tests.sandbox.slack.faults import Faults
from tests.sandbox.slack.workspace import Changes, Channel, Json, Message, User, Workspace, seed

TRIGGER_SECONDS = 3.0  # Slack: a trigger_id expires three seconds after the interaction
RESPONSE_URL_SECONDS = 1800.0  # Slack: 30 minutes
RESPONSE_URL_USES = 5


@dataclass
class Install:
    """One installation and its bot token. `team_id` is None for a whole Enterprise Grid org."""

    token: str = field(repr=False)
    team_id: str | None
    enterprise_id: str | None
    bot_user: str
    bot_id: str
    installed_by: str
    scopes: frozenset[str] | None = None  # None: every scope
    error: str = ""  # token_revoked, account_inactive, …


@dataclass
class Call:
    """One request that the app made, without its token."""

    method: str
    args: Json
    answer: Json = field(default_factory=dict)
    status: int = 200
    fault: str = ""
    warnings: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether Slack said yes."""
        return self.status == 200 and bool(self.answer.get("ok", True))


@dataclass
class Trigger:
    """The right to open one modal for `user`."""

    user: str
    issued: float
    view_id: str | None = None
    used: bool = False


@dataclass
class ResponseUrl:
    """The right to answer one interaction five times within 30 minutes."""

    user: str
    channel: str
    issued: float
    message: Message | None = None
    uses: int = 0


@dataclass
class Notice:
    """What Slack itself tells a person, such as `operation_timeout`."""

    user: str
    code: str
    text: str
    at: float


class Core:
    """State of one stand-in. `clock` returns seconds since the epoch and may be a test's own."""

    def __init__(
        self,
        bot_token: str,
        *,
        scopes: frozenset[str] | None = None,
        clock: Callable[[], float] = time.time,
        changes: Changes | None = None,
    ) -> None:
        self.clock = clock
        self.changes = changes or Changes()
        self.app_id, self.bot_user, self.bot_id = "A0XTOOL", "U0XTOOL", "B0XTOOL"
        self.workspace = Workspace(clock, self.changes)
        seed(self.workspace, self.bot_user)
        self.team_id = next(iter(self.workspace.teams))
        self.faults = Faults()
        self.calls: list[Call] = []
        self.notices: list[Notice] = []
        self.triggers: dict[str, Trigger] = {}
        self.response_urls: dict[str, ResponseUrl] = {}
        self.last_post: dict[str, float] = {}
        self.api_root = ""
        self.uninstalled: Callable[[Install], None] = lambda _install: None
        first = Install(
            bot_token, self.team_id, None, self.bot_user, self.bot_id, "U0ADMIN", scopes
        )
        self.installs: dict[str, Install] = {bot_token: first}

    def install_of(self, token: str | None) -> Install:
        """The installation that a token belongs to, or Slack's refusal."""
        if not token:
            raise ApiError("not_authed")
        install = self.installs.get(token)
        if install is None:
            raise ApiError("invalid_auth")
        if install.error:
            raise ApiError(install.error)
        return install

    def channel_for(self, install: Install, channel: str, *, posting: bool = True) -> Channel:
        """The conversation that the app means; a user id means the direct conversation.

        A private channel without the app looks as if it did not exist, as in Slack.
        """
        if channel in self.workspace.users:
            return self.workspace.direct(self.workspace.users[channel], install.bot_user)
        found = self.workspace.channels.get(channel)
        member = found is not None and install.bot_user in found.members
        if found is None or (found.kind != "public" and not member):
            raise ApiError("channel_not_found")
        if posting:
            self._check_posting(install, found, member=member)
        return found

    def _check_posting(self, install: Install, channel: Channel, *, member: bool) -> None:
        if channel.archived:
            raise ApiError("is_archived")
        everywhere = install.scopes is not None and "chat:write.public" in install.scopes
        if not member and not everywhere:
            raise ApiError("not_in_channel")

    def user(self, user_id: str) -> User:
        """The person with this id, or `user_not_found`."""
        if user_id not in self.workspace.users:
            raise ApiError("user_not_found")
        return self.workspace.users[user_id]

    def new_trigger(self, user: str, view_id: str | None = None) -> str:
        """A trigger id in Slack's form."""
        trigger = f"{secrets.randbelow(10**13)}.{secrets.randbelow(10**12)}.{secrets.token_hex(16)}"
        self.triggers[trigger] = Trigger(user, self.clock(), view_id)
        return trigger

    def use_trigger(self, trigger_id: str) -> Trigger:
        """Exchange a trigger: known, younger than three seconds, never used before."""
        trigger = self.triggers.get(trigger_id)
        if trigger is None:
            raise ApiError("invalid_trigger_id")
        if trigger.used:
            raise ApiError("exchanged_trigger_id")
        if self.clock() - trigger.issued > TRIGGER_SECONDS:
            raise ApiError("expired_trigger_id")
        trigger.used = True
        return trigger

    def new_response_url(self, kind: str, user: str, channel: str, message: Message | None) -> str:
        """A response URL; `kind` is `commands` or `actions`, as on hooks.slack.com."""
        path = f"{kind}/{self.team_id}/{secrets.randbelow(10**13)}/{secrets.token_hex(12)}"
        self.response_urls[path] = ResponseUrl(user, channel, self.clock(), message)
        return f"{self.api_root}/response/{path}"

    def tell(self, user: str, code: str, text: str) -> None:
        """Show a person what Slack itself has to say."""
        self.notices.append(Notice(user, code, text, self.clock()))
        self.changes.notify()
