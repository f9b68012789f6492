"""`/sevdesk status`, `/sevdesk invoices`, `/sevdesk help`: what one person asked to see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot import support
from bot.blocks import invoice, kit
from bot.blocks.connection import disconnect_button, problem_key, resume_button
from bot.blocks.digest import counts, paragraphs
from bot.blocks.invoice import Shown
from bot.blocks.kit import Block, Card
from bot.prefs import Prefs
from bot.reasons import in_words, next_step, sentence
from bot.texts import Mrkdwn, Texts, channel_link, clean, mention
from sync.errors import Reason
from sync.model import Connection, ConnectionState, Overview

PAGE = 10  # invoices on a page
SKIPPED = 5  # invoices without XML that are named
COMMANDS = (
    "connect",
    "sync",
    "status",
    "invoices",
    "retry",
    "settings",
    "export",
    "disconnect",
    "help",
)


@dataclass(frozen=True, slots=True)
class Status:
    """All that the card shows."""

    overview: Overview
    prefs: Prefs
    needs_person: tuple[Shown, ...] = ()


def status(t: Texts, data: Status) -> Card:
    """Connection, last and next sync, counts by state, what needs a person."""
    connection = data.overview.connection
    if connection is None or connection.state is ConnectionState.DISCONNECTED:
        return not_connected(t)
    blocks = status_blocks(t, data, connection)
    title = t.md("status.title", account=clean(connection.account_name, 80))
    buttons = main_buttons(t, connection)
    if connection.pause is not None:  # the other of the two answers
        buttons.append(disconnect_button(t))
    return kit.card(title, [*blocks, kit.actions(*buttons)])


def main_buttons(t: Texts, connection: Connection) -> list[Block]:
    """What comes next: to go on, a new token where the old one is refused, else a sync."""
    if connection.pause is not None:
        first = resume_button(t)
    elif connection.state is ConnectionState.BROKEN:
        first = kit.button(t.plain("button.reconnect"), "home_connect", style="primary")
    else:
        first = kit.button(t.plain("button.sync"), "home_sync", style="primary")
    return [first, kit.button(t.plain("button.invoices"), "invoices_list", "all:0")]


def not_connected(t: Texts) -> Card:
    """Nothing is connected yet: say how."""
    title = t.md("not_connected.title")
    button = kit.button(t.plain("button.connect"), "home_connect", style="primary")
    return kit.card(title, [kit.section(title), kit.actions(button)])


def status_blocks(t: Texts, data: Status, connection: Connection) -> list[Block]:
    """What status and the Home tab share."""
    return [
        kit.section(t.md("status.title", account=clean(connection.account_name, 80))),
        *_health(t, data, connection),
        kit.context(*_times(t, data.overview, connection)),
        *_counts(t, data.overview),
        *_needs_person(t, data),
        *_skipped(t, data.overview),
    ]


def _health(t: Texts, data: Status, connection: Connection) -> list[Block]:
    if connection.pause is not None:
        lines = [t.md("paused.status", since=t.moment(connection.pause.since))]
        trouble: Reason | None = connection.pause.reason
    else:
        lines = [t.md(f"connection.{connection.state.value}")]
        trouble = connection.reason or connection.last_error
    if trouble:
        lines.append(in_words(t, trouble))
    lines.append(t.md(f"status.mode.{'ask' if connection.ask_before_sending else 'automatic'}"))
    lines.append(_where(t, data.prefs))
    return [kit.section(Mrkdwn("\n".join(lines)))]


def _where(t: Texts, prefs: Prefs) -> Mrkdwn:
    if prefs.channel_problem:
        channel = channel_link(prefs.problem_channel)
        return t.md(problem_key(prefs.channel_problem), channel=channel)
    if not prefs.channel:
        return t.md("status.direct", who=mention(prefs.owner))
    return t.md("status.channel", channel=channel_link(prefs.channel))


def _times(t: Texts, overview: Overview, connection: Connection) -> list[Mrkdwn]:
    if overview.running:
        parts = [t.md("status.running")]
    elif connection.last_sync:
        parts = [t.md("status.last_sync", when=t.moment(connection.last_sync))]
    else:
        parts = [t.md("status.never")]
    if connection.next_sync and not overview.running:
        parts.append(t.md("status.next_sync", when=t.moment(connection.next_sync)))
    who, when = mention(connection.connected_by), t.moment(connection.connected_at)
    return [*parts, t.md("status.connected_by", who=who, when=when)]


def _counts(t: Texts, overview: Overview) -> list[Block]:
    return counts(t, overview.counts) or [kit.section(t.md("status.empty"))]


def _needs_person(t: Texts, data: Status) -> list[Block]:
    if not data.needs_person:
        return []
    lines = [invoice.line(t, shown) for shown in data.needs_person[:PAGE]]
    total = max(data.overview.needs_total, len(lines))
    show = kit.button(t.plain("button.show_all"), "invoices_list", "attention:0")
    return [kit.section(t.md_n("status.needs_person", total), show), *paragraphs(lines)]


def _skipped(t: Texts, overview: Overview) -> list[Block]:
    if not overview.skipped:
        return []
    lines = [t.md_n("status.skipped", overview.skipped_total)]
    lines += [
        t.md(
            "status.skipped_line",
            number=item.number or item.invoice_id,
            contact=clean(item.contact_name, 50),
            reason=kit.cut(sentence(t, item.reason), 160),
        )
        for item in overview.skipped[:SKIPPED]
    ]
    step = t.md("failure.next", step=next_step(t, overview.skipped[0].reason))
    return [*paragraphs(lines), kit.context(step)]


@dataclass(frozen=True, slots=True)
class InvoicePage:
    """A page of invoices; `chosen` is the name of the filter."""

    chosen: str
    offset: int
    total: int
    rows: Sequence[Shown]


def invoices(t: Texts, page: InvoicePage) -> Card:
    """The invoices with their states, a page at a time."""
    shown = t.md(f"filter.{page.chosen}")
    if not page.rows:
        everything = page.chosen == "all" and not page.offset
        text = t.md("status.empty") if everything else t.md("invoices.none", filter=shown)
        return kit.card(text, [kit.section(text), *_paging(t, page)])
    title = _page_title(t, page, shown)
    blocks: list[Block] = [kit.section(title)]
    for row in page.rows[:PAGE]:
        blocks += _row(t, row)
    return kit.card(title, [*blocks, *_paging(t, page)])


def _page_title(t: Texts, page: InvoicePage, shown: Mrkdwn) -> Mrkdwn:
    if page.total <= len(page.rows):
        return t.md_n("invoices.whole", page.total, filter=shown)
    first, last = t.number(page.offset + 1), t.number(page.offset + len(page.rows))
    return t.md_n("invoices.title", page.total, filter=shown, first=first, last=last)


def _row(t: Texts, shown: Shown) -> list[Block]:
    record = shown.record
    text = kit.section(invoice.line_with_notes(t, shown))
    if record.state in invoice.NEEDS_PERSON or invoice.needs_look(record):
        return [text, invoice.row(record, invoice.buttons(t, shown)[:4])]
    return [text]


def _paging(t: Texts, page: InvoicePage) -> list[Block]:
    buttons = []
    if page.offset > 0:
        before = max(page.offset - PAGE, 0)
        label = t.plain("button.newer")
        buttons.append(kit.button(label, "invoices_newer", f"{page.chosen}:{before}"))
    if page.offset + PAGE < page.total:
        after = page.offset + PAGE
        label = t.plain("button.older")
        buttons.append(kit.button(label, "invoices_older", f"{page.chosen}:{after}"))
    return [kit.actions(*buttons)] if buttons else []


def usage(t: Texts, unknown: str = "", support_at: str = "") -> Card:
    """What the command can do; `unknown` is what was typed instead."""
    title = t.md("help.unknown", typed=clean(unknown, 60)) if unknown else t.md("help.title")
    lines = Mrkdwn("\n".join(t.md(f"help.{name}") for name in COMMANDS))
    blocks = [kit.section(title), kit.section(lines), kit.context(support.line(t, support_at))]
    return kit.card(title, blocks)
