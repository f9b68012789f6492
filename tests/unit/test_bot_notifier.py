"""How much of a process the notifier takes while it waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bot.notifier import AT_ONCE, Concerned, Notifier
from sync.model import Event, EventKind
from tests.unit.bot_support import NOW


class Backlog:
    """A service with events that are never told, and a store whose leases others hold."""

    async def cursor(self, org: str) -> str:
        return ""

    async def events(self, org: str, after: str, limit: int = 500) -> list[Event]:
        return [Event(id="1-1", kind=EventKind.SYNC_FINISHED, at=NOW)]

    @asynccontextmanager
    async def lease(self, org: str, name: str, seconds: float) -> AsyncIterator[None]:
        yield None


class Sleeps:
    """Counts who waits."""

    def __init__(self) -> None:
        self.waiting = 0
        self.over = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.waiting += 1
        await self.over.wait()


def waiting_notifier() -> tuple[Notifier, Sleeps]:
    backlog: Any = Backlog()
    nobody: Any = None
    sleeps = Sleeps()
    return Notifier(backlog, backlog, nobody, nobody, nobody, sleep=sleeps), sleeps


async def waiters(notifier: Notifier, sleeps: Sleeps, orgs: list[str]) -> int:
    tasks = [asyncio.create_task(notifier.notify(org)) for org in orgs]
    for _ in range(50):
        await asyncio.sleep(0)
    waiting = sum(not task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert waiting == sleeps.waiting
    return waiting


async def test_an_organisation_that_is_told_by_another_process_holds_one_job_only() -> None:
    notifier, sleeps = waiting_notifier()
    assert await waiters(notifier, sleeps, ["T1"] * 130) == 1


async def test_slack_being_away_leaves_room_for_polls_and_deliveries() -> None:
    notifier, sleeps = waiting_notifier()
    assert await waiters(notifier, sleeps, [f"T{i}" for i in range(200)]) == AT_ONCE


async def test_whoever_waited_makes_room() -> None:
    notifier, sleeps = waiting_notifier()
    await waiters(notifier, sleeps, [f"T{i}" for i in range(200)])
    sleeps.waiting = 0
    assert await waiters(notifier, sleeps, ["T1", "T2"]) == 2


def test_an_event_of_a_later_release_keeps_no_other_from_being_told() -> None:
    """As it is read from the stream."""
    later = Event.model_validate_json(
        f'{{"kind": "of_a_later_release", "at": "{NOW.isoformat()}", "before": "what it means"}}'
    )
    assert later.kind is EventKind.OTHER
    failed = Event(kind=EventKind.INVOICE_CHANGED, at=NOW, invoice_id="7", after="failed")
    concerned = Concerned.of([later, failed])
    assert concerned.invoices == {"7": "failed"}
    assert (concerned.runs, concerned.connection, concerned.outages) == (set(), [], [])
