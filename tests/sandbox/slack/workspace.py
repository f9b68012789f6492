"""What a Slack workspace holds: people, channels, messages, views, files. No network here.

Objects are mutable and live: a test that keeps a `Message` sees its later edits, and its
earlier contents in `Message.history`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

type Json = dict[str, Any]


class Changes:
    """Wakes whoever waits for a condition; several stand-ins may share one."""

    def __init__(self) -> None:
        self.version = 0
        self._waiting: set[asyncio.Event] = set()

    def notify(self) -> None:
        """Say that something changed."""
        self.version += 1
        for event in self._waiting:
            event.set()

    async def wait_for[T](self, predicate: Callable[[], T], timeout: float) -> T:  # noqa: ASYNC109 - a limit in seconds is what a test states
        """Return the predicate's first true value; `TimeoutError` after `timeout` seconds.

        A predicate that raises `LookupError` is not true yet: what it asks for is not there.
        """
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            async with asyncio.timeout(timeout):
                while True:
                    with contextlib.suppress(LookupError):
                        if value := predicate():
                            return value
                    await event.wait()
                    event.clear()
        finally:
            self._waiting.discard(event)


@dataclass
class Team:
    """A workspace, or with `is_enterprise` the organisation above several."""

    id: str
    name: str
    domain: str
    enterprise_id: str | None = None


@dataclass
class User:
    """A person or the app's bot. `kind` is admin, member, guest, external or bot."""

    id: str
    name: str
    real_name: str
    team_id: str
    kind: str = "member"
    locale: str = "en-US"
    tz: str = "Europe/Berlin"
    deleted: bool = False

    def profile(self, *, home_team: str, include_locale: bool) -> Json:
        """The `user` object of `users.info`, as a token of `home_team` sees it."""
        answer: Json = {
            "id": self.id,
            "team_id": self.team_id,
            "name": self.name,
            "real_name": self.real_name,
            "deleted": self.deleted,
            "tz": self.tz,
            "is_admin": self.kind == "admin",
            "is_owner": False,
            "is_primary_owner": False,
            "is_restricted": self.kind == "guest",
            "is_ultra_restricted": False,
            "is_bot": self.kind == "bot",
            "is_stranger": self.team_id != home_team,
            "profile": {"real_name": self.real_name, "display_name": self.name},
        }
        if include_locale:
            answer["locale"] = self.locale
        return answer


@dataclass
class Channel:
    """A conversation. `kind` is public, private or im."""

    id: str
    name: str
    team_id: str
    kind: str = "public"
    members: set[str] = field(default_factory=set)
    archived: bool = False
    shared: bool = False

    def info(self) -> Json:
        """The `channel` object of `conversations.info`."""
        return {
            "id": self.id,
            "name": self.name,
            "is_channel": self.kind == "public",
            "is_private": self.kind != "public",
            "is_im": self.kind == "im",
            "is_archived": self.archived,
            "is_ext_shared": self.shared,
            "context_team_id": self.team_id,
            "num_members": len(self.members),
        }


@dataclass
class Message:
    """One message. `visible_to` names the only person who sees an ephemeral one."""

    channel: str
    ts: str
    user: str
    text: str = ""
    blocks: list[Json] = field(default_factory=list)
    thread_ts: str | None = None
    visible_to: str | None = None
    metadata: Json | None = None
    files: list[Json] = field(default_factory=list)
    by_app: bool = True
    edited: bool = False
    deleted: bool = False
    history: list[Json] = field(default_factory=list)
    state: Json = field(default_factory=dict)

    @property
    def is_reply(self) -> bool:
        """Whether it lives in a thread only."""
        return self.thread_ts is not None and self.thread_ts != self.ts

    @property
    def is_ephemeral(self) -> bool:
        """Whether one person alone sees it."""
        return self.visible_to is not None

    @property
    def pings(self) -> list[str]:
        """`channel`, `here` or `everyone` where the markup notifies them all."""
        return re.findall(r"<!(channel|here|everyone)(?:\|[^>]*)?>", self.all_text)

    @property
    def all_text(self) -> str:
        """Fallback text and every text in the blocks, one per line."""
        return "\n".join([self.text, *texts(self.blocks)])

    def payload(self, bot_id: str, app_id: str) -> Json:
        """The `message` object of API answers and of clicks."""
        answer: Json = {"type": "message", "ts": self.ts, "text": self.text, "user": self.user}
        if self.by_app:
            answer |= {"bot_id": bot_id, "app_id": app_id}
        optional = {
            "blocks": self.blocks,
            "thread_ts": self.thread_ts,
            "metadata": self.metadata,
            "files": self.files,
            "edited": {"user": self.user, "ts": self.ts} if self.edited else None,
        }
        return answer | {key: value for key, value in optional.items() if value}

    def change(self, *, text: str | None, blocks: list[Json] | None) -> None:
        """Replace the content, keeping what was there in `history`."""
        self.history.append({"text": self.text, "blocks": self.blocks})
        self.text = self.text if text is None else text
        self.blocks = self.blocks if blocks is None else blocks
        self.edited = True


@dataclass
class OpenView:
    """A modal on someone's screen, or someone's Home tab."""

    id: str
    user: str
    content: Json
    hash: str
    root_id: str
    previous_id: str | None = None
    values: Json = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    trouble: str = ""
    busy: bool = False
    history: list[Json] = field(default_factory=list)

    @property
    def blocks(self) -> list[Json]:
        """The blocks shown."""
        blocks: list[Json] = self.content.get("blocks", [])
        return blocks

    @property
    def callback_id(self) -> str:
        """The name the app gave the view."""
        return str(self.content.get("callback_id", ""))

    @property
    def title(self) -> str:
        """The title shown."""
        return str((self.content.get("title") or {}).get("text", ""))

    @property
    def all_text(self) -> str:
        """Every text in the blocks, one per line."""
        return "\n".join(texts(self.blocks))

    def payload(self, *, team_id: str, app_id: str, bot_id: str) -> Json:
        """The `view` object of API answers and of submissions."""
        defaults = {"private_metadata": "", "callback_id": "", "external_id": ""}
        flags = {"clear_on_close": False, "notify_on_close": False, "submit": None, "close": None}
        return (
            {**defaults, **flags, **self.content}
            | {"id": self.id, "team_id": team_id, "app_id": app_id, "bot_id": bot_id}
            | {"app_installed_team_id": team_id, "state": {"values": self.values}}
            | {"hash": self.hash, "root_view_id": self.root_id}
            | {"previous_view_id": self.previous_id}
        )


@dataclass
class StoredFile:
    """A file between its upload URL and its place in a channel."""

    id: str
    name: str
    length: int
    secret: str
    content: bytes = b""
    title: str = ""
    shared: bool = False


def texts(node: Any) -> list[str]:
    """Every text that a person could read in blocks, in order."""
    if isinstance(node, list):
        return [text for item in node for text in texts(item)]
    if not isinstance(node, dict):
        return []
    own = node.get("text")
    found = [own] if isinstance(own, str) else []
    return found + [t for v in node.values() if isinstance(v, dict | list) for t in texts(v)]


class Workspace:
    """The store. Ids look like Slack's; `clock` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float], changes: Changes) -> None:
        self.clock = clock
        self.changes = changes
        self.teams: dict[str, Team] = {}
        self.users: dict[str, User] = {}
        self.channels: dict[str, Channel] = {}
        self.posts: list[Message] = []
        self.modals: dict[str, list[OpenView]] = {}
        self.homes: dict[str, OpenView] = {}
        self.files: dict[str, StoredFile] = {}
        self._last_ts = 0
        self._count = 0

    def next_id(self, prefix: str) -> str:
        """A fresh id such as `V0000000012`."""
        self._count += 1
        return f"{prefix}{self._count:010d}"

    def next_ts(self) -> str:
        """A message timestamp, unique and rising, seconds with six decimals."""
        self._last_ts = max(self._last_ts + 1, int(self.clock() * 1_000_000))
        seconds, micros = divmod(self._last_ts, 1_000_000)
        return f"{seconds}.{micros:06d}"

    def direct(self, user: User, bot_id: str) -> Channel:
        """The direct conversation of a person and the app, made when first needed."""
        channel_id = "D" + user.id[1:]
        if channel_id not in self.channels:
            self.channels[channel_id] = Channel(
                channel_id, user.name, user.team_id, "im", {user.id, bot_id}
            )
        return self.channels[channel_id]

    def add(self, message: Message) -> Message:
        """Keep a message and wake those who wait."""
        self.posts.append(message)
        self.changes.notify()
        return message

    def find(self, channel: str, ts: str) -> Message | None:
        """The message with this timestamp, unless it is deleted."""
        for message in reversed(self.posts):
            if message.channel == channel and message.ts == ts and not message.deleted:
                return message
        return None

    def view(self, view_id: str = "", external_id: str = "") -> OpenView | None:
        """An open modal or a Home tab by either id."""
        everything = [v for stack in self.modals.values() for v in stack] + [*self.homes.values()]
        for view in everything:
            external = view.content.get("external_id")
            if view.id == view_id or (external_id and external == external_id):
                return view
        return None

    def drop_view(self, view: OpenView) -> None:
        """Take a modal off its stack."""
        stack = self.modals.get(view.user, [])
        self.modals[view.user] = [other for other in stack if other is not view]
        self.changes.notify()


def seed(workspace: Workspace, bot_user: str) -> None:
    """A small believable company: one person of each kind, one channel of each kind."""
    team = Team("T0LINDHOF", "Lindhof Elektrotechnik", "lindhof")
    partner = Team("T0PARTNER", "Lagerhaus Partner", "lagerhaus")
    people = [
        User("U0ADMIN", "anna", "Anna Berger", team.id, "admin", "de-DE"),
        User("U0MEMBER", "ben", "Ben Carter", team.id, "member", "en-US"),
        User("U0MEMBER2", "clara", "Clara Vogt", team.id, "member", "de-DE"),
        User("U0GUEST", "deniz", "Deniz Kaya", team.id, "guest", "de-DE"),
        User("U0EXTERN", "erik", "Erik Olsson", partner.id, "external", "en-GB"),
        User(bot_user, "xtool", "xTool", team.id, "bot"),
    ]
    staff = {"U0ADMIN", "U0MEMBER", "U0MEMBER2"}
    channels = [
        Channel("C0INVOICES", "invoices", team.id, "public", staff | {"U0GUEST", bot_user}),
        Channel("C0GENERAL", "general", team.id, "public", staff | {"U0GUEST"}),
        Channel("C0FINANCE", "finance-team", team.id, "private", staff | {bot_user}),
        Channel("C0BOARD", "board-only", team.id, "private", {"U0ADMIN"}),
        Channel(
            "C0SHARED",
            "with-lagerhaus",
            team.id,
            "public",
            staff | {"U0EXTERN", bot_user},
            shared=True,
        ),
        Channel("C0OLD", "invoices-2024", team.id, "public", staff | {bot_user}, archived=True),
    ]
    workspace.teams = {team.id: team, partner.id: partner}
    workspace.users = {user.id: user for user in people}
    workspace.channels = {channel.id: channel for channel in channels}
