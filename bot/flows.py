"""What people do, whichever way they ask for it: a command, a button, the Home tab."""

from __future__ import annotations

import asyncio

from bot.authz import Need
from bot.blocks import modals, status
from bot.blocks.digest import COUNTED
from bot.blocks.settings import settings
from bot.blocks.status import PAGE, InvoicePage, Status
from bot.deps import Call, spawn_watch
from bot.reasons import in_words, sentence
from bot.slack import SlackRefusedError
from bot.texts import LANGUAGES, Mrkdwn, Texts, texts
from sync.errors import SyncError
from sync.model import ConnectionState, InvoiceRecord, InvoiceState, ParticipantId, SyncRun

S = InvoiceState

WATCH_SECONDS = 900.0  # how long a person who asked for a sync is told its result
LOOKUP_SECONDS = 8.0
ATTENTION = "attention"
FILTERS: dict[str, tuple[InvoiceState, ...] | None] = {
    "all": None,
    ATTENTION: None,  # not a question of the state alone: `Service.attention` lists it
    **dict(COUNTED),
}


# ---- modals ---------------------------------------------------------------------------------


async def fill_connect(call: Call) -> None:
    """The form for token and channel; with a connection it offers to replace it."""
    await call.require(Need.MANAGE)
    current = await call.deps.service.connection(call.caller.org)
    channel = call.prefs.channel or _channel(call.caller.channel)
    await call.deps.replies.view(call.caller, modals.connect(call.t, current, channel))


def _channel(channel: str) -> str:
    """A direct conversation is no channel to propose."""
    return channel if channel.startswith(("C", "G")) else ""


async def fill_settings(call: Call) -> None:
    """The form with all settings."""
    await call.require(Need.MANAGE)
    connection = await call.deps.service.connection(call.caller.org)
    if connection is None or connection.state is ConnectionState.DISCONNECTED:
        await _say_not_connected(call)
        return
    await call.deps.replies.view(call.caller, settings(call.t, call.prefs, connection))


async def fill_disconnect(call: Call) -> None:
    """The question whether to disconnect."""
    await call.require(Need.MANAGE)
    connection = await call.deps.service.connection(call.caller.org)
    if connection is None or connection.state is ConnectionState.DISCONNECTED:
        await _say_not_connected(call)
        return
    await call.deps.replies.view(call.caller, modals.disconnect(call.t, connection))


async def fill_send_from(call: Call) -> None:
    """The date from which waiting invoices are sent."""
    await call.require(Need.OPERATE)
    page = await call.deps.service.invoices(call.caller.org, {S.WAITING}, 0, 500)
    dates = [record.invoice_date for record in page.items if record.invoice_date]
    initial = max(dates).isoformat() if dates else ""
    await call.deps.replies.view(call.caller, modals.send_from(call.t, initial))


async def fill_peppol_id(call: Call, record: InvoiceRecord, error: Mrkdwn | None = None) -> None:
    """The candidates with what the lookup says about each, and a field for another."""
    await call.require(Need.OPERATE)
    said = await asyncio.gather(*(_lookup(call, one) for one in record.candidates[:10]))
    lookups = list(zip(map(str, record.candidates), said, strict=False))
    shown = call.deps.cards.shown(record, call.prefs)
    view = modals.peppol_id(call.t, shown, lookups, error)
    await call.deps.replies.view(call.caller, view)


async def _lookup(call: Call, participant: ParticipantId) -> str:
    try:
        async with asyncio.timeout(LOOKUP_SECONDS):
            return await call.deps.service.lookup(participant)
    except (SyncError, TimeoutError):
        return "down"


async def _say_not_connected(call: Call) -> None:
    await call.deps.replies.tell(call.caller, call.t, status.not_connected(call.t))


async def is_connected(call: Call) -> bool:
    """Whether there is something to work on; if not, the person is told how to connect."""
    connection = await call.deps.service.connection(call.caller.org)
    if connection is not None and connection.state is not ConnectionState.DISCONNECTED:
        return True
    await _say_not_connected(call)
    return False


# ---- sync -----------------------------------------------------------------------------------


async def sync(call: Call) -> None:
    """Sync now, and tell the person what came of it."""
    caller, replies = call.caller, call.deps.replies
    run_id = await call.deps.service.sync_now(caller.org, caller.user)
    if run_id is None:
        await replies.say(caller, call.t, call.t.md("sync.already"))
        return
    caller = await replies.say(caller, call.t, call.t.md("sync.started"))

    async def result(later: Call) -> None:
        run = await _finished(later, run_id)
        refused = await _still_refused(later)
        said = refused if run and run.error is None and refused else _sync_result(later.t, run)
        await replies.say(later.caller, later.t, said)

    spawn_watch(call, caller, "sync result", result)


async def _still_refused(call: Call) -> Mrkdwn | None:
    """Of a connection on trial: sevDesk let the sync through, and had refused other calls."""
    connection = await call.deps.service.connection(call.caller.org)
    if connection is None or not connection.trial or connection.reason is None:
        return None
    return call.t.md("sync.broken", reason=sentence(call.t, connection.reason))


async def _finished(call: Call, run_id: str) -> SyncRun | None:
    """Wait for a sync's end; None: it takes longer than anybody watches."""
    pause = 0.25
    loop = asyncio.get_running_loop()
    end = loop.time() + WATCH_SECONDS
    while loop.time() < end and not call.deps.tasks.ending:
        run = await call.deps.service.run(call.caller.org, run_id)
        if run is not None and run.finished_at is not None:
            return run
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 5.0)
    return None


def _sync_result(t: Texts, run: SyncRun | None) -> Mrkdwn:
    if run is None:
        return t.md("sync.long")
    if run.error is not None:
        return in_words(t, run.error)
    count = run.imported + run.reexported
    return t.md_n("sync.done", count) if count else t.md_n("sync.nothing", run.seen)


# ---- lists ----------------------------------------------------------------------------------


async def status_data(call: Call) -> Status:
    """Everything that status and the Home tab show."""
    overview = await call.deps.service.overview(call.caller.org)
    shown = call.deps.cards.all_shown(overview.needs_person, call.prefs)
    return Status(overview, call.prefs, shown)


def filter_words(t: Texts) -> list[str]:
    """What may follow `/sevdesk invoices`, in the organisation's language."""
    return [t.plain(f"filter.{name}").lower() for name in FILTERS]


def filter_of(typed: str) -> str | None:
    """The filter that somebody means, in any language or as a state's own name; else None."""
    word = typed.strip().lower()
    if not word:
        return "all"
    for name, states in FILTERS.items():
        names = {name, name.replace("_", " "), *(state.value for state in states or ())}
        names |= {texts(language).plain(f"filter.{name}").lower() for language in LANGUAGES}
        if word in names:
            return name
    return None


async def show_invoices(call: Call, chosen: str, offset: int) -> None:
    """A page of invoices."""
    service, org = call.deps.service, call.caller.org
    offset = max(0, min(offset, 1_000_000))
    if chosen == ATTENTION:
        page = await service.attention(org, offset, PAGE)
    else:
        page = await service.invoices(org, FILTERS.get(chosen), offset, PAGE)
    rows = call.deps.cards.all_shown(page.items, call.prefs)
    card = status.invoices(call.t, InvoicePage(chosen, offset, page.total, rows))
    await call.deps.replies.show(call.caller, call.t, card)


# ---- many at once ---------------------------------------------------------------------------


async def retry_all(call: Call) -> None:
    """Try everything that failed again."""
    count = await call.deps.service.retry_all(call.caller.org, call.caller.user)
    text = call.t.md_n("retry.all", count) if count else call.t.md("retry.none")
    await call.deps.replies.say(call.caller, call.t, text)


async def send_all(call: Call) -> None:
    """Send everything that waits."""
    count = await call.deps.service.send_all(call.caller.org, call.caller.user)
    text = call.t.md_n("send.all", count) if count else call.t.md("send.none")
    await call.deps.replies.say(call.caller, call.t, text)


async def resolve_hold(call: Call, *, resend: bool) -> None:
    """After most tags vanished: a manager decides."""
    await call.require(Need.MANAGE)
    done = await call.deps.service.resolve_hold(call.caller.org, call.caller.user, resend=resend)
    key = ("hold.resent" if resend else "hold.restored") if done else "hold.nothing"
    await call.deps.replies.say(call.caller, call.t, call.t.md(key))


async def resume(call: Call) -> None:
    """After a pause: a manager lets xTool go on."""
    await call.require(Need.MANAGE)
    done = await call.deps.service.resume(call.caller.org, call.caller.user)
    await call.deps.replies.say(
        call.caller, call.t, call.t.md("paused.resumed" if done else "hold.nothing")
    )


async def show_documents(call: Call, record: InvoiceRecord) -> None:
    """The original, the sent XML and the PDF, in a direct message to who asked."""
    found = list(await call.deps.service.documents(call.caller.org, record.invoice_id))
    try:
        found.append(await call.deps.service.pdf(call.caller.org, record.invoice_id))
    except SyncError as error:
        text = call.t.md("documents.no_pdf", reason=in_words(call.t, error.reason))
        await call.deps.replies.say(call.caller, call.t, text)
    if found:
        number = record.number or record.invoice_id
        text = call.t.md("documents.here", number=number)
        files = [(document.filename, document.content) for document in found]
        try:
            await send_files(call, text, files)
        except SlackRefusedError as error:
            await say_no_scope(call, error)
    else:
        await call.deps.replies.say(call.caller, call.t, call.t.md("documents.none"))


async def send_files(call: Call, text: Mrkdwn, files: list[tuple[str, bytes]]) -> None:
    """Files in a direct message, and an answer that says so. Raises `SlackError`."""
    slack, caller = call.deps.slack, call.caller
    said = await slack.call(caller.token, "chat_postMessage", channel=caller.user, text=text)
    uploads = [{"filename": name, "title": name, "content": content} for name, content in files]
    await slack.call(
        caller.token,
        "files_upload_v2",
        file_uploads=uploads,
        channel=str(said.get("channel") or caller.user),
        thread_ts=str(said.get("ts") or ""),
    )
    await call.deps.replies.say(caller, call.t, call.t.md_n("documents.sent", len(files)))


async def say_no_scope(call: Call, error: SlackRefusedError) -> None:
    """Files could not be sent because the app was installed without the right to."""
    if error.code != "missing_scope":
        raise error
    await call.deps.replies.say(call.caller, call.t, call.t.md("documents.no_scope"))
