"""What people see in the workspace: looking things up, and waiting for them."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.sandbox.slack.core import Call, Core
from tests.sandbox.slack.faults import Faults
from tests.sandbox.slack.payloads import Target
from tests.sandbox.slack.workspace import Channel, Message, OpenView, User, Workspace


class Screen:
    """The reading half of `FakeSlack`."""

    def __init__(self, core: Core) -> None:
        self.core = core

    @property
    def workspace(self) -> Workspace:
        """Teams, people, channels."""
        return self.core.workspace

    @property
    def faults(self) -> Faults:
        """Switches for faults of the Web API."""
        return self.core.faults

    def user(self, who: str) -> User:
        """A person by id, name or kind."""
        for user in self.workspace.users.values():
            if who in {user.id, user.name, user.kind}:
                return user
        raise LookupError(f"there is no user {who!r}")

    def channel(self, which: str) -> Channel:
        """A channel by id or name."""
        for channel in self.workspace.channels.values():
            if which.lstrip("#") in {channel.id, channel.name} and channel.kind != "im":
                return channel
        if which in self.workspace.channels:
            return self.workspace.channels[which]
        raise LookupError(f"there is no channel {which!r}")

    def messages(self, channel: str, *, replies: bool = True) -> list[Message]:
        """What everybody in a channel sees, oldest first."""
        wanted = self.channel(channel).id
        shown = [m for m in self.workspace.posts if m.channel == wanted and not m.deleted]
        return [m for m in shown if not m.is_ephemeral and (replies or not m.is_reply)]

    def thread(self, message: Message) -> list[Message]:
        """The replies to a message."""
        return [m for m in self.messages(message.channel) if m.thread_ts == message.ts]

    def direct_messages(self, user: str) -> list[Message]:
        """What the app wrote to a person directly."""
        channel = self.workspace.direct(self.user(user), self.core.bot_user).id
        return [m for m in self.workspace.posts if m.channel == channel and not m.deleted]

    def ephemerals(self, user: str) -> list[Message]:
        """What one person alone sees, in any channel, oldest first."""
        who = self.user(user).id
        return [m for m in self.workspace.posts if m.visible_to == who and not m.deleted]

    def views(self, user: str) -> list[OpenView]:
        """A person's modals, the top one last."""
        return list(self.workspace.modals.get(self.user(user).id, []))

    def modal(self, user: str) -> OpenView:
        """The modal on top; `LookupError` when none is open."""
        stack = self.views(user)
        if not stack:
            raise LookupError(f"{user} has no modal open")
        return stack[-1]

    def home(self, user: str) -> OpenView | None:
        """A person's Home tab."""
        return self.workspace.homes.get(self.user(user).id)

    def calls(self, method: str | None = None) -> list[Call]:
        """Requests that the app made, oldest first."""
        return [call for call in self.core.calls if method in {None, call.method}]

    def notices(self, user: str) -> list[str]:
        """Codes of what Slack itself told a person, such as `operation_timeout`."""
        who = self.user(user).id
        return [notice.code for notice in self.core.notices if notice.user == who]

    async def wait_for[T](self, predicate: Callable[[], T], timeout: float = 20.0) -> T:  # noqa: ASYNC109 - a limit in seconds is what a test states
        """Wait until `predicate()` is true and return its value; woken by each change."""
        return await self.core.changes.wait_for(predicate, timeout)

    def find(
        self,
        action_id: str | re.Pattern[str],
        *,
        user: str = "admin",
        message: Message | OpenView | None = None,
        block_id: str | None = None,
        value: str | None = None,
    ) -> Target:
        """The newest element with this action id that the person sees."""
        places = [message] if message is not None else self.on_screen(self.user(user))
        for target in (target for place in places for target in elements_in(place)):
            own = str(target.element.get("action_id", ""))
            matches = own == action_id if isinstance(action_id, str) else action_id.search(own)
            wanted = block_id in {None, target.block["block_id"]}
            if matches and wanted and value in {None, target.element.get("value")}:
                return target
        raise LookupError(f"{user} sees nothing with the action id {action_id!r}")

    def on_screen(self, person: User) -> list[Message | OpenView]:
        """The modal on top, messages newest first, the Home tab."""
        modals = self.workspace.modals.get(person.id, [])
        home = self.workspace.homes.get(person.id)
        seen = [m for m in reversed(self.workspace.posts) if self.sees(person, m)]
        return [*modals[-1:], *seen, *([home] if home else [])]

    def sees(self, person: User, message: Message) -> bool:
        """Whether a person can read a message."""
        if message.deleted or message.visible_to not in {None, person.id}:
            return False
        channel = self.workspace.channels[message.channel]
        open_to_all = channel.kind == "public" and person.kind in {"admin", "member"}
        return open_to_all or person.id in channel.members


def elements_in(place: Message | OpenView) -> list[Target]:
    """Everything in a message or view that a person can use."""
    found = []
    for block in place.blocks:
        held = [block.get("accessory"), block.get("element"), *(block.get("elements") or [])]
        usable = [e for e in held if isinstance(e, dict) and e.get("action_id")]
        found += [Target(place, block, element) for element in usable]
    return found
