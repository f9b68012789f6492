"""When a message that Slack does not take is tried again, and when something takes its place."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from bot.slack import SlackUnavailableError
from bot.trouble import FIRST, LASTS, LONGEST, TIMES, Trouble, again, is_lasting, seconds_left
from tests.unit.bot_support import NOW


def until_it_lasts() -> list[datetime]:
    """The times at which it is tried, each as soon as it may be."""
    now, tried = NOW, []
    trouble: Trouble | None = None
    while trouble is None or not is_lasting(trouble, now):
        now += timedelta(seconds=seconds_left(trouble, now))
        tried.append(now)
        trouble = again(trouble, now)
        assert len(tried) < 100
    return tried


def test_it_lasts_after_the_stated_time_and_number_of_answers() -> None:
    tried = until_it_lasts()
    assert len(tried) >= TIMES
    assert LASTS <= tried[-1] - tried[0] < LASTS + LONGEST


def test_the_tries_become_rarer() -> None:
    tried = until_it_lasts()
    waits = [later - earlier for earlier, later in pairwise(tried)]
    assert waits == sorted(waits)
    assert (waits[0], max(waits)) == (FIRST, LONGEST)


@pytest.mark.parametrize("times", range(1, TIMES))
def test_a_clock_that_is_put_forward_is_not_enough(times: int) -> None:
    trouble = Trouble(since=NOW, times=times, next_at=NOW)
    assert not is_lasting(trouble, NOW + timedelta(days=9))


def test_many_answers_in_a_moment_are_not_enough() -> None:
    trouble = None
    for _ in range(50):
        trouble = again(trouble, NOW)
    assert trouble is not None
    assert not is_lasting(trouble, NOW)


def test_a_clock_that_is_put_back_keeps_nothing_waiting() -> None:
    earlier = NOW - timedelta(days=9)
    trouble = again(None, NOW)
    assert seconds_left(trouble, earlier) == 0
    after = again(trouble, earlier)
    assert after.since == earlier
    assert 0 < seconds_left(after, earlier) <= LONGEST.total_seconds()


@pytest.mark.parametrize(
    ("method", "code", "is_it"),
    [
        ("chat_postMessage", "internal_error", True),
        ("chat_update", "fatal_error", True),
        ("chat_update", "http_503", True),
        ("chat_postMessage", "http_429", False),
        ("chat_postMessage", "ratelimited", False),
        ("chat_postMessage", "message_limit_exceeded", False),
        ("chat_postMessage", "service_unavailable", False),
        ("chat_postMessage", "team_added_to_org", False),
        ("chat_postMessage", "request_timeout", False),
        ("chat_postMessage", "bad_answer", False),
        ("chat_postMessage", "http_403", False),
        ("chat_postMessage", "TimeoutError", False),
        ("chat_postMessage", "ServerDisconnectedError", False),
        ("auth_test", "internal_error", False),
        ("auth_test", "http_500", False),
        ("card", "busy", False),
    ],
)
def test_only_slack_s_own_error_for_a_message_may_be_about_it(
    method: str, code: str, is_it: bool
) -> None:
    assert SlackUnavailableError(method, code).may_be_the_message is is_it
