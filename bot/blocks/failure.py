"""A message of its own for an invoice that needs a person, updated in place until it is solved."""

from __future__ import annotations

from bot.blocks import invoice, kit
from bot.blocks.invoice import Shown
from bot.blocks.kit import Block, Card
from bot.reasons import findings, next_step, sentence
from bot.texts import Mrkdwn, Texts
from sync.delivery import tag_trouble
from sync.errors import Reason
from sync.model import InvoiceRecord, InvoiceState
from sync.settling import OTHER_ACCOUNT


def failure(t: Texts, shown: Shown) -> Card:
    """The invoice, why it was not sent, what to do, and the buttons for it."""
    text = invoice.headline(t, shown)
    return kit.card(
        text,
        [
            kit.section(text),
            *_explanation(t, shown),
            *_warnings(t, shown),
            kit.context(*_small_print(t, shown)),
            invoice.row(shown.record, invoice.buttons(t, shown)),
        ],
        invoice.name(shown.record),
    )


def _explanation(t: Texts, shown: Shown) -> list[Block]:
    record = shown.record
    if record.state is InvoiceState.UNCONFIRMED:
        return _unconfirmed(t, record)
    if record.state is InvoiceState.SUBMITTED and invoice.asks(record):
        return [kit.section(t.md("submitted.explanation"))]
    if record.objection is not None:
        said = invoice.answer(t, record.objection)
        reason = kit.section(t.md("objection.reason", answer=said))
        return [reason, kit.section(t.md("objection.next"))]
    trouble = tag_trouble(record)
    if trouble is not None and invoice.is_about_tag(record):
        reason = kit.section(t.md("failure.reason", reason=sentence(t, trouble)))
        return [reason, kit.section(t.md("failure.next", step=t.md("tag.next")))]
    if record.reason is None or record.state is InvoiceState.SENT:
        return []
    return _why(t, record, record.reason)


def _unconfirmed(t: Texts, record: InvoiceRecord) -> list[Block]:
    """Why nobody knows. Where it went to another account, the list of this one shows nothing."""
    reason = record.reason
    if reason is None or reason.code != OTHER_ACCOUNT.code:
        return [kit.section(t.md("unconfirmed.explanation"))]
    return [
        kit.section(t.md("failure.reason", reason=sentence(t, reason))),
        kit.section(t.md("failure.next", step=next_step(t, reason))),
    ]


def _why(t: Texts, record: InvoiceRecord, reason: Reason) -> list[Block]:
    """What is wrong, and what to do about it where somebody must act."""
    if not invoice.asks(record) and not record.overdue:
        return [kit.section(sentence(t, reason))]
    blocks = [
        kit.section(t.md("failure.reason", reason=sentence(t, reason))),
        kit.section(t.md("failure.next", step=next_step(t, reason))),
    ]
    listed = findings(t, reason.findings)
    if listed:
        blocks.insert(1, kit.section(Mrkdwn("\n".join(listed))))
    return blocks


def _warnings(t: Texts, shown: Shown) -> list[Block]:
    """What is worth knowing of the document, though it may be sent."""
    listed = findings(t, shown.record.warnings)
    if not listed:
        return []
    return [kit.section(Mrkdwn("\n".join((t.md("failure.notes"), *listed))))]


def _small_print(t: Texts, shown: Shown) -> list[Mrkdwn]:
    record = shown.record
    parts = [invoice.progress(t, record)]
    if record.due_date:
        parts.append(t.md("small.due", date=t.date(record.due_date)))
    if record.attempts:
        parts.append(t.md("small.attempt", n=t.number(record.attempts)))
    if record.receiver:
        parts.append(t.md("small.receiver", participant=str(record.receiver)))
    if invoice.asks(record) and record.attempt and record.attempt.provider_status:
        parts.append(t.md("small.provider", status=record.attempt.provider_status))
    if record.responses and record.objection is None:
        parts.append(t.md("small.answer", answer=invoice.answer(t, record.responses[-1])))
    if tag_trouble(record) and not invoice.is_about_tag(record):
        parts.append(t.md("small.tag"))
    if record.rules and (record.warnings or (record.reason and record.reason.findings)):
        parts.append(t.md("small.rules", rules=record.rules))
    return parts
