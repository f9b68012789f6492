"""When refusals of a token mean that nobody can be told any more."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from bot.refusal import APART, LASTS, REMOVED, TIMES, Refusal, again, is_for_good
from tests.unit.bot_support import NOW

HOUR = timedelta(hours=1)
CODE = "token_revoked"


def refused(times: int, apart: timedelta = HOUR, start: datetime = NOW) -> Refusal:
    found = again(None, CODE, start)
    for n in range(1, times):
        found = again(found, CODE, start + n * apart)
    return found


def test_a_week_of_hours_is_for_good_and_an_hour_less_is_not() -> None:
    assert not is_for_good(refused(168))
    assert is_for_good(refused(169))


def test_an_outage_of_hours_is_not() -> None:
    assert not is_for_good(refused(24))
    assert not is_for_good(refused(24 * 60, apart=timedelta(minutes=1)))


def test_two_refusals_a_year_apart_are_not() -> None:
    """xTool did not run in between."""
    assert not is_for_good(refused(2, apart=timedelta(days=365)))


@pytest.mark.parametrize("at", [1, 50, 99])
def test_a_clock_that_is_put_forward_is_not(at: int) -> None:
    before = refused(at)
    after = again(before, CODE, before.last + timedelta(days=30))
    assert after.times == at + 1
    assert is_for_good(after) is (at + 1 >= TIMES)


def test_a_clock_that_is_put_forward_early_counts_its_days_but_waits_for_the_others() -> None:
    found = again(refused(10), CODE, NOW + timedelta(days=30))
    hours = 0
    while not is_for_good(found):
        hours += 1
        found = again(found, CODE, NOW + timedelta(days=30) + hours * HOUR)
    assert hours >= TIMES - 11 > 3 * 24


def test_a_clock_that_is_put_back_begins_the_time_anew() -> None:
    before = refused(160)
    after = again(before, CODE, NOW - timedelta(days=3))
    assert (after.since, after.times) == (NOW - timedelta(days=3), 161)
    assert not is_for_good(after)


def test_refusals_of_the_same_moment_count_once() -> None:
    """Several workers, or a notifier and a tick."""
    found = refused(5)
    for _ in range(500):
        found = again(found, "account_inactive", found.last + APART - timedelta(seconds=1))
    assert (found.times, found.code) == (5, "account_inactive")


@pytest.mark.parametrize("code", ["org_login_required", "access_denied", "ratelimited"])
def test_what_says_nothing_of_a_removal_does_not_count(code: str) -> None:
    assert code not in REMOVED


def test_the_time_is_longer_than_any_row_of_holidays() -> None:
    assert timedelta(days=7) <= LASTS
    assert LASTS / HOUR >= TIMES
