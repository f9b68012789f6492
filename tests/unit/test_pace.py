from __future__ import annotations

import asyncio
import time

import pytest

from sync.store import pace
from sync.store.pace import Breaker, Change, Pacer, PausedError
from sync.store.redis import Clients

KEY = "xt:{T1}:pace"


async def test_requests_are_spaced_evenly(clients: Clients) -> None:
    pacer = Pacer(clients, KEY, per_second=10)
    waits = [await pacer.take() for _ in range(5)]
    assert waits[0] == 0
    for place, wait in enumerate(waits[1:], start=1):
        assert place / 10 - 0.09 < wait <= place / 10


async def test_a_burst_goes_at_once(clients: Clients) -> None:
    pacer = Pacer(clients, KEY, per_second=1, burst=3)
    waits = [await pacer.take() for _ in range(4)]
    assert waits[:3] == [0, 0, 0]
    assert 0.5 < waits[3] <= 1


async def test_two_workers_share_one_pace(clients: Clients, redis_url: str) -> None:
    other = Clients(redis_url)
    await Pacer(clients, KEY, per_second=1).take()
    assert await Pacer(other, KEY, per_second=1).take() > 0.5
    await other.aclose()


async def test_two_accounts_do_not_share_it(clients: Clients) -> None:
    await Pacer(clients, KEY, per_second=1).take()
    assert await Pacer(clients, "xt:{T2}:pace", per_second=1).take() == 0


async def test_pace_waits_as_long_as_it_must(clients: Clients) -> None:
    pacer = Pacer(clients, KEY, per_second=50)
    began = time.monotonic()
    await asyncio.gather(*(pacer.pace() for _ in range(11)))
    assert time.monotonic() - began >= 10 / 50


async def test_a_wait_that_is_too_long_takes_no_place(clients: Clients) -> None:
    pacer = Pacer(clients, KEY, per_second=0.1, longest_wait=15)
    assert [await pacer.take() > 0 for _ in range(2)] == [False, True]
    for _ in range(3):
        with pytest.raises(PausedError) as caught:
            await pacer.take()
        assert caught.value.retry_after is not None
        assert 15 < caught.value.retry_after <= 20


async def test_a_hold_stops_everybody(clients: Clients) -> None:
    pacer = Pacer(clients, KEY, per_second=100, burst=5)
    await pacer.hold(10)
    assert 9 < await pacer.take() <= 10


async def test_a_hold_never_shortens_a_longer_one(clients: Clients) -> None:
    pacer = Pacer(clients, KEY, per_second=100)
    await pacer.hold(20)
    await pacer.hold(0)
    assert 19 < await pacer.take() <= 20


async def test_a_hold_is_bounded(clients: Clients) -> None:
    pacer = Pacer(clients, KEY, per_second=100, longest_wait=1e6)
    await pacer.hold(1e9)
    assert await pacer.take() <= pace.LONGEST_HOLD


async def test_a_refusal_makes_the_pace_slower_for_everybody(
    clients: Clients, redis_url: str
) -> None:
    other = Clients(redis_url)
    await Pacer(clients, KEY, per_second=10).hold(0)
    assert await Pacer(other, KEY, per_second=10).per_second() == pytest.approx(10 / 1.5)
    await other.aclose()


async def test_refusals_at_the_same_old_pace_count_once(clients: Clients) -> None:
    pacer = Pacer(clients, KEY, per_second=10)
    for _ in range(8):
        await pacer.hold(0)
    assert await pacer.per_second() == pytest.approx(10 / 1.5)


async def test_a_refusal_at_the_new_pace_makes_it_slower_again(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "STALE", 0.0)
    pacer = Pacer(clients, KEY, per_second=10)
    await pacer.hold(0)
    await pacer.hold(0)
    assert await pacer.per_second() == pytest.approx(10 / 1.5**2)


async def test_the_pace_is_never_slower_than_the_slowest(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "STALE", 0.0)
    pacer = Pacer(clients, KEY, per_second=10)
    for _ in range(30):
        await pacer.hold(0)
    assert await pacer.per_second() == pytest.approx(1 / pace.SLOWEST)


async def test_a_pace_slower_than_the_slowest_is_kept(clients: Clients) -> None:
    pacer = Pacer(clients, KEY, per_second=0.1)
    await pacer.hold(0)
    assert await pacer.per_second() == pytest.approx(0.1)


async def test_there_is_no_burst_after_a_refusal(clients: Clients) -> None:
    pacer = Pacer(clients, KEY, per_second=0.5, burst=4)
    await pacer.hold(0)
    waits = [await pacer.take() for _ in range(3)]
    assert waits[0] == 0
    assert 3.0 - 2 < waits[1] <= 3.0
    assert 6.0 - 2 < waits[2] <= 6.0


async def test_a_place_taken_before_a_refusal_is_void(clients: Clients) -> None:
    pacer = Pacer(clients, KEY, per_second=1)
    await pacer.take()
    began = time.monotonic()
    waiting = asyncio.create_task(pacer.pace())  # its place is 1 s away
    await asyncio.sleep(0.02)
    await pacer.hold(1.4)
    await waiting
    assert time.monotonic() - began >= 1.4


async def test_void_places_are_free_again(clients: Clients) -> None:
    pacer = Pacer(clients, KEY, per_second=1)
    for _ in range(20):
        await pacer.take()
    await pacer.hold(25)
    assert 23 < await pacer.take() <= 25


async def test_it_becomes_faster_step_by_step_until_the_full_pace(clients: Clients) -> None:
    pacer = Pacer(clients, KEY, per_second=1000, quiet_seconds=0, quiet_requests=5)
    await pacer.hold(0)
    found = []
    for _ in range(60):
        await pacer.take()
        found.append(await pacer.per_second())
    steps = list(dict.fromkeys(round(one) for one in found))
    assert steps == [667, 717, 767, 817, 867, 917, 967, 1000]
    assert found.count(found[0]) == 5


async def test_the_burst_is_back_with_the_full_pace(clients: Clients) -> None:
    pacer = Pacer(clients, KEY, per_second=20, burst=3, quiet_seconds=0, quiet_requests=0)
    await pacer.hold(0)
    while await pacer.per_second() < 20:
        await pacer.take()
    await asyncio.sleep(await pacer.take() + 3 / 20)
    assert [await pacer.take() for _ in range(3)] == [0, 0, 0]


@pytest.mark.parametrize(("seconds", "requests"), [(3600, 0), (0, 1000)])
async def test_neither_time_nor_requests_alone_make_it_faster(
    clients: Clients, seconds: float, requests: int
) -> None:
    pacer = Pacer(clients, KEY, per_second=1000, quiet_seconds=seconds, quiet_requests=requests)
    await pacer.hold(0)
    for _ in range(20):
        await pacer.take()
    assert await pacer.per_second() == pytest.approx(1000 / 1.5, rel=0.01)


async def test_a_slower_pace_is_remembered_over_a_rest(clients: Clients) -> None:
    pacer = Pacer(clients, KEY, per_second=10)
    await pacer.hold(0)
    await pacer.take()
    assert await clients.exact.pttl(KEY) > 24 * 3600 * 1000


async def test_the_pace_is_forgotten_when_it_has_passed(clients: Clients) -> None:
    await Pacer(clients, KEY, per_second=4).take()
    assert 0 < await clients.exact.pttl(KEY) <= 1250


@pytest.mark.parametrize(("per_second", "burst"), [(0, 1), (-1, 1), (1, 0)])
def test_an_impossible_pace_is_refused(per_second: float, burst: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        Pacer(None, KEY, per_second=per_second, burst=burst)  # type: ignore[arg-type]


async def fail(breaker: Breaker, times: int) -> list[Change]:
    return [await breaker.tell(ok=False) for _ in range(times)]


def breaker_of(clients: Clients, first_pause: float = 10) -> Breaker:
    return Breaker(clients, "xt:{T1}:brk", failures=3, first_pause=first_pause, longest_pause=35)


async def test_it_opens_once_after_as_many_failures_in_a_row(clients: Clients) -> None:
    breaker = breaker_of(clients)
    assert await fail(breaker, 2) == [Change.NONE, Change.NONE]
    await breaker.check()
    assert await fail(breaker, 2) == [Change.OPENED, Change.NONE]
    with pytest.raises(PausedError):
        await breaker.check()


async def test_a_success_between_starts_the_count_again(clients: Clients) -> None:
    breaker = breaker_of(clients)
    await fail(breaker, 2)
    assert await breaker.tell(ok=True) is Change.NONE
    await fail(breaker, 2)
    await breaker.check()


async def test_the_pause_doubles_up_to_the_longest(clients: Clients) -> None:
    breaker = breaker_of(clients)
    await fail(breaker, 2)
    pauses = []
    for _ in range(4):
        await breaker.tell(ok=False)
        with pytest.raises(PausedError) as caught:
            await breaker.check()
        assert caught.value.retry_after is not None
        pauses.append(round(caught.value.retry_after))
    assert pauses == [10, 20, 35, 35]


async def test_after_the_pause_one_caller_probes(clients: Clients) -> None:
    breaker = breaker_of(clients, first_pause=0)
    await fail(breaker, 3)
    await breaker.check()
    for _ in range(3):
        with pytest.raises(PausedError):
            await breaker.check()


async def test_a_probe_that_succeeds_closes_it_once(clients: Clients) -> None:
    breaker = breaker_of(clients, first_pause=0)
    await fail(breaker, 3)
    await breaker.check()
    assert await breaker.tell(ok=True) is Change.CLOSED
    assert await breaker.tell(ok=True) is Change.NONE
    await breaker.check()


async def test_a_probe_that_was_lost_is_repeated(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "PROBE_SECONDS", 0.0)
    breaker = breaker_of(clients, first_pause=0)
    await fail(breaker, 3)
    await breaker.check()
    await breaker.check()
