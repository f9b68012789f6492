"""The cards of the gallery, part one: the first minute, results, failures.

Built by the builders that the app itself uses; only the data is made up (`gallery_data`).
"""

from __future__ import annotations

from bot.blocks import connection as connections
from bot.blocks import digest, home, modals, status
from bot.blocks.calling import calling
from bot.blocks.digest import Day, Digest, Waiting
from bot.blocks.failure import failure
from bot.blocks.group import group
from bot.blocks.status import Status
from bot.cards import summarise
from bot.reasons import in_words
from bot.texts import Texts, channel_link, mention
from sync.errors import Reason
from sync.model import (
    InvoiceRecord,
    InvoiceState,
    Overview,
    PeppolResponse,
    ResponseKind,
    SyncRun,
    TagKind,
)
from sync.settling import OTHER_ACCOUNT
from tests.sandbox import gallery_data as data
from tests.sandbox.gallery_kit import Chapter, Message, Shot, View, only_you, picture, shown

S = InvoiceState

# ---- the first minute -----------------------------------------------------------------------


@picture(Chapter.FIRST, "Welcome", "A direct message to whoever installed the app.")
def welcome(t: Texts) -> Shot:
    return Message(connections.welcome(t, data.TAG))


@picture(Chapter.FIRST, "Home before connecting", "The app's Home tab, for an admin.")
def home_before(t: Texts) -> Shot:
    nothing = Status(Overview(connection=None), data.prefs())
    return View(home.home(t, nothing, manages=True, tag=data.TAG))


@picture(Chapter.FIRST, "Home before connecting, for others", "The Home tab of everybody else.")
def home_before_member(t: Texts) -> Shot:
    nothing = Status(Overview(connection=None), data.prefs())
    return View(home.home(t, nothing, manages=False, tag=data.TAG))


@picture(Chapter.FIRST, "Not connected yet", "The answer to any command that needs sevDesk.")
def not_connected(t: Texts) -> Shot:
    return Message(status.not_connected(t), ephemeral=True)


@picture(Chapter.FIRST, "Connect", "`/sevdesk connect` or the Connect button.")
def connect(t: Texts) -> Shot:
    return View(modals.connect(t, None, data.CHANNEL))


@picture(Chapter.FIRST, "Checking", "While sevDesk is asked whether the token is right.")
def connect_checking(t: Texts) -> Shot:
    return View(modals.checking(t))


@picture(
    Chapter.FIRST, "Wrong token", "sevDesk refused the token. What was typed is not shown again."
)
def connect_wrong(t: Texts) -> Shot:
    return View(modals.connect(t, None, data.CHANNEL, in_words(t, data.REVOKED)))


@picture(Chapter.FIRST, "Token missing", "Something that xTool can see without asking sevDesk.")
def connect_missing(t: Texts) -> Shot:
    return View(
        modals.connect(t, None, data.CHANNEL), (("token", t.plain("connect.token_missing")),)
    )


@picture(Chapter.FIRST, "Connected", "The token works and is stored.")
def connected(t: Texts) -> Shot:
    return View(modals.connected(t, data.COMPANY, data.TAG))


@picture(
    Chapter.FIRST, "Connected, channel closed", "As before, but xTool may not write in the channel."
)
def connected_closed(t: Texts) -> Shot:
    note = t.md("channel.not_found", channel=channel_link(data.FAILURES))
    return View(modals.connected(t, data.COMPANY, data.TAG, note))


@picture(Chapter.FIRST, "Replace the account", "A second `/sevdesk connect`.")
def connect_replace(t: Texts) -> Shot:
    return View(modals.connect(t, data.connection(), data.CHANNEL))


@picture(Chapter.FIRST, "Token in the command", "`/sevdesk connect` with anything after it.")
def connect_no_text(t: Texts) -> Shot:
    return only_you(t, t.md("connect.no_text"))


@picture(Chapter.FIRST, "Introduction", "The first message in the chosen channel.")
def intro(t: Texts) -> Shot:
    return Message(connections.intro(t, data.connection(), data.TAG))


@picture(
    Chapter.FIRST,
    "First sync",
    "More than ten invoices were waiting when sevDesk was connected: nothing is sent yet.",
)
def first_sync(t: Texts) -> Shot:
    records = data.many(S.WAITING, 34, hold="first_sync")
    run = data.run(to_import=34, imported=34, skipped=0, counts={"waiting": 34})
    return _digest(t, run, summarise(records, 34, data.prefs(), t, shown(records[:10])))


@picture(Chapter.FIRST, "Send all", "The question behind *Send all*.")
def send_all_question(t: Texts) -> Shot:
    card = first_sync(t)
    assert isinstance(card, Message)
    return Message(card.card, ask="invoices_send_all")


@picture(Chapter.FIRST, "Send from a date", "The button *Only from a date…*")
def send_from(t: Texts) -> Shot:
    return View(modals.send_from(t, "2026-11-01"))


# ---- results --------------------------------------------------------------------------------


def _digest(t: Texts, run: SyncRun, waiting: Waiting | None = None) -> Message:
    return Message(digest.digest(t, Digest(run, data.COMPANY, waiting or Waiting())))


@picture(
    Chapter.RESULTS, "Digest", "One per sync that imported something; all of it was delivered."
)
def digest_sent(t: Texts) -> Shot:
    return _digest(t, data.run(to_import=3, imported=3, skipped=0, counts={"sent": 3}))


@picture(
    Chapter.RESULTS, "Digest, mixed", "The same message while some are on their way or failed."
)
def digest_mixed(t: Texts) -> Shot:
    return _digest(t, data.run(trigger=data.MEMBER))


@picture(
    Chapter.RESULTS, "Digest, re-export", "Somebody removed xTool's tags in sevDesk, to send again."
)
def digest_reexported(t: Texts) -> Shot:
    run = data.run(imported=1, reexported=1, skipped=0, counts={"sent": 1, "submitted": 1})
    return _digest(t, run)


@picture(Chapter.RESULTS, "Details", "In the thread of a digest: a line for each invoice.")
def digest_details(t: Texts) -> Shot:
    records = data.mixed()
    return Message(digest.details(t, shown(records), len(records)))


@picture(
    Chapter.RESULTS, "First import of 1,000, running", "One message, edited every few seconds."
)
def import_running(t: Texts) -> Shot:
    counts = {"imported": 96, "submitted": 210, "sent": 118}
    run = data.run(to_import=1000, imported=424, skipped=0, finished_at=None, counts=counts)
    return _digest(t, run)


@picture(Chapter.RESULTS, "First import of 1,000, done", "What that message becomes.")
def import_done(t: Texts) -> Shot:
    counts = {"sent": 968, "submitted": 12, "blocked": 14, "failed": 6}
    return _digest(t, data.run(to_import=1000, imported=1000, skipped=31, counts=counts))


@picture(
    Chapter.RESULTS,
    "Ask before sending",
    "Digest of an organisation that chose to be asked each time.",
)
def digest_ask(t: Texts) -> Shot:
    records = data.many(S.WAITING, 3, hold="ask")
    run = data.run(to_import=3, imported=3, skipped=0, counts={"waiting": 3})
    return _digest(t, run, summarise(records, 3, data.prefs(), t, shown(records)))


@picture(Chapter.RESULTS, "Don't send", "The question behind *Don't send*.")
def dismiss_question(t: Texts) -> Shot:
    card = digest_ask(t)
    assert isinstance(card, Message)
    return Message(card.card, ask="invoice_dismiss")


@picture(Chapter.RESULTS, "Amounts hidden", "A failure where the settings hide amounts.")
def amounts_hidden(t: Texts) -> Shot:
    return Message(failure(t, data.shown(data.unknown_receiver(), hide_amounts=True)))


@picture(Chapter.RESULTS, "Daily summary", "Once a day at the chosen time, in place of digests.")
def daily(t: Texts) -> Shot:
    return Message(digest.daily(t, Day(data.COMPANY, {"sent": 11, "submitted": 1, "failed": 2}, 2)))


@picture(Chapter.RESULTS, "A sync that failed", "Digest of a sync that sevDesk broke off.")
def digest_broken_off(t: Texts) -> Shot:
    run = data.run(imported=2, skipped=0, counts={"sent": 2}, error=data.AWAY)
    return _digest(t, run)


# ---- failures -------------------------------------------------------------------------------


def _failure(t: Texts, record: InvoiceRecord, ask: str = "") -> Message:
    return Message(failure(t, data.shown(record)), ask=ask)


@picture(Chapter.FAILURES, "Rejected", "The receiver's side refused the invoice.")
def failed(t: Texts) -> Shot:
    return _failure(t, data.failed())


@picture(
    Chapter.FAILURES, "Document invalid", "The invoice breaks official rules; nothing was sent."
)
def failed_findings(t: Texts) -> Shot:
    return _failure(t, data.invalid())


@picture(Chapter.FAILURES, "Receiver unknown", "No Peppol participant was found for the contact.")
def blocked_unknown(t: Texts) -> Shot:
    return _failure(t, data.unknown_receiver())


@picture(
    Chapter.FAILURES,
    "Several receivers",
    "More than one participant fits, so xTool does not guess.",
)
def blocked_ambiguous(t: Texts) -> Shot:
    return _failure(t, data.ambiguous())


@picture(
    Chapter.FAILURES, "Set Peppol ID", "The button *Set Peppol ID*, where xTool knows candidates."
)
def peppol_id(t: Texts) -> Shot:
    lookups = [(str(data.KIEL), "registered"), (str(data.NORTH), "not_registered")]
    return View(modals.peppol_id(t, data.shown(data.ambiguous()), lookups))


@picture(Chapter.FAILURES, "Set Peppol ID, none known", "The same where nothing is known.")
def peppol_id_none(t: Texts) -> Shot:
    record = data.unknown_receiver(candidates=(), reason=Reason(code="receiver.no_candidate"))
    return View(modals.peppol_id(t, data.shown(record), []))


@picture(Chapter.FAILURES, "Set Peppol ID, refused", "The network does not know what was typed.")
def peppol_id_wrong(t: Texts) -> Shot:
    wrong = t.md("peppol.not_registered", participant="9930:DE999100067")
    lookups = [(str(data.CAFE), "not_registered")]
    return View(modals.peppol_id(t, data.shown(data.unknown_receiver()), lookups, wrong))


@picture(Chapter.FAILURES, "Sending…", "The failure's message right after a click on *Retry send*.")
def retry_sending(t: Texts) -> Shot:
    return _failure(t, data.failed(state=S.SUBMITTING, actor=data.MEMBER, attempts=2, reason=None))


@picture(Chapter.FAILURES, "Handed over", "The access point took it; delivery is not reported yet.")
def retry_submitted(t: Texts) -> Shot:
    again = data.attempt(data.KIEL, "PROCESSING", number=2)
    record = data.failed(
        state=S.SUBMITTED, actor=data.MEMBER, attempts=2, reason=None, attempt=again
    )
    return _failure(t, record)


@picture(
    Chapter.FAILURES, "Sent after a retry", "The same message at the end: who, when, which attempt."
)
def retry_sent(t: Texts) -> Shot:
    again = data.attempt(data.KIEL, "DELIVERED", number=2)
    record = data.failed(state=S.SENT, actor=data.MEMBER, attempts=2, reason=None, attempt=again)
    return _failure(t, record)


@picture(Chapter.FAILURES, "Somebody was faster", "The answer to a second click.")
def retry_already(t: Texts) -> Shot:
    when = t.moment(data.NOW)
    state = t.md("state.submitting")
    said = t.md(
        "decision.already_by", number="RE-1007", who=mention(data.MEMBER), state=state, when=when
    )
    return only_you(t, said)


@picture(
    Chapter.FAILURES, "Never reported", "Accepted, but delivery has not been reported for days."
)
def never_reported(t: Texts) -> Shot:
    record = data.record(2, S.SUBMITTED, attempts=1, overdue=True, attempt=data.attempt())
    return _failure(t, record)


@picture(Chapter.FAILURES, "Takes long", "Not handed over within its time; xTool goes on trying.")
def overdue(t: Texts) -> Shot:
    busy = Reason(
        code="peppol.access_point.busy", params={"provider": "Recommand", "status": "503"}
    )
    return _failure(t, data.record(1, S.READY, overdue=True, reason=busy, attempts=3))


@picture(
    Chapter.FAILURES,
    "Unconfirmed",
    "The access point's answer was lost and it cannot say what it has.",
)
def unconfirmed(t: Texts) -> Shot:
    return _failure(t, data.unconfirmed())


@picture(
    Chapter.FAILURES,
    "Unconfirmed, another account",
    "The same, where the access point account was changed in between.",
)
def unconfirmed_elsewhere(t: Texts) -> Shot:
    return _failure(t, data.unconfirmed(reason=OTHER_ACCOUNT))


@picture(Chapter.FAILURES, "Send again", "The question behind *Send again*, with the risk.")
def send_again_question(t: Texts) -> Shot:
    return _failure(t, data.unconfirmed(), ask="invoice_send_again")


@picture(Chapter.FAILURES, "Objection", "Delivered, but the customer rejects the invoice or asks.")
def objection(t: Texts) -> Shot:
    said = PeppolResponse(
        kind=ResponseKind.INVOICE_RESPONSE, code="RE", text="PO-88412 ist abgerechnet", at=data.NOW
    )
    return _failure(t, data.record(2, S.SENT, attempts=1, responses=(said,)))


@picture(
    Chapter.FAILURES, "Tag refused", "Delivered, but sevDesk does not take the tag that says so."
)
def tag_refused(t: Texts) -> Shot:
    record = data.record(1, S.SENT, attempts=1, tag=TagKind.UPLOADED, tag_trouble=data.TAG_REFUSED)
    return _failure(t, record)


@picture(
    Chapter.FAILURES, "Worth knowing", "A warning: what is not as it should be, and may be sent."
)
def worth_knowing(t: Texts) -> Shot:
    return _failure(t, data.failed(warnings=data.WARNINGS, rules=data.RULES))


@picture(
    Chapter.FAILURES, "Mentioned", "The settings name who is called when something needs somebody."
)
def mentioned(t: Texts) -> Shot:
    card = failure(t, data.shown(data.unknown_receiver()))
    return Message(calling(t, card, [data.MEMBER]))


@picture(Chapter.FAILURES, "Solved elsewhere", "A failed invoice was paid in the meantime.")
def solved_elsewhere(t: Texts) -> Shot:
    paid = Reason(code="withdrawn.paid")
    return _failure(t, data.unknown_receiver(state=S.WITHDRAWN, reason=paid))


@picture(Chapter.FAILURES, "Many failures", "Of a large sync, up to ten share one message.")
def failures_grouped(t: Texts) -> Shot:
    sent = data.record(0, S.SENT, actor=data.MEMBER, attempts=2)
    members = [data.failed(), data.unknown_receiver(), data.invalid(), sent]
    return Message(group(t, shown(members)))
