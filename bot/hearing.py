"""Whether an organisation can still be told anything, and what follows where it cannot.

While Slack refuses the token, work goes on and events wait (`bot.notifier`). After a week of that
(`bot.refusal`) the organisation is paused: the app was probably removed and the event of it got
lost, and nobody hears what becomes of invoices. As soon as the token works again it goes on by
itself. If the app was installed anew meanwhile, it was away, and a person says whether to go on.

Each organisation's token is tried once an hour, also where there is nothing to tell.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime

import structlog

from bot.announce import Announcer
from bot.installations import Workspaces
from bot.metrics import PAUSED, REFUSED
from bot.posting import Poster
from bot.refusal import LASTS, REMOVED, Refusal, again, is_for_good
from bot.service import Service
from bot.slack import SlackError, TokenGoneError
from bot.store import BotStore
from sync.errors import Reason
from sync.model import ConnectionState, Pause

log = structlog.get_logger(__name__)

SILENT_SECONDS = 3600  # a refused token is tried again after this
LISTEN_SECONDS = 3600  # one that works, too
ANSWER_SECONDS = 3.0
AWAY_SECONDS = 60.0  # Slack does not answer: no organisation's token is tried for so long
UNHEARD = "connection.unheard"


class Hearing:
    """Tries tokens, and pauses organisations."""

    def __init__(
        self,
        service: Service,
        store: BotStore,
        poster: Poster,
        announcer: Announcer,
        *,
        workspaces: Workspaces,
        now: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`now`: the time by the store; several hosts count on with it."""
        self._service = service
        self._store = store
        self._workspaces = workspaces
        self._poster = poster
        self._announcer = announcer
        self._now = now
        self._monotonic = monotonic
        self._away_until = float("-inf")

    async def look(self, org: str) -> None:
        """Called every minute or so: try the token, if it is time. Raises `SyncError`."""
        if self._monotonic() < self._away_until or await self._store.is_silent(org):
            return
        connection = await self._service.connection(org)
        if connection is None or connection.state is ConnectionState.DISCONNECTED:
            return
        if not await self._store.first_time(org, "listened", LISTEN_SECONDS):
            return
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._poster.try_token(org)
        except TokenGoneError as error:
            await self.refused(org, error.code)
        except (SlackError, TimeoutError) as error:
            log.info("slack does not say whether a token works", error=str(error))
            self._away_until = self._monotonic() + AWAY_SECONDS
        else:
            await self.heard(org)

    async def refused(self, org: str, code: str) -> None:
        """Slack refuses the token: be silent for an hour, and pause after a week of that."""
        await self._store.silence(org, SILENT_SECONDS)
        if code not in REMOVED:
            log.warning("slack token is refused; posting stops", org=org, code=code)
            return
        refusal = again(await self._store.refusal(org), code, self._now())
        await self._store.save_refusal(org, refusal)
        self._log(org, refusal)
        if is_for_good(refusal) and await self._service.pause(org, _reason(refusal)):
            log.error("organisation is paused: nobody can be told", org=org, code=code)

    def _log(self, org: str, refusal: Refusal) -> None:
        log.warning(
            "slack token is gone; posting stops",
            org=org,
            code=refusal.code,
            since=refusal.since.isoformat(),
            times=refusal.times,
            paused_after=(refusal.since + LASTS).isoformat(),
        )

    async def heard(self, org: str) -> None:
        """The token works. Raises `SyncError`, `SlackError`."""
        connection = await self._service.connection(org)
        pause = connection.pause if connection is not None else None
        asks = pause is not None and await self._was_away(org, pause)
        if pause is not None and not asks and await self._service.resume(org, ""):
            log.warning("organisation goes on: slack takes its token again", org=org)
        await self._store.speak(org)  # after it: whoever dies in between is asked again
        if asks:
            await self._announcer.connection(org, await self._store.prefs(org), ())

    async def _was_away(self, org: str, pause: Pause) -> bool:
        """Whether the app was installed since: then it had been removed, or so it looked."""
        return await self._workspaces.since(org) > pause.since.timestamp()

    async def measure(self) -> None:
        """Bring the figures for the operator up to date. Raises `StoreError`."""
        refused, paused = await self._store.refused(), 0
        for org in refused:
            connection = await self._service.connection(org)
            paused += connection is not None and connection.pause is not None
        REFUSED.set(len(refused))
        PAUSED.set(paused)


def _reason(refusal: Refusal) -> Reason:
    return Reason(code=UNHEARD, params={"code": refusal.code})
