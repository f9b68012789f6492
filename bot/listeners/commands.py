"""`/sevdesk …`"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext

from bot import export, flows
from bot.authz import Need
from bot.blocks import status
from bot.caller import of_command
from bot.decisions import announce
from bot.deps import Call, Deps, Work, spawn, spawn_modal
from bot.texts import clean

COMMAND = "/sevdesk"
MAX_TEXT = 200
_YEAR = re.compile(r"20[0-9]{2}")
MODALS: dict[Work, str] = {  # what fills a modal, and the key of its title
    flows.fill_connect: "connect.title",
    flows.fill_settings: "settings.title",
    flows.fill_disconnect: "disconnect.title",
}


def register(app: AsyncApp, deps: Deps) -> None:
    """The one command."""

    async def sevdesk(ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        caller = of_command(context["installed"], body)
        name, work = parse(body)
        await ack()
        title = MODALS.get(work)
        if title:
            spawn_modal(deps, caller, name, title, work)
        else:
            spawn(deps, caller, name, work)

    app.command(COMMAND)(sevdesk)


def parse(body: Mapping[str, Any]) -> tuple[str, Work]:
    """The sub-command's name (for logs) and what it does.

    What follows `connect` may be a token that somebody pasted: it is neither kept nor logged.
    """
    words = clean(body.get("text") or "", MAX_TEXT).split()
    name, arguments = (words[0].lower(), words[1:]) if words else ("help", [])
    if name == "connect":
        return name, refuse_text if arguments else flows.fill_connect
    simple = {
        "sync": sync_now,
        "status": show_status,
        "settings": flows.fill_settings,
        "disconnect": flows.fill_disconnect,
        "help": show_help,
    }
    if name in simple:
        return name, simple[name]
    if name == "invoices":
        return name, _invoices(arguments)
    if name == "retry":
        return name, _retry(arguments)
    if name == "export":
        return name, _export(arguments)
    return "unknown", _unknown(name)


async def show_help(call: Call) -> None:
    """Usage; for everybody."""
    await call.deps.replies.tell(
        call.caller, call.t, status.usage(call.t, support_at=call.deps.support_at)
    )


def _unknown(typed: str) -> Work:
    async def unknown(call: Call) -> None:
        card = status.usage(call.t, typed, call.deps.support_at)
        await call.deps.replies.tell(call.caller, call.t, card)

    return unknown


async def refuse_text(call: Call) -> None:
    """`/sevdesk connect <anything>`: a token does not belong into a message."""
    await call.deps.replies.say(call.caller, call.t, call.t.md("connect.no_text"))


async def sync_now(call: Call) -> None:
    """Sync, and say what came of it."""
    await call.require(Need.OPERATE)
    if await flows.is_connected(call):
        await flows.sync(call)


async def show_status(call: Call) -> None:
    """Connection, counts, what needs a person."""
    await call.require(Need.VIEW)
    card = status.status(call.t, await flows.status_data(call))
    await call.deps.replies.tell(call.caller, call.t, card)


def _export(arguments: list[str]) -> Work:
    """The audit list as CSV, or that of a year."""

    async def export_audit(call: Call) -> None:
        await call.require(Need.MANAGE)
        typed = " ".join(arguments)
        if typed and not _YEAR.fullmatch(typed):
            text = call.t.md("export.usage", typed=typed)
            await call.deps.replies.say(call.caller, call.t, text)
            return
        await export.send(call, int(typed) if typed else None)

    return export_audit


def _invoices(arguments: list[str]) -> Work:
    async def invoices(call: Call) -> None:
        await call.require(Need.VIEW)
        if not await flows.is_connected(call):
            return
        chosen = flows.filter_of(" ".join(arguments))
        if chosen is None:
            names = ", ".join(flows.filter_words(call.t))
            text = call.t.md("invoices.unknown", typed=" ".join(arguments), states=names)
            await call.deps.replies.say(call.caller, call.t, text)
            return
        await flows.show_invoices(call, chosen, 0)

    return invoices


def _retry(arguments: list[str]) -> Work:
    async def retry(call: Call) -> None:
        await call.require(Need.OPERATE)
        if not await flows.is_connected(call):
            return
        number = " ".join(arguments)
        if not number:
            await call.deps.replies.say(call.caller, call.t, call.t.md("retry.usage"))
        elif number.lower() == "all":
            await flows.retry_all(call)
        else:
            await _retry_one(call, number)

    return retry


async def _retry_one(call: Call, number: str) -> None:
    record = await call.deps.service.by_number(call.caller.org, number)
    if record is None:
        text = call.t.md("retry.not_found", number=number)
        await call.deps.replies.say(call.caller, call.t, text)
        return
    decision = await call.deps.service.retry(call.caller.org, record.invoice_id, call.caller.user)
    await announce(call, "retry", decision)
