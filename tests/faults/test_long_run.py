"""As many polls as fifty organisations make in a day, by a real worker: nothing grows.

The waits between them are short, so it is over in a quarter of an hour; what depends on the hours
themselves is in `tests/engine/test_day.py`, whose clock is moved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.faults.processes import Launcher, Worker
from tests.faults.world import World, open_world

pytestmark = [pytest.mark.faults, pytest.mark.slow]

ORGANISATIONS = 50
POLLS = 24 * 12 * ORGANISATIONS
WARM_UP = 20 * ORGANISATIONS  # polls until everything that is made once is made
LOOK_EVERY = 1.0  # seconds


class Counted:
    """What a worker costs: its requests to sevDesk, its memory and its open files."""

    def __init__(self, world: World, worker: Worker) -> None:
        """Nothing was counted yet."""
        self._log = world.sevdesk.log
        self._process = psutil.Process(worker.pid)
        self.polls = self.requests = 0
        self.memory: list[int] = []
        self.files: list[int] = []

    async def until(self, polls: int) -> None:
        """Count so many polls from now on, and look at the process once a second."""
        self._log.clear()
        self.polls = self.requests = 0
        self.memory, self.files = [], []
        while self.polls < polls:
            await asyncio.sleep(LOOK_EVERY)
            self.polls += sum(one.path.endswith("/TagRelation") for one in self._log)
            self.requests += len(self._log)
            self._log.clear()  # the test's own process must not grow either
            self.memory.append(self._process.memory_info().rss)
            self.files.append(self._process.num_fds())


@pytest.mark.timeout(3000)
async def test_a_day_of_polls_costs_three_requests_each_and_nothing_grows(
    launcher: Launcher, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """Memory by the median of the first and the last minute, files by the most of each half."""
    async with open_world(tmp_path, launcher) as world:
        for number in range(ORGANISATIONS):
            (await world.connect(f"T{number:02d}")).add(3)
        worker = world.start()
        await world.until_quiet(300)
        counted = Counted(world, worker)
        await counted.until(WARM_UP)
        await counted.until(POLLS)
        assert worker.alive
        memory, files = counted.memory, counted.files
        before, after = (sorted(part)[30] / 2**20 for part in (memory[:60], memory[-60:]))
        half = len(files) // 2
        figure(
            f"{counted.polls} polls in {len(files) * LOOK_EVERY:.0f} s, "
            f"{counted.requests / counted.polls:.3f} requests a poll, "
            f"memory {before:.1f} to {after:.1f} MB, "
            f"open files at most {max(files[:half])} and {max(files[half:])}"
        )
        # Polls are under way when the counting begins and ends, each with up to two requests.
        assert abs(counted.requests - 3 * counted.polls) <= 2 * 2 * ORGANISATIONS
        assert after <= 1.05 * before
        assert max(files[half:]) <= max(files[:half])
        await world.check_promises()
        await world.check_ends()
