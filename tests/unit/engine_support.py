"""Builders of records, rows and snapshots for tests of the pure core."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sync.delivery import IN_FLIGHT, Policy
from sync.errors import Kind, Reason
from sync.model import (
    Attempt,
    Connection,
    DocumentType,
    InvoiceRecord,
    InvoiceState,
    ParticipantId,
    TagKind,
)
from sync.planner import Plan, Snapshot
from sync.sevdesk.models import InvoiceRow, TagRelation

S = InvoiceState
T = TagKind
STATES = list(S)
POLICY = Policy()
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=3)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
ME = ParticipantId(scheme="9930", value="DE123456788")
YOU = ParticipantId(scheme="0204", value="991-1234512345-06")
TYPE = DocumentType(id="urn:test", process="urn:test:process")
BUSY = Reason(code="peppol.access_point.busy", kind=Kind.TRANSIENT)
REFUSED = Reason(code="peppol.access_point.not_delivered", kind=Kind.PERMANENT)
LOST = Reason(code="peppol.access_point.no_answer", kind=Kind.UNKNOWN)


def attempt(**changes: Any) -> Attempt:
    values: dict[str, Any] = {
        "id": "a-1",
        "number": 1,
        "adapter": "test",
        "sender": ME,
        "receiver": YOU,
        "document_type": TYPE,
        "sha256": "d" * 64,
        "claimed_at": NOW,
        "deadline": NOW + MINUTE,
    }
    return Attempt(**values | changes)


def record(state: InvoiceState = S.IMPORTED, **changes: Any) -> InvoiceRecord:
    """A record in `state`, tagged as such a record is once all is written and seen."""
    tag = {S.SENT: T.SENT, S.FAILED: T.FAILED, S.BLOCKED: T.FAILED}.get(state, T.UPLOADED)
    values: dict[str, Any] = {
        "org": "T1",
        "account": "100",
        "invoice_id": "1",
        "version": 3,
        "state": state,
        "state_since": NOW,
        "created_at": LONG_AGO,
        "number": "RE-1",
        "contact_id": "c1",
        "tag": tag,
        "tag_relation": "r1",
        "tagged_at": LONG_AGO,
        "tag_seen": True,
        "attempt": attempt() if state in IN_FLIGHT else None,
    }
    if state is S.WITHDRAWN:
        values["reason"] = Reason(code="withdrawn.paid")
    return InvoiceRecord(**values | changes)


def row(invoice_id: str = "1", **changes: Any) -> InvoiceRow:
    values: dict[str, Any] = {
        "id": invoice_id,
        "number": f"RE-{invoice_id}",
        "contact_id": "c1",
        "status": "200",
        "invoice_type": "RE",
        "gross": Decimal(119),
        "revision": "1",
        "account": "100",
    }
    return InvoiceRow(**values | changes)


def contact_tag(contact_id: str = "c1", name: str = "xTool", tag_id: str = "9") -> TagRelation:
    return TagRelation(f"rc-{contact_id}", tag_id, "Contact", contact_id, name)


def invoice_tag(
    invoice_id: str = "1", kind: TagKind | str = T.UPLOADED, relation: str = "r1"
) -> TagRelation:
    name = kind.name_for("xTool") if isinstance(kind, TagKind) else kind
    return TagRelation(relation, f"t-{name}", "Invoice", invoice_id, name)


def connection(**changes: Any) -> Connection:
    values: dict[str, Any] = {
        "org": "T1",
        "account": "100",
        "account_name": "Test",
        "connected_by": "U1",
        "connected_at": LONG_AGO,
        "last_sync": NOW - MINUTE,
    }
    return Connection(**values | changes)


def snapshot(*rows: InvoiceRow, **changes: Any) -> Snapshot:
    """One tagged contact `c1`, and the rows; `records` may be a list, `tags` are relations."""
    records = changes.pop("records", [])
    tags = changes.pop("tags", [])
    values: dict[str, Any] = {
        "connection": connection(),
        "prefix": "xTool",
        "now": NOW,
        "rows": rows,
        "relations": (contact_tag(), *tags),
        "tag_names": {},
        "records": {r.invoice_id: r for r in records},
    }
    return Snapshot(**values | changes)


def imported(found: Plan) -> list[str]:
    """The ids of the invoices that a plan imports, in its order."""
    return [i.row.id for i in found.imports]
