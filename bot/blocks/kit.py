"""The few parts of Block Kit that the cards use, held within Slack's limits.

Limits as Slack documents them (facts on Block Kit, 2026), counted in characters. The limit on
all text of a message (about 12,000, `msg_blocks_too_long`) is not documented; `card` keeps below
it with room to spare.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bot.texts import Mrkdwn, shorten, unmarked

type Block = dict[str, Any]

SECTION = 3000
FIELD = 2000
HEADER = 150
BUTTON = 75
OPTION = 75
TITLE = 24
LABEL = 2000
ALERT = 200
FALLBACK = 3000  # Slack cuts at 40,000; longer than this nobody reads a notification
MESSAGE_BLOCKS = 50
VIEW_BLOCKS = 100
MESSAGE_TEXT = 11_000  # of all blocks together

_BROKEN_END = re.compile(r"(&[a-z]{0,4}|<[^<>]*)$")


@dataclass(frozen=True, slots=True)
class Card:
    """A message: `text` for notifications and screen readers, `blocks` for the eye."""

    text: str
    blocks: tuple[Block, ...]
    about: str = ""  # numbers of invoices, for when it cannot be shown itself


def cut(text: str, limit: int) -> Mrkdwn:
    """At most `limit` characters of mrkdwn, never half an entity or half a link."""
    if len(text) <= limit:
        return Mrkdwn(text)
    return Mrkdwn(_BROKEN_END.sub("", text[: limit - 1]).rstrip() + "…")


def mrkdwn(text: Mrkdwn, limit: int = SECTION) -> Block:
    """A text object. `verbatim`: what looks like a link or a name in it stays text."""
    return {"type": "mrkdwn", "text": cut(text, limit) or " ", "verbatim": True}


def plain(text: str, limit: int) -> Block:
    """A plain text object; `:emoji:` codes stay text, so a name cannot draw."""
    return {"type": "plain_text", "text": shorten(text, limit) or " ", "emoji": True}


def header(text: str) -> Block:
    """The first line of a card."""
    return {"type": "header", "text": plain(text, HEADER)}


def section(text: Mrkdwn, accessory: Block | None = None) -> Block:
    """A paragraph, with one control beside it or none."""
    block: Block = {"type": "section", "text": mrkdwn(text)}
    return block | {"accessory": accessory} if accessory else block


def fields(texts: Sequence[Mrkdwn]) -> Block:
    """Up to ten short texts in two columns."""
    return {"type": "section", "fields": [mrkdwn(text, FIELD) for text in texts[:10]]}


def context(*texts: Mrkdwn) -> Block:
    """Small print, up to ten parts."""
    return {"type": "context", "elements": [mrkdwn(text) for text in texts[:10]]}


def divider() -> Block:
    """A line."""
    return {"type": "divider"}


def actions(*elements: Block | None, block_id: str = "") -> Block:
    """A row of controls; `None` are left out. At least one must stay."""
    block: Block = {"type": "actions", "elements": [e for e in elements if e is not None][:25]}
    return block | {"block_id": block_id[:255]} if block_id else block


def button(
    label: str,
    action_id: str,
    value: str = "",
    *,
    style: str = "",
    url: str = "",
    confirm: Block | None = None,
) -> Block:
    """A button. `value` holds ids only: it travels to every client."""
    element: Block = {"type": "button", "text": plain(label, BUTTON), "action_id": action_id}
    optional = {"value": value, "style": style, "url": url, "confirm": confirm}
    return element | {key: given for key, given in optional.items() if given}


def confirm(title: str, text: Mrkdwn, ok: str, deny: str, *, danger: bool = False) -> Block:
    """A question before a button acts."""
    dialog: Block = {
        "title": plain(title, 100),
        "text": mrkdwn(text, 300),
        "confirm": plain(ok, 30),
        "deny": plain(deny, 30),
    }
    return dialog | {"style": "danger"} if danger else dialog


def option(label: str, value: str, description: str = "") -> Block:
    """One choice of a select."""
    choice: Block = {"text": plain(label, OPTION), "value": value[:150]}
    return choice | {"description": plain(description, OPTION)} if description else choice


def field(
    block_id: str, label: str, element: Block, *, hint: str = "", optional: bool = False
) -> Block:
    """An input of a modal."""
    block: Block = {
        "type": "input",
        "block_id": block_id,
        "label": plain(label, LABEL),
        "element": element,
        "optional": optional,
    }
    return block | {"hint": plain(hint, LABEL)} if hint else block


def alert(text: str, level: str = "info") -> Block:
    """A coloured line in a modal. `level`: info, warning, error, success."""
    return {"type": "alert", "text": mrkdwn(Mrkdwn(text), ALERT), "level": level}


def card(text: str, blocks: Iterable[Block], about: str = "") -> Card:
    """A message within Slack's limits; its longest paragraphs give way first."""
    kept = list(blocks)[:MESSAGE_BLOCKS]
    return Card(cut(unmarked(text), FALLBACK), tuple(fit(kept, MESSAGE_TEXT)), about)


def modal(
    callback_id: str,
    title: str,
    blocks: Sequence[Block],
    *,
    close: str,
    submit: str = "",
    private_metadata: str = "",
    clear: bool = False,
) -> Block:
    """A modal. `private_metadata` travels to the client: ids only, never a secret."""
    view: Block = {
        "type": "modal",
        "callback_id": callback_id,
        "title": plain(title, TITLE),
        "close": plain(close, TITLE),
        "blocks": list(blocks)[:VIEW_BLOCKS],
    }
    optional = {
        "submit": plain(submit, TITLE) if submit else None,
        "private_metadata": private_metadata,
        "clear_on_close": clear,
    }
    return view | {key: given for key, given in optional.items() if given}


def home(blocks: Sequence[Block]) -> Block:
    """The Home tab."""
    return {"type": "home", "blocks": list(blocks)[:VIEW_BLOCKS]}


def fit(blocks: list[Block], budget: int) -> list[Block]:
    """`blocks` with at most `budget` characters of text, the longest paragraphs cut first."""
    excess = sum(_length(block) for block in blocks) - budget
    if excess <= 0:
        return blocks
    longest = sorted(range(len(blocks)), key=lambda i: -len(_paragraph(blocks[i])))
    fitted = list(blocks)
    for index in longest:
        text = _paragraph(fitted[index])
        if excess <= 0 or len(text) <= 200:
            break
        shorter = cut(text, max(200, len(text) - excess))
        excess -= len(text) - len(shorter)
        fitted[index] = fitted[index] | {"text": fitted[index]["text"] | {"text": shorter}}
    return fitted


def _paragraph(block: Block) -> str:
    text = block.get("text") if block.get("type") == "section" else None
    return str(text["text"]) if text else ""


def _length(node: Any) -> int:
    if isinstance(node, list):
        return sum(_length(item) for item in node)
    if not isinstance(node, dict):
        return 0
    own = node.get("text")
    return (len(own) if isinstance(own, str) else 0) + sum(_length(v) for v in node.values())
