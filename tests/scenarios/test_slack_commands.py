"""Each command: what it does, what it says when it cannot, and who may."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from functools import partial

import pytest

from bot import export
from bot.prefs import Details
from bot.texts import texts
from sync.errors import StoreError
from sync.model import AuditEntry, InvoiceState, ParticipantId
from sync.sevdesk.errors import ForbiddenError, UnavailableError
from tests.scenarios.conftest import ORG, Surface
from tests.scenarios.fake_service import TOKEN
from tests.unit.bot_support import record

S = InvoiceState


# ---- connect --------------------------------------------------------------------------------


async def test_connect_ends_with_the_accounts_name(surface: Surface) -> None:
    view = await surface.connect()
    assert "Nordwind &amp; Söhne GmbH" in view.all_text
    assert surface.service.tokens == [TOKEN]


async def test_connect_shows_checking_before_the_result(surface: Surface) -> None:
    view = await surface.connect()
    assert [content["callback_id"] for content in view.history] == [
        "loading",
        "connect",
        "checking",
    ]


async def test_connect_introduces_itself_in_the_channel(surface: Surface) -> None:
    await surface.connect()
    (intro,) = surface.slack.messages("invoices")
    assert "<@U0ADMIN> hat xTool mit sevDesk" in intro.text


async def test_the_language_is_guessed_from_who_connects(surface: Surface) -> None:
    await surface.connect()
    assert (await surface.bot.deps.store.prefs(ORG)).language == "de"


async def test_a_wrong_token_saves_nothing_and_asks_again(surface: Surface) -> None:
    view = await surface.connect(token="f" * 32)
    assert "nimmt das Token nicht an" in view.all_text
    assert view.callback_id == "connect"
    assert surface.service.now_connected is None
    assert surface.slack.messages("invoices") == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ForbiddenError("403"), "nicht alle Rechte"),
        (UnavailableError("down"), "nicht erreichbar"),
        (StoreError("down"), "Speicher von xTool"),
    ],
)
async def test_what_is_wrong_with_a_token_is_told(
    surface: Surface, error: Exception, said: str
) -> None:
    surface.service.fail_check = error  # type: ignore[assignment]
    view = await surface.connect()
    assert said in view.all_text
    assert surface.service.now_connected is None


async def test_after_a_wrong_token_the_right_one_works(surface: Surface) -> None:
    await surface.connect(token="f" * 32)
    channel = surface.slack.channel("invoices").id
    view = await surface.submit(token=TOKEN, channel=channel)
    assert "Nordwind" in view.all_text


async def test_a_second_connect_offers_to_replace_the_account(connected: Surface) -> None:
    await connected.command("/sevdesk connect")
    assert "Nordwind &amp; Söhne GmbH" in connected.slack.modal("admin").all_text
    assert connected.slack.modal("admin").callback_id == "connect"


async def test_another_account_says_what_it_clears(connected: Surface) -> None:
    now = connected.service.now_connected
    assert now is not None
    sender = ParticipantId(scheme="0204", value="991-01234-44")
    former = {"account": "2", "sender": sender, "company": "c<9>"}
    connected.service.now_connected = now.model_copy(update=former)
    view = await connected.connect()
    assert "eigene Peppol-ID 0204:991-01234-44 aus den Einstellungen entfernt" in view.all_text
    assert "Firma c&lt;9&gt; beim Zugangspunkt aus den Einstellungen entfernt" in view.all_text


async def test_the_same_account_clears_nothing(connected: Surface) -> None:
    now = connected.service.now_connected
    assert now is not None
    connected.service.now_connected = now.model_copy(update={"company": "c9"})
    assert "entfernt" not in (await connected.connect()).all_text


async def test_text_after_connect_is_refused_and_logged_nowhere(
    surface: Surface, every_log: pytest.LogCaptureFixture
) -> None:
    canary = "c0ffee" * 5 + "aa"
    said = await surface.command(f"/sevdesk connect {canary}")
    assert "only `/sevdesk connect`" in said
    assert canary not in said
    assert canary not in every_log.text
    assert surface.slack.views("admin") == []


async def test_a_submitted_token_is_in_no_log_and_in_no_call_of_slack(
    surface: Surface, every_log: pytest.LogCaptureFixture
) -> None:
    await surface.connect()
    await surface.connect(token="deadbeef" * 4)
    text = every_log.text + repr([call.args for call in surface.slack.calls()])
    assert TOKEN not in text
    assert "deadbeef" * 4 not in text


async def test_a_closed_modal_is_answered_directly(surface: Surface) -> None:
    await surface.command("/sevdesk connect")
    view = surface.slack.modal("admin")
    surface.slack.faults.add("views.update", "error", code="not_found", times=None)
    channel = surface.slack.channel("invoices").id
    await surface.slack.submit(view, {"token": TOKEN, "channel": channel})
    await surface.quiet()
    assert "Nordwind" in surface.slack.direct_messages("admin")[-1].all_text


async def test_a_channel_without_the_app_is_named_with_the_remedy(surface: Surface) -> None:
    await surface.command("/sevdesk connect")
    view = await surface.submit(token=TOKEN, channel="C0GENERAL")
    assert "/invite @xTool" in view.all_text
    assert surface.service.now_connected is not None


async def test_an_unexpected_error_gives_a_reference(surface: Surface) -> None:
    surface.service.broken = RuntimeError("boom")
    said = await surface.command("/sevdesk status")
    assert "Referenz" in said
    assert "boom" not in said


# ---- not connected yet ----------------------------------------------------------------------


@pytest.mark.parametrize("text", ["sync", "status", "invoices", "retry all", "retry RE-1"])
async def test_before_connecting_a_command_says_how_to(surface: Surface, text: str) -> None:
    said = await surface.command(f"/sevdesk {text}", user="member")
    assert "not connected yet" in said


@pytest.mark.parametrize("text", ["settings", "disconnect"])
async def test_before_connecting_a_modal_says_how_to(surface: Surface, text: str) -> None:
    await surface.command(f"/sevdesk {text}")
    assert "nicht verbunden" in surface.slack.modal("admin").all_text or (
        "not connected yet" in surface.slack.modal("admin").all_text
    )


# ---- help -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "help", "HELP"])
async def test_help_shows_every_command(surface: Surface, text: str) -> None:
    said = await surface.command(f"/sevdesk {text}".strip(), user="guest")
    commands = ("connect", "sync", "status", "invoices", "retry", "settings", "export")
    assert [c for c in commands if f"/sevdesk {c}" not in said] == []


async def test_unknown_text_is_repeated_harmlessly_with_usage(surface: Surface) -> None:
    said = await surface.command("/sevdesk <!channel> now")
    assert "&lt;!channel&gt;" in said
    assert "/sevdesk sync" in said


# ---- sync -----------------------------------------------------------------------------------


async def test_sync_says_that_it_began_and_what_came_of_it(connected: Surface) -> None:
    said = await connected.command("/sevdesk sync", user="member")
    assert "Synchronisierung mit sevDesk läuft" in said
    assert "nichts Neues" in said


async def test_sync_counts_what_was_imported(connected: Surface) -> None:
    def finish(run_id: str) -> None:
        run = connected.service.runs[run_id]
        changes = {"finished_at": datetime.now(UTC), "imported": 2}
        connected.service.runs[run_id] = run.model_copy(update=changes)

    connected.service.on_sync = finish
    assert "2 neue Rechnungen importiert" in await connected.command("/sevdesk sync")


async def test_a_second_sync_is_told_that_one_is_under_way(connected: Surface) -> None:
    connected.service.syncing = True
    assert "läuft schon" in await connected.command("/sevdesk sync")


# ---- status and lists -----------------------------------------------------------------------


async def test_status_shows_account_counts_and_what_needs_somebody(connected: Surface) -> None:
    connected.service.add(record(number="RE-77"))
    said = await connected.command("/sevdesk status", user="member")
    assert "Nordwind &amp; Söhne GmbH" in said
    assert "RE-77" in said
    assert texts("de").md_n("count.failed", 1) in said


async def test_invoices_are_paged_and_linked(connected: Surface) -> None:
    for n in range(23):
        connected.service.add(record(invoice_id=str(n), number=f"RE-{n:02d}", state=S.SENT))
    first = await connected.command("/sevdesk invoices", user="member")
    assert "https://my.sevdesk.de/fi/edit/type/RE/id/0|RE-00" in first
    assert "RE-10" not in first
    await connected.click("invoices_older", user="member")
    assert "RE-10" in connected.slack.ephemerals("member")[-1].all_text
    await connected.click("invoices_older", user="member")
    assert "RE-22" in connected.slack.ephemerals("member")[-1].all_text
    await connected.click("invoices_newer", user="member")
    assert "RE-19" in connected.slack.ephemerals("member")[-1].all_text


@pytest.mark.parametrize("word", ["failed", "fehlgeschlagen", "blocked", "FAILED"])
async def test_invoices_are_filtered_by_state_in_either_language(
    connected: Surface, word: str
) -> None:
    connected.service.add(record(invoice_id="1", number="RE-1", state=S.FAILED))
    connected.service.add(record(invoice_id="2", number="RE-2", state=S.SENT))
    said = await connected.command(f"/sevdesk invoices {word}")
    assert "RE-1" in said
    assert "RE-2" not in said


async def test_an_unknown_state_is_answered_with_the_known_ones(connected: Surface) -> None:
    said = await connected.command("/sevdesk invoices lost")
    assert "„lost“" in said
    assert "fehlgeschlagen" in said


# ---- retry ----------------------------------------------------------------------------------


async def test_retry_by_number(connected: Surface) -> None:
    connected.service.add(record(number="RE-1001"))
    said = await connected.command("/sevdesk retry re-1001", user="member")
    assert "RE-1001 wird erneut gesendet" in said
    assert connected.service.records["4711"].actor == "U0MEMBER"


async def test_retry_all_says_how_many(connected: Surface) -> None:
    for n in range(3):
        connected.service.add(record(invoice_id=str(n), number=f"RE-{n}"))
    assert "3 Rechnungen werden erneut gesendet" in await connected.command("/sevdesk retry all")


async def test_retry_of_nothing_says_so(connected: Surface) -> None:
    assert "Nichts ist fehlgeschlagen" in await connected.command("/sevdesk retry all")


async def test_retry_without_a_number_shows_how(connected: Surface) -> None:
    assert "retry RE-1001" in await connected.command("/sevdesk retry")


async def test_retry_of_an_unknown_number_says_so(connected: Surface) -> None:
    assert "RE-9" in await connected.command("/sevdesk retry RE-9")


# ---- settings -------------------------------------------------------------------------------


async def test_settings_are_saved(connected: Surface) -> None:
    await connected.command("/sevdesk settings")
    view = await connected.submit(language="en", mode="ask", amounts="hide")
    assert "Saved." in view.all_text
    prefs = await connected.bot.deps.store.prefs(ORG)
    assert (prefs.language, prefs.hide_amounts) == ("en", True)
    assert connected.service.configured["ask_before_sending"]


async def test_whom_to_mention_and_where_details_go_is_saved(connected: Surface) -> None:
    await connected.command("/sevdesk settings")
    await connected.submit(mention=["U0MEMBER"], details="channel")
    prefs = await connected.bot.deps.store.prefs(ORG)
    assert (prefs.mention, prefs.details) == (("U0MEMBER",), Details.CHANNEL)
    await connected.command("/sevdesk settings")
    await connected.submit(mention=[])
    prefs = await connected.bot.deps.store.prefs(ORG)
    assert (prefs.mention, prefs.details) == ((), Details.CHANNEL)


async def test_an_impossible_own_peppol_id_is_shown_at_its_field(connected: Surface) -> None:
    await connected.command("/sevdesk settings")
    view = await connected.submit(sender="not an id")
    assert "sender" in view.errors


async def test_a_new_channel_is_introduced(connected: Surface) -> None:
    await connected.command("/sevdesk settings")
    await connected.submit(channel="C0FINANCE")
    assert "xTool" in connected.slack.messages("finance-team")[-1].text


# ---- export ---------------------------------------------------------------------------------


def entry(**changes: str) -> AuditEntry:
    base = {"actor": "U0ADMIN", "action": "sent", "number": "RE-1", "detail": "=HYPERLINK(1)"}
    return AuditEntry(at=datetime(2026, 11, 22, 14, 3, tzinfo=UTC), **{**base, **changes})


async def test_export_sends_a_file_that_a_german_spreadsheet_opens(connected: Surface) -> None:
    connected.service.entries = [entry()]
    said = await connected.command("/sevdesk export")
    assert "Direktnachricht" in said
    (file,) = connected.slack.workspace.files.values()
    assert file.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(file.content.decode("utf-8-sig")), delimiter=";"))
    assert rows[0][:3] == ["Zeit (UTC)", "Wer", "Aktion"]
    assert rows[1][0] == "2026-11-22 14:03:00"
    assert rows[1][-1] == "'=HYPERLINK(1)"


async def test_export_without_the_right_to_upload_shows_the_newest_lines(
    connected: Surface,
) -> None:
    connected.service.entries = [entry(number="RE-9")]
    fault = {"code": "missing_scope", "times": None}
    connected.slack.faults.add("files.getUploadURLExternal", "error", **fault)  # type: ignore[arg-type]
    said = await connected.command("/sevdesk export")
    assert "files:write" in said
    assert "RE-9" in said


async def test_export_of_a_year_holds_that_year_alone(connected: Surface) -> None:
    for year in (2024, 2025, 2025, 2026):
        at = datetime(year, 6, 1, tzinfo=UTC)
        kept = AuditEntry(at=at, actor="xTool", action="sent", number=f"RE-{year}")
        connected.service.entries.append(kept)
    await connected.command("/sevdesk export 2025")
    (file,) = connected.slack.workspace.files.values()
    assert file.name == "xtool-audit-2025.csv"
    assert file.content.count(b"RE-2025") == 2
    assert file.content.count(b"RE-") == 2
    assert "2023" in await connected.command("/sevdesk export 2023")
    assert "kein Jahr" in await connected.command("/sevdesk export all")
    assert len(connected.slack.workspace.files) == 1


async def test_export_of_too_many_entries_keeps_the_newest_and_says_so(
    connected: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.export.read", partial(export.read, most=3))
    for n in range(1, 6):
        at = datetime(2026, 6, n, tzinfo=UTC)
        connected.service.entries.append(AuditEntry(at=at, actor="xTool", action=f"number {n}"))
    await connected.command("/sevdesk export")
    (file,) = connected.slack.workspace.files.values()
    assert "newest" in file.name
    assert [n for n in range(1, 6) if b"number %d" % n in file.content] == [3, 4, 5]
    said = "\n".join(m.all_text for m in connected.slack.direct_messages("admin"))
    assert "Die neuesten 3 von 5" in said


async def test_export_of_nothing_says_so(connected: Surface) -> None:
    assert "leer" in await connected.command("/sevdesk export")


# ---- disconnect -----------------------------------------------------------------------------


async def test_disconnect_asks_then_disconnects(connected: Surface) -> None:
    await connected.command("/sevdesk disconnect")
    assert "Nordwind" in connected.slack.modal("admin").all_text
    view = await connected.submit()
    assert "getrennt" in view.all_text
    await connected.notify()
    assert "<@U0ADMIN> hat sevDesk" in connected.slack.messages("invoices")[-1].text


# ---- who may --------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["sync", "status", "invoices", "retry all", "export"])
@pytest.mark.parametrize(("user", "said"), [("guest", "Vollmitglied"), ("external", "installiert")])
async def test_guests_and_other_companies_get_a_polite_no(
    connected: Surface, text: str, user: str, said: str
) -> None:
    answer = await connected.command(f"/sevdesk {text}", user=user, channel="invoices")
    assert "leider" in answer
    assert said in answer


@pytest.mark.parametrize("text", ["connect", "settings", "disconnect"])
async def test_members_may_not_manage(connected: Surface, text: str) -> None:
    said = await connected.command(f"/sevdesk {text}", user="member")
    assert "nur Administratoren" in said
    assert connected.slack.modal("member").content.get("submit") is None


async def test_who_connected_may_manage_without_being_admin(connected: Surface) -> None:
    assert connected.service.now_connected is not None
    changes = {"connected_by": "U0MEMBER"}
    connected.service.now_connected = connected.service.now_connected.model_copy(update=changes)
    await connected.command("/sevdesk disconnect", user="member")
    assert connected.slack.modal("member").callback_id == "disconnect"


async def test_only_chosen_people_may_retry(connected: Surface) -> None:
    await connected.bot.deps.store.change_prefs(ORG, may_retry=("U0MEMBER2",))
    connected.service.add(record())
    assert "ausgewählt" in await connected.command("/sevdesk retry RE-1001", user="ben")
    assert "wird erneut" in await connected.command("/sevdesk retry RE-1001", user="clara")


async def test_nobody_is_let_in_while_slack_does_not_say_who_they_are(connected: Surface) -> None:
    connected.slack.faults.add("users.info", "server_error", times=None)
    said = await connected.command("/sevdesk sync", user="member")
    assert "Slack hat nicht wie erwartet geantwortet" in said
    assert connected.service.runs == {}
