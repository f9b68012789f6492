"""Slack's rules for one block or element, as data and small checks.

Numbers: Slack's Block Kit reference, and where `slack_sdk`'s models have them, those. Each check
yields `(json pointer, sentence)`; whoever calls it decides the error code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

type Json = dict[str, Any]
type Problems = Iterator[tuple[str, str]]

SELECTS = {
    f"{multi}{source}_select"
    for multi in ("", "multi_")
    for source in ("static", "users", "conversations", "channels", "external")
}
INPUTS_ONLY = {
    "plain_text_input",
    "number_input",
    "email_text_input",
    "url_text_input",
    "rich_text_input",
    "file_input",
}
CHOICES = {"checkboxes", "radio_buttons"}
PICKERS = {"datepicker", "timepicker", "datetimepicker"}
IN_ACTIONS = SELECTS | CHOICES | PICKERS | {"button", "overflow", "workflow_button"}
IN_SECTION = IN_ACTIONS | {"image"}
IN_INPUT = SELECTS | CHOICES | PICKERS | INPUTS_ONLY

BLOCK_KEYS: dict[str, set[str]] = {
    "section": {"text", "fields", "accessory", "expand"},
    "divider": set(),
    "header": {"text", "level"},
    "context": {"elements"},
    "actions": {"elements"},
    "image": {"image_url", "slack_file", "alt_text", "title"},
    "input": {"label", "element", "dispatch_action", "hint", "optional"},
    "alert": {"text", "level"},
    "rich_text": {"elements"},
    "markdown": {"text"},
    "table": {"rows", "column_settings"},
    "video": {
        "title", "title_url", "alt_text", "thumbnail_url", "video_url", "author_name",
        "description", "provider_icon_url", "provider_name",
    },
}  # fmt: skip
ELEMENT_KEYS: dict[str, set[str]] = {
    "button": {"text", "action_id", "url", "value", "style", "confirm", "accessibility_label"},
    "overflow": {"action_id", "options", "confirm"},
    "image": {"image_url", "slack_file", "alt_text"},
    "static_select": {
        "action_id", "placeholder", "options", "option_groups", "initial_option", "confirm",
        "focus_on_load",
    },
    "multi_static_select": {
        "action_id", "placeholder", "options", "option_groups", "initial_options", "confirm",
        "focus_on_load", "max_selected_items",
    },
    "plain_text_input": {
        "action_id", "placeholder", "initial_value", "multiline", "min_length", "max_length",
        "dispatch_action_config", "focus_on_load",
    },
}  # fmt: skip


def text_object(
    value: Any, at: str, limit: int, *, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")
) -> Problems:
    """A text object of 1 to `limit` characters."""
    if not isinstance(value, dict):
        yield at, "must be a text object"
        return
    if value.get("type") not in kinds:
        yield f"{at}/type", f"must be one of {', '.join(kinds)}"
    allowed = {"type", "text", "emoji"} if value.get("type") == "plain_text" else None
    yield from extra_keys(value, at, allowed or {"type", "text", "verbatim"})
    yield from string(value.get("text"), f"{at}/text", limit)


def plain(value: Any, at: str, limit: int) -> Problems:
    """A `plain_text` object."""
    yield from text_object(value, at, limit, kinds=("plain_text",))


def string(value: Any, at: str, limit: int, *, least: int = 1) -> Problems:
    """A string of `least` to `limit` characters."""
    if not isinstance(value, str):
        yield at, "must be a string"
    elif len(value) < least:
        yield at, f"must be more than {least - 1} characters"
    elif len(value) > limit:
        yield at, f"must be less than {limit + 1} characters"


def extra_keys(value: Json, at: str, allowed: set[str]) -> Problems:
    """Slack refuses properties that it does not know."""
    for key in sorted(set(value) - allowed):
        yield f"{at}/{key}", "invalid additional property"


def optional_strings(value: Json, at: str, limits: dict[str, int]) -> Problems:
    """Check the limits of those strings that are there."""
    for key, limit in limits.items():
        if value.get(key) is not None:
            yield from string(value[key], f"{at}/{key}", limit)


def confirmation(value: Any, at: str) -> Problems:
    """The dialog shown before a click counts: title 100, text 300, buttons 30."""
    if not isinstance(value, dict):
        yield at, "must be an object"
        return
    yield from extra_keys(value, at, {"title", "text", "confirm", "deny", "style"})
    yield from plain(value.get("title"), f"{at}/title", 100)
    yield from text_object(value.get("text"), f"{at}/text", 300)
    yield from plain(value.get("confirm"), f"{at}/confirm", 30)
    yield from plain(value.get("deny"), f"{at}/deny", 30)
    yield from style(value, at)


def style(value: Json, at: str) -> Problems:
    """`primary`, `danger` or nothing."""
    if value.get("style") not in {None, "primary", "danger"}:
        yield f"{at}/style", "must be primary or danger"


def option(value: Any, at: str, *, markdown: bool, url: bool) -> Problems:
    """An option: text 75, value 150, description 75."""
    if not isinstance(value, dict):
        yield at, "must be an object"
        return
    yield from extra_keys(value, at, {"text", "value", "description"} | ({"url"} if url else set()))
    kinds = ("plain_text", "mrkdwn") if markdown else ("plain_text",)
    yield from text_object(value.get("text"), f"{at}/text", 75, kinds=kinds)
    yield from string(value.get("value"), f"{at}/value", 150)
    if value.get("description") is not None:
        yield from text_object(value["description"], f"{at}/description", 75, kinds=kinds)
    yield from optional_strings(value, at, {"url": 3000})


def options(element: Json, at: str, most: int) -> Problems:
    """1 to `most` options with different values, or as many groups of them."""
    groups = element.get("option_groups")
    listed = element.get("options")
    if (groups is None) == (listed is None):
        yield at, "must have options or option_groups"
        return
    if groups is not None and not 1 <= len(groups) <= 100:
        yield f"{at}/option_groups", "must have 1 to 100 groups"
    lists = [group.get("options", []) for group in groups or []] or [listed or []]
    for found in lists:
        if not 1 <= len(found) <= most:
            yield f"{at}/options", f"must have 1 to {most} items"
        yield from _each_option(element, found, at)
    for number, group in enumerate(groups or []):
        yield from plain(group.get("label"), f"{at}/option_groups/{number}/label", 75)
    yield from _initial(element, [item for found in lists for item in found], at)


def _each_option(element: Json, found: list[Json], at: str) -> Problems:
    kind = element["type"]
    for number, item in enumerate(found):
        here = f"{at}/options/{number}"
        yield from option(item, here, markdown=kind in CHOICES, url=kind == "overflow")
    values = [item.get("value") for item in found if isinstance(item, dict)]
    if len(set(values)) < len(values):
        yield f"{at}/options", "must have different values"


def _initial(element: Json, known: list[Json], at: str) -> Problems:
    chosen = element.get("initial_options") or []
    if element.get("initial_option") is not None:
        chosen = [element["initial_option"]]
    if element.get("initial_options") == []:
        yield f"{at}/initial_options", "must have at least 1 item"
    for item in chosen:
        if item not in known:
            yield f"{at}/initial_option", "must be one of the options"


def button(element: Json, at: str) -> Problems:
    """A button: text 75, value 2000, url 3000."""
    yield from plain(element.get("text"), f"{at}/text", 75)
    limits = {"value": 2000, "url": 3000, "accessibility_label": 75}
    yield from optional_strings(element, at, limits)
    yield from style(element, at)


def picture(value: Json, at: str) -> Problems:
    """An image: an https URL of at most 3000 characters (or a Slack file) and an alt text."""
    yield from string(value.get("alt_text"), f"{at}/alt_text", 2000)
    if (value.get("image_url") is None) == (value.get("slack_file") is None):
        yield at, "must have image_url or slack_file"
    yield from optional_strings(value, at, {"image_url": 3000})


def text_input(element: Json, at: str) -> Problems:
    """A text field: lengths between 0 and 3000, the smaller one first."""
    least, most = element.get("min_length", 0), element.get("max_length", 3000)
    if not 0 <= least <= 3000 or not 1 <= most <= 3000:
        yield at, "min_length and max_length must be between 0 and 3000"
    elif least > most:
        yield f"{at}/min_length", "must not be greater than max_length"
    initial = element.get("initial_value")
    if initial is not None and (not isinstance(initial, str) or len(initial) > most):
        yield f"{at}/initial_value", f"must be less than {most + 1} characters"


def date_picker(element: Json, at: str) -> Problems:
    """`initial_date` is YYYY-MM-DD."""
    initial = element.get("initial_date")
    if initial is not None and not re.fullmatch(r"\d{4}-\d\d-\d\d", str(initial)):
        yield f"{at}/initial_date", "must be YYYY-MM-DD"


ELEMENTS: dict[str, Callable[[Json, str], Problems]] = {
    "button": button,
    "image": picture,
    "plain_text_input": text_input,
    "datepicker": date_picker,
    "static_select": lambda element, at: options(element, at, 100),
    "multi_static_select": lambda element, at: options(element, at, 100),
    "overflow": lambda element, at: options(element, at, 5),
    "checkboxes": lambda element, at: options(element, at, 10),
    "radio_buttons": lambda element, at: options(element, at, 10),
}


def element_problems(element: Any, at: str, allowed: set[str]) -> Problems:
    """One interactive element (or image) in a place that takes `allowed` types."""
    if not isinstance(element, dict) or element.get("type") not in allowed:
        kind = element.get("type") if isinstance(element, dict) else element
        yield f"{at}/type", f"unsupported type: {kind}"
        return
    kind = element["type"]
    if kind in ELEMENT_KEYS:
        yield from extra_keys(element, at, ELEMENT_KEYS[kind] | {"type"})
    yield from optional_strings(element, at, {"action_id": 255})
    if element.get("placeholder") is not None:
        yield from plain(element["placeholder"], f"{at}/placeholder", 150)
    if element.get("confirm") is not None:
        yield from confirmation(element["confirm"], f"{at}/confirm")
    if kind in ELEMENTS:
        yield from ELEMENTS[kind](element, at)
