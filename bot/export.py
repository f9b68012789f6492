"""The audit list as CSV that a spreadsheet opens as it should, in German and in English."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime

from bot import flows
from bot.deps import Call
from bot.texts import Texts, clean
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
MAX_ROWS = 200_000
# A cell that begins with one of these is a formula to a spreadsheet.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


def cell(value: object) -> str:
    """A value that stays text: no formula, one line."""
    text = clean(value, 500)
    return f"'{text}" if text.startswith(_FORMULA) else text


def to_csv(t: Texts, entries: Iterable[AuditEntry]) -> bytes:
    """UTF-8 with a byte order mark; `;` between cells in German, `,` in English.

    Times are UTC as `2026-11-22 14:03:00`, which both read as a date.
    """
    out = io.StringIO(newline="")
    separator = ";" if t.language == "de" else ","
    writer = csv.writer(out, delimiter=separator, lineterminator="\r\n")
    writer.writerow([t.plain(f"audit.{column}") for column in COLUMNS])
    for entry in entries:
        writer.writerow(_row(entry))
    return out.getvalue().encode("utf-8-sig")


def _row(entry: AuditEntry) -> list[str]:
    at = entry.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    values = (getattr(entry, column) for column in COLUMNS[1:])
    return [at, *(cell(value) for value in values)]


async def send(call: Call) -> None:
    """Make the file and send it to who asked."""
    entries: list[AuditEntry] = []
    async for entry in call.deps.service.audit(call.caller.org):
        entries.append(entry)
        if len(entries) >= MAX_ROWS:
            break
    if not entries:
        await call.deps.replies.say(call.caller, call.t, call.t.md("export.empty"))
        return
    name = f"xtool-audit-{datetime.now(UTC):%Y-%m-%d}.csv"
    text = call.t.md_n("export.here", len(entries))
    await flows.send_files(call, text, [(name, to_csv(call.t, entries))])
