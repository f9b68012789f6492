"""The settings modal: from what is stored to fields, and from fields to what is stored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.blocks import kit
from bot.blocks.kit import Block
from bot.blocks.modals import channel_picker
from bot.prefs import Details, Notify, Prefs
from bot.texts import LANGUAGES, Texts
from sync.model import Connection, ParticipantId

MENTIONED = 5  # people at most: whoever calls everybody is soon not heard
_USER = re.compile(r"[UW][A-Z0-9]{1,30}")


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a person submitted, read and checked."""

    prefs: Prefs
    ask_before_sending: bool
    sender: ParticipantId | None
    company: str


def settings(t: Texts, prefs: Prefs, connection: Connection) -> Block:
    """All settings of the organisation."""
    mode = "ask" if connection.ask_before_sending else "automatic"
    blocks = [
        _channel(t, "channel", prefs.channel),
        _channel(t, "failures_channel", prefs.failures_channel),
        _choice(t, "mode", ("automatic", "ask"), mode),
        _choice(t, "notify", tuple(Notify), prefs.notify),
        _input(t, "daily_at", {"type": "timepicker", "initial_time": prefs.daily_at}),
        _choice(t, "details", tuple(Details), prefs.details),
        _people(t, "mention", prefs.mention, most=MENTIONED),
        _choice(t, "language", LANGUAGES, prefs.language),
        _people(t, "may_retry", prefs.may_retry),
        _text(t, "sender", str(connection.sender or ""), 140),
        _text(t, "company", connection.company, 100),
        _choice(t, "amounts", ("show", "hide"), "hide" if prefs.hide_amounts else "show"),
    ]
    return kit.modal(
        "settings",
        t.plain("settings.title"),
        blocks,
        close=t.plain("button.cancel"),
        submit=t.plain("settings.submit"),
        private_metadata=t.language,
    )


def _input(t: Texts, name: str, element: Block, *, optional: bool = False) -> Block:
    hint = t.plain(f"settings.{name}.hint")
    element = element | {"action_id": "value"}
    return kit.field(name, t.plain(f"settings.{name}"), element, hint=hint, optional=optional)


def _channel(t: Texts, name: str, initial: str) -> Block:
    return _input(t, name, channel_picker(initial), optional=name != "channel")


def _choice(t: Texts, name: str, values: tuple[str, ...], chosen: str) -> Block:
    options = {v: kit.option(t.plain(f"settings.{name}.{v}"), str(v)) for v in values}
    element: Block = {"type": "static_select", "options": list(options.values())}
    return _input(t, name, element | {"initial_option": options[chosen]})


def _people(t: Texts, name: str, chosen: tuple[str, ...], most: int = 0) -> Block:
    people: Block = {"type": "multi_users_select"}
    if chosen:
        people["initial_users"] = list(chosen)
    if most:
        people["max_selected_items"] = most
    return _input(t, name, people, optional=True)


def _text(t: Texts, name: str, initial: str, limit: int) -> Block:
    element: Block = {"type": "plain_text_input", "max_length": limit}
    if initial:
        element["initial_value"] = initial
    return _input(t, name, element, optional=True)


def read(values: Mapping[str, Any], prefs: Prefs) -> Chosen | dict[str, str]:
    """What was submitted, or the field that cannot be used with the key of its sentence.

    `values` is Slack's `view.state.values`. An answer outside of the choices keeps what was.
    """
    sender_text = _value(values, "sender", "value").strip()
    try:
        sender = ParticipantId.parse(sender_text) if sender_text else None
    except ValueError:
        return {"sender": "peppol.malformed"}
    channel = _value(values, "channel", "selected_conversation")
    notify = _selected(values, "notify")
    language = _selected(values, "language")
    details = _selected(values, "details")
    changed = prefs.model_copy(
        update={
            "channel": channel or prefs.channel,
            "failures_channel": _value(values, "failures_channel", "selected_conversation"),
            "notify": Notify(notify) if notify in tuple(Notify) else prefs.notify,
            "daily_at": _value(values, "daily_at", "selected_time") or prefs.daily_at,
            "language": language if language in LANGUAGES else prefs.language,
            "details": Details(details) if details in tuple(Details) else prefs.details,
            "mention": _users(values, "mention")[:MENTIONED],
            "may_retry": _users(values, "may_retry")[:100],
            "hide_amounts": _selected(values, "amounts") == "hide",
            "channel_problem": "",
            "problem_channel": "",
            "chosen": True,
        }
    )
    return Chosen(
        prefs=Prefs.model_validate(changed.model_dump()),
        ask_before_sending=_selected(values, "mode") == "ask",
        sender=sender,
        company=_value(values, "company", "value").strip(),
    )


def _users(values: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = _field(values, name).get("selected_users") or []
    return tuple(str(user) for user in found if _USER.fullmatch(str(user)))


def _field(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    block = values.get(name)
    element = block.get("value") if isinstance(block, Mapping) else None
    return element if isinstance(element, Mapping) else {}


def _value(values: Mapping[str, Any], name: str, key: str) -> str:
    return str(_field(values, name).get(key) or "")


def _selected(values: Mapping[str, Any], name: str) -> str:
    option = _field(values, name).get("selected_option")
    return str(option.get("value") or "") if isinstance(option, Mapping) else ""
