"""One message per card: created once, then edited in place.

The intent is stored before a message is posted and its timestamp after. A process that dies in
between leaves an intent without a timestamp: the card is posted again, so a person may see it
twice but never not at all. Reading the channel to find out would need a scope for all its
messages.

The same holds for a post whose answer was lost. While a line takes requests and brings no answers
each try would be one more message, so before another post Slack is asked something harmless.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog

from bot.blocks import kit
from bot.blocks.connection import channel_problem
from bot.blocks.kit import Card
from bot.installations import Workspaces
from bot.metrics import CARDS
from bot.prefs import Prefs
from bot.slack import (
    ChannelClosedError,
    MessageGoneError,
    SlackClients,
    SlackRefusedError,
    SlackUnavailableError,
    TokenGoneError,
)
from bot.store import BotStore, Posted
from bot.texts import Mrkdwn, texts

log = structlog.get_logger(__name__)

LOCK_SECONDS = 45.0
LOCK_WAIT = 30.0
RATE_LIMIT_TRIES = 3
LONGEST_NAP = 5.0  # seconds waited here; a longer Retry-After goes to whoever called

type Render = Callable[[], Awaitable[Card | None]]


class Poster:
    """Creates and updates cards."""

    def __init__(self, slack: SlackClients, workspaces: Workspaces, store: BotStore) -> None:
        self._slack = slack
        self._workspaces = workspaces
        self._store = store

    async def token(self, org: str) -> str:
        """The token to act with. Raises `TokenGoneError` where the app is not installed."""
        installed = await self._workspaces.find(org)
        if installed is None:
            raise TokenGoneError("token", "not_installed")
        return installed.token

    async def put(
        self,
        org: str,
        key: str,
        channel: str,
        render: Render,
        *,
        thread_ts: str = "",
        create: bool = True,
    ) -> Posted | None:
        """Show the card `key`: a new message in `channel`, or the old one edited.

        `render` reads the current data and is called under the card's lock, so the newest state
        wins whoever writes last; None leaves everything as it is. Without `create` only what was
        posted before is touched. Raises `SlackError`.
        """
        async with self._locked(org, key):
            posted = await self._store.posted(org, key)
            if not create and (posted is None or not posted.ts):
                return posted
            card = await render()
            if card is None:
                return posted
            digest = _digest(card)
            if posted and posted.ts:
                if posted.digest == digest:
                    return posted
                updated = await self._update(org, key, posted, card)
                if updated or not create:
                    return updated
            elif posted:
                await self._slack.call(await self.token(org), "auth_test")
            return await self._create(org, key, card, channel=channel, thread_ts=thread_ts)

    async def _update(self, org: str, key: str, posted: Posted, card: Card) -> Posted | None:
        """Edit it; None where that message can not be edited any more."""
        try:
            await self._send(
                org, "chat_update", card, channel=posted.channel, ts=posted.ts, **_content(card)
            )
        except (MessageGoneError, ChannelClosedError) as error:
            log.info("card cannot be edited", org=org, card=key, code=error.code)
            return None
        CARDS.labels("updated").inc()
        updated = posted.model_copy(update={"digest": _digest(card)})
        await self._store.save_posted(org, key, updated)
        return updated

    async def _create(
        self, org: str, key: str, card: Card, *, channel: str, thread_ts: str
    ) -> Posted:
        intent = uuid.uuid4().hex
        await self._store.save_posted(org, key, Posted(channel=channel, intent=intent))
        arguments: dict[str, Any] = {
            "channel": channel,
            "unfurl_links": False,
            "unfurl_media": False,
            "metadata": {"event_type": "xtool_card", "event_payload": {"intent": intent}},
        }
        if thread_ts:
            arguments["thread_ts"] = thread_ts
        answer = await self._send(org, "chat_postMessage", card, **arguments, **_content(card))
        CARDS.labels("created").inc()
        posted = Posted(
            channel=str(answer.get("channel") or channel),
            ts=str(answer.get("ts") or ""),
            digest=_digest(card),
            intent=intent,
        )
        await self._store.save_posted(org, key, posted)
        return posted

    async def _send(self, org: str, method: str, card: Card, **arguments: Any) -> Any:
        """Call; what Slack does not take as blocks is sent as text rather than not at all."""
        token = await self.token(org)
        try:
            return await self._patiently(token, method, arguments)
        except SlackRefusedError as error:
            log.warning("slack refused a card", org=org, method=method, code=error.code)
            text = kit.section(Mrkdwn(card.text))
            return await self._patiently(token, method, arguments | {"blocks": [text]})

    async def _patiently(self, token: str, method: str, arguments: dict[str, Any]) -> Any:
        """Only a rate limit is waited for here: it says that nothing was done."""
        for _ in range(RATE_LIMIT_TRIES):
            try:
                return await self._slack.call(token, method, **arguments)
            except SlackUnavailableError as error:
                limited = error.code in ("ratelimited", "rate_limited", "http_429")
                if not limited or error.retry_after > LONGEST_NAP:
                    raise
                await asyncio.sleep(error.retry_after)
        return await self._slack.call(token, method, **arguments)

    @asynccontextmanager
    async def _locked(self, org: str, key: str) -> AsyncIterator[None]:
        name = f"card:{key}"
        async with self._store.waited_lease(org, name, LOCK_SECONDS, LOCK_WAIT) as lease:
            if lease is None:
                raise SlackUnavailableError("card", "busy")
            yield

    # ---- where it goes ----------------------------------------------------------------------

    async def deliver(
        self,
        org: str,
        key: str,
        render: Render,
        prefs: Prefs,
        *,
        failure: bool,
        thread_ts: str = "",
    ) -> Posted | None:
        """`put` in the chosen channel, else to the owner directly, who is told why."""
        channel = prefs.channel_for(failure=failure)
        if not channel:
            log.warning("nobody to tell", org=org, card=key)
            return None
        try:
            posted = await self.put(org, key, channel, render, thread_ts=thread_ts)
        except ChannelClosedError as error:
            await self._tell_owner(org, prefs, channel, error.code)
            if not prefs.owner or channel == prefs.owner:
                return None
            return await self.put(org, key, prefs.owner, render)
        if prefs.channel_problem and posted and posted.channel == prefs.problem_channel:
            await self._store.change_prefs(org, channel_problem="", problem_channel="")
        return posted

    async def _tell_owner(self, org: str, prefs: Prefs, channel: str, code: str) -> None:
        log.warning("channel is closed", org=org, code=code)
        await self._store.change_prefs(org, channel_problem=code, problem_channel=channel)
        if not prefs.owner:
            return
        t = texts(prefs.language)

        async def problem() -> Card:
            return channel_problem(t, channel, code)

        if await self._store.first_time(org, f"problem:{channel}:{code}", 7 * 24 * 3600):
            try:
                await self.put(org, f"problem:{channel}:{uuid.uuid4().hex}", prefs.owner, problem)
            except ChannelClosedError:
                log.warning("owner cannot be told", org=org)


def _content(card: Card) -> dict[str, Any]:
    return {"text": card.text, "blocks": list(card.blocks)}


def _digest(card: Card) -> str:
    content = json.dumps([card.text, card.blocks], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
