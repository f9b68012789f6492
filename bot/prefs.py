"""What an organisation chose for its messages."""

from __future__ import annotations

from datetime import time
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import field_validator

from sync.model import Frozen


class Notify(StrEnum):
    """Which results are posted. What needs a person is posted always."""

    ALL = "all"
    FAILURES = "failures"
    DAILY = "daily"  # one summary a day instead of one per sync


class Details(StrEnum):
    """Where the list of a sync's invoices goes."""

    THREAD = "thread"  # of its digest
    CHANNEL = "channel"  # a message after the digest
    OFF = "off"


class Prefs(Frozen):
    """Settings of one organisation that only `bot` needs."""

    channel: str = ""  # results; empty: a direct message to who connected
    failures_channel: str = ""  # empty: as results
    language: str = "en"
    notify: Notify = Notify.ALL
    details: Details = Details.THREAD
    mention: tuple[str, ...] = ()  # who is called by name when something needs somebody
    daily_at: str = "08:00"  # local time
    timezone: str = "Europe/Berlin"
    may_retry: tuple[str, ...] = ()  # empty: all full members
    hide_amounts: bool = False
    installer: str = ""  # who installed the app, where OAuth told
    owner: str = ""  # who connected: gets a direct message when a channel is closed
    channel_problem: str = ""  # Slack's error code of the last refused post, until one succeeds
    problem_channel: str = ""  # the channel that refused
    chosen: bool = False  # a person saved them; until then they are a guess

    @field_validator("daily_at")
    @classmethod
    def _a_time(cls, value: str) -> str:
        time.fromisoformat(value)
        return value

    @field_validator("timezone")
    @classmethod
    def _a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return "Europe/Berlin"
        return value

    def channel_for(self, *, failure: bool) -> str:
        """Where a card goes; empty where only a direct message is left."""
        return (self.failures_channel if failure else "") or self.channel or self.owner
