"""Submissions of modals.

Each is acknowledged with the next view at once; what the work finds replaces that view. Only
what can be judged without any I/O is answered as an error of a field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext

from bot import submissions
from bot.blocks import modals
from bot.blocks.kit import Block
from bot.caller import of_interaction
from bot.deps import Call, Deps, Work, spawn
from bot.reasons import plain_sentence
from bot.texts import Texts, texts
from sync.model import ParticipantId
from sync.peppol import participants
from sync.peppol.errors import ParticipantError


@dataclass(frozen=True, slots=True)
class Wrong:
    """A field that cannot be used, with the sentence beside it."""

    block_id: str
    sentence: str


def register(app: AsyncApp, deps: Deps) -> None:
    """All modals, and an answer for those of an older version."""

    async def submitted(ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        caller = of_interaction(context["installed"], body)
        view = body.get("view") or {}
        name = str(view.get("callback_id") or "")
        t = texts(str(view.get("private_metadata") or "").partition(":")[0])
        work = read(name, t, view)
        if isinstance(work, Wrong):
            await ack(response_action="errors", errors={work.block_id: work.sentence})
            return
        await ack(response_action="update", view=waiting(t, name))
        spawn(deps, caller, f"submit {name}" if name in READERS else "submit unknown", work)

    async def closed(ack: AsyncAck) -> None:
        await ack()

    app.view(re.compile(".*"))(submitted)
    app.view_closed(re.compile(".*"))(closed)


def waiting(t: Texts, name: str) -> Block:
    """What is shown while the work runs."""
    if name == "connect":
        return modals.checking(t)
    title = f"{_TITLES.get(name, 'modal')}.title"
    return modals.message(t, title, t.md("modal.working"), callback_id="working")


_TITLES = {
    "disconnect": "disconnect",
    "settings": "settings",
    "peppol_id": "peppol",
    "send_from": "send_from",
}


def read(name: str, t: Texts, view: Mapping[str, Any]) -> Work | Wrong:
    """What a submission asks for, or what is wrong with it."""
    reader = READERS.get(name)
    state = view.get("state")
    values = state.get("values") if isinstance(state, Mapping) else None
    if reader is None or not isinstance(values, Mapping):
        return _unknown
    metadata = str(view.get("private_metadata") or "").partition(":")[2]
    return reader(t, values, metadata)


async def _unknown(call: Call) -> None:
    await call.deps.replies.say(call.caller, call.t, call.t.md("error.old_button"))


def value_of(values: Mapping[str, Any], block_id: str, key: str) -> Any:
    """One value of `view.state.values`, or None."""
    block = values.get(block_id)
    element = block.get("value") if isinstance(block, Mapping) else None
    return element.get(key) if isinstance(element, Mapping) else None


def _connect(t: Texts, values: Mapping[str, Any], _metadata: str) -> Work | Wrong:
    token = str(value_of(values, modals.TOKEN_BLOCK, "value") or "").strip()
    channel = str(value_of(values, modals.CHANNEL_BLOCK, "selected_conversation") or "")
    if not token:
        return Wrong(modals.TOKEN_BLOCK, t.plain("connect.token_missing"))
    if not channel:
        return Wrong(modals.CHANNEL_BLOCK, t.plain("connect.channel_missing"))
    return submissions.connect(submissions.Secret(token), channel)


def _disconnect(_t: Texts, _values: Mapping[str, Any], _metadata: str) -> Work | Wrong:
    return submissions.disconnect


def _settings(t: Texts, values: Mapping[str, Any], _metadata: str) -> Work | Wrong:
    typed = str(value_of(values, "sender", "value") or "").strip()
    if typed:
        participant = _participant(t, "sender", typed)
        if isinstance(participant, Wrong):
            return participant
    return submissions.settings(values)


def _peppol_id(t: Texts, values: Mapping[str, Any], metadata: str) -> Work | Wrong:
    typed = str(value_of(values, modals.PARTICIPANT_BLOCK, "value") or "").strip()
    option = value_of(values, modals.CANDIDATE_BLOCK, "selected_option")
    chosen = str(option.get("value") or "") if isinstance(option, Mapping) else ""
    if not typed and not chosen:
        return Wrong(modals.PARTICIPANT_BLOCK, t.plain("peppol.missing"))
    participant = _participant(t, modals.PARTICIPANT_BLOCK, typed or chosen)
    if isinstance(participant, Wrong):
        return participant
    return submissions.receiver(metadata, participant)


def _participant(t: Texts, block_id: str, text: str) -> ParticipantId | Wrong:
    try:
        return participants.parse(text)
    except ParticipantError as error:
        return Wrong(block_id, plain_sentence(t, error.reason))


def _send_from(t: Texts, values: Mapping[str, Any], _metadata: str) -> Work | Wrong:
    try:
        since = date.fromisoformat(str(value_of(values, modals.DATE_BLOCK, "selected_date") or ""))
    except ValueError:
        return Wrong(modals.DATE_BLOCK, t.plain("send_from.missing"))
    return submissions.send_from(since)


READERS = {
    "connect": _connect,
    "disconnect": _disconnect,
    "settings": _settings,
    "peppol_id": _peppol_id,
    "send_from": _send_from,
}
