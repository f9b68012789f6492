"""The audit list as CSV that a spreadsheet opens as it should, in German and in English."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from bot import flows
from bot.blocks import kit
from bot.blocks.digest import paragraphs
from bot.blocks.kit import Card
from bot.deps import Call
from bot.slack import SlackRefusedError
from bot.texts import Texts, clean, mention
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
SHOWN = 20  # entries shown where files cannot be sent
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
    try:
        await flows.send_files(call, text, [(name, to_csv(call.t, entries))])
    except SlackRefusedError as error:
        await flows.say_no_scope(call, error)
        await call.deps.replies.tell(call.caller, call.t, newest(call.t, entries))


def newest(t: Texts, entries: Sequence[AuditEntry]) -> Card:
    """The newest entries as a message, where files cannot be sent."""
    title = t.md("export.shown")
    lines = [
        t.md(
            "export.line",
            at=entry.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M"),
            actor=mention(entry.actor),
            number=clean(entry.number, 60),
            what=_in_words(t, entry),
        )
        for entry in entries[-SHOWN:]
    ]
    return kit.card(title, [kit.section(title), *paragraphs(lines)])


def _in_words(t: Texts, entry: AuditEntry) -> str:
    """What happened, in the reader's language; the file keeps the codes."""
    state = f"state.{entry.after}"
    known = entry.after and t.has(state)
    return t.plain(state) if known else clean(entry.action, 60)
