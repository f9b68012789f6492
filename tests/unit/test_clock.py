"""The store's clock: its bounds, what happens when it is set, and docket on it."""

from __future__ import annotations

import asyncio
import importlib
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from sync import clock as clocks
from sync.clock import EVERY_SECONDS, PATIENCE_SECONDS, StoreClock, anchored, hold_for
from sync.docket_time import MODULES, StoreTime, docket_told_by
from sync.errors import StoreError
from sync.store.redis import Clients

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC).timestamp()
ATTEMPT = timedelta(seconds=60)


class Steady:
    """A steady clock that a test moves."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def steady() -> Steady:
    return Steady()


def told(clock: StoreClock, steady: Steady, seconds: float, *, trip: float = 0.0) -> None:
    """The store says `seconds`; the answer took `trip`."""
    steady.at += trip
    clock.anchor(anchored(seconds, steady.at - trip, steady.at))


def reads(clock: StoreClock) -> float:
    """Seconds after noon."""
    return clock().timestamp() - NOON


def doubts(clock: StoreClock) -> float:
    return clock.doubt().total_seconds()


def test_nothing_is_decided_before_the_store_was_asked(steady: Steady) -> None:
    clock = StoreClock(120, steady)
    with pytest.raises(StoreError):
        clock()
    with pytest.raises(StoreError):
        clock.doubt()


def test_it_goes_on_by_the_steady_clock(steady: Steady) -> None:
    clock = StoreClock(120, steady)
    told(clock, steady, NOON)
    steady.at += 10
    assert reads(clock) == pytest.approx(10, abs=0.02)
    assert clock().tzinfo is UTC


def test_it_reads_as_the_earliest_and_doubts_up_to_the_latest(steady: Steady) -> None:
    clock = StoreClock(120, steady)
    told(clock, steady, NOON, trip=2.0)
    assert (reads(clock), doubts(clock)) == (0, 2)


def test_answers_that_agree_narrow_the_bounds_and_never_set_it_back(steady: Steady) -> None:
    clock = StoreClock(120, steady)
    told(clock, steady, NOON, trip=2.0)
    told(clock, steady, NOON + 1, trip=0.5)  # at least 1 and at most 1.5, by this answer
    assert reads(clock) == pytest.approx(1, abs=0.01)
    assert doubts(clock) == pytest.approx(0.5, abs=0.01)
    told(clock, steady, NOON + 1.2, trip=2.0)  # slow, and so of no use
    assert reads(clock) == pytest.approx(3, abs=0.01)
    assert doubts(clock) == pytest.approx(0.2, abs=0.01)


def test_it_is_less_sure_the_longer_the_store_is_away(steady: Steady) -> None:
    clock = StoreClock(120, steady)
    told(clock, steady, NOON)
    steady.at += 3600
    assert 3590 < reads(clock) < 3600
    assert reads(clock) + doubts(clock) > 3600


@pytest.mark.parametrize("by", [300.0, -300.0])
def test_when_the_store_s_clock_is_set_both_times_are_believed_for_a_while(
    steady: Steady, by: float
) -> None:
    clock = StoreClock(120, steady)
    told(clock, steady, NOON)
    for _ in range(40):
        steady.at += 2.9
        told(clock, steady, NOON + by + steady.at - 1000)
        passed = steady.at - 1000
        assert reads(clock) == pytest.approx(passed + min(by, 0), abs=0.2)
        assert doubts(clock) == pytest.approx(300, abs=0.4)
    for _ in range(2):
        steady.at += 3
        told(clock, steady, NOON + by + steady.at - 1000)
    assert reads(clock) == pytest.approx(by + steady.at - 1000, abs=0.2)
    assert doubts(clock) < 0.1


def test_a_clock_that_is_asked_of_two_hosts_in_turn_reads_as_the_earlier(steady: Steady) -> None:
    clock = StoreClock(120, steady)
    for turn in range(20):
        steady.at += 3
        told(clock, steady, NOON + steady.at - 1000 + (turn % 2) * 7)
    assert reads(clock) == pytest.approx(60, abs=0.2)
    assert doubts(clock) == pytest.approx(7, abs=0.4)


# ---- two hosts --------------------------------------------------------------------------


@dataclass
class Host:
    """A process somewhere: its steady clock began at another time and runs a little wrong."""

    offset: float
    drift: float
    dice: Random
    real: float = 0.0
    clock: StoreClock = field(init=False)

    def __post_init__(self) -> None:
        self.clock = StoreClock(hold_for(ATTEMPT), self.steady)

    def steady(self) -> float:
        return self.offset + self.real * (1 + self.drift)

    def ask(self, at: float, store: Store) -> None:
        """Ask at a real time, over a network that takes its time; some answers never come."""
        there = at + self.dice.random() * PATIENCE_SECONDS / 2
        back = there + self.dice.random() * PATIENCE_SECONDS / 2
        self.real = at
        asked = self.steady()
        self.real = back
        self.clock.anchor(anchored(store.time(there), asked, self.steady()))


@dataclass
class Store:
    """A store whose clock is set once."""

    set_at: float
    by: float

    def time(self, real: float) -> float:
        return NOON + real + (self.by if real >= self.set_at else 0)


def asks(dice: Random, host: Host, store: Store, until: float) -> None:
    """What `open_clock` does, up to a real time."""
    at = host.real
    while at + PATIENCE_SECONDS < until:
        host.ask(at, store)
        at = host.real + EVERY_SECONDS * dice.random()
    host.real = until


@given(
    seed=st.integers(0, 2**32),
    by=st.sampled_from((0.0, -400.0, -61.0, -3.0, 3.0, 61.0, 400.0)),
    set_at=st.floats(20, 400),
    claimed=st.floats(20, 400),
    later=st.floats(0, 59.9),
    drifts=st.tuples(st.floats(-4e-4, 4e-4), st.floats(-4e-4, 4e-4)),
)
def test_no_host_takes_another_s_attempt_for_abandoned_while_it_may_be_under_way(
    seed: int,
    by: float,
    set_at: float,
    claimed: float,
    later: float,
    drifts: tuple[float, float],
) -> None:
    """Whatever the network, the drift, and the setting of the store's clock."""
    store, dice = Store(set_at, by), Random(seed)
    one, other = (Host(dice.random() * 1e6, drift, dice) for drift in drifts)
    asks(dice, one, store, claimed)
    deadline = one.clock() + one.clock.doubt() + ATTEMPT
    asks(dice, other, store, claimed + later)
    assert other.clock() < deadline


# ---- a real store -----------------------------------------------------------------------


async def test_the_store_is_asked_at_the_start_and_again_and_again(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clocks, "EVERY_SECONDS", 0.01)
    asked = asyncio.Semaphore(0)

    async def ask(of: Clients) -> clocks.Anchor:
        asked.release()
        return await original(of)

    original = clocks.ask
    monkeypatch.setattr(clocks, "ask", ask)
    async with clocks.open_clock(clients, ATTEMPT) as clock:
        here = time.time()
        assert clock().timestamp() <= here + 1
        assert clock().timestamp() + clock.doubt().total_seconds() >= here - 1
        for _ in range(3):
            await asyncio.wait_for(asked.acquire(), 20)


async def test_the_store_tells_its_time_to_the_microsecond(clients: Clients) -> None:
    """The store is on this machine, so its clock is this one's."""
    before = time.time()
    found = await clocks.ask(clients)
    after = time.time()
    assert before - 0.001 <= found.low <= after + 0.001
    assert found.high - found.low <= after - before + 0.001


async def test_a_store_s_clock_that_is_set_is_one_line_in_the_log(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clocks, "EVERY_SECONDS", 0.01)
    original, asked = clocks.ask, asyncio.Semaphore(0)

    async def ask(of: Clients) -> clocks.Anchor:
        found = await original(of)
        asked.release()
        shift = 300 if began.is_set() else 0
        began.set()
        return clocks.Anchor(found.at, found.low + shift, found.high + shift)

    began = asyncio.Event()
    monkeypatch.setattr(clocks, "ask", ask)
    with capture_logs() as lines:
        async with clocks.open_clock(clients, ATTEMPT):
            for _ in range(6):
                await asyncio.wait_for(asked.acquire(), 20)
    told = [line for line in lines if line["log_level"] == "warning"]
    assert len(told) == 1
    assert told[0]["seconds"] == pytest.approx(300, abs=5)


async def test_it_goes_on_while_the_store_is_away_and_takes_it_up_again(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clocks, "EVERY_SECONDS", 0.01)
    answers = [StoreError("away"), TimeoutError(), ValueError("a strange answer")]
    taken_up = asyncio.Event()

    async def ask(of: Clients) -> clocks.Anchor:
        if began.is_set():
            if answers:
                raise answers.pop(0)
            taken_up.set()
        began.set()
        return await original(of)

    began, original = asyncio.Event(), clocks.ask
    monkeypatch.setattr(clocks, "ask", ask)
    async with clocks.open_clock(clients, ATTEMPT) as clock:
        await asyncio.wait_for(taken_up.wait(), 20)
        assert abs(clock().timestamp() - time.time()) < 5


async def test_without_a_store_there_is_no_time(clients: Clients) -> None:
    nowhere = Clients("redis://127.0.0.1:1")
    with pytest.raises(StoreError):
        async with clocks.open_clock(nowhere, ATTEMPT):
            pytest.fail("nothing may begin")
    await nowhere.aclose()


# ---- docket -----------------------------------------------------------------------------


def test_docket_asks_the_store_s_clock() -> None:
    before = [importlib.import_module(name).datetime for name in MODULES]
    assert all(found in (datetime, StoreTime) for found in before)
    there = datetime(2031, 1, 1, tzinfo=UTC)
    with docket_told_by(lambda: there):
        for name in MODULES:
            assert importlib.import_module(name).datetime.now(UTC) == there, name
    assert abs(StoreTime.now(UTC) - datetime.now(UTC)) < timedelta(seconds=5)


def test_of_two_clocks_in_a_process_the_one_that_is_left_tells() -> None:
    one, other = datetime(2031, 1, 1, tzinfo=UTC), datetime(2032, 1, 1, tzinfo=UTC)
    first, second = docket_told_by(lambda: one), docket_told_by(lambda: other)
    with first:
        second.__enter__()
        assert StoreTime.now(UTC) == other
    assert StoreTime.now(UTC) == other
    second.__exit__(None, None, None)
    assert StoreTime.now(UTC).year < 2031
