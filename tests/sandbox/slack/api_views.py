"""`views.*`: modals on a stack of three at most, and Home tabs."""

from __future__ import annotations

import secrets
from typing import Any

from tests.sandbox.slack.api_chat import Method, with_ids
from tests.sandbox.slack.core import Core, Install
from tests.sandbox.slack.errors import ApiError
from tests.sandbox.slack.validation import error_code, validate_view
from tests.sandbox.slack.workspace import Json, OpenView

STACK = 3


def check_view(view: Any) -> Json:
    """The view as a dict, or what Slack answers when it does not take it."""
    if not isinstance(view, dict):
        raise ApiError("invalid_arguments", ["missing required field: view"])
    problems = validate_view(view)
    if problems:
        raise ApiError(error_code(problems), [p.split(": ", 1)[1] for p in problems])
    return view


def initial_values(blocks: list[Json]) -> Json:
    """`state.values` of freshly shown blocks: the `initial_…` of each field."""
    values: Json = {}
    for block in blocks:
        for element in fields_of(block):
            values.setdefault(block["block_id"], {})[element["action_id"]] = initial(element)
    return values


def fields_of(block: Json) -> list[Json]:
    """The elements of a block that hold a value; buttons and menus hold none."""
    found = [block.get("element"), block.get("accessory"), *(block.get("elements") or [])]
    stateless = {"button", "overflow", "image", "mrkdwn", "plain_text", None}
    return [e for e in found if isinstance(e, dict) and e.get("type") not in stateless]


VALUE_KEYS = {
    "plain_text_input": ("value", "initial_value"),
    "number_input": ("value", "initial_value"),
    "email_text_input": ("value", "initial_value"),
    "url_text_input": ("value", "initial_value"),
    "static_select": ("selected_option", "initial_option"),
    "external_select": ("selected_option", "initial_option"),
    "radio_buttons": ("selected_option", "initial_option"),
    "multi_static_select": ("selected_options", "initial_options"),
    "checkboxes": ("selected_options", "initial_options"),
    "users_select": ("selected_user", "initial_user"),
    "multi_users_select": ("selected_users", "initial_users"),
    "conversations_select": ("selected_conversation", "initial_conversation"),
    "multi_conversations_select": ("selected_conversations", "initial_conversations"),
    "channels_select": ("selected_channel", "initial_channel"),
    "multi_channels_select": ("selected_channels", "initial_channels"),
    "datepicker": ("selected_date", "initial_date"),
    "timepicker": ("selected_time", "initial_time"),
}


def value_key(element: Json) -> str:
    """Under which name the state holds the element's value."""
    return VALUE_KEYS.get(element["type"], ("value", "initial_value"))[0]


def initial(element: Json) -> Json:
    """The state of one element before anybody touched it."""
    key, source = VALUE_KEYS.get(element["type"], ("value", "initial_value"))
    empty: Any = [] if key.endswith("s") else None
    return {"type": element["type"], key: element.get(source, empty)}


def kept_values(old: OpenView, blocks: list[Json]) -> Json:
    """Values after an update: a field with the same block and action id keeps what was typed."""
    values = initial_values(blocks)
    for block_id, actions in values.items():
        for action_id, value in actions.items():
            before = old.values.get(block_id, {}).get(action_id)
            if before and before.get("type") == value.get("type"):
                actions[action_id] = before
    return values


def show(core: Core, user: str, view: Json, parent: OpenView | None = None) -> OpenView:
    """A new view on someone's screen; not yet on the stack."""
    _check_external_id(core, view)
    blocks = with_ids(core, view["blocks"])
    view_id = core.workspace.next_id("V")
    return OpenView(
        id=view_id,
        user=user,
        content={**view, "blocks": blocks},
        hash=new_hash(core),
        root_id=parent.root_id if parent else view_id,
        previous_id=parent.id if parent else None,
        values=initial_values(blocks),
    )


def _check_external_id(core: Core, view: Json, own: OpenView | None = None) -> None:
    external = view.get("external_id")
    other = core.workspace.view(external_id=external) if external else None
    if other is not None and other is not own:
        raise ApiError("duplicate_external_id")


def new_hash(core: Core) -> str:
    """Slack's race guard: changes with each update."""
    return f"{int(core.clock())}.{secrets.token_hex(4)}"


def replace(core: Core, view: OpenView, content: Json) -> None:
    """Show other content in the same view."""
    _check_external_id(core, content, view)
    view.history.append(view.content)
    blocks = with_ids(core, content["blocks"])
    view.values = kept_values(view, blocks)
    view.content = {**content, "blocks": blocks}
    view.hash, view.errors, view.trouble = new_hash(core), {}, ""
    core.changes.notify()


def open_modal(core: Core, user: str, content: Json) -> OpenView:
    """Open a modal; whatever that person had open is gone."""
    view = show(core, user, content)
    core.workspace.modals[user] = [view]
    core.changes.notify()
    return view


def push_modal(core: Core, user: str, content: Json) -> OpenView:
    """Put a modal on top of the person's stack."""
    stack = core.workspace.modals.get(user, [])
    if not stack:
        raise ApiError("not_found")
    if len(stack) >= STACK:
        raise ApiError("push_limit_reached")
    view = show(core, user, content, stack[-1])
    core.workspace.modals[user] = [*stack, view]
    core.changes.notify()
    return view


def _answer(core: Core, install: Install, view: OpenView) -> Json:
    team = install.team_id or core.team_id
    return {"view": view.payload(team_id=team, app_id=core.app_id, bot_id=install.bot_id)}


def views_open(core: Core, install: Install, args: Json) -> Json:
    """`views.open`."""
    content = check_view(args.get("view"))
    trigger = core.use_trigger(args.get("trigger_id", ""))
    return _answer(core, install, open_modal(core, trigger.user, content))


def views_push(core: Core, install: Install, args: Json) -> Json:
    """`views.push`."""
    content = check_view(args.get("view"))
    trigger = core.use_trigger(args.get("trigger_id", ""))
    return _answer(core, install, push_modal(core, trigger.user, content))


def views_update(core: Core, install: Install, args: Json) -> Json:
    """`views.update` by view id or external id."""
    content = check_view(args.get("view"))
    view = core.workspace.view(args.get("view_id") or "", args.get("external_id") or "")
    if view is None or content["type"] != view.content["type"]:
        raise ApiError("not_found")
    if args.get("hash") and args["hash"] != view.hash:
        raise ApiError("hash_conflict")
    replace(core, view, content)
    return _answer(core, install, view)


def views_publish(core: Core, install: Install, args: Json) -> Json:
    """`views.publish`: the Home tab of one person."""
    user = core.user(args.get("user_id", ""))
    content = check_view(args.get("view"))
    if content["type"] != "home":
        raise ApiError("invalid_arguments", ["view type must be home"])
    home = core.workspace.homes.get(user.id)
    if home is not None and args.get("hash") and args["hash"] != home.hash:
        raise ApiError("hash_conflict")
    if home is None:
        home = show(core, user.id, content)
        core.workspace.homes[user.id] = home
        core.changes.notify()
    else:
        replace(core, home, content)
    return _answer(core, install, home)


METHODS: dict[str, tuple[str, Method]] = {
    "views.open": ("", views_open),
    "views.push": ("", views_push),
    "views.update": ("", views_update),
    "views.publish": ("", views_publish),
}
