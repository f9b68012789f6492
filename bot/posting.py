"""One message per card: created once, then edited in place.

The intent is stored before a message is posted and its timestamp after. A process that dies in
between leaves an intent without a timestamp: the card is posted again, so a person may see it
twice but never not at all. Reading the channel to find out would need a scope for all its
messages.

The same holds for a post whose answer was lost. While a line takes requests and brings no answers
each try would be one more message, so before another post Slack is asked something harmless.

A message that Slack refuses for good, or has an error of its own for again and again
(`bot.trouble`), is shown as plain text; where that is refused as well, a note that something could
not be shown takes its place, in a direct message if need be. Whatever Slack takes of these proves
that it is not Slack as a whole that is away: if it takes none, the card waits.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from bot.blocks.connection import channel_problem
from bot.blocks.kit import Card
from bot.blocks.unshown import as_text, unshown
from bot.installations import Workspaces
from bot.metrics import CARDS
from bot.prefs import Prefs
from bot.slack import (
    CardRefusedError,
    ChannelClosedError,
    MessageGoneError,
    SlackClients,
    SlackError,
    SlackRefusedError,
    SlackUnavailableError,
    TokenGoneError,
)
from bot.store import BotStore, Posted
from bot.texts import texts
from bot.trouble import again, is_lasting, seconds_left

log = structlog.get_logger(__name__)

LOCK_SECONDS = 45.0
LOCK_WAIT = 30.0
RATE_LIMIT_TRIES = 3
LONGEST_NAP = 5.0  # seconds waited here; a longer Retry-After goes to whoever called


def utc_now() -> datetime:
    """This host's time."""
    return datetime.now(UTC)


type Render = Callable[[], Awaitable[Card | None]]


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a card goes."""

    channel: str
    thread_ts: str = ""
    create: bool = True  # where it is not shown yet, or cannot be edited
    anew: bool = False  # a message of its own, whatever was posted before


class Poster:
    """Creates and updates cards."""

    def __init__(
        self,
        slack: SlackClients,
        workspaces: Workspaces,
        store: BotStore,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """`now`: the store's time, because several hosts write down when a card is tried again."""
        self._now = now
        self._slack = slack
        self._workspaces = workspaces
        self._store = store

    async def token(self, org: str) -> str:
        """The token to act with. Raises `TokenGoneError` where the app is not installed."""
        installed = await self._workspaces.find(org)
        if installed is None:
            raise TokenGoneError("token", "not_installed")
        return installed.token

    async def try_token(self, org: str) -> None:
        """Ask Slack something harmless. Raises `SlackError`, `TokenGoneError` among others."""
        await self._slack.call(await self.token(org), "auth_test")

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
            if card is None or (posted and posted.ts and posted.digest == _digest(card)):
                return posted
            self._wait_for_its_time(posted)
            return await self._show(org, key, card, Spot(channel, thread_ts, create=create))

    def _wait_for_its_time(self, posted: Posted | None) -> None:
        left = seconds_left(posted.trouble if posted else None, self._now())
        if left:
            raise CardRefusedError("card", "waits", left, asked=False)

    async def _show(self, org: str, key: str, card: Card, spot: Spot) -> Posted | None:
        """The card itself, or what Slack takes in its place."""
        digest = _digest(card)
        refused: SlackError
        try:
            return await self._put(org, key, card, spot, digest)
        except SlackRefusedError as error:
            refused = error
        except SlackUnavailableError as error:
            refused = await self._in_trouble(org, key, error)
            if not refused.lasts:
                raise refused from None
        log.warning("slack refused a card", org=org, card=key, code=refused.code)
        for instead, where in await self._instead(org, key, card, spot):
            try:
                shown = await self._put(org, key, instead, where, digest)
            except (SlackRefusedError, ChannelClosedError) as error:
                log.info("slack refused what was to take its place", org=org, code=error.code)
            except SlackUnavailableError as error:
                counted = isinstance(refused, CardRefusedError)
                refused = await self._in_trouble(org, key, error, counted=counted)
            else:
                CARDS.labels("replaced").inc()
                return shown
        raise refused

    async def _in_trouble(
        self, org: str, key: str, error: SlackUnavailableError, *, counted: bool = False
    ) -> CardRefusedError:
        """Note that Slack has an error of its own for the card; `counted`: this try is noted.

        Raises `error` where it is not about this card.
        """
        if not error.may_be_the_message:
            raise error
        now = self._now()
        posted = await self._store.posted(org, key) or Posted(channel="")
        trouble = posted.trouble
        if trouble is None or not counted:
            trouble = again(trouble, now)
            await self._store.save_posted(org, key, posted.model_copy(update={"trouble": trouble}))
        return CardRefusedError(
            error.method,
            error.code,
            seconds_left(trouble, now),
            asked=True,
            lasts=is_lasting(trouble, now),
        )

    async def _instead(self, org: str, key: str, card: Card, spot: Spot) -> list[tuple[Card, Spot]]:
        """What is tried in the card's place, in this order."""
        prefs = await self._store.prefs(org)
        posted = await self._store.posted(org, key)
        t = texts(prefs.language)
        note = unshown(t, card.about)
        tries = [(as_text(t, card), spot), (note, spot)]
        where = (posted.channel if posted and posted.ts else "") or spot.channel
        if posted and posted.ts and where:
            tries.append((note, Spot(where, anew=True)))
        direct = prefs.owner or prefs.installer
        if direct and direct != where:
            tries.append((note, Spot(direct, anew=True)))
        return tries

    async def _put(self, org: str, key: str, card: Card, spot: Spot, digest: str) -> Posted | None:
        """Edit what is there, or post it. `digest` is of what is to be shown."""
        posted = await self._store.posted(org, key)
        if posted and posted.ts and not spot.anew:
            updated = await self._update(org, key, posted, card, digest)
            if updated or not spot.create:
                return updated
        elif posted and posted.intent and not posted.ts:
            await self.try_token(org)
        return await self._create(org, key, card, spot, digest)

    async def _update(
        self, org: str, key: str, posted: Posted, card: Card, digest: str
    ) -> Posted | None:
        """Edit it; None where that message can not be edited any more."""
        try:
            await self._patiently(
                org, "chat_update", channel=posted.channel, ts=posted.ts, **_content(card)
            )
        except (MessageGoneError, ChannelClosedError) as error:
            log.info("card cannot be edited", org=org, card=key, code=error.code)
            return None
        CARDS.labels("updated").inc()
        updated = posted.model_copy(update={"digest": digest, "trouble": None})
        await self._store.save_posted(org, key, updated)
        return updated

    async def _create(self, org: str, key: str, card: Card, spot: Spot, digest: str) -> Posted:
        intent = uuid.uuid4().hex
        before = await self._store.posted(org, key)
        begun = Posted(
            channel=spot.channel, intent=intent, trouble=before.trouble if before else None
        )
        await self._store.save_posted(org, key, begun)
        arguments: dict[str, Any] = {
            "channel": spot.channel,
            "unfurl_links": False,
            "unfurl_media": False,
            "metadata": {"event_type": "xtool_card", "event_payload": {"intent": intent}},
        }
        if spot.thread_ts:
            arguments["thread_ts"] = spot.thread_ts
        answer = await self._patiently(org, "chat_postMessage", **arguments, **_content(card))
        CARDS.labels("created").inc()
        posted = Posted(
            channel=str(answer.get("channel") or spot.channel),
            ts=str(answer.get("ts") or ""),
            digest=digest,
            intent=intent,
        )
        await self._store.save_posted(org, key, posted)
        return posted

    async def _patiently(self, org: str, method: str, **arguments: Any) -> Any:
        """Only a rate limit is waited for here: it says that nothing was done."""
        token = await self.token(org)
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
