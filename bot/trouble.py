"""A message that Slack answers with an error of its own, again and again.

Pure: what is remembered of it, when it is tried again, and from when on something else is shown
in its place. Only answers to this very message count, never a network fault, a rate limit or a
refused token (`SlackUnavailableError.may_be_the_message`).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import AwareDatetime

from sync.model import Frozen

TIMES = 8  # answers with an error, one after another, before anything is shown in its place
LASTS = timedelta(minutes=10)  # between the first of them and the last
FIRST = timedelta(seconds=5)  # before it is tried again; doubles
LONGEST = timedelta(minutes=4)


class Trouble(Frozen):
    """What is known of a message that Slack does not take."""

    since: AwareDatetime  # of the first answer with an error
    times: int  # how many there were, without any other in between
    next_at: AwareDatetime  # not tried before


def again(before: Trouble | None, now: datetime) -> Trouble:
    """Slack answered with an error once more.

    A clock that was put back begins the time anew, and one that was put forward is not enough:
    the answers are counted as well.
    """
    times = before.times + 1 if before else 1
    wait = min(FIRST * 2 ** min(times - 1, 20), LONGEST)
    since = min(before.since, now) if before else now
    return Trouble(since=since, times=times, next_at=now + wait)


def seconds_left(trouble: Trouble | None, now: datetime) -> float:
    """How long it is not tried yet; 0: now. Never longer than the longest wait."""
    if trouble is None or trouble.next_at - now > LONGEST:
        return 0.0
    return max(0.0, (trouble.next_at - now).total_seconds())


def is_lasting(trouble: Trouble, now: datetime) -> bool:
    """Whether it is time to show something else."""
    return trouble.times >= TIMES and now - trouble.since >= LASTS
