"""What needs a person is one list, wherever it is shown, and every entry can be worked off."""

from __future__ import annotations

from datetime import UTC, datetime

from sync.errors import Reason
from sync.model import (
    ConnectionState,
    EventKind,
    InvoiceState,
    PeppolResponse,
    ResponseKind,
    TagKind,
)
from tests.scenarios.conftest import Surface
from tests.unit.bot_support import record

S = InvoiceState
NOW = datetime(2026, 11, 22, 14, 3, tzinfo=UTC)
OBJECTION = PeppolResponse(
    kind=ResponseKind.INVOICE_RESPONSE, code="RE", text="falsche Bestellnummer", at=NOW
)


def objected(surface: Surface) -> None:
    surface.service.add(
        record(invoice_id="8", number="RE-1008", state=S.SENT, reason=None, responses=(OBJECTION,))
    )


async def test_show_all_lists_the_objections_that_status_counts(connected: Surface) -> None:
    objected(connected)
    connected.service.add(record())
    status = await connected.command("/sevdesk status")
    assert "2 Rechnungen brauchen Ihre Aufmerksamkeit" in status
    await connected.click("invoices_list", value="attention:0")
    listed = connected.slack.ephemerals("admin")[-1].all_text
    assert "Zu erledigen: 2 Rechnungen" in listed
    for said in (status, listed):
        assert "RE-1001" in said
        assert "falsche Bestellnummer" in said


async def test_what_needs_somebody_can_be_asked_for_by_command(connected: Surface) -> None:
    objected(connected)
    for typed in ("zu erledigen", "to do", "attention"):
        assert "RE-1008" in await connected.command(f"/sevdesk invoices {typed}")


async def test_a_refused_tag_has_a_card_that_goes_away_when_it_is_written(
    connected: Surface,
) -> None:
    trouble = Reason(code="sevdesk.refused", params={"status": "400", "message": "no such tag"})
    sent = record(state=S.SENT, reason=None, run="", tag=None)
    connected.service.add(sent)
    await connected.notify()
    assert connected.cards("RE-1001") == []
    connected.service.add(sent.model_copy(update={"tag_trouble": trouble, "tag_trouble_at": NOW}))
    await connected.notify()
    (card,) = connected.cards("RE-1001")
    assert "no such tag" in card.all_text
    connected.service.add(sent.model_copy(update={"tag": TagKind.SENT}))
    connected.service.event(EventKind.INVOICE_CHANGED, invoice_id="4711", after="sent")
    await connected.notify()
    (card,) = connected.cards("RE-1001")
    assert "no such tag" not in card.all_text
    assert "wurde über Peppol zugestellt" in card.all_text


async def test_a_sync_on_a_connection_on_trial_does_not_call_it_healed(
    connected: Surface,
) -> None:
    assert connected.service.now_connected is not None
    refused = Reason(code="sevdesk.forbidden")
    changes = {"state": ConnectionState.BROKEN, "reason": refused, "trial": True}
    connected.service.now_connected = connected.service.now_connected.model_copy(update=changes)
    said = await connected.command("/sevdesk sync")
    assert "nicht alle Rechte" in said
    assert "nichts Neues" not in said
