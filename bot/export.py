"""The audit list as CSV that a spreadsheet opens as it should, in German and in English."""

from __future__ import annotations

import asyncio
import csv
import io
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bot import flows
from bot.blocks import kit
from bot.blocks.digest import paragraphs
from bot.blocks.kit import Card
from bot.deps import Call
from bot.slack import SlackRefusedError
from bot.texts import Mrkdwn, Texts, clean, mention
from sync.model import AuditEntry

COLUMNS = (
    "at",
    "actor",
    "action",
    "number",
    "before",
    "after",
    "invoice_id",
    "sha256",
    "provider_id",
    "detail",
)
MAX_ROWS = 200_000  # lines of one file; a spreadsheet takes about a million
SHOWN = 20  # entries shown where files cannot be sent
# A cell that begins with one of these is a formula to a spreadsheet.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


def cell(value: object) -> str:
    """A value that stays text: no formula, one line."""
    text = clean(value, 500)
    return f"'{text}" if text.startswith(_FORMULA) else text


def to_csv(t: Texts, rows: Iterable[str]) -> bytes:
    """The file: UTF-8 with a byte order mark, the names of the columns, and `rows` of `row`."""
    head = _line(t, [t.plain(f"audit.{column}") for column in COLUMNS])
    return "".join((head, *rows)).encode("utf-8-sig")


def row(t: Texts, entry: AuditEntry) -> str:
    """A line of the file; `;` between cells in German, `,` in English.

    Times are UTC as `2026-11-22 14:03:00`, which both read as a date.
    """
    at = entry.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    values = (getattr(entry, column) for column in COLUMNS[1:])
    return _line(t, [at, *(cell(value) for value in values)])


def _line(t: Texts, cells: Sequence[str]) -> str:
    out = io.StringIO(newline="")
    separator = ";" if t.language == "de" else ","
    csv.writer(out, delimiter=separator, lineterminator="\r\n").writerow(cells)
    return out.getvalue()


@dataclass(slots=True)
class Kept:
    """The newest lines, and how many there are in all."""

    rows: deque[str]
    newest: deque[AuditEntry]
    total: int = 0


async def read(call: Call, year: int | None, most: int = MAX_ROWS) -> Kept:
    """The audit list, or that of a year (UTC); of more than `most` lines the newest are kept."""
    kept = Kept(deque(maxlen=most), deque(maxlen=SHOWN))
    async for entry in call.deps.service.audit(call.caller.org):
        if year is None or entry.at.astimezone(UTC).year == year:
            kept.total += 1
            kept.rows.append(row(call.t, entry))
            kept.newest.append(entry)
    return kept


async def send(call: Call, year: int | None = None) -> None:
    """Make the file and send it to who asked."""
    kept = await read(call, year)
    if not kept.total:
        text = call.t.md("export.empty_year", year=year) if year else call.t.md("export.empty")
        await call.deps.replies.say(call.caller, call.t, text)
        return
    period = str(year) if year else f"{datetime.now(UTC):%Y-%m-%d}"
    whole = "" if len(kept.rows) == kept.total else "newest-"
    name = f"xtool-audit-{whole}{period}.csv"
    try:
        file = await asyncio.to_thread(to_csv, call.t, kept.rows)
        await flows.send_files(call, about(call.t, kept), [(name, file)])
    except SlackRefusedError as error:
        await flows.say_no_scope(call, error)
        await call.deps.replies.tell(call.caller, call.t, newest(call.t, kept.newest))


def about(t: Texts, kept: Kept) -> Mrkdwn:
    """What the file holds; of a list that is too long for one file, how to get the rest."""
    if len(kept.rows) == kept.total:
        return t.md_n("export.here", kept.total)
    return t.md_n("export.newest", len(kept.rows), total=t.number(kept.total))


def newest(t: Texts, entries: Iterable[AuditEntry]) -> Card:
    """The newest entries as a message, where files cannot be sent."""
    title = t.md("export.shown")
    lines = [
        t.md(
            "export.line",
            at=t.moment(entry.at),
            actor=mention(entry.actor),
            number=clean(entry.number, 60),
            what=_in_words(t, entry),
        )
        for entry in list(entries)[-SHOWN:]
    ]
    return kit.card(title, [kit.section(title), *paragraphs(lines)])


def _in_words(t: Texts, entry: AuditEntry) -> str:
    """What happened, in the reader's language; the file keeps the codes."""
    state = f"state.{entry.after}"
    known = entry.after and t.has(state)
    return t.plain(state) if known else clean(entry.action, 60)
