"""Records and strategies for the tests of the Slack side, and what is looked at in its cards."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from bot.blocks.invoice import Shown
from bot.blocks.kit import Block, Card
from bot.texts import LANGUAGES, texts
from sync.errors import Finding, Kind, Reason
from sync.model import (
    Attempt,
    Connection,
    ConnectionState,
    DocumentType,
    InvoiceRecord,
    InvoiceState,
    Overview,
    ParticipantId,
    PeppolResponse,
    ResponseKind,
    SyncRun,
    TagKind,
    Unexportable,
)
from tests.sandbox.slack.validation import validate_message, validate_view
from tests.sandbox.slack.workspace import texts as all_texts

NOW = datetime(2026, 11, 22, 14, 3, tzinfo=UTC)
HOSTILE = (
    "<!channel>",
    "<@U0ADMIN>",
    "<https://evil.example|click>",
    "A & B <b>GmbH</b>",
    "*bold* _it_ ~gone~ `code`",
    "x" * 5000,
    "\u202egnp.exe",
    "شركة النور",
    "👩‍👩‍👧‍👦 & Söhne",
    "line\nbreak\ttab\x00nul",
    "&lt;!channel&gt;",
    "{number} {0} %s",
    "",
    " ",
    "\ud83d",
)
NAMES = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=400))
CODES = (
    "peppol.lookup.not_registered",
    "sevdesk.unauthorized",
    "document.invalid",
    "receiver.ambiguous",
    "a.code.nobody.knows",
)


def record(**changes: Any) -> InvoiceRecord:
    """An invoice that failed, or whatever `changes` make of it."""
    base = InvoiceRecord(
        org="T0NORDWIND",
        account="1",
        invoice_id="4711",
        state=InvoiceState.FAILED,
        state_since=NOW,
        created_at=NOW,
        run="run1",
        number="RE-1001",
        contact_id="7",
        contact_name="Müller & Söhne GmbH",
        invoice_date=date(2026, 11, 1),
        due_date=date(2026, 11, 15),
        gross=Decimal("1190.00"),
        reason=Reason(
            code="peppol.lookup.not_registered", params={"participant": "9930:DE136695976"}
        ),
        attempts=1,
    )
    return base.model_copy(update=changes)


def shown(given: InvoiceRecord | None = None, *, hide_amounts: bool = False) -> Shown:
    """A record as a card takes it."""
    given = given or record()
    return Shown(
        given, f"https://my.sevdesk.de/fi/edit/type/RE/id/{given.invoice_id}", hide_amounts
    )


def connection(**changes: Any) -> Connection:
    """A live connection."""
    base = Connection(
        org="T0NORDWIND",
        account="1",
        account_name="Nordwind Werkstatt GmbH",
        connected_by="U0ADMIN",
        connected_at=NOW,
        last_sync=NOW,
        next_sync=NOW + timedelta(minutes=5),
    )
    return base.model_copy(update=changes)


def run(**changes: Any) -> SyncRun:
    """A finished sync with three imports."""
    base = SyncRun(
        id="run1",
        org="T0NORDWIND",
        started_at=NOW,
        finished_at=NOW,
        seen=3,
        to_import=3,
        imported=3,
        counts={"sent": 2, "failed": 1},
    )
    return base.model_copy(update=changes)


RULES = ["BR-DE-15", "BR-DE-19", "BR-XX-99", "PEPPOL-EN16931-R010", "XTOOL-BT-10", "<!here>"]
FINDINGS = st.builds(Finding, rule=st.sampled_from(RULES), message=NAMES, location=NAMES)


@st.composite
def reasons(draw: st.DrawFn) -> Reason:
    """Reasons with hostile parameters and many findings."""
    params = st.dictionaries(
        st.sampled_from(["participant", "detail", "candidates", "message", "provider"]), NAMES
    )
    return Reason(
        code=draw(st.sampled_from(CODES)),
        kind=draw(st.sampled_from(Kind)),
        params=draw(params),
        findings=tuple(draw(st.lists(FINDINGS, max_size=8))),
    )


PARTICIPANT = ParticipantId(scheme="9930", value="DE136695976")


@st.composite
def attempts(draw: st.DrawFn) -> Attempt:
    """An attempt as an access point's words fill it."""
    return Attempt(
        id="a",
        number=draw(st.integers(1, 10_000)),
        adapter="recommand",
        sender=PARTICIPANT,
        receiver=PARTICIPANT,
        document_type=DocumentType(id="urn:x", process="urn:p"),
        sha256="0" * 64,
        claimed_at=NOW,
        deadline=NOW,
        provider_status=draw(NAMES),
    )


RESPONSES = st.builds(
    PeppolResponse,
    kind=st.sampled_from(ResponseKind),
    code=st.sampled_from(["AB", "RE", "UQ", "PD", "<!channel>", ""]),
    text=NAMES,
    at=st.just(NOW),
)


@st.composite
def records(draw: st.DrawFn) -> InvoiceRecord:
    """Invoices in every state with hostile texts."""
    return record(
        invoice_id=str(draw(st.integers(1, 10**9))),
        state=draw(st.sampled_from(InvoiceState)),
        number=draw(NAMES),
        contact_name=draw(NAMES),
        currency=draw(st.sampled_from(["EUR", "USD", "XX", "<!channel>", ""])),
        gross=draw(st.decimals(allow_nan=True, allow_infinity=True)),
        reason=draw(st.none() | reasons()),
        overdue=draw(st.booleans()),
        actor=draw(st.sampled_from(["", "U0ADMIN", "<!channel>"])),
        attempts=draw(st.integers(0, 10_000)),
        attempt=draw(st.none() | attempts()),
        receiver=draw(st.none() | st.just(PARTICIPANT)),
        rules=draw(NAMES),
        candidates=draw(st.sampled_from([(), (PARTICIPANT,)])),
        responses=tuple(draw(st.lists(RESPONSES, max_size=3))),
        hold=draw(st.sampled_from(["", "ask", "first_sync"])),
        warnings=tuple(draw(st.lists(FINDINGS, max_size=5))),
        tag=draw(st.none() | st.sampled_from(TagKind)),
        tag_trouble=draw(st.none() | reasons()),
    )


@st.composite
def overviews(draw: st.DrawFn) -> Overview:
    """What status shows, with hostile names."""
    skipped = st.builds(
        Unexportable,
        invoice_id=st.just("9"),
        revision=st.just("r"),
        number=NAMES,
        contact_name=NAMES,
        reason=reasons(),
    )
    return Overview(
        connection=connection(
            account_name=draw(NAMES),
            state=draw(st.sampled_from(ConnectionState)),
            reason=draw(st.none() | reasons()),
            last_error=draw(st.none() | reasons()),
        ),
        counts={state.value: draw(st.integers(0, 10**6)) for state in InvoiceState},
        needs_person=tuple(draw(st.lists(records(), max_size=10))),
        skipped=tuple(draw(st.lists(skipped, max_size=10))),
        skipped_total=draw(st.integers(0, 10**6)),
        running=draw(st.booleans()),
    )


EN = texts("en")
LANGUAGE = st.sampled_from(LANGUAGES).map(texts)
relaxed = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def assert_sendable(card: Card) -> None:
    """Slack takes the card, also as an update, and it does no harm."""
    payload = {"text": card.text, "blocks": list(card.blocks)}
    assert validate_message(payload, update=True) == []
    assert card.text.strip()
    assert_harmless([card.text, *all_texts(list(card.blocks))])


def assert_shown(view: Block) -> None:
    """Slack takes the modal or the Home tab, and it does no harm."""
    assert validate_view(view) == []
    assert_harmless(all_texts(view["blocks"]))


def assert_harmless(found: Iterable[str]) -> None:
    """Nobody is called and no link is smuggled in, and it can be written as JSON."""
    joined = "\n".join(found)
    assert "<!channel" not in joined
    assert "<!here" not in joined
    assert "<https://evil" not in joined
    json.dumps(joined).encode()


def words(card: Card) -> str:
    """All that a card says."""
    return "\n".join([card.text, *all_texts(list(card.blocks))])


def action_ids(card: Card) -> list[str]:
    """The buttons and fields of a card, in their order."""
    elements = [e for b in card.blocks for e in b.get("elements", [])]
    elements += [b["accessory"] for b in card.blocks if "accessory" in b]
    return [e["action_id"] for e in elements if "action_id" in e]


def element(card: Card, action_id: str) -> Block:
    """The button or field of this id."""
    elements = [e for b in card.blocks for e in b.get("elements", [])]
    return next(e for e in elements if e.get("action_id") == action_id)
