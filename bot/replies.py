"""Answers to one person: by whatever way is open to reach them, so that nobody gets silence."""

from __future__ import annotations

from dataclasses import replace as replace_caller

import structlog

from bot.blocks import kit
from bot.blocks.kit import Block, Card
from bot.caller import Caller
from bot.slack import SlackClients, SlackError
from bot.texts import Mrkdwn, Texts

log = structlog.get_logger(__name__)


class Replies:
    """Sends answers that one person alone sees."""

    def __init__(self, slack: SlackClients) -> None:
        self._slack = slack

    async def say(self, caller: Caller, t: Texts, text: Mrkdwn) -> Caller:
        """A sentence."""
        return await self.tell(caller, t, kit.card(text, [kit.section(text)]))

    async def tell(self, caller: Caller, t: Texts, card: Card) -> Caller:
        """A new answer, ephemeral or in a modal. Returns how the next answer reaches them."""
        return await self._first_that_works(caller, t, card, replace=False)

    async def show(self, caller: Caller, t: Texts, card: Card) -> Caller:
        """As `tell`, in place of what the person clicked in if only they see it."""
        return await self._first_that_works(caller, t, card, replace=caller.screen == "ephemeral")

    async def finish(self, caller: Caller, t: Texts, view: Block, card: Card) -> None:
        """The last view of a modal; `card` says the same to who closed it meanwhile."""
        try:
            await self.update(caller, caller.view_id, view)
        except SlackError as error:
            log.info("modal is gone", org=caller.org, code=error.code)
            await self.tell(replace_caller(caller, screen="", view_id=""), t, card)

    async def _first_that_works(
        self, caller: Caller, t: Texts, card: Card, *, replace: bool
    ) -> Caller:
        ways = [way for way in ("view", "respond", "ephemeral", "direct") if _open(way, caller)]
        for way in ways:
            try:
                return await self._by(way, caller, t, card, replace=replace)
            except SlackError as error:
                log.warning("answer did not arrive", org=caller.org, way=way, code=error.code)
        log.error("a person got no answer", org=caller.org, tried=ways)
        return caller

    async def _by(self, way: str, caller: Caller, t: Texts, card: Card, *, replace: bool) -> Caller:
        content = {"text": card.text, "blocks": list(card.blocks)}
        if way == "view":
            view = kit.modal(
                "answer", t.plain("modal.title"), card.blocks, close=t.plain("button.close")
            )
            return await self.view(caller, view)
        if way == "respond":
            body = content | {"response_type": "ephemeral", "replace_original": replace}
            await self._slack.respond(caller.response_url, body)
        elif way == "ephemeral":
            where = {"channel": caller.channel, "user": caller.user}
            await self._slack.call(caller.token, "chat_postEphemeral", **where, **content)
        else:
            await self._slack.call(caller.token, "chat_postMessage", channel=caller.user, **content)
        return caller

    async def view(self, caller: Caller, view: Block) -> Caller:
        """Open a modal, or replace the one that the person is in. Raises `SlackError`."""
        if caller.screen == "modal":
            await self.update(caller, caller.view_id, view)
            return caller
        return replace_caller(caller, screen="modal", view_id=await self.open(caller, view))

    async def open(self, caller: Caller, view: Block) -> str:
        """Open a modal; its id. A trigger lives three seconds and works once."""
        arguments = {"trigger_id": caller.trigger_id, "view": view}
        answer = await self._slack.call(caller.token, "views_open", **arguments)
        return str(answer.get("view", {}).get("id", ""))

    async def update(self, caller: Caller, view_id: str, view: Block) -> None:
        """Replace an open modal. Raises `SlackError`."""
        await self._slack.call(caller.token, "views_update", view_id=view_id, view=view)

    async def publish(self, caller: Caller, view: Block) -> None:
        """Show the Home tab. Raises `SlackError`."""
        await self._slack.call(caller.token, "views_publish", user_id=caller.user, view=view)


def _open(way: str, caller: Caller) -> bool:
    return {
        "respond": bool(caller.response_url),
        "view": caller.screen in ("modal", "home") and bool(caller.trigger_id or caller.view_id),
        "ephemeral": caller.channel[:1] in ("C", "G"),
        "direct": bool(caller.user),
    }[way]
