"""One message per sync: what it did, what goes on, what waits for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from bot.blocks import invoice, kit
from bot.blocks.invoice import Shown
from bot.blocks.kit import Block, Card
from bot.reasons import in_words
from bot.texts import Mrkdwn, Texts, clean, mention
from sync.model import InvoiceState, SyncRun

S = InvoiceState

ROWS = 10  # waiting invoices with buttons of their own
LINES = 25  # invoices in the thread
COUNTED = (
    ("sent", (S.SENT,)),
    ("under_way", (S.IMPORTED, S.READY, S.SUBMITTING)),
    ("delivering", (S.SUBMITTED,)),
    ("waiting", (S.WAITING,)),
    ("failed", (S.FAILED, S.BLOCKED)),
    ("unconfirmed", (S.UNCONFIRMED,)),
    ("withdrawn", (S.WITHDRAWN,)),
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a person to say "send"."""

    count: int = 0
    total: str = ""  # the sum as people write it; empty where currencies differ or it is hidden
    oldest: date | None = None
    first_sync: bool = False
    rows: tuple[Shown, ...] = ()


@dataclass(frozen=True, slots=True)
class Digest:
    """All that the card shows."""

    run: SyncRun
    account: str
    waiting: Waiting = Waiting()


def worth_telling(run: SyncRun) -> bool:
    """Whether the sync did something; one that found nothing new is silent."""
    return bool(run.imported or run.reexported)


def digest(t: Texts, data: Digest) -> Card:
    """The card; while the sync runs it shows how far it is."""
    run = data.run
    title = _title(t, data)
    blocks: list[Block] = [kit.section(title), *counts(t, _told(run, data.waiting))]
    blocks += waiting_blocks(t, data.waiting)
    if run.error:
        blocks.append(kit.section(in_words(t, run.error)))
    blocks.append(kit.context(*_small_print(t, run)))
    blocks.append(kit.actions(*_buttons(t, run)))
    return kit.card(title, blocks)


def _told(run: SyncRun, waiting: Waiting) -> dict[str, int]:
    """The counts, without those that the question below names."""
    asked = {S.WAITING.value} if waiting.count else set()
    return {state: n for state, n in run.counts.items() if state not in asked}


def _title(t: Texts, data: Digest) -> Mrkdwn:
    run = data.run
    account = clean(data.account, 80)
    if run.finished_at is None:
        done = t.number(run.imported + run.reexported)
        total = t.number(max(run.to_import, run.imported + run.reexported))
        return t.md("digest.running", done=done, total=total, account=account)
    return t.md_n("digest.done", run.imported + run.reexported, account=account)


def counts(t: Texts, by_state: Mapping[str, int]) -> list[Block]:
    """How many invoices are in which state, each in a field."""
    shown = [
        t.md_n(f"count.{name}", n)
        for name, states in COUNTED
        if (n := sum(by_state.get(state.value, 0) for state in states))
    ]
    return [kit.fields(shown)] if shown else []


def waiting_blocks(t: Texts, waiting: Waiting) -> list[Block]:
    """The question whether to send, for one by one or for all."""
    if not waiting.count:
        return []
    key = "waiting.first_sync" if waiting.first_sync else "waiting.ask"
    blocks = [kit.section(t.md_n(key, waiting.count)), *_facts(t, waiting)]
    each = waiting.count <= len(waiting.rows)
    if each:
        for shown in waiting.rows[:ROWS]:
            blocks += _row(t, shown)
        if waiting.count == 1:
            return blocks  # its own buttons say it all
        blocks.append(kit.divider())
    return [*blocks, kit.actions(*_waiting_buttons(t, waiting, each=each))]


def _facts(t: Texts, waiting: Waiting) -> list[Block]:
    facts = []
    if waiting.total:
        facts.append(t.md("waiting.total", amount=waiting.total))
    if waiting.oldest:
        facts.append(t.md("waiting.oldest", date=t.date(waiting.oldest)))
    return [kit.fields(facts)] if facts else []


def _row(t: Texts, shown: Shown) -> list[Block]:
    buttons = [
        invoice.send_button(t, shown.record),
        invoice.open_button(t, shown),
        invoice.dismiss_button(t, shown.record),
    ]
    text = invoice.line_with_notes(t, shown)
    return [kit.section(text), invoice.row(shown.record, buttons)]


def _waiting_buttons(t: Texts, waiting: Waiting, *, each: bool) -> list[Block | None]:
    sure = kit.confirm(
        t.plain_n("confirm.send_all.title", waiting.count),
        t.md_n("confirm.send_all.text", waiting.count),
        t.plain_n("button.send_all", waiting.count),
        t.plain("button.cancel"),
    )
    label = t.plain_n("button.send_all", waiting.count)
    return [
        kit.button(label, "invoices_send_all", style="primary", confirm=sure),
        kit.button(t.plain("button.send_from"), "invoices_send_from"),
        None if each else kit.button(t.plain("button.one_by_one"), "invoices_list", "waiting:0"),
    ]


def _small_print(t: Texts, run: SyncRun) -> list[Mrkdwn]:
    when = t.moment(run.finished_at or run.started_at)
    parts = [t.md(_occasion(run), who=mention(run.trigger), when=when)]
    if run.reexported:
        parts.append(t.md_n("digest.reexported", run.reexported))
    if run.skipped:
        parts.append(t.md_n("digest.skipped", run.skipped))
    return parts


def _occasion(run: SyncRun) -> str:
    """The key of who began the sync, and whether it is over."""
    if run.trigger in ("poll", ""):
        return "digest.by_itself" if run.finished_at else "digest.begun_by_itself"
    return "digest.by_person" if run.finished_at else "digest.begun_by_person"


def _buttons(t: Texts, run: SyncRun) -> list[Block]:
    failed = run.counts.get(S.FAILED.value, 0) + run.counts.get(S.BLOCKED.value, 0)
    show = kit.button(t.plain("button.invoices"), "invoices_list", "all:0")
    if failed > 1:
        return [kit.button(t.plain("button.retry_all"), "invoices_retry_all"), show]
    return [show]


def details(t: Texts, invoices: Sequence[Shown], total: int) -> Card:
    """The thread of a digest: one line for each invoice."""
    title = t.md("digest.details")
    lines = [invoice.line_with_notes(t, shown) for shown in invoices[:LINES]]
    blocks = [kit.section(title), *paragraphs(lines)]
    if total > len(lines):
        blocks.append(kit.context(t.md_n("list.more", total - len(lines))))
    return kit.card(title, blocks)


def paragraphs(lines: Sequence[Mrkdwn], limit: int = 2800) -> list[Block]:
    """Lines as few sections as they fit in."""
    blocks: list[Block] = []
    current = ""
    for text in lines:
        if current and len(current) + len(text) + 1 > limit:
            blocks.append(kit.section(Mrkdwn(current)))
            current = ""
        current = f"{current}\n{text}" if current else str(text)
    return [*blocks, kit.section(Mrkdwn(current))] if current else blocks


@dataclass(frozen=True, slots=True)
class Day:
    """What a daily summary tells."""

    account: str
    counts: dict[str, int]  # of the invoices whose state changed, by state
    open_failures: int


def daily(t: Texts, data: Day) -> Card:
    """One message a day instead of one per sync."""
    title = t.md("daily.title", account=clean(data.account, 80))
    blocks = [kit.section(title), *counts(t, data.counts)]
    if data.open_failures:
        every = kit.button(t.plain("button.show_all"), "invoices_list", "attention:0")
        blocks.append(kit.section(t.md_n("daily.open", data.open_failures), every))
    show = kit.button(t.plain("button.invoices"), "invoices_list", "all:0")
    return kit.card(title, [*blocks, kit.actions(show)])
