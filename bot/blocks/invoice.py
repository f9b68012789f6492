"""The parts that every card about an invoice shares: what it is called, its state, its buttons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.blocks import kit
from bot.blocks.kit import Block
from bot.reasons import notes, sentence
from bot.texts import Mrkdwn, Texts, clean, link, mention
from sync.delivery import tag_trouble
from sync.model import InvoiceRecord, InvoiceState, PeppolResponse, ResponseKind

S = InvoiceState

NEEDS_PERSON = frozenset({S.FAILED, S.BLOCKED, S.WAITING})
SENDING = frozenset({S.IMPORTED, S.READY, S.SUBMITTING})


@dataclass(frozen=True, slots=True)
class Shown:
    """One invoice and what is needed to show it."""

    record: InvoiceRecord
    url: str  # in sevDesk's web app
    hide_amounts: bool = False


def number(shown: Shown) -> Mrkdwn:
    """The invoice's number, linked to sevDesk."""
    return link(shown.url, shown.record.number or shown.record.invoice_id)


def name(record: InvoiceRecord) -> str:
    """The number alone, so short that ten of them fit a sentence. Comes from outside."""
    return clean(record.number or record.invoice_id, 25)


def amount(t: Texts, shown: Shown) -> str:
    """The gross amount, unless the organisation hides amounts."""
    if shown.hide_amounts:
        return t.plain("amount.hidden")
    return t.amount(shown.record.gross, shown.record.currency)


def asks(record: InvoiceRecord) -> bool:
    """Whether a person must act: it failed, is blocked, or nobody can say whether it arrived."""
    if record.state is S.UNCONFIRMED:
        return record.overdue or record.next_at is None
    if record.state is S.SUBMITTED:
        return record.overdue
    return record.state in {S.FAILED, S.BLOCKED}


def needs_look(record: InvoiceRecord) -> bool:
    """Whether somebody should look at it: as `asks`, or its receiver objects, or sevDesk refuses
    its tag."""
    return asks(record) or record.objection is not None or tag_trouble(record) is not None


def deserves_card(record: InvoiceRecord) -> bool:
    """Whether it gets a message of its own: somebody must look at it, or it takes too long."""
    return needs_look(record) or record.overdue


def state_name(t: Texts, record: InvoiceRecord) -> Mrkdwn:
    """The state in two or three words."""
    return t.md(f"state.{record.state.value}")


def headline(t: Texts, shown: Shown) -> Mrkdwn:
    """One sentence: which invoice, to whom, how much, and where it stands."""
    return t.md(
        f"headline.{_headline(shown.record)}",
        number=number(shown),
        contact=clean(shown.record.contact_name or t.plain("contact.unnamed"), 80),
        amount=amount(t, shown),
        state=state_name(t, shown.record),
    )


def _headline(record: InvoiceRecord) -> str:
    if record.objection is not None:
        return "objection"
    if record.overdue and record.state in SENDING | {S.SUBMITTED}:
        return "overdue"
    if is_about_tag(record):
        return "tag"
    return record.state.value


def is_about_tag(record: InvoiceRecord) -> bool:
    """Whether nothing but the refused tag is worth saying."""
    waits = record.state in NEEDS_PERSON or asks(record) or record.objection is not None
    return tag_trouble(record) is not None and not waits and not record.overdue


def progress(t: Texts, record: InvoiceRecord) -> Mrkdwn:
    """Who did what and when."""
    when = t.moment(record.state_since)
    if record.state in SENDING and record.actor:
        return t.md("progress.sending_by", who=mention(record.actor), when=when)
    if record.state in SENDING:
        return t.md("progress.sending", when=when)
    key = "progress.state_by" if record.actor else "progress.state"
    return t.md(key, who=mention(record.actor), state=state_name(t, record), when=when)


def answer(t: Texts, response: PeppolResponse) -> Mrkdwn:
    """What came back over the network, in words; a code that nobody knows is shown as it is."""
    key = f"answer.code.{response.code}"
    code = t.plain(key) if t.has(key) else response.code
    who = "buyer" if response.kind is ResponseKind.INVOICE_RESPONSE else "access_point"
    if response.text:
        return t.md(f"answer.{who}_text", code=code, text=clean(response.text, 200))
    return t.md(f"answer.{who}", code=code)


def line(t: Texts, shown: Shown) -> Mrkdwn:
    """One line of a list."""
    record = shown.record
    values: dict[str, object] = {
        "number": number(shown),
        "contact": clean(record.contact_name or t.plain("contact.unnamed"), 50),
        "amount": amount(t, shown),
        "state": state_name(t, record),
    }
    if record.objection is not None:
        return t.md("list.line_reason", **values, reason=kit.cut(answer(t, record.objection), 160))
    if record.reason and record.state in {S.FAILED, S.BLOCKED, S.WITHDRAWN}:
        short = kit.cut(sentence(t, record.reason), 160)
        return t.md("list.line_reason", **values, reason=short)
    trouble = tag_trouble(record)
    if trouble is not None:
        short = kit.cut(t.md("tag.refused", reason=sentence(t, trouble)), 160)
        return t.md("list.line_reason", **values, reason=short)
    return t.md("list.line", **values)


def line_with_notes(t: Texts, shown: Shown) -> Mrkdwn:
    """As `line`, with what is worth knowing of the document below it."""
    return Mrkdwn("\n".join([line(t, shown), *notes(t, shown.record.warnings)]))


# ---- buttons --------------------------------------------------------------------------------


def retry_button(t: Texts, record: InvoiceRecord) -> Block:
    """Retry send; the first choice unless another receiver is."""
    style = "" if wants_peppol_id(record) else "primary"
    return kit.button(t.plain("button.retry"), "invoice_retry", record.invoice_id, style=style)


def open_button(t: Texts, shown: Shown) -> Block | None:
    """Open in sevDesk."""
    if not shown.url.startswith(("https://", "http://")):
        return None
    return kit.button(
        t.plain("button.open"), "invoice_open", shown.record.invoice_id, url=shown.url
    )


def peppol_button(t: Texts, record: InvoiceRecord) -> Block:
    """Set Peppol ID."""
    label = t.plain("button.peppol_id")
    return kit.button(label, "invoice_peppol_id", record.invoice_id, style="primary")


def documents_button(t: Texts, record: InvoiceRecord) -> Block:
    """Show document."""
    return kit.button(t.plain("button.documents"), "invoice_documents", record.invoice_id)


def dismiss_button(t: Texts, record: InvoiceRecord) -> Block:
    """Don't send."""
    sure = kit.confirm(
        t.plain("confirm.dismiss.title"),
        t.md("confirm.dismiss.text", number=record.number),
        t.plain("confirm.dismiss.ok"),
        t.plain("button.cancel"),
        danger=True,
    )
    return kit.button(t.plain("button.dismiss"), "invoice_dismiss", record.invoice_id, confirm=sure)


def send_button(t: Texts, record: InvoiceRecord) -> Block:
    """Send by Peppol."""
    return kit.button(t.plain("button.send"), "invoice_send", record.invoice_id, style="primary")


def unconfirmed_buttons(t: Texts, record: InvoiceRecord) -> tuple[Block, Block]:
    """It arrived; Send again, after the risk was spelled out."""
    risk = kit.confirm(
        t.plain("confirm.send_again.title"),
        t.md("confirm.send_again.text"),
        t.plain("confirm.send_again.ok"),
        t.plain("button.cancel"),
        danger=True,
    )
    arrived = kit.button(t.plain("button.arrived"), "invoice_arrived", record.invoice_id)
    again = kit.button(
        t.plain("button.send_again"),
        "invoice_send_again",
        record.invoice_id,
        style="danger",
        confirm=risk,
    )
    return arrived, again


def row(record: InvoiceRecord, elements: Sequence[Block | None]) -> Block:
    """The buttons of one invoice. The block's id says which attempt they were shown for, so that
    a late click on an old message does not start another one."""
    return kit.actions(*elements, block_id=f"invoice:{record.invoice_id}:{stage(record)}")


def stage(record: InvoiceRecord) -> str:
    """How far an invoice is: its import and the attempts within it."""
    return f"{record.generation}.{record.attempts}"


def wants_peppol_id(record: InvoiceRecord) -> bool:
    """Whether another receiver could help."""
    code = record.reason.code if record.reason else ""
    return record.state in {S.FAILED, S.BLOCKED} and (
        bool(record.candidates)
        or code.startswith(("address.", "peppol.lookup.", "peppol.participant.", "receiver."))
    )


def buttons(t: Texts, shown: Shown) -> list[Block]:
    """What a person can do about the invoice now."""
    record = shown.record
    rest = [open_button(t, shown), documents_button(t, record)]
    if asks(record) and record.state in {S.UNCONFIRMED, S.SUBMITTED}:
        found: list[Block | None] = [*unconfirmed_buttons(t, record), *rest]
    elif asks(record):
        extra = peppol_button(t, record) if wants_peppol_id(record) else None
        found = [extra, retry_button(t, record), *rest, dismiss_button(t, record)]
    elif record.state is S.WAITING:
        found = [send_button(t, record), *rest, dismiss_button(t, record)]
    else:
        found = rest
    return [element for element in found if element is not None]
