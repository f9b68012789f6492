"""What a process makes of Slack being away for longer."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from bot.processes import told_later
from bot.slack import SlackUnavailableError
from sync.errors import StoreError


async def test_slack_being_away_is_one_line_and_no_failure() -> None:
    async def away(org: str) -> None:
        raise SlackUnavailableError("chat_postMessage", "http_503")

    with capture_logs() as lines:
        await told_later(away)("T1")
    (line,) = lines
    assert (line["log_level"], line["org"], line["code"]) == ("warning", "T1", "http_503")
    assert "exc_info" not in line


async def test_other_trouble_is_not_hidden() -> None:
    async def broken(org: str) -> None:
        raise StoreError("away")

    with pytest.raises(StoreError):
        await told_later(broken)("T1")
