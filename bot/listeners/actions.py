"""Clicks on buttons."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext

from bot import flows
from bot.authz import Need
from bot.blocks import status
from bot.blocks.invoice import stage
from bot.caller import of_interaction
from bot.decisions import announce, refresh
from bot.deps import Call, Deps, Work, spawn, spawn_modal
from sync.model import Decision, InvoiceRecord, Outcome

type Decide = Callable[[Call, str], Awaitable[Decision]]

_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_PAGE = re.compile(r"([a-z_]{1,20}):([0-9]{1,7})")

DECISIONS: dict[str, tuple[str, Decide]] = {
    "invoice_retry": ("retry", lambda c, i: c.deps.service.retry(c.caller.org, i, c.caller.user)),
    "invoice_send": ("send", lambda c, i: c.deps.service.send(c.caller.org, i, c.caller.user)),
    "invoice_arrived": (
        "arrived",
        lambda c, i: c.deps.service.arrived(c.caller.org, i, c.caller.user),
    ),
    "invoice_send_again": (
        "send_again",
        lambda c, i: c.deps.service.send_again(c.caller.org, i, c.caller.user),
    ),
    "invoice_dismiss": (
        "dismiss",
        lambda c, i: c.deps.service.dismiss(c.caller.org, i, c.caller.user),
    ),
}


def register(app: AsyncApp, deps: Deps) -> None:
    """All buttons, and an answer for those of an older version."""

    async def clicked(ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        caller = of_interaction(context["installed"], body)
        action = _action(body)
        name = str(action.get("action_id") or "")
        await ack()
        if name in IGNORED:
            return
        work = work_of(name, action)
        title = MODALS.get(name)
        if title:
            spawn_modal(deps, caller, name, title, work)
        else:
            known = name in SIMPLE or name in DECISIONS or name in PAGES
            spawn(deps, caller, name if known else "unknown button", work)

    app.action(re.compile(".*"))(clicked)


def _action(body: Mapping[str, Any]) -> Mapping[str, Any]:
    actions = body.get("actions")
    first = actions[0] if isinstance(actions, list) and actions else {}
    return first if isinstance(first, Mapping) else {}


def work_of(name: str, action: Mapping[str, Any]) -> Work:
    """What a click does."""
    value = str(action.get("value") or "")
    if name in DECISIONS:
        wish, decide = DECISIONS[name]
        return _decide(wish, decide, value, _stage_of(action))
    if name in SIMPLE:
        return SIMPLE[name]
    if name == "invoice_peppol_id":
        return _about_invoice(value, Need.OPERATE, flows.fill_peppol_id)
    if name == "invoice_documents":
        return _about_invoice(value, Need.VIEW, flows.show_documents)
    if name in PAGES:
        return _page(value)
    return _unknown


def _stage_of(action: Mapping[str, Any]) -> str:
    """For which attempt the button was shown; empty where its block does not say."""
    block_id = str(action.get("block_id") or "")
    return block_id.rpartition(":")[2] if block_id.startswith("invoice:") else ""


def _decide(wish: str, decide: Decide, invoice_id: str, shown_stage: str) -> Work:
    async def work(call: Call) -> None:
        await call.require(Need.OPERATE)
        record = await _invoice(call, invoice_id)
        if record is None:
            await announce(call, wish, Decision(outcome=Outcome.NOT_FOUND))
        elif shown_stage and shown_stage != stage(record):
            # An old message, or the second of two clicks while the first one already failed.
            await announce(call, wish, Decision(outcome=Outcome.ALREADY, record=record))
        else:
            await announce(call, wish, await decide(call, invoice_id))

    return work


async def _invoice(call: Call, invoice_id: str) -> InvoiceRecord | None:
    if not _ID.fullmatch(invoice_id):
        return None
    return await call.deps.service.invoice(call.caller.org, invoice_id)


def _about_invoice(
    invoice_id: str, need: Need, then: Callable[[Call, InvoiceRecord], Awaitable[None]]
) -> Work:
    async def work(call: Call) -> None:
        await call.require(need)
        record = await _invoice(call, invoice_id)
        if record is None:
            await announce(call, "retry", Decision(outcome=Outcome.NOT_FOUND))
        else:
            await then(call, record)
            await refresh(call, record)

    return work


def _page(value: str) -> Work:
    async def work(call: Call) -> None:
        await call.require(Need.VIEW)
        match = _PAGE.fullmatch(value)
        chosen = match.group(1) if match and match.group(1) in flows.FILTERS else "all"
        await flows.show_invoices(call, chosen, int(match.group(2)) if match else 0)

    return work


async def _unknown(call: Call) -> None:
    """A button that this version does not know: it is told, not ignored."""
    await call.deps.replies.say(call.caller, call.t, call.t.md("error.old_button"))


async def _retry_all(call: Call) -> None:
    await call.require(Need.OPERATE)
    await flows.retry_all(call)


async def _send_all(call: Call) -> None:
    await call.require(Need.OPERATE)
    await flows.send_all(call)


async def _sync(call: Call) -> None:
    await call.require(Need.OPERATE)
    if await flows.is_connected(call):
        await flows.sync(call)


async def _status(call: Call) -> None:
    await call.require(Need.VIEW)
    card = status.status(call.t, await flows.status_data(call))
    await call.deps.replies.tell(call.caller, call.t, card)


async def _restore(call: Call) -> None:
    await flows.resolve_hold(call, resend=False)


async def _resend(call: Call) -> None:
    await flows.resolve_hold(call, resend=True)


SIMPLE: dict[str, Work] = {
    "invoices_retry_all": _retry_all,
    "invoices_send_all": _send_all,
    "invoices_send_from": flows.fill_send_from,
    "home_connect": flows.fill_connect,
    "home_settings": flows.fill_settings,
    "home_disconnect": flows.fill_disconnect,
    "home_sync": _sync,
    "home_status": _status,
    "hold_restore": _restore,
    "hold_resend": _resend,
    "pause_resume": flows.resume,
}
PAGES = {"invoices_list", "invoices_newer", "invoices_older"}
MODALS = {
    "invoices_send_from": "send_from.title",
    "home_connect": "connect.title",
    "home_settings": "settings.title",
    "home_disconnect": "disconnect.title",
    "invoice_peppol_id": "peppol.title",
}
IGNORED = {"invoice_open", "value"}  # a link opens by itself; a choice counts when submitted
