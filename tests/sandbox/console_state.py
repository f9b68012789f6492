"""What the sandbox page shows, as plain data: Slack for one person, sevDesk, the access point."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tests.sandbox.access_points import StandIn, Taken
from tests.sandbox.sevdesk import Invoice, SevdeskAccount, SevdeskStandIn
from tests.sandbox.slack import FakeSlack, Message, OpenView, User

type Json = dict[str, Any]

COMMANDS = {
    "connect": "Connect a sevDesk account",
    "sync": "Look for new invoices now",
    "status": "Connection, counts, what needs a person",
    "invoices": "The invoices and their states",
    "retry": "Send a failed invoice again: retry RE-1001, retry all",
    "settings": "Channel, sending, notifications, language",
    "export": "The audit list as CSV",
    "disconnect": "Stop syncing and erase the token",
    "help": "What xTool can do",
}
STATUS = {50: "Deactivated", 100: "Draft", 200: "Open", 750: "Partly paid", 1000: "Paid"}


@dataclass
class Parts:
    """The three stand-ins behind the page. `token` is what a person types into Connect."""

    slack: FakeSlack
    sevdesk: SevdeskStandIn | None = None
    account: SevdeskAccount | None = None
    access_point: StandIn | None = None
    token: str = ""


def state(parts: Parts, user: str) -> Json:
    """Everything on the page for this person."""
    return {
        "slack": slack_state(parts.slack, parts.slack.user(user)),
        "sevdesk": sevdesk_state(parts),
        "access_point": access_point_state(parts),
        "faults": fault_state(parts),
        "commands": COMMANDS,
    }


# --- Slack --------------------------------------------------------------------------------------


def slack_state(slack: FakeSlack, person: User) -> Json:
    """The window of one person."""
    channels = [c for c in slack.workspace.channels.values() if person.id in c.members]
    direct = slack.workspace.direct(person, slack.core.bot_user)
    seen = [m for m in slack.workspace.posts if slack.sees(person, m)]
    home = slack.workspace.homes.get(person.id)
    return {
        "team": slack.workspace.teams[slack.core.team_id].name,
        "me": person.id,
        "direct": direct.id,
        "bot": slack.core.bot_user,
        "users": [_user(user) for user in slack.workspace.users.values()],
        "channels": [_channel(c, slack) for c in channels if c.kind != "im"],
        "messages": [_message(m) for m in seen],
        "modals": [_view(v) for v in slack.workspace.modals.get(person.id, [])],
        "home": _view(home) if home else None,
        "notices": [
            {"at": n.at, "code": n.code, "text": n.text}
            for n in slack.core.notices
            if n.user == person.id
        ],
        "calls": [_call(c) for c in slack.core.calls[-40:]],
    }


def _user(user: User) -> Json:
    return {"id": user.id, "name": user.name, "real_name": user.real_name, "kind": user.kind} | {
        "locale": user.locale
    }


def _channel(channel: Any, slack: FakeSlack) -> Json:
    return {
        "id": channel.id,
        "name": channel.name,
        "kind": channel.kind,
        "archived": channel.archived,
        "shared": channel.shared,
        "members": len(channel.members),
        "has_app": slack.core.bot_user in channel.members,
    }


def _message(message: Message) -> Json:
    return {
        "channel": message.channel,
        "ts": message.ts,
        "user": message.user,
        "text": message.text,
        "blocks": message.blocks,
        "thread_ts": message.thread_ts,
        "ephemeral": message.is_ephemeral,
        "edited": message.edited,
        "by_app": message.by_app,
        "files": message.files,
        "state": message.state,
    }


def _view(view: OpenView) -> Json:
    return {
        "id": view.id,
        "hash": view.hash,
        "content": view.content,
        "values": view.values,
        "errors": view.errors,
        "trouble": view.trouble,
        "busy": view.busy,
    }


def _call(call: Any) -> Json:
    outcome = "ok" if call.ok else call.fault or call.answer.get("error", "error")
    return {"method": call.method, "outcome": outcome, "ok": call.ok}


# --- sevDesk and the access point ---------------------------------------------------------------


def sevdesk_state(parts: Parts) -> Json | None:
    """Invoices with their tags, newest number first, drafts last."""
    account = parts.account
    if account is None or parts.sevdesk is None:
        return None
    invoices = sorted(account.invoices.values(), key=_by_number, reverse=True)
    return {
        "company": account.company.name,
        "token": parts.token,
        "requests": len(parts.sevdesk.log),
        "invoices": [_invoice(account, invoice) for invoice in invoices],
        "contacts": [
            {"id": c.id, "name": c.label, "tags": account.tags_of(c)}
            for c in account.contacts.values()
        ],
    }


def _by_number(invoice: Invoice) -> tuple[bool, int]:
    digits = re.sub(r"\D", "", invoice.number or "")
    return bool(digits), int(digits or 0)


def _invoice(account: SevdeskAccount, invoice: Invoice) -> Json:
    contact = account.contacts.get(invoice.contact)
    parent = account.contacts.get(contact.parent) if contact else None
    return {
        "id": invoice.id,
        "number": invoice.number,
        "contact": contact.label if contact else "?",
        "contact_id": invoice.contact,
        "contact_tags": account.tags_of(contact) if contact else [],
        "parent": parent.label if parent else "",
        "parent_tags": account.tags_of(parent) if parent else [],
        "gross": str(account.document(invoice).gross) if contact else "",
        "currency": invoice.currency,
        "status": invoice.status,
        "status_text": STATUS.get(invoice.status, str(invoice.status)),
        "type": invoice.type,
        "e_invoice": invoice.e_invoice,
        "day": invoice.day.isoformat(),
        "flaws": sorted(flaw.value for flaw in invoice.flaws),
        "tags": account.tags_of(invoice),
    }


def access_point_state(parts: Parts) -> Json | None:
    """What the access point took, newest first, and how often it was asked to send."""
    point = parts.access_point
    if point is None:
        return None
    attempts = [s for method, path, s in point.requests if point.is_submission(method, path)]
    doubles = sum(count - 1 for count in point.counts().values())
    return {
        "provider": type(point).__name__.removesuffix("StandIn"),
        "attempts": len(attempts),
        "refused": sum(1 for status in attempts if status >= 400),
        "cut": sum(1 for status in attempts if status == 0),
        "doubles": doubles,
        "taken": [_taken(n, one) for n, one in reversed(list(enumerate(point.taken)))],
    }


def _taken(index: int, one: Taken) -> Json:
    status = "delivered" if one.delivered else "failed" if one.fails else "on its way"
    return {
        "index": index,
        "id": one.id,
        "number": one.number,
        "receiver": one.receiver,
        "document": document_name(one.document_type),
        "status": status,
        "at": one.at.isoformat(),
        "size": len(one.xml),
    }


def document_name(document_type: str) -> str:
    """A document type id in a few words: `Invoice, UBL, XRechnung 3.0`."""
    root, _, custom = document_type.partition("##")
    local = root.rpartition("::")[2]
    syntax = "CII" if "CrossIndustry" in local else "UBL"
    kind = "Credit note" if "CreditNote" in local else "Invoice"
    profile = "Peppol BIS 3" if "peppol" in custom and "xrechnung" not in custom else "EN 16931"
    if "xrechnung" in custom.lower():
        profile = "XRechnung"
    return f"{kind} · {syntax} · {profile}"


# --- faults -------------------------------------------------------------------------------------


def fault_state(parts: Parts) -> Json:
    """Which switches are on."""
    found: Json = {"slack_down": parts.slack.faults.active("*")}
    found["slack_429"] = parts.slack.faults.active("chat.postMessage")
    if parts.sevdesk is not None:
        found["sevdesk_down"] = any(f.times > 0 and f.status == 503 for f in parts.sevdesk.faults)
    if parts.account is not None:
        found["sevdesk_revoked"] = parts.account.revoked
    point = parts.access_point
    if point is not None:
        found["ap_down"] = point.constant_fault is not None
        found["ap_queue"] = [fault.value for fault in point.faults]
    return found
