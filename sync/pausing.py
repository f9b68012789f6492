"""An organisation is paused: nothing new is imported, prepared or handed over.

That is for reasons outside of sevDesk and the access point, which `sync` need not understand:
whoever pauses gives one, and says when it is over. What is on its way is still settled, asked about
and tagged, because that cannot be taken back; records, token and settings stay as they are.
"""

from __future__ import annotations

from sync.book import Book
from sync.errors import Reason
from sync.model import Connection, ConnectionState, Pause
from sync.polling import PausedError, wake_postponed
from sync.ports import Ports


class Pausing:
    """Pauses organisations, and lets them go on."""

    def __init__(self, ports: Ports) -> None:
        """Nothing is done yet."""
        self._ports = ports

    async def pause(self, org: str, reason: Reason) -> bool:
        """From now on. False: it is so already, or nothing is connected. Raises `StoreError`."""
        pause = Pause(since=self._ports.now(), reason=reason)

        def change(connection: Connection) -> Connection | None:
            if connection.pause or connection.state is ConnectionState.DISCONNECTED:
                return None
            return connection.model_copy(update={"pause": pause, "next_sync": None})

        book = Book(self._ports, org)
        return await book.change_connection(change, action="paused") is not None

    async def resume(self, org: str, actor: str) -> bool:
        """Go on; `actor`: who says so, if a person does. False: it is not paused.

        What was begun before goes on at once. Where more gathered than a sync sends without a
        word (`planner`), it asks.
        """
        book = Book(self._ports, org)

        def change(connection: Connection) -> Connection | None:
            return connection.model_copy(update={"pause": None}) if connection.pause else None

        if await book.change_connection(change, action="resumed", actor=actor) is None:
            return False
        await wake_postponed(self._ports, book)
        await self._ports.jobs.hint_poll(org, soon=True)
        return True

    async def require_none(self, org: str) -> None:
        """Raises `PausedError`: what a person wants now would not happen."""
        connection = await self._ports.organisation(org).connection()
        if connection is not None and connection.pause is not None:
            raise PausedError("paused")
