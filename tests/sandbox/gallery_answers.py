"""The cards of the gallery, part two: the connection, answers to commands, refusals."""

from __future__ import annotations

from datetime import timedelta

from bot import export
from bot.authz import Verdict
from bot.blocks import connection as connections
from bot.blocks import home, kit, modals, status
from bot.blocks.failure import failure
from bot.blocks.missed import Missed, missed
from bot.blocks.settings import settings
from bot.blocks.status import InvoicePage, Status
from bot.blocks.unshown import as_text, unshown
from bot.texts import Texts
from sync.errors import Reason
from sync.model import ConnectionState, Event, EventKind, InvoiceState, Overview
from tests.sandbox import gallery_data as data
from tests.sandbox.gallery_kit import Chapter, Message, Shot, View, only_you, picture, shown

S = InvoiceState

# ---- connection -----------------------------------------------------------------------------


@picture(
    Chapter.CONNECTION, "Broken", "sevDesk refuses the token: nothing is synced until it works."
)
def connection_broken(t: Texts) -> Shot:
    broken = data.connection(state=ConnectionState.BROKEN, reason=data.REVOKED)
    return Message(connections.broken(t, broken))


@picture(Chapter.CONNECTION, "sevDesk away", "sevDesk has not answered for two polls.")
def connection_outage(t: Texts) -> Shot:
    away = data.connection(last_error=data.AWAY, failures=2)
    return Message(connections.outage(t, away))


@picture(Chapter.CONNECTION, "Works again", "What either message becomes.")
def connection_healed(t: Texts) -> Shot:
    return Message(connections.solved(t, data.connection()))


@picture(
    Chapter.CONNECTION, "xTool was away", "Once its own store works again, after a minute or more."
)
def store_outage(t: Texts) -> Shot:
    return Message(connections.store_outage(t, data.NOW - timedelta(minutes=7), data.NOW))


@picture(
    Chapter.CONNECTION,
    "Posting again",
    "Slack had refused xTool's token for long; instead of hundreds of late messages.",
)
def posting_again(t: Texts) -> Shot:
    counts = {"sent": 1204, "submitted": 2, "waiting": 4, "blocked": 2, "failed": 3}
    since = data.NOW - timedelta(days=9)
    return Message(missed(t, Missed(data.COMPANY, since, counts)))


@picture(
    Chapter.CONNECTION,
    "Paused",
    "Slack had refused xTool's token for more than a week, and xTool was installed anew since.",
)
def connection_paused(t: Texts) -> Shot:
    return Message(connections.paused(t, data.connection(), data.PAUSE))


@picture(
    Chapter.CONNECTION, "Goes on", "After such a pause: by itself where only the token was wrong."
)
def connection_resumed(t: Texts) -> Shot:
    event = Event(kind=EventKind.CONNECTION_CHANGED, at=data.NOW)
    return Message(connections.resumed(t, data.COMPANY, data.PAUSE.since, event))


@picture(Chapter.CONNECTION, "Without buttons", "Slack took this message only as plain text.")
def without_buttons(t: Texts) -> Shot:
    return Message(as_text(t, failure(t, data.shown(data.failed()))))


@picture(Chapter.CONNECTION, "Not shown", "Slack did not take a message in any form.")
def not_shown(t: Texts) -> Shot:
    return Message(unshown(t, failure(t, data.shown(data.failed())).about))


@picture(Chapter.CONNECTION, "Tags lost", "Most of xTool's tags vanished in sevDesk at once.")
def connection_held(t: Texts) -> Shot:
    ids = tuple(str(4711 + n) for n in range(46))
    return Message(connections.held(t, data.connection(held_invoices=ids)))


@picture(Chapter.CONNECTION, "Import again", "The question behind *Import again*.")
def hold_question(t: Texts) -> Shot:
    ids = tuple(str(4711 + n) for n in range(46))
    card = connections.held(t, data.connection(held_invoices=ids))
    return Message(card, ask="hold_resend")


@picture(
    Chapter.CONNECTION, "Old tags stay", "Once, where sevDesk does not let xTool remove a tag."
)
def tags_stay(t: Texts) -> Shot:
    return Message(connections.reason_card(t, Reason(code="sevdesk.removal_refused")))


@picture(Chapter.CONNECTION, "Channel closed", "A direct message to whoever connected.")
def channel_problem(t: Texts) -> Shot:
    return Message(connections.channel_problem(t, data.CHANNEL, "is_archived"))


@picture(Chapter.CONNECTION, "Disconnect", "`/sevdesk disconnect`")
def disconnect(t: Texts) -> Shot:
    return View(modals.disconnect(t, data.connection()))


@picture(Chapter.CONNECTION, "Disconnected", "The last message in the channel.")
def disconnected(t: Texts) -> Shot:
    return Message(connections.ended(t, data.COMPANY, data.ADMIN))


# ---- answers --------------------------------------------------------------------------------


def _status(t: Texts, overview: Overview | None = None, **prefs: object) -> Message:
    given = overview or data.overview()
    needs = shown(given.needs_person)
    return Message(status.status(t, Status(given, data.prefs(**prefs), needs)), ephemeral=True)


@picture(Chapter.ANSWERS, "Status", "`/sevdesk status`")
def status_connected(t: Texts) -> Shot:
    return _status(t)


@picture(Chapter.ANSWERS, "Status, first sync ahead", "`/sevdesk status` right after connecting.")
def status_new(t: Texts) -> Shot:
    new = data.connection(last_sync=None, connected_at=data.NOW, ask_before_sending=True)
    return _status(t, Overview(connection=new))


@picture(Chapter.ANSWERS, "Status, broken", "`/sevdesk status` while sevDesk refuses the token.")
def status_broken(t: Texts) -> Shot:
    broken = data.connection(
        state=ConnectionState.BROKEN,
        reason=data.REVOKED,
        next_sync=data.NOW + timedelta(minutes=50),
    )
    return _status(t, Overview(connection=broken, counts={"sent": 128}))


@picture(Chapter.ANSWERS, "Status, paused", "`/sevdesk status` after such a pause began.")
def status_paused(t: Texts) -> Shot:
    paused = data.connection(pause=data.PAUSE, next_sync=None)
    return _status(t, Overview(connection=paused, counts={"sent": 128}))


@picture(Chapter.ANSWERS, "Status, held", "`/sevdesk status` after most tags vanished.")
def status_held(t: Texts) -> Shot:
    held = data.connection(state=ConnectionState.HELD, held_invoices=("1", "2"))
    return _status(t, Overview(connection=held, counts={"sent": 128}))


@picture(
    Chapter.ANSWERS, "Status, channel archived", "`/sevdesk status` when results have no place."
)
def status_channel(t: Texts) -> Shot:
    overview = data.overview(needs_person=(), skipped=(), skipped_total=0)
    return _status(t, overview, channel_problem="is_archived", problem_channel=data.CHANNEL)


@picture(Chapter.ANSWERS, "Home", "The Home tab of an admin.")
def home_connected(t: Texts) -> Shot:
    overview = data.overview()
    given = Status(overview, data.prefs(), shown(overview.needs_person))
    return View(home.home(t, given, manages=True, tag=data.TAG))


@picture(Chapter.ANSWERS, "Invoices", "`/sevdesk invoices`; the newest ten, with buttons to go on.")
def invoices(t: Texts) -> Shot:
    rows = [data.failed(invoice_id="4790"), *data.many(S.SENT, 5, attempts=1)]
    rows += [data.unknown_receiver(), data.record(6, S.SENT), data.record(7, S.WITHDRAWN)]
    rows += [data.record(8, S.SENT)]
    return Message(status.invoices(t, InvoicePage("all", 10, 133, shown(rows))), ephemeral=True)


@picture(Chapter.ANSWERS, "No invoices", "`/sevdesk invoices waiting` when nothing waits.")
def invoices_none(t: Texts) -> Shot:
    return Message(status.invoices(t, InvoicePage("waiting", 0, 0, ())), ephemeral=True)


@picture(Chapter.ANSWERS, "Sync begun", "`/sevdesk sync`")
def sync_started(t: Texts) -> Shot:
    return only_you(t, t.md("sync.started"))


@picture(Chapter.ANSWERS, "Sync done", "The answer after it, to the person who asked.")
def sync_done(t: Texts) -> Shot:
    return only_you(t, t.md_n("sync.done", 3))


@picture(
    Chapter.ANSWERS, "Sync found nothing", "The same when nothing is new; the channel stays silent."
)
def sync_nothing(t: Texts) -> Shot:
    return only_you(t, t.md_n("sync.nothing", 12))


@picture(Chapter.ANSWERS, "Retry", "`/sevdesk retry RE-1007` or the button.")
def retry_answer(t: Texts) -> Shot:
    return only_you(t, t.md("decision.retry", number="RE-1007"))


@picture(Chapter.ANSWERS, "Retry all", "`/sevdesk retry all` or *Retry all failed*.")
def retry_all_answer(t: Texts) -> Shot:
    return only_you(t, t.md_n("retry.all", 6))


@picture(Chapter.ANSWERS, "Settings", "`/sevdesk settings`")
def settings_form(t: Texts) -> Shot:
    given = data.prefs(
        failures_channel=data.FAILURES,
        mention=(data.ADMIN,),
        may_retry=(data.MEMBER,),
        language=t.language,
    )
    return View(settings(t, given, data.connection(sender=data.SENDER)))


@picture(
    Chapter.ANSWERS, "Export", "`/sevdesk export`; the file comes with it as a direct message."
)
def export_answer(t: Texts) -> Shot:
    text = t.md_n("export.here", 412)
    return Message(kit.card(text, [kit.section(text)]))


@picture(Chapter.ANSWERS, "Export without files", "The same where the app may not upload files.")
def export_shown(t: Texts) -> Shot:
    return Message(export.newest(t, data.audit()), ephemeral=True)


@picture(
    Chapter.ANSWERS, "Documents", "*Show document*; the XML and the PDF come as a direct message."
)
def documents_answer(t: Texts) -> Shot:
    return only_you(t, t.md_n("documents.sent", 3))


@picture(Chapter.ANSWERS, "Help", "`/sevdesk help` and `/sevdesk` alone.")
def help_answer(t: Texts) -> Shot:
    return Message(status.usage(t), ephemeral=True)


@picture(Chapter.ANSWERS, "Unknown command", "Anything that xTool does not know.")
def help_unknown(t: Texts) -> Shot:
    return Message(status.usage(t, "snyc"), ephemeral=True)


# ---- refusals -------------------------------------------------------------------------------


@picture(Chapter.REFUSALS, "Guests", "A guest of the workspace types a command or clicks.")
def denied_guest(t: Texts) -> Shot:
    return only_you(t, t.md(f"denied.{Verdict.GUEST.value}"))


@picture(Chapter.REFUSALS, "Other companies", "Somebody in a shared channel does.")
def denied_foreign(t: Texts) -> Shot:
    return only_you(t, t.md(f"denied.{Verdict.FOREIGN.value}"))


@picture(Chapter.REFUSALS, "Not chosen", "The settings name the people who may send.")
def denied_not_chosen(t: Texts) -> Shot:
    return only_you(t, t.md(f"denied.{Verdict.NOT_CHOSEN.value}"))


@picture(Chapter.REFUSALS, "Admins only", "Connect, settings, export, disconnect by somebody else.")
def denied_not_manager(t: Texts) -> Shot:
    return only_you(t, t.md(f"denied.{Verdict.NOT_MANAGER.value}"))


@picture(Chapter.REFUSALS, "A mistake of xTool", "With a reference that stands in the log.")
def error_internal(t: Texts) -> Shot:
    return only_you(t, t.md("error.internal", reference="4f1c09ab"))
