"""What submitted modals do, after Slack has its acknowledgement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, override

from bot import flows
from bot.authz import Need
from bot.blocks import kit, modals
from bot.blocks.connection import problem_key
from bot.blocks.settings import Chosen, read
from bot.decisions import announce
from bot.deps import Call, Work
from bot.prefs import Prefs
from bot.reasons import in_words, sentence
from bot.slack import ChannelClosedError, SlackError
from bot.texts import Mrkdwn, Texts, channel_link, language_of, texts
from sync.errors import Kind, Reason, SyncError
from sync.model import Connection, Decision, Outcome, ParticipantId


class Secret:
    """A token on its way to `sync`; it never appears in a log or a traceback."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The token."""
        return self._value

    @override
    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__


def connect(token: Secret, channel: str) -> Work:
    """Check the token with sevDesk; save only if that worked."""

    async def work(call: Call) -> None:
        await call.require(Need.MANAGE)
        try:
            await _connect(call, token, channel)
        except SyncError as error:
            current = await call.deps.service.connection(call.caller.org)
            text = _why_not(call.t, error.reason)
            view = modals.connect(call.t, current, channel, text)
            card = kit.card(text, [kit.section(text)])
            await call.deps.replies.finish(call.caller, call.t, view, card)

    return work


def _why_not(t: Texts, reason: Reason) -> Mrkdwn:
    """Why the token was not taken. What xTool repeats by itself elsewhere, it does not here."""
    if reason.kind is Kind.TRANSIENT:
        return Mrkdwn("\n".join((sentence(t, reason), t.md("connect.later"))))
    return in_words(t, reason)


async def _connect(call: Call, token: Secret, channel: str) -> None:
    service, caller = call.deps.service, call.caller
    await service.check_token(caller.org, token.reveal())
    # Before the first sync can have something to tell, it is known where.
    call.prefs = await _first_prefs(call, channel)
    call.t = texts(call.prefs.language)
    before = await service.former(caller.org)
    connection = await service.connect(caller.org, token.reveal(), caller.user)
    found = (await introduce(call), *_cleared(call.t, before, connection))
    notes = [note for note in found if note]
    view = modals.connected(call.t, connection.account_name, call.deps.tag, *notes)
    text = call.t.md("connect.done", account=connection.account_name)
    card = kit.card(text, [kit.section(one) for one in (text, *notes)])
    await call.deps.replies.finish(caller, call.t, view, card)


def _cleared(t: Texts, before: Connection | None, now: Connection) -> Iterator[Mrkdwn]:
    """What belonged to the account before and not to this one, so that it can be entered again."""
    if before is None or before.account == now.account:
        return
    if before.sender is not None and now.sender is None:
        yield t.md("connect.cleared_sender", sender=str(before.sender))
    if before.company and not now.company:
        yield t.md("connect.cleared_company", company=before.company)


async def _first_prefs(call: Call, channel: str) -> Prefs:
    """Language and time zone are guessed from who connects, until somebody chooses others."""
    person = await call.person()
    changes: dict[str, object] = {
        "channel": channel,
        "owner": call.caller.user,
        "channel_problem": "",
        "problem_channel": "",
    }
    if not call.prefs.chosen:
        changes |= {"language": language_of(person.locale), "chosen": True}
        if person.timezone:
            changes["timezone"] = person.timezone
    prefs = Prefs.model_validate(call.prefs.model_copy(update=changes).model_dump())
    await call.deps.store.save_prefs(call.caller.org, prefs)
    return prefs


async def introduce(call: Call) -> Mrkdwn | None:
    """The first line in the channel; what is wrong with the channel, if something is."""
    channel = call.prefs.channel
    try:
        await call.deps.announcer.intro(call.caller.org, call.prefs)
    except ChannelClosedError as error:
        await call.deps.store.change_prefs(
            call.caller.org, channel_problem=error.code, problem_channel=channel
        )
        return call.t.md(problem_key(error.code), channel=channel_link(channel))
    except SlackError:
        return call.t.md("channel.later", channel=channel_link(channel))
    return None


async def disconnect(call: Call) -> None:
    """Stop and erase the token."""
    await call.require(Need.MANAGE)
    done = await call.deps.service.disconnect(call.caller.org, call.caller.user)
    text = call.t.md("disconnect.done" if done else "disconnect.nothing")
    await _finish(call, "disconnect.title", text)


async def _finish(call: Call, title: str, text: Mrkdwn) -> None:
    view = modals.message(call.t, title, text)
    card = kit.card(text, [kit.section(text)])
    await call.deps.replies.finish(call.caller, call.t, view, card)


def settings(values: Mapping[str, Any]) -> Work:
    """Save what was chosen."""

    async def work(call: Call) -> None:
        await call.require(Need.MANAGE)
        chosen = read(values, call.prefs)
        if isinstance(chosen, Chosen):
            await _save(call, chosen)

    return work


async def _save(call: Call, chosen: Chosen) -> None:
    moved = chosen.prefs.channel != call.prefs.channel
    prefs = chosen.prefs
    await call.deps.service.configure(
        call.caller.org,
        call.caller.user,
        ask_before_sending=chosen.ask_before_sending,
        sender=chosen.sender,
        company=chosen.company,
    )
    await call.deps.store.save_prefs(call.caller.org, prefs)
    call.prefs, call.t = prefs, texts(prefs.language)
    call.deps.languages[call.caller.org] = prefs.language
    note = await introduce(call) if moved else None
    text = call.t.md("settings.saved_note", note=note) if note else call.t.md("settings.saved")
    await _finish(call, "settings.title", text)


def receiver(invoice_id: str, participant: ParticipantId) -> Work:
    """Remember a receiver for the contact and send again, if the network knows it."""

    async def work(call: Call) -> None:
        await call.require(Need.OPERATE)
        service, caller = call.deps.service, call.caller
        record = await service.invoice(caller.org, invoice_id)
        if record is None:
            await announce(call, "receiver", Decision(outcome=Outcome.NOT_FOUND))
            return
        said = await service.lookup(participant)
        if said in ("not_registered", "no_document_type"):
            text = call.t.md(f"peppol.{said}", participant=str(participant))
            await flows.fill_peppol_id(call, record, text)
            return
        decision = await service.choose_receiver(caller.org, invoice_id, participant, caller.user)
        await announce(call, "receiver", decision)

    return work


def send_from(since: date) -> Work:
    """Send what waits and was written on or after a date."""

    async def work(call: Call) -> None:
        await call.require(Need.OPERATE)
        count = await call.deps.service.send_all(call.caller.org, call.caller.user, since=since)
        day = call.t.date(since)
        key = "send.since" if count else "send.none_since"
        text = call.t.md_n(key, count, date=day) if count else call.t.md(key, date=day)
        await _finish(call, "send_from.title", text)

    return work
