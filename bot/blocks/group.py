"""Up to ten failures of one sync in one message: many at once must not flood a channel."""

from __future__ import annotations

from collections.abc import Sequence

from bot.blocks import invoice, kit
from bot.blocks.invoice import Shown
from bot.blocks.kit import Block, Card
from bot.reasons import next_step, sentence
from bot.texts import Mrkdwn, Texts
from sync.delivery import tag_trouble


def group(t: Texts, members: Sequence[Shown]) -> Card:
    """Each invoice with its reason and its two or three most useful buttons."""
    open_ones = sum(invoice.asks(shown.record) for shown in members)
    title = _title(t, members, open_ones)
    blocks: list[Block] = [kit.section(title)]
    for shown in members:
        blocks += _member(t, shown)
    if open_ones > 1:
        label = t.plain("button.retry_all")
        blocks.append(kit.actions(kit.button(label, "invoices_retry_all", style="primary")))
    return kit.card(title, blocks, ", ".join(invoice.name(shown.record) for shown in members))


def _title(t: Texts, members: Sequence[Shown], open_ones: int) -> Mrkdwn:
    if open_ones:
        return t.md_n("group.title", open_ones)
    looked_at = sum(invoice.deserves_card(shown.record) for shown in members)
    return t.md_n("group.look", looked_at) if looked_at else t.md("group.solved")


def _member(t: Texts, shown: Shown) -> list[Block]:
    record = shown.record
    lines = [invoice.headline(t, shown)]
    if record.reason and (invoice.asks(record) or record.overdue):
        lines.append(kit.cut(sentence(t, record.reason), 300))
        lines.append(kit.cut(next_step(t, record.reason), 250))
    elif record.objection is not None:
        said = invoice.answer(t, record.objection)
        lines.append(kit.cut(t.md("objection.reason", answer=said), 400))
    elif (trouble := tag_trouble(record)) is not None:
        lines.append(kit.cut(sentence(t, trouble), 300))
    else:
        lines.append(invoice.progress(t, record))
    text = kit.cut(Mrkdwn("\n".join(lines)), 1000)
    if not invoice.asks(record):
        return [kit.section(text)]
    return [kit.section(text), invoice.row(record, invoice.buttons(t, shown)[:4])]
