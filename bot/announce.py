"""Messages that are about no single invoice or sync: the connection, the day, the welcome."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import structlog

from bot.blocks import connection as pages
from bot.blocks.calling import calling
from bot.blocks.digest import Day, daily
from bot.blocks.kit import Card
from bot.blocks.missed import Missed, missed
from bot.posting import Poster
from bot.prefs import Prefs
from bot.service import Service
from bot.slack import SlackError
from bot.store import BotStore
from bot.texts import texts
from sync.errors import Reason
from sync.model import ConnectionState, Event

log = structlog.get_logger(__name__)

TAGS_STAY = "removal_refused"  # an event says it: sevDesk does not remove tags; told once
OPEN_CARD = "connection"  # what is broken or held now; forgotten when it is solved


class Announcer:
    """Shows them."""

    def __init__(self, service: Service, store: BotStore, poster: Poster, tag: str) -> None:
        """`tag` is the name of the contact tag, for the explanation of what to do next."""
        self._service = service
        self._store = store
        self._poster = poster
        self._tag = tag

    async def connection(self, org: str, prefs: Prefs, events: Sequence[Event]) -> None:
        """Say that the connection broke, is held, works again or was ended."""
        connection = await self._service.connection(org)
        if connection is None:
            await self._ended(org, prefs, events)
        elif pages.is_well(connection):
            await self._solved(org, prefs)
        else:
            await self._poster.deliver(
                org, OPEN_CARD, lambda: self._trouble(org, prefs), prefs, failure=True
            )

    async def _trouble(self, org: str, prefs: Prefs) -> Card | None:
        connection = await self._service.connection(org)
        if connection is None or connection.state is ConnectionState.DISCONNECTED:
            return None
        t = texts(prefs.language)
        if connection.pause is not None:
            return calling(t, pages.paused(t, connection, connection.pause), prefs.mention)
        if connection.state is ConnectionState.BROKEN:
            return calling(t, pages.broken(t, connection), prefs.mention)
        if connection.state is ConnectionState.HELD:
            return calling(t, pages.held(t, connection), prefs.mention)
        if pages.is_outage(connection):
            return pages.outage(t, connection)
        return pages.solved(t, connection)

    async def outage(self, org: str, prefs: Prefs, event: Event) -> None:
        """Say that xTool could not work for a while, though nobody has to do anything."""
        since, until = (datetime.fromisoformat(at) for at in (event.before, event.after))

        async def render() -> Card:
            return pages.store_outage(texts(prefs.language), since, until)

        await self._poster.deliver(org, f"outage:{event.before}", render, prefs, failure=True)

    async def resumed(self, org: str, prefs: Prefs, event: Event) -> None:
        """Say that a pause is over, and how long it was."""
        connection = await self._service.connection(org)
        if connection is None:
            return
        since, name = datetime.fromisoformat(event.before), connection.account_name

        async def render() -> Card:
            return pages.resumed(texts(prefs.language), name, since, event)

        await self._poster.deliver(org, f"resumed:{event.before}", render, prefs, failure=True)

    async def missed(self, org: str, prefs: Prefs, since: datetime) -> None:
        """Where all stands, in place of what was not told since then."""
        connection = await self._service.connection(org)
        if connection is None:
            return
        overview = await self._service.overview(org)

        async def render() -> Card:
            data = Missed(connection.account_name, since, overview.counts)
            return missed(texts(prefs.language), data)

        card = f"missed:{since.isoformat()}"
        await self._poster.deliver(org, card, render, prefs, failure=True)
        await self.connection(org, prefs, ())

    async def tags_stay(self, org: str, prefs: Prefs) -> None:
        """Say that sevDesk does not remove tags."""

        async def render() -> Card:
            reason = Reason(code="sevdesk.removal_refused")
            return pages.reason_card(texts(prefs.language), reason)

        await self._poster.deliver(org, TAGS_STAY, render, prefs, failure=False)

    async def _solved(self, org: str, prefs: Prefs) -> None:
        if await self._store.posted(org, OPEN_CARD) is None:
            return
        await self._poster.put(org, OPEN_CARD, "", lambda: self._trouble(org, prefs), create=False)
        await self._store.forget_posted(org, OPEN_CARD)

    async def _ended(self, org: str, prefs: Prefs, events: Sequence[Event]) -> None:
        ends = [event for event in events if event.after == ConnectionState.DISCONNECTED.value]
        former = await self._service.former(org)
        if not ends or former is None:
            return

        async def render() -> Card:
            return pages.ended(texts(prefs.language), former.account_name, ends[-1].actor)

        await self._poster.deliver(org, f"ended:{ends[-1].id}", render, prefs, failure=False)
        await self._store.forget_posted(org, OPEN_CARD)

    async def intro(self, org: str, prefs: Prefs) -> None:
        """The first line in the chosen channel. Raises `SlackError` where it cannot be posted."""

        async def render() -> Card | None:
            connection = await self._service.connection(org)
            if connection is None:
                return None
            return pages.intro(texts(prefs.language), connection, self._tag)

        await self._poster.put(org, f"intro:{prefs.channel}", prefs.channel, render)

    async def welcome(self, org: str, user: str, language: str) -> None:
        """A direct message to who installed the app; that it fails is no reason to stop."""

        async def render() -> Card:
            return pages.welcome(texts(language), self._tag)

        try:
            await self._poster.put(org, f"welcome:{user}", user, render)
        except SlackError as error:
            log.warning("installer could not be welcomed", org=org, code=error.code)

    async def daily(self, org: str, prefs: Prefs, day: str) -> None:
        """The summary of a day, once, and only if something happened."""
        if not await self._store.first_time(org, f"daily:{day}", 2 * 24 * 3600):
            return
        try:
            await self._daily(org, prefs, day)
        except BaseException:
            await self._store.forget_once(org, f"daily:{day}")
            raise

    async def _daily(self, org: str, prefs: Prefs, day: str) -> None:
        counted = await self._store.day(org)
        connection = await self._service.connection(org)
        if not counted or connection is None:
            return
        overview = await self._service.overview(org)
        counts: dict[str, int] = {}
        for state in counted.values():
            counts[state] = counts.get(state, 0) + 1

        async def render() -> Card:
            data = Day(connection.account_name, counts, overview.needs_total)
            return daily(texts(prefs.language), data)

        await self._poster.deliver(org, f"daily:{day}", render, prefs, failure=False)
        await self._store.clear_day(org, list(counted))
