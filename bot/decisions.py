"""What follows from a person's decision about an invoice: an answer to them, and the card."""

from __future__ import annotations

import structlog

from bot.blocks.invoice import state_name
from bot.deps import Call
from bot.slack import SlackError
from bot.texts import Mrkdwn, mention
from sync.model import Decision, InvoiceRecord, InvoiceState, Outcome

log = structlog.get_logger(__name__)


async def announce(call: Call, wish: str, decision: Decision) -> None:
    """Tell the person what became of their wish, and show the invoice's card as it is now.

    `wish` names the sentence: retry, send, receiver, arrived, send_again, dismiss.
    """
    if decision.record is not None:
        await refresh(call, decision.record)
    await call.deps.replies.say(call.caller, call.t, _answer(call, wish, decision))


def _answer(call: Call, wish: str, decision: Decision) -> Mrkdwn:
    record = decision.record
    if record is None or decision.outcome is Outcome.NOT_FOUND:
        return call.t.md("decision.not_found")
    number = record.number or record.invoice_id
    if decision.outcome is Outcome.STARTED:
        return call.t.md(f"decision.{wish}", number=number)
    if record.state is InvoiceState.UNCONFIRMED and decision.outcome is Outcome.NOT_POSSIBLE:
        return call.t.md("decision.too_early", number=number)
    state = state_name(call.t, record)
    when = call.t.moment(record.state_since)
    if decision.outcome is Outcome.ALREADY and record.actor:
        who = mention(record.actor)
        return call.t.md("decision.already_by", number=number, who=who, state=state, when=when)
    return call.t.md("decision.already", number=number, state=state, when=when)


async def refresh(call: Call, record: InvoiceRecord) -> None:
    """Bring the invoice's card and its sync's digest up to date at once.

    That it fails is no reason to hide the answer: the notifier does the same a moment later.
    """
    cards, org = call.deps.cards, call.caller.org
    try:
        await cards.put_invoice(org, record, call.prefs)
        if record.run:
            await cards.put_run(org, record.run, call.prefs)
    except SlackError as error:
        log.warning("card could not be refreshed", org=org, code=error.code)
