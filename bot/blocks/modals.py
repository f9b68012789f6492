"""The modals: connect, disconnect, Peppol id, send from a date. Settings have their own file.

A view that has been submitted is replaced by `message`, so every modal ends in a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence

from bot.blocks import invoice, kit
from bot.blocks.invoice import Shown
from bot.blocks.kit import Block
from bot.reasons import sentence
from bot.texts import Mrkdwn, Texts, clean
from sync.model import Connection, ConnectionState

TOKEN_BLOCK, TOKEN_ACTION = "token", "value"
CHANNEL_BLOCK, CHANNEL_ACTION = "channel", "value"
CANDIDATE_BLOCK, PARTICIPANT_BLOCK = "candidate", "participant"
DATE_BLOCK = "since"
TOKEN_CHARS = 200


def message(t: Texts, title_key: str, text: Mrkdwn, *, callback_id: str = "closed") -> Block:
    """A modal that only says something."""
    blocks = [kit.section(text)]
    return kit.modal(callback_id, t.plain(title_key), blocks, close=t.plain("button.close"))


def loading(t: Texts, title_key: str) -> Block:
    """Opened at once, since a trigger lives three seconds; replaced as soon as more is known."""
    return message(t, title_key, t.md("modal.loading"), callback_id="loading")


def connect(
    t: Texts, current: Connection | None, channel: str, error: Mrkdwn | None = None
) -> Block:
    """Token and channel. With a connection it says which account would be replaced.

    Slack has no hidden input; the hint says so. The token is never shown again.
    """
    blocks: list[Block] = []
    if error:
        blocks.append(kit.alert(t.plain("connect.failed"), "error"))
        blocks.append(kit.section(error))
    if current and current.state is not ConnectionState.DISCONNECTED:
        name = clean(current.account_name, 80)
        blocks.append(kit.section(t.md("connect.replace", account=name)))
    elif not error:
        blocks.append(kit.section(t.md("connect.intro")))
    token: Block = {
        "type": "plain_text_input",
        "action_id": TOKEN_ACTION,
        "max_length": TOKEN_CHARS,
        "placeholder": kit.plain(t.plain("connect.token_placeholder"), 150),
    }
    hint = t.plain("connect.token_hint")
    blocks.append(kit.field(TOKEN_BLOCK, t.plain("connect.token"), token, hint=hint))
    hint = t.plain("connect.channel_hint")
    picker = channel_picker(channel)
    blocks.append(kit.field(CHANNEL_BLOCK, t.plain("connect.channel"), picker, hint=hint))
    return kit.modal(
        "connect",
        t.plain("connect.title"),
        blocks,
        close=t.plain("button.cancel"),
        submit=t.plain("connect.submit"),
        private_metadata=t.language,
        clear=True,
    )


def channel_picker(initial: str) -> Block:
    """Channels of this company only: amounts are not for people outside."""
    element: Block = {
        "type": "conversations_select",
        "action_id": CHANNEL_ACTION,
        "filter": {
            "include": ["public", "private"],
            "exclude_external_shared_channels": True,
            "exclude_bot_users": True,
        },
    }
    return element | ({"initial_conversation": initial} if initial else {})


def checking(t: Texts) -> Block:
    """While sevDesk is asked."""
    return message(t, "connect.title", t.md("connect.checking"), callback_id="checking")


def connected(t: Texts, account: str, tag: str, *notes: Mrkdwn) -> Block:
    """It worked: the account's name, what happens next, and what else is to be known."""
    name = clean(account, 80)
    blocks = [
        kit.alert(t.plain("connect.done_alert"), "success"),
        kit.section(t.md("connect.done", account=name)),
        kit.section(t.md("intro.next", tag=tag)),
    ]
    blocks.extend(kit.section(note) for note in notes)
    return kit.modal("closed", t.plain("connect.title"), blocks, close=t.plain("button.close"))


def disconnect(t: Texts, connection: Connection) -> Block:
    """Asks before anything is erased."""
    name = clean(connection.account_name, 80)
    return kit.modal(
        "disconnect",
        t.plain("disconnect.title"),
        [kit.section(t.md("disconnect.ask", account=name))],
        close=t.plain("button.cancel"),
        submit=t.plain("disconnect.submit"),
        private_metadata=t.language,
    )


def peppol_id(
    t: Texts, shown: Shown, lookups: Sequence[tuple[str, str]], error: Mrkdwn | None = None
) -> Block:
    """Choose or type the receiver's Peppol id.

    `lookups`: candidates as `scheme:value`, each with what the lookup said (`registered`,
    `not_registered`, `not_confirmed`, `no_document_type`, `down`).
    """
    record = shown.record
    contact = clean(record.contact_name or t.plain("contact.unnamed"), 80)
    number = invoice.number(shown)
    blocks: list[Block] = [kit.section(t.md("peppol.ask", contact=contact, number=number))]
    if record.reason and record.reason.code:
        blocks.append(kit.context(sentence(t, record.reason)))
    if error:
        blocks.append(kit.alert(t.plain("peppol.failed"), "error"))
        blocks.append(kit.section(error))
    if lookups:
        blocks.append(_candidates(t, lookups))
    typed: Block = {
        "type": "plain_text_input",
        "action_id": "value",
        "max_length": 140,
        "placeholder": kit.plain("9930:DE123456788", 150),
    }
    label = t.plain("peppol.other" if lookups else "peppol.own")
    hint = t.plain("peppol.hint")
    optional = bool(lookups)
    blocks.append(kit.field(PARTICIPANT_BLOCK, label, typed, hint=hint, optional=optional))
    return kit.modal(
        "peppol_id",
        t.plain("peppol.title"),
        blocks,
        close=t.plain("button.cancel"),
        submit=t.plain("peppol.submit"),
        private_metadata=f"{t.language}:{record.invoice_id}",
    )


def _candidates(t: Texts, lookups: Sequence[tuple[str, str]]) -> Block:
    options = [
        kit.option(participant, participant, t.plain(f"lookup.{said}"))
        for participant, said in lookups[:10]
        if len(participant) <= kit.OPTION
    ]
    radio: Block = {"type": "radio_buttons", "action_id": "value", "options": options}
    registered = [o for o, (_, said) in zip(options, lookups, strict=False) if said == "registered"]
    if len(registered) == 1:
        radio["initial_option"] = registered[0]
    label = t.plain("peppol.candidates")
    return kit.field(CANDIDATE_BLOCK, label, radio, optional=True)


def send_from(t: Texts, initial: str) -> Block:
    """Send what waits and was written on or after a date."""
    picker: Block = {"type": "datepicker", "action_id": "value"}
    if initial:
        picker["initial_date"] = initial
    hint = t.plain("send_from.hint")
    return kit.modal(
        "send_from",
        t.plain("send_from.title"),
        [kit.field(DATE_BLOCK, t.plain("send_from.label"), picker, hint=hint)],
        close=t.plain("button.cancel"),
        submit=t.plain("send_from.submit"),
        private_metadata=t.language,
    )
