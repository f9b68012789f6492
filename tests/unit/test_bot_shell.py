"""Small parts of the shell: tasks, callers, export, the notifier's pace."""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bot import tasks as tasks_module
from bot.caller import of_interaction
from bot.export import cell, row, to_csv
from bot.installations import Installed
from bot.listeners.actions import work_of
from bot.listeners.commands import parse
from bot.notifier import FIRST_PAUSE, LONGEST_PAUSE, Concerned, Pace, due_day
from bot.prefs import Prefs
from bot.submissions import Secret
from bot.tasks import Tasks
from bot.texts import texts
from sync.model import AuditEntry, Event, EventKind
from tests.unit.bot_support import NAMES

INSTALLED = Installed(org="T1", secret=SecretStr("xoxb-canary"), team_id="T1")


# ---- tasks ----------------------------------------------------------------------------------


async def test_draining_waits_for_what_runs() -> None:
    tasks, done = Tasks(), []

    async def work() -> None:
        await asyncio.sleep(0.01)
        done.append(1)

    tasks.spawn(work(), "work")
    assert await tasks.drain(5) == 0
    assert done == [1]


async def test_what_takes_too_long_is_cancelled_and_counted() -> None:
    tasks = Tasks()
    tasks.spawn(asyncio.Event().wait(), "for ever")  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert await tasks.drain(0.01) == 1
    assert len(tasks) == 0


async def test_a_failed_task_is_forgotten_not_raised() -> None:
    tasks = Tasks()

    async def fail() -> None:
        raise RuntimeError("boom")

    tasks.spawn(fail(), "fail")
    assert await tasks.drain(1) == 0


async def test_work_begins_when_the_request_is_answered() -> None:
    tasks, begun = Tasks(), asyncio.Event()

    async def work() -> None:
        begun.set()

    with tasks_module.request():
        tasks.spawn(work(), "work")
        await asyncio.sleep(0.01)
        assert not begun.is_set()
    await tasks.drain(1)
    assert begun.is_set()


# ---- callers --------------------------------------------------------------------------------


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["user", "container", "view", "channel", "id", "type", "trigger_id"]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    )
)
def test_any_payload_makes_a_caller(body: object) -> None:
    found = of_interaction(INSTALLED, body if isinstance(body, dict) else {})
    assert found.org == "T1"


def test_a_caller_shows_no_token() -> None:
    assert "xoxb-canary" not in repr(of_interaction(INSTALLED, {}))


def test_a_secret_shows_itself_to_nobody() -> None:
    secret = Secret("canary")
    assert "canary" not in f"{secret} {secret!r}"
    assert secret.reveal() == "canary"


@given(st.text(max_size=300))
def test_any_text_is_a_command(text: str) -> None:
    name, work = parse({"text": text})
    assert callable(work)
    assert name.isascii()


@given(st.text(max_size=30), st.text(max_size=300))
def test_any_button_does_something(name: str, value: str) -> None:
    assert callable(work_of(name, {"value": value}))


# ---- export ---------------------------------------------------------------------------------


@given(NAMES)
def test_no_cell_is_a_formula(value: str) -> None:
    assert not cell(value).startswith(("=", "+", "-", "@", "\t", "\r", "|", "%"))


@given(st.lists(NAMES, min_size=1, max_size=5), st.sampled_from(["en", "de"]))
def test_a_csv_is_read_back_row_by_row(details: list[str], language: str) -> None:
    at = datetime(2026, 11, 22, 14, 3, 7, tzinfo=UTC)
    entries = [AuditEntry(at=at, actor="U1", action="sent", detail=d) for d in details]
    t = texts(language)
    content = to_csv(t, (row(t, entry) for entry in entries))
    assert content.startswith(b"\xef\xbb\xbf")
    delimiter = ";" if language == "de" else ","
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig")), delimiter=delimiter))
    assert len(rows) == 1 + len(details)
    assert {len(cells) for cells in rows} == {10}


# ---- the notifier's pace --------------------------------------------------------------------


def test_the_first_pass_is_at_once() -> None:
    assert Pace().wait(100.0) == 0.0


def test_passes_that_follow_on_wait_longer_and_longer() -> None:
    pace, now, waits = Pace(), 0.0, []
    for _ in range(10):
        waits.append(pace.wait(now))
        now += waits[-1]
        pace.passed(now)
    assert waits[1] == FIRST_PAUSE
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_PAUSE


def test_after_a_calm_while_the_next_pass_is_at_once() -> None:
    pace = Pace()
    pace.passed(0.0)
    pace.passed(1.0)
    assert pace.wait(60.0) == 0.0


def test_a_batch_concerns_each_card_once() -> None:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    changed = EventKind.INVOICE_CHANGED
    events = [
        Event(id="1", kind=changed, at=at, invoice_id="7", run="r", after="ready"),
        Event(id="2", kind=changed, at=at, invoice_id="7", run="r", after="failed"),
        Event(id="3", kind=EventKind.SYNC_FINISHED, at=at, run="r"),
    ]
    found = Concerned.of(events)
    assert (found.runs, found.invoices) == ({"r"}, {"7": "failed"})


@pytest.mark.parametrize(
    ("now", "day"),
    [
        (datetime(2026, 11, 22, 6, 59, tzinfo=UTC), ""),
        (datetime(2026, 11, 22, 7, 0, tzinfo=UTC), "2026-11-22"),
        (datetime(2026, 7, 1, 6, 0, tzinfo=UTC), "2026-07-01"),  # summer time
        (datetime(2026, 11, 22, 23, 30, tzinfo=UTC), ""),  # the next day in Berlin
    ],
)
def test_the_daily_summary_is_due_by_local_time(now: datetime, day: str) -> None:
    assert due_day(Prefs(daily_at="08:00", timezone="Europe/Berlin"), now) == day
