"""The believable data behind the gallery: invoices, syncs and a connection of one company.

The company and its customers are those of the sandbox. Everything is fixed, the clock included,
so that a picture changes only when a card does.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from bot.blocks.invoice import Shown
from bot.prefs import Prefs
from sync.errors import Finding, Reason
from sync.model import (
    Attempt,
    AuditEntry,
    Connection,
    DocumentType,
    InvoiceRecord,
    InvoiceState,
    Overview,
    ParticipantId,
    Pause,
    SyncRun,
    Unexportable,
)
from sync.peppol import doctypes

S = InvoiceState

NOW = datetime(2026, 11, 24, 9, 12, tzinfo=UTC)
ORG, ADMIN, MEMBER = "T0NORDWIND", "U0ADMIN", "U0MEMBER"
CHANNEL, FAILURES = "C0INVOICES", "C0FINANCE"
COMPANY, TAG = "Lindhof Elektrotechnik GmbH", "xTool"
SENDER = ParticipantId.parse("9930:DE136695976")
HOTEL = ParticipantId.parse("9930:DE999100018")
CAFE = ParticipantId.parse("9930:DE999100034")
AUTHORITY = ParticipantId.parse("0204:02200100-4711-33")
KIEL = ParticipantId.parse("9930:DE999100042")
NORTH = ParticipantId.parse("0088:4099999000012")

UNKNOWN = Reason(code="receiver.unknown", params={"candidates": str(CAFE)})
AMBIGUOUS = Reason(code="receiver.ambiguous", params={"candidates": f"{KIEL}, {NORTH}"})
REJECTED = Reason(
    code="peppol.delivery.rejected", params={"detail": "the purchase order is unknown (PO-88412)"}
)
INVALID = Reason(
    code="document.invalid",
    findings=(
        Finding(rule="BR-DE-15", location="BT-10"),
        Finding(rule="BR-DE-7", location="BT-43"),
        Finding(rule="BR-CO-15", location="BT-112"),
        Finding(rule="BR-DE-5", location="BT-41"),
    ),
)
RULES = "XRechnung 3.0.2, Peppol BIS 2025-05"
WARNINGS = (
    Finding(rule="XTOOL-BT-10", location="BT-10"),
    Finding(rule="BR-DE-19", location="BT-84"),
)
TAG_REFUSED = Reason(
    code="sevdesk.refused", params={"status": "400", "message": "the object is locked"}
)
REVOKED = Reason(code="sevdesk.unauthorized")
AWAY = Reason(code="sevdesk.unavailable")
PAUSE = Pause(
    since=NOW - timedelta(days=19),
    reason=Reason(code="connection.unheard", params={"code": "account_inactive"}),
)
NOT_E_INVOICE = Reason(code="sevdesk.not_an_einvoice")

CUSTOMERS = (
    ("Hotel Alsterblick GmbH", "1487.66"),
    ("Planwerk Süd Ingenieure PartG mbB", "2408.56"),
    ("Brouwerij De Drie Torens NV", "880.00"),
    ("Bezirksamt Nordhafen", "3577.74"),
    ("Molkerei Geestland eG", "450.69"),
    ("Café Möwe e.K.", "186.83"),
    ("Reederei Kappel & Söhne KG", "3998.40"),
)


def record(place: int = 0, state: InvoiceState = S.SENT, **changes: Any) -> InvoiceRecord:
    """One invoice: RE-1001 to the first customer, RE-1002 to the second, …"""
    name, gross = CUSTOMERS[place % len(CUSTOMERS)]
    day = date(2026, 11, 20) - timedelta(days=place)
    base = InvoiceRecord(
        org=ORG,
        account="1",
        invoice_id=str(4711 + place),
        state=state,
        state_since=NOW,
        created_at=NOW - timedelta(minutes=2),
        run="run",
        number=f"RE-{1001 + place}",
        contact_id=str(70 + place),
        contact_name=name,
        invoice_date=day,
        due_date=day + timedelta(days=14),
        gross=Decimal(gross),
    )
    return base.model_copy(update=changes)


def attempt(receiver: ParticipantId = HOTEL, status: str = "", number: int = 1) -> Attempt:
    """A submission to Recommand."""
    bis = doctypes.BIS_INVOICE
    return Attempt(
        id="8d0f0c3e-5c58-4f0f-9d2f-3c8d3c1f5a11",
        number=number,
        adapter="recommand",
        sender=SENDER,
        receiver=receiver,
        document_type=DocumentType(id=bis.id, process=bis.process),
        sha256="0" * 64,
        claimed_at=NOW,
        deadline=NOW + timedelta(seconds=60),
        provider_status=status,
    )


def shown(given: InvoiceRecord, *, hide_amounts: bool = False) -> Shown:
    """With the link into sevDesk's web app."""
    url = f"https://my.sevdesk.de/fi/edit/type/RE/id/{given.invoice_id}"
    return Shown(given, url, hide_amounts)


def failed(**changes: Any) -> InvoiceRecord:
    """Refused by the receiver's side."""
    base = record(6, S.FAILED, reason=REJECTED, attempts=1, receiver=KIEL, attempt=attempt(KIEL))
    return base.model_copy(update=changes)


def unknown_receiver(**changes: Any) -> InvoiceRecord:
    """Nobody of that name is on the network."""
    base = record(5, S.BLOCKED, reason=UNKNOWN, candidates=(CAFE,))
    return base.model_copy(update=changes)


def ambiguous(**changes: Any) -> InvoiceRecord:
    """Two receivers come into question."""
    base = record(6, S.BLOCKED, reason=AMBIGUOUS, candidates=(KIEL, NORTH))
    return base.model_copy(update=changes)


def invalid() -> InvoiceRecord:
    """Breaks rules for e-invoices to public authorities."""
    return record(3, S.BLOCKED, reason=INVALID, rules=RULES)


def unconfirmed(**changes: Any) -> InvoiceRecord:
    """The access point's answer was lost."""
    base = record(0, S.UNCONFIRMED, attempts=1, receiver=HOTEL, attempt=attempt(), overdue=True)
    return base.model_copy(update=changes)


def many(state: InvoiceState, count: int, first: int = 0, **changes: Any) -> list[InvoiceRecord]:
    """Several in one state."""
    return [record(first + n, state, **changes) for n in range(count)]


def mixed() -> list[InvoiceRecord]:
    """What one ordinary sync leaves behind."""
    sent = [record(n, S.SENT, attempts=1) for n in range(4)]
    return [*sent, record(4, S.SUBMITTED, attempts=1), unknown_receiver(), failed()]


def connection(**changes: Any) -> Connection:
    """A live connection."""
    base = Connection(
        org=ORG,
        account="1",
        account_name=COMPANY,
        connected_by=ADMIN,
        connected_at=NOW - timedelta(days=20),
        last_sync=NOW - timedelta(minutes=3),
        next_sync=NOW + timedelta(minutes=2),
    )
    return base.model_copy(update=changes)


def prefs(**changes: Any) -> Prefs:
    """Settings as an admin left them."""
    base = Prefs(channel=CHANNEL, owner=ADMIN, chosen=True)
    return base.model_copy(update=changes)


def run(**changes: Any) -> SyncRun:
    """A finished sync with seven imports."""
    base = SyncRun(
        id="run",
        org=ORG,
        started_at=NOW - timedelta(minutes=1),
        finished_at=NOW,
        seen=9,
        to_import=7,
        imported=7,
        skipped=1,
        counts={"sent": 4, "submitted": 1, "blocked": 1, "failed": 1},
    )
    return base.model_copy(update=changes)


def overview(**changes: Any) -> Overview:
    """What status and the Home tab show."""
    paper = Unexportable(
        invoice_id="4799",
        revision="1",
        number="RE-1008",
        contact_name=CUSTOMERS[0][0],
        reason=NOT_E_INVOICE,
    )
    base = Overview(
        connection=connection(),
        counts={"sent": 128, "submitted": 1, "blocked": 1, "failed": 1, "withdrawn": 2},
        needs_person=(unknown_receiver(), failed()),
        skipped=(paper,),
        skipped_total=1,
    )
    return base.model_copy(update=changes)


def audit() -> list[AuditEntry]:
    """The newest lines of the audit list."""
    steps = (
        ("xTool", "RE-1007", "imported"),
        ("xTool", "RE-1007", "submitting"),
        ("xTool", "RE-1007", "failed"),
        (MEMBER, "RE-1007", "ready"),
        ("xTool", "RE-1007", "sent"),
    )
    return [
        AuditEntry(at=NOW + timedelta(minutes=n), actor=who, action=to, number=number, after=to)
        for n, (who, number, to) in enumerate(steps)
    ]
