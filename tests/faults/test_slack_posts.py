"""SIGKILL around the posts to Slack: whatever happened is told once or more, never not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.channel import posts, telling
from tests.faults.processes import Launcher
from tests.faults.traps import SPRUNG

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

POINTS = (
    "before:slack:chat_postMessage",
    "after:slack:chat_postMessage",
    "before:trim_events",
)


@pytest.mark.timeout(120)
async def test_a_failure_is_told_although_workers_die_while_they_tell_it(
    launcher: Launcher, tmp_path: Path
) -> None:
    """A failure has a message of its own; a death right after the post may double it."""
    async with telling(tmp_path, launcher) as (world, webs, tenant):
        numbers = []
        for point in POINTS:
            numbers.append(tenant.add(difficult=True)[0].number)
            worker = world.start(f"kill:{point}")
            await world.until(lambda: not worker.alive, 30, f"killed {point}")  # noqa: B023
            assert worker.logged(SPRUNG)
        world.start()
        await world.until_quiet()
        told = [posts(webs, number) for number in numbers]
        assert min(told) >= 1
        assert sum(told) <= len(numbers) + 1
