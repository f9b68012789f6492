"""What a person does on the sandbox page: in Slack, in sevDesk, and to the services."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from tests.sandbox.access_points import Fault as PointFault
from tests.sandbox.cii import Flaw, Line
from tests.sandbox.console_state import Json, Parts
from tests.sandbox.seed import UNKNOWN_RECEIVER
from tests.sandbox.sevdesk import Contact, Invoice, SevdeskAccount, outage
from tests.sandbox.slack import Delivery, Message, OpenView

FOREVER = 1_000_000_000

type Act = Callable[[Parts, Json], Awaitable[Delivery | None]]


# --- Slack --------------------------------------------------------------------------------------


async def command(parts: Parts, act: Json) -> Delivery:
    """A slash command."""
    return await parts.slack.command(act["text"], user=act["user"], channel=act["channel"])


async def click(parts: Parts, act: Json) -> Delivery:
    """A button, menu or select."""
    return await parts.slack.click(
        act["action_id"],
        user=act["user"],
        message=_container(parts, act["container"]),
        block_id=act["block_id"],
        value=act.get("value"),
        option=act.get("option"),
    )


def _container(parts: Parts, where: Json) -> Message | OpenView:
    workspace = parts.slack.workspace
    if where["kind"] == "message":
        found: Message | OpenView | None = workspace.find(where["channel"], where["ts"])
    else:
        found = workspace.view(where["id"])
    if found is None:
        raise LookupError("it is not there any more")
    return found


async def submit(parts: Parts, act: Json) -> Delivery:
    """A modal's main button."""
    view = parts.slack.workspace.view(act["view"])
    if view is None:
        raise LookupError("the modal is closed")
    return await parts.slack.submit(view, act["values"], user=act["user"])


async def close(parts: Parts, act: Json) -> Delivery | None:
    """A modal's cancel button."""
    view = parts.slack.workspace.view(act["view"])
    return await parts.slack.close(view, user=act["user"]) if view else None


async def home(parts: Parts, act: Json) -> Delivery:
    """Opening the Home tab."""
    return await parts.slack.open_home(user=act["user"])


# --- sevDesk ------------------------------------------------------------------------------------


def _account(parts: Parts) -> SevdeskAccount:
    if parts.account is None:
        raise LookupError("there is no sevDesk account")
    return parts.account


def _invoice(parts: Parts, act: Json) -> Invoice:
    return _account(parts).invoices[act["invoice"]]


def _contact(parts: Parts, act: Json) -> Contact:
    return _account(parts).contacts[act["contact"]]


async def pay(parts: Parts, act: Json) -> None:
    """Book the whole payment."""
    _account(parts).pay(_invoice(parts, act))


async def pay_part(parts: Parts, act: Json) -> None:
    """Book a payment of ten."""
    _account(parts).pay(_invoice(parts, act), Decimal(10))


async def remove_tags(parts: Parts, act: Json) -> None:
    """Take every tag off the invoice: with xTool, a re-export."""
    _account(parts).untag(_invoice(parts, act))


async def correct(parts: Parts, act: Json) -> None:
    """Put right what is wrong with the document; `update` moves on."""
    _account(parts).edit(_invoice(parts, act), flaws=frozenset())


async def spoil(parts: Parts, act: Json) -> None:
    """Make the document break a rule: the buyer reference is gone."""
    flaws = frozenset({Flaw.NO_BUYER_REFERENCE})
    _account(parts).edit(_invoice(parts, act), flaws=flaws)


async def delete(parts: Parts, act: Json) -> None:
    """Delete the invoice."""
    _account(parts).delete(_invoice(parts, act))


async def finish_draft(parts: Parts, act: Json) -> None:
    """Turn a draft into an open invoice."""
    _account(parts).open_draft(_invoice(parts, act))


async def new_invoice(parts: Parts, act: Json) -> None:
    """Write an invoice for a contact."""
    hours, price = Decimal(str(act.get("hours") or 3)), Decimal(str(act.get("price") or 95))
    line = Line(str(act.get("what") or "Beratung")[:80], hours, price, unit="HUR")
    _account(parts).add_invoice(_contact(parts, act), [line])


async def toggle_contact(parts: Parts, act: Json) -> None:
    """Put the tag `xTool` on a contact, or take it off."""
    account, contact = _account(parts), _contact(parts, act)
    tag = str(act.get("tag") or "xTool")
    if tag in account.tags_of(contact):
        account.untag(contact, tag)
    else:
        account.tag("Contact", contact.id, tag)


# --- trouble ------------------------------------------------------------------------------------


async def trouble(parts: Parts, act: Json) -> None:
    """Switch a fault on or off."""
    name = act["name"]
    if name not in SWITCHES:
        raise LookupError(f"there is no switch {name}")
    SWITCHES[name](parts, bool(act.get("on", True)))


def _slack_down(parts: Parts, on: bool) -> None:
    parts.slack.faults.clear("*")
    if on:
        parts.slack.faults.add("*", "server_error", times=None)
    parts.slack.core.changes.notify()


def _slack_429(parts: Parts, on: bool) -> None:
    parts.slack.faults.clear("chat.postMessage")
    if on:
        parts.slack.faults.add("chat.postMessage", "rate_limited", retry_after=3)
    parts.slack.core.changes.notify()


def _sevdesk_down(parts: Parts, on: bool) -> None:
    if parts.sevdesk is None:
        return
    parts.sevdesk.faults = [f for f in parts.sevdesk.faults if f.status != 503]
    if on:
        parts.sevdesk.inject(outage(times=FOREVER))


def _sevdesk_revoked(parts: Parts, on: bool) -> None:
    account = _account(parts)
    if on:
        account.revoke_token()
    else:
        account.restore_token()


def _queue(fault: PointFault) -> Callable[[Parts, bool], None]:
    def change(parts: Parts, on: bool) -> None:
        if parts.access_point is None:
            return
        if on:
            parts.access_point.inject(fault)
        else:
            parts.access_point.faults.clear()

    return change


def _point_down(parts: Parts, on: bool) -> None:
    if parts.access_point is not None:
        parts.access_point.constant_fault = PointFault.UNAVAILABLE if on else None


def _reject(parts: Parts, on: bool) -> None:
    if parts.access_point is not None:
        for receiver in parts.access_point.receivers.values():
            receiver.rejects = 1 if on else 0


def _register(parts: Parts, on: bool) -> None:
    point = parts.access_point
    if point is None or not point.receivers:
        return
    types = set().union(*(receiver.document_types for receiver in point.receivers.values()))
    if on:
        point.register(UNKNOWN_RECEIVER, *types)
    else:
        point.receivers.pop(UNKNOWN_RECEIVER.lower(), None)


SWITCHES: dict[str, Callable[[Parts, bool], None]] = {
    "slack_down": _slack_down,
    "slack_429": _slack_429,
    "sevdesk_down": _sevdesk_down,
    "sevdesk_revoked": _sevdesk_revoked,
    "ap_lost": _queue(PointFault.LOST_ANSWER),
    "ap_reset": _queue(PointFault.RESET),
    "ap_down": _point_down,
    "ap_reject": _reject,
    "ap_register": _register,
}
ACTS: dict[str, Act] = {
    "command": command,
    "click": click,
    "submit": submit,
    "close": close,
    "home": home,
    "pay": pay,
    "pay_part": pay_part,
    "remove_tags": remove_tags,
    "correct": correct,
    "spoil": spoil,
    "delete": delete,
    "finish_draft": finish_draft,
    "new_invoice": new_invoice,
    "toggle_contact": toggle_contact,
    "trouble": trouble,
}


async def perform(parts: Parts, act: Any) -> Json:
    """Do what the page asks; the answer says whether the app reacted.

    `LookupError` and `ValueError` mean that the page asked for what is not there.
    """
    if not isinstance(act, dict) or act.get("kind") not in ACTS:
        raise LookupError("unknown act")
    delivery = await ACTS[act["kind"]](parts, act)
    parts.slack.core.changes.notify()
    return {"ok": delivery is None or delivery.ok, "error": delivery.error if delivery else ""}
