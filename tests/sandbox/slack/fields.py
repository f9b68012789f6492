"""Values that a person puts into fields, in the shape of Slack's `state.values`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.sandbox.slack.api_views import fields_of, value_key
from tests.sandbox.slack.workspace import Json, OpenView


class InputRefusedError(AssertionError):
    """Slack's client does not let a person submit this; nothing was sent."""

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__(f"the modal cannot be submitted: {problems}")
        self.problems = problems


def all_options(element: Json) -> list[Json]:
    """The options of a select, checkbox or radio element, groups included."""
    groups = element.get("option_groups") or []
    listed: list[Json] = element.get("options") or []
    return listed + [option for group in groups for option in group["options"]]


def option_of(element: Json, value: str) -> Json:
    """The option with this value; a person cannot choose what is not offered."""
    for option in all_options(element):
        if option["value"] == value:
            return option
    offered = [option["value"] for option in all_options(element)]
    raise LookupError(f"{value!r} is not offered; there are {offered}")


def typed(element: Json, raw: Any) -> Json:
    """A plain value as `state.values` holds it for this element.

    `raw` is a string, a list of strings for elements that take several, or None for nothing.
    Options are named by their value.
    """
    key = value_key(element)
    if key == "selected_option":
        return {"type": element["type"], key: option_of(element, raw) if raw else None}
    if key == "selected_options":
        return {"type": element["type"], key: [option_of(element, v) for v in raw or []]}
    if key.endswith("s"):
        return {"type": element["type"], key: list(raw or [])}
    return {"type": element["type"], key: raw or None}


def plain(state: Json) -> Any:
    """The value in a state entry, whatever its name."""
    for key, value in state.items():
        if key != "type":
            return value
    return None


def fill(view: OpenView, values: Mapping[str, Any]) -> None:
    """Put `values` into the view's fields, each named by its block id or action id."""
    left = dict(values)
    for block in view.blocks:
        for element in fields_of(block):
            for name in (block["block_id"], element["action_id"]):
                if name in left:
                    state = typed(element, left.pop(name))
                    view.values.setdefault(block["block_id"], {})[element["action_id"]] = state
    if left:
        raise LookupError(f"the modal has no field {sorted(left)}")


def check_inputs(view: OpenView) -> None:
    """What Slack's client checks before it submits: required fields and lengths."""
    problems: dict[str, str] = {}
    for block in view.blocks:
        if block["type"] != "input":
            continue
        element = block["element"]
        value = plain(view.values.get(block["block_id"], {}).get(element["action_id"], {}))
        problem = _problem(block, element, value)
        if problem:
            problems[block["block_id"]] = problem
    if problems:
        raise InputRefusedError(problems)


def _problem(block: Json, element: Json, value: Any) -> str:
    if not value:
        return "" if block.get("optional") else "Please complete this required field."
    least, most = element.get("min_length", 0), element.get("max_length", 3000)
    if element["type"] == "plain_text_input" and not least <= len(value) <= most:
        return f"Enter {least} to {most} characters."
    return ""
