"""What Slack refuses, as pure functions: `validate_message` and `validate_view`.

The models of `slack_sdk` check part of it; the rest is here: unknown types, double ids, fields
over 2000 characters, the undocumented total per message, sizes of views. An answer that is not
empty means that Slack would have said no; each line starts with the error code.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block

from tests.sandbox.slack import block_rules as rules
from tests.sandbox.slack.block_rules import Json, Problems
from tests.sandbox.slack.workspace import texts

MESSAGE_BLOCKS = 50
VIEW_BLOCKS = 100
MESSAGE_TOTAL = 12_000  # characters in all blocks; not documented, seen between 12 and 13 k
VIEW_BYTES = 250_000
METADATA_BYTES = 8_000
UPDATE_TEXT = 4_000  # `chat.update` refuses more, `chat.postMessage` cuts at 40,000

VIEW_KEYS = {
    "type", "title", "blocks", "close", "submit", "private_metadata", "callback_id",
    "clear_on_close", "notify_on_close", "external_id", "submit_disabled",
}  # fmt: skip


def section(block: Json, at: str) -> Problems:
    """Text 3000; at most 10 fields of 2000; one accessory."""
    if block.get("text") is None and block.get("fields") is None:
        yield at, "must have text or fields"
    if block.get("text") is not None:
        yield from rules.text_object(block["text"], f"{at}/text", 3000)
    fields = block.get("fields")
    if fields is not None and not 1 <= len(fields) <= 10:
        yield f"{at}/fields", "must have 1 to 10 items"
    for number, item in enumerate(fields or []):
        yield from rules.text_object(item, f"{at}/fields/{number}", 2000)
    if block.get("accessory") is not None:
        yield from rules.element_problems(block["accessory"], f"{at}/accessory", rules.IN_SECTION)


def context(block: Json, at: str) -> Problems:
    """1 to 10 texts or images."""
    elements = block.get("elements") or []
    if not 1 <= len(elements) <= 10:
        yield f"{at}/elements", "must have 1 to 10 items"
    for number, item in enumerate(elements):
        here = f"{at}/elements/{number}"
        if isinstance(item, dict) and item.get("type") == "image":
            yield from rules.element_problems(item, here, {"image"})
        else:
            yield from rules.text_object(item, here, 3000)


def actions(block: Json, at: str) -> Problems:
    """1 to 25 elements, no action id twice."""
    elements = block.get("elements") or []
    if not 1 <= len(elements) <= 25:
        yield f"{at}/elements", "must have 1 to 25 items"
    for number, item in enumerate(elements):
        yield from rules.element_problems(item, f"{at}/elements/{number}", rules.IN_ACTIONS)
    for action_id in _twice(e.get("action_id") for e in elements if isinstance(e, dict)):
        yield f"{at}/elements", f"`action_id` {action_id!r} already exists for another element"


def input_block(block: Json, at: str) -> Problems:
    """A label (2000), a hint (2000) and one field."""
    yield from rules.plain(block.get("label"), f"{at}/label", 2000)
    if block.get("hint") is not None:
        yield from rules.plain(block["hint"], f"{at}/hint", 2000)
    yield from rules.element_problems(block.get("element"), f"{at}/element", rules.IN_INPUT)


def image(block: Json, at: str) -> Problems:
    """A picture with an optional title (2000)."""
    yield from rules.picture(block, at)
    if block.get("title") is not None:
        yield from rules.plain(block["title"], f"{at}/title", 2000)


def alert(block: Json, at: str) -> Problems:
    """Text of 200 characters and a level."""
    yield from rules.text_object(block.get("text"), f"{at}/text", 200)
    if block.get("level", "info") not in {"default", "info", "warning", "error", "success"}:
        yield f"{at}/level", "must be info, warning, error or success"


def rich_text(block: Json, at: str) -> Problems:
    """Sections, lists, quotes and preformatted text."""
    allowed = {f"rich_text_{kind}" for kind in ("section", "list", "quote", "preformatted")}
    for number, item in enumerate(block.get("elements") or []):
        if item.get("type") not in allowed:
            yield f"{at}/elements/{number}/type", f"unsupported type: {item.get('type')}"


BLOCKS: dict[str, Callable[[Json, str], Problems]] = {
    "section": section,
    "divider": lambda _block, _at: iter(()),
    "header": lambda block, at: rules.plain(block.get("text"), f"{at}/text", 150),
    "context": context,
    "actions": actions,
    "input": input_block,
    "image": image,
    "alert": alert,
    "rich_text": rich_text,
    "markdown": lambda block, at: rules.string(block.get("text"), f"{at}/text", 12_000),
    "table": lambda _block, _at: iter(()),
    "video": lambda _block, _at: iter(()),
}
NOT_IN = {
    "message": {"alert"},
    "modal": {"markdown", "table"},
    "home": {"alert", "markdown", "table"},
}


def _twice(ids: Iterator[Any]) -> list[Any]:
    return [key for key, count in Counter(i for i in ids if i is not None).items() if count > 1]


def block_problems(block: Any, at: str, surface: str) -> Problems:
    """One block on a surface: message, modal or home."""
    kind = block.get("type") if isinstance(block, dict) else None
    if kind not in BLOCKS or kind in NOT_IN[surface]:
        yield f"{at}/type", f"unsupported type: {kind}"
        return
    yield from rules.extra_keys(block, at, rules.BLOCK_KEYS[kind] | {"type", "block_id"})
    yield from rules.optional_strings(block, at, {"block_id": 255})
    own = _own_problems(block, at)
    yield from own
    if not own:
        yield from _sdk_problems(block, at)


def _own_problems(block: Json, at: str) -> list[tuple[str, str]]:
    try:
        return list(BLOCKS[block["type"]](block, at))
    except (AttributeError, KeyError, TypeError):
        return [(at, "is malformed")]


def _sdk_problems(block: Json, at: str) -> Problems:
    logger, level = logging.getLogger("slack_sdk"), logging.getLogger("slack_sdk").level
    logger.setLevel(logging.CRITICAL)
    try:
        parsed = Block.parse(block)
        if parsed is not None:
            parsed.to_dict()
    except (SlackObjectFormationError, TypeError, ValueError, AttributeError) as error:
        yield at, str(error)
    finally:
        logger.setLevel(level)


def blocks_problems(blocks: Any, surface: str) -> Problems:
    """All blocks of a message or view: number, ids, one focus, each block."""
    most = MESSAGE_BLOCKS if surface == "message" else VIEW_BLOCKS
    if not isinstance(blocks, list):
        yield "/blocks", "must be an array"
        return
    if len(blocks) > most:
        yield "/blocks", f"no more than {most} items allowed"
    for number, block in enumerate(blocks):
        yield from block_problems(block, f"/blocks/{number}", surface)
    for block_id in _twice(b.get("block_id") for b in blocks if isinstance(b, dict)):
        yield "/blocks", f"`block_id` {block_id!r} already exists for another block"
    focused = [b for b in blocks if _has_focus(b)]
    if len(focused) > 1:
        yield "/blocks", "only one element can have focus_on_load"


def _has_focus(block: Any) -> bool:
    if not isinstance(block, dict):
        return False
    listed = block.get("elements")
    several = listed if isinstance(listed, list) else []
    elements = [block.get("element"), block.get("accessory"), *several]
    return any(isinstance(e, dict) and e.get("focus_on_load") for e in elements)


def _lines(code: str, problems: Problems) -> list[str]:
    return [f"{code}: {sentence} [json-pointer:{at}]" for at, sentence in problems]


def validate_message(payload: Json, *, update: bool = False) -> list[str]:
    """Why Slack would refuse this message; empty when it would take it.

    `payload` has what `chat.postMessage` takes: text, blocks, metadata. `update` applies the
    shorter text limit of `chat.update`.
    """
    text, blocks = payload.get("text"), payload.get("blocks")
    found = _text_lines(text, update=update)
    if not text and not blocks and not payload.get("attachments") and not update:
        found.append("no_text: a message needs text, blocks or attachments")
    if blocks:
        found += _lines("invalid_blocks", blocks_problems(blocks, "message"))
        total = sum(len(part) for part in texts(blocks))
        if total > MESSAGE_TOTAL:
            found.append(f"msg_blocks_too_long: {total} characters in blocks, {MESSAGE_TOTAL} fit")
    return found + _metadata_lines(payload.get("metadata"))


def _text_lines(text: Any, *, update: bool) -> list[str]:
    if text is not None and not isinstance(text, str):
        return ["invalid_arguments: text must be a string"]
    if update and text and len(text) > UPDATE_TEXT:
        return [f"msg_too_long: {len(text)} characters, {UPDATE_TEXT} fit"]
    return []


def _metadata_lines(metadata: Any) -> list[str]:
    if metadata is None:
        return []
    if not isinstance(metadata, dict) or not metadata.get("event_type"):
        return ["invalid_metadata_format: event_type is missing"]
    if not isinstance(metadata.get("event_payload"), dict):
        return ["invalid_metadata_format: event_payload must be an object"]
    too_large = len(json.dumps(metadata)) > METADATA_BYTES
    return ["metadata_too_large: more than 8 kB"] if too_large else []


def validate_view(view: Json) -> list[str]:
    """Why Slack would refuse this modal or Home tab; empty when it would take it."""
    kind = view.get("type")
    if kind not in {"modal", "home"}:
        return [f"invalid_arguments: unsupported view type {kind} [json-pointer:/view/type]"]
    found = _lines("invalid_arguments", _frame_problems(view, kind))
    found += _lines("invalid_arguments", blocks_problems(view.get("blocks"), kind))
    if len(json.dumps(view).encode()) > VIEW_BYTES:
        found.append("view_too_large: more than 250 kB")
    return found


def _frame_problems(view: Json, kind: str) -> Problems:
    yield from rules.extra_keys(view, "/view", VIEW_KEYS)
    limits = {"callback_id": 255, "external_id": 255}
    yield from rules.optional_strings({k: v for k, v in view.items() if v}, "/view", limits)
    if view.get("private_metadata") is not None:
        at = "/view/private_metadata"
        yield from rules.string(view["private_metadata"], at, 3000, least=0)
    if kind == "modal":
        yield from _modal_problems(view)
    else:
        for key in ("title", "submit", "close"):
            if view.get(key) is not None:
                yield f"/view/{key}", "a home view cannot have it"


def _modal_problems(view: Json) -> Problems:
    yield from rules.plain(view.get("title"), "/view/title", 24)
    for key in ("submit", "close"):
        if view.get(key) is not None:
            yield from rules.plain(view[key], f"/view/{key}", 24)
    blocks = view.get("blocks") or []
    if not blocks:
        yield "/view/blocks", "must have at least 1 item"
    asks = any(isinstance(b, dict) and b.get("type") == "input" for b in blocks)
    if asks and view.get("submit") is None:
        yield "/view/submit", "is required because there is an input block"


def error_code(problems: list[str]) -> str:
    """The code that Slack answers with, taken from the first line."""
    return problems[0].split(":", 1)[0]
