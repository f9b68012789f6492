"""Messages about the connection itself: it broke, it is held, it works again, it ended."""

from __future__ import annotations

from datetime import datetime

from bot.blocks import kit
from bot.blocks.kit import Card
from bot.reasons import next_step, sentence
from bot.texts import Mrkdwn, Texts, channel_link, clean, mention
from sync.errors import Reason
from sync.model import Connection, ConnectionState, Event, Pause

OUTAGE = 2  # failed polls in a row after which people are told


def broken(t: Texts, connection: Connection) -> Card:
    """sevDesk refuses the token: nothing is synced until someone acts."""
    title = t.md("broken.title", account=clean(connection.account_name, 80))
    blocks = [kit.section(title)]
    if connection.reason:
        blocks.append(kit.section(sentence(t, connection.reason)))
        blocks.append(kit.section(t.md("failure.next", step=next_step(t, connection.reason))))
    blocks.append(kit.context(t.md("broken.safe")))
    button = kit.button(t.plain("button.reconnect"), "home_connect", style="primary")
    return kit.card(title, [*blocks, kit.actions(button)])


def is_well(connection: Connection) -> bool:
    """Whether there is nothing to say of it."""
    working = connection.state is ConnectionState.ACTIVE and connection.pause is None
    return working and not is_outage(connection)


def paused(t: Texts, connection: Connection, pause: Pause) -> Card:
    """Nothing is imported or sent until a manager says so."""
    account, since = clean(connection.account_name, 80), t.moment(pause.since)
    title = t.md("paused.title", account=account, since=since)
    blocks = [
        kit.section(title),
        kit.section(sentence(t, pause.reason)),
        kit.section(t.md("failure.next", step=next_step(t, pause.reason))),
        kit.context(t.md("paused.safe")),
        kit.actions(resume_button(t), disconnect_button(t)),
    ]
    return kit.card(title, blocks)


def resume_button(t: Texts) -> kit.Block:
    """To go on after a pause."""
    return kit.button(t.plain("button.resume"), "pause_resume", style="primary")


def disconnect_button(t: Texts) -> kit.Block:
    """To ask whether to disconnect."""
    return kit.button(t.plain("button.disconnect"), "home_disconnect")


def resumed(t: Texts, account: str, since: datetime, event: Event) -> Card:
    """A pause is over; `event` says since when, and by whom if a person ended it."""
    key = "paused.over_by" if event.actor else "paused.over"
    times = {"since": t.moment(since), "until": t.moment(event.at)}
    title = t.md(key, account=clean(account, 80), who=mention(event.actor), **times)
    return kit.card(title, [kit.section(title), kit.section(t.md("paused.over_text"))])


def is_outage(connection: Connection) -> bool:
    """Whether sevDesk does not answer for longer, though the token may be right."""
    return connection.last_error is not None and connection.failures >= OUTAGE


def outage(t: Texts, connection: Connection) -> Card:
    """sevDesk does not answer for longer: told once, and once more when it is over."""
    title = t.md("outage.title", account=clean(connection.account_name, 80))
    blocks = [kit.section(title)]
    if connection.last_error:
        blocks.append(kit.section(sentence(t, connection.last_error)))
        step = next_step(t, connection.last_error)
        blocks.append(kit.section(t.md("failure.next", step=step)))
    return kit.card(title, blocks)


def store_outage(t: Texts, since: datetime, until: datetime) -> Card:
    """xTool's own store was away: told once, when it is over."""
    title = t.md("store_outage.title", since=t.moment(since), until=t.moment(until))
    text = t.md("store_outage.text")
    return kit.card(title, [kit.section(title), kit.section(text)])


def held(t: Texts, connection: Connection) -> Card:
    """Most tags vanished at once: a person says whether that was meant."""
    count = len(connection.held_invoices)
    title = t.md_n("held.title", count, account=clean(connection.account_name, 80))
    sure = kit.confirm(
        t.plain("confirm.resend.title"),
        t.md_n("confirm.resend.text", count),
        t.plain("confirm.resend.ok"),
        t.plain("button.cancel"),
        danger=True,
    )
    buttons = (
        kit.button(t.plain("button.restore"), "hold_restore", style="primary"),
        kit.button(t.plain("button.resend"), "hold_resend", style="danger", confirm=sure),
    )
    text = t.md_n("held.text", count)
    return kit.card(title, [kit.section(title), kit.section(text), kit.actions(*buttons)])


def solved(t: Texts, connection: Connection) -> Card:
    """What was broken or held goes on."""
    title = t.md("solved.title", account=clean(connection.account_name, 80))
    return kit.card(title, [kit.section(title)])


def ended(t: Texts, account: str, actor: str) -> Card:
    """Somebody disconnected."""
    key = "ended.title_by" if actor else "ended.title"
    title = t.md(key, account=clean(account, 80), who=mention(actor))
    return kit.card(title, [kit.section(title), kit.context(t.md("ended.note"))])


def intro(t: Texts, connection: Connection, tag: str) -> Card:
    """The first line in a channel: who set it up, and what will appear here."""
    who = mention(connection.connected_by)
    title = t.md("intro.title", who=who, account=clean(connection.account_name, 80))
    blocks = [kit.section(title), kit.section(t.md("intro.next", tag=tag))]
    buttons = (
        kit.button(t.plain("button.sync"), "home_sync", style="primary"),
        kit.button(t.plain("button.status"), "home_status"),
    )
    return kit.card(title, [*blocks, kit.actions(*buttons)])


def welcome(t: Texts, tag: str) -> Card:
    """A direct message to who installed the app."""
    title = t.md("welcome.title")
    button = kit.button(t.plain("button.connect"), "home_connect", style="primary")
    return kit.card(
        title,
        [kit.section(title), kit.section(t.md("welcome.text", tag=tag)), kit.actions(button)],
    )


def channel_problem(t: Texts, channel: str, code: str) -> Card:
    """A direct message: the chosen channel is closed to the app."""
    title = t.md(problem_key(code), channel=channel_link(channel))
    button = kit.button(t.plain("button.settings"), "home_settings", style="primary")
    return kit.card(title, [kit.section(title), kit.actions(button)])


def problem_key(code: str) -> str:
    """The sentence for Slack's error code."""
    known = {
        "is_archived": "archived",
        "not_in_channel": "not_in",
        "channel_not_found": "not_found",
    }
    return f"channel.{known.get(code, 'closed')}"


def reason_card(t: Texts, reason: Reason) -> Card:
    """An answer that says what went wrong and what to do."""
    text = sentence(t, reason)
    step: Mrkdwn = next_step(t, reason)
    return kit.card(text, [kit.section(text), kit.section(t.md("failure.next", step=step))])
