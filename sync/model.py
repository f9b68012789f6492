"""What `sync` knows: frozen data, no I/O.

Times are aware UTC datetimes, amounts are `Decimal`, ids from outside are strings. Everything
here is stored as JSON, so a field may be added with a default but never change its meaning.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import override

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sync.errors import Finding, Reason


class Frozen(BaseModel):
    """Base of all stored data. Unknown fields are dropped, so that a rollback can read them."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ParticipantId(Frozen):
    """A Peppol participant: ISO 6523 scheme (`0204`, `9930`) and the identifier in it."""

    scheme: str
    value: str

    def __str__(self) -> str:
        """`scheme:value`, the form that people and access points use."""
        return f"{self.scheme}:{self.value}"

    @classmethod
    def parse(cls, text: str) -> ParticipantId:
        """Read `scheme:value`.

        Raises `ValueError` unless the scheme has four digits and the value is 1 to 135
        characters (Peppol Policy for use of Identifiers) of the ISO 6523 repertoire.
        """
        scheme, colon, value = text.strip().partition(":")
        value = value.strip()
        if not colon or len(scheme) != 4 or not (scheme.isascii() and scheme.isdigit()):
            raise ValueError("a Peppol id is written scheme:value, for example 9930:DE123456788")
        if not 1 <= len(value) <= 135 or not value.isascii() or not value.isprintable():
            raise ValueError("the part after the colon is missing or not allowed")
        if any(c.isspace() or c in "#?/\\<>&\"'" for c in value):
            raise ValueError("the part after the colon holds a character that is not allowed")
        return cls(scheme=scheme, value=value)


class DocumentType(Frozen):
    """A Peppol document type and the process it is exchanged in.

    `id` is the value after `busdox-docid-qns::`, `process` the value after
    `cenbii-procid-ubl::`.
    """

    id: str
    process: str


class InvoiceState(StrEnum):
    """Where an import stands. `sent`, `failed` and `withdrawn` are final."""

    IMPORTED = "imported"  # the XML is stored; not yet addressed, converted and checked
    WAITING = "waiting"  # a person is asked before it is sent
    READY = "ready"  # the document to send is stored
    SUBMITTING = "submitting"  # an attempt is durable, its request may have left
    UNCONFIRMED = "unconfirmed"  # the access point's answer was lost
    SUBMITTED = "submitted"  # accepted by the access point, not yet delivered
    BLOCKED = "blocked"  # a person must put something right before it can be sent
    SENT = "sent"  # the access point reports delivery
    FAILED = "failed"  # a definite refusal
    WITHDRAWN = "withdrawn"  # paid, cancelled, deleted or untagged before it was sent


class TagKind(StrEnum):
    """xTool's tags on an invoice, weakest first: of several, the strongest counts."""

    UPLOADED = "Uploaded"
    FAILED = "Peppol-Failed"
    SENT = "Peppol-Sent"

    def name_for(self, prefix: str) -> str:
        """The tag's name in sevDesk, `xTool-Uploaded` for the prefix `xTool`."""
        return f"{prefix}-{self.value}"


class ResponseKind(StrEnum):
    """Who answered a document over the network."""

    MLS = "message level status"  # the receiver's access point
    INVOICE_RESPONSE = "invoice response"  # the buyer


class PeppolResponse(Frozen):
    """One answer to a document that came back over the network.

    `code` is of OpenPeppol's lists: `AB` received, `AP` accepted, `RE` rejected; of the buyer
    also `IP` in process, `UQ` a question, `CA` accepted with conditions, `PD` paid. It comes from
    outside and may be anything; so may `text`.
    """

    kind: ResponseKind
    code: str
    text: str = ""
    at: AwareDatetime  # when it was learned

    @property
    def is_objection(self) -> bool:
        """Whether a person must do something about it: it was rejected, or there is a question."""
        return self.code in ("RE", "UQ")


class Attempt(Frozen):
    """One submission to an access point, durable before its request leaves."""

    id: str  # UUID; the provider's idempotency key or SBDH instance id where it takes one
    number: int  # 1, 2, … within the import
    adapter: str
    account: str = ""  # a mark of the access point account it went to (`Vault.marks`)
    company: str | None = None  # the company there, empty: the configured one; None: not noted
    sender: ParticipantId
    receiver: ParticipantId
    document_type: DocumentType
    sha256: str  # of the bytes sent; they are stored under this name
    claimed_at: AwareDatetime
    deadline: AwareDatetime  # nobody settles the attempt before it
    provider_id: str | None = None  # the access point's own id, once it is known
    provider_status: str = ""  # the access point's own word, for people
    status_checks: int = 0
    settle_checks: int = 0
    forced: bool = False  # a person took the risk of a second copy


class InvoiceRecord(Frozen):
    """The truth about one invoice of one organisation."""

    org: str
    account: str  # sevDesk account (sevClient id)
    invoice_id: str
    version: int = 0  # counts transitions; a transition decided on an older one is refused
    generation: int = 1  # counts imports: a re-export starts the next
    state: InvoiceState = InvoiceState.IMPORTED
    state_since: AwareDatetime
    created_at: AwareDatetime
    next_at: AwareDatetime | None = None  # when something is to be done by itself
    deadline: AwareDatetime | None = None  # when a person is told that it takes too long
    overdue: bool = False  # the deadline passed and a person was told
    backoff: int = 0  # consecutive transient failures
    reason: Reason | None = None
    run: str = ""  # the sync that imported it
    hold: str = ""  # why a person is asked before sending: "first_sync", "ask" or nothing
    refetch: bool = False  # read invoice and contact again before preparing (a retry)
    actor: str = ""  # who asked for the current step; empty: xTool by itself

    number: str
    contact_id: str
    contact_name: str = ""
    invoice_type: str = "RE"
    invoice_date: date | None = None
    due_date: date | None = None
    currency: str = "EUR"
    gross: Decimal = Decimal(0)
    revision: str = ""  # sevDesk's `update` when the XML was fetched

    source_sha256: str = ""  # the XML as sevDesk gave it
    document_sha256: str = ""  # the document to send, once it is prepared
    sender: ParticipantId | None = None
    receiver: ParticipantId | None = None
    document_type: DocumentType | None = None
    country: str = ""  # of the seller (BT-40): the C1 country that Peppol reports
    candidates: tuple[ParticipantId, ...] = ()  # receivers to choose from when blocked
    rules: str = ""  # release of the rules that judged the document
    warnings: tuple[Finding, ...] = ()  # what is not as it should be, and may be sent
    attempts: int = 0
    attempt: Attempt | None = None
    earlier: tuple[str, ...] = ()  # the access point's ids of the attempts before, oldest first
    force: bool = False  # a person wants it sent although the last attempt is unconfirmed

    responses: tuple[PeppolResponse, ...] = ()  # to the last attempt, as they were learned
    watch_at: AwareDatetime | None = None  # it was sent: when to ask what the receiver answered

    tag: TagKind | None = None  # the tag that was last written without an error
    tag_relation: str = ""  # sevDesk's id of that tag relation, where its answer named it
    tagged_at: AwareDatetime | None = None  # when that tag was written
    tag_seen: bool = False  # a list showed one of our tags, so a removal is a person's
    tag_left: bool = False  # the last write only took others off; not known to be there since
    tag_pending: bool = False  # a tag write was begun and its end is not recorded
    tag_retry_at: AwareDatetime | None = None  # a tag write failed; the next try
    tag_failures: int = 0  # consecutive failures to write the tag
    tag_trouble: Reason | None = None  # sevDesk refuses the tag for good; a person is told
    tag_trouble_at: AwareDatetime | None = None  # since when

    @property
    def objection(self) -> PeppolResponse | None:
        """What the receiver has against an invoice that was sent; what came last counts.

        The buyer's word weighs more than that of the buyer's access point.
        """
        if self.state is not InvoiceState.SENT:
            return None
        last = {response.kind: response for response in self.responses}
        told = (last.get(ResponseKind.INVOICE_RESPONSE), last.get(ResponseKind.MLS))
        return next((one for one in told if one is not None and one.is_objection), None)


class Unexportable(Frozen):
    """An unpaid invoice that has no XML, remembered until it changes."""

    invoice_id: str
    revision: str
    number: str
    contact_name: str = ""
    reason: Reason
    tries: int = 1
    retry_at: AwareDatetime | None = None  # None: not before it changes


class ConnectionState(StrEnum):
    """Whether an organisation's invoices are synced."""

    ACTIVE = "active"
    BROKEN = "broken"  # sevDesk refuses the token; probed hourly
    HELD = "held"  # most tags vanished at once; a person is asked
    DISCONNECTED = "disconnected"  # the token is erased, records stay


class Pause(Frozen):
    """Nothing new is imported or sent, for a reason outside of sevDesk and the access point."""

    since: AwareDatetime
    reason: Reason


class Connection(Frozen):
    """The one sevDesk account of an organisation. The token is stored apart, encrypted."""

    org: str
    version: int = 0
    account: str
    account_name: str
    state: ConnectionState = ConnectionState.ACTIVE
    reason: Reason | None = None
    connected_by: str
    connected_at: AwareDatetime
    last_sync: AwareDatetime | None = None
    next_sync: AwareDatetime | None = None
    last_error: Reason | None = None
    failures: int = 0  # polls that failed one after another
    ask_before_sending: bool = False
    sender: ParticipantId | None = None  # overrides PEPPOL_SENDER_ID
    company: str = ""  # overrides PEPPOL_COMPANY_ID
    held_invoices: tuple[str, ...] = ()  # the ids whose tags vanished at once
    held_at: AwareDatetime | None = None  # when the poll began that missed those tags first
    trial: bool = False  # broken, but sevDesk answers again: what it refused is being tried
    pause: Pause | None = None  # in any state


RESUMED = "resumed"  # `after` of the event that a pause is over; `before` is its begin, ISO 8601


class EventKind(StrEnum):
    """What `bot` is told of.

    What a later release told of is `OTHER`: after a rollback, or while both releases run, one
    such event must not keep all that follow it from being told.
    """

    SYNC_STARTED = "sync_started"
    SYNC_FINISHED = "sync_finished"
    INVOICE_CHANGED = "invoice_changed"
    CONNECTION_CHANGED = "connection_changed"
    STORE_OUTAGE = "store_outage"  # `before` and `after`: its begin and end, ISO 8601
    OTHER = "other"

    @classmethod
    @override
    def _missing_(cls, value: object) -> EventKind | None:
        return cls.OTHER if isinstance(value, str) else None


class Event(Frozen):
    """Something that happened, written in one transaction with the change itself."""

    id: str = ""  # the stream's id, set on reading
    kind: EventKind
    at: AwareDatetime
    invoice_id: str = ""
    run: str = ""
    before: str = ""  # state before
    after: str = ""  # state after
    actor: str = ""


class AuditEntry(Frozen):
    """One line of the append-only list of an organisation."""

    id: str = ""
    at: AwareDatetime
    actor: str  # a Slack user id, or `xTool`
    action: str  # imported, submitted, sent, failed, retried, connected, …
    invoice_id: str = ""
    number: str = ""
    before: str = ""
    after: str = ""
    sha256: str = ""
    provider_id: str = ""
    detail: str = ""


class SyncRun(Frozen):
    """One sync of one organisation, as the digest shows it."""

    id: str
    org: str
    trigger: str = "poll"  # poll, or the id of the person who asked
    started_at: AwareDatetime
    finished_at: AwareDatetime | None = None
    seen: int = 0  # unpaid invoices of tagged contacts
    to_import: int = 0
    imported: int = 0
    reexported: int = 0
    skipped: int = 0  # not e-invoices
    repaired: int = 0  # tags put right
    foreign: int = 0  # carry an xTool tag but were never imported here
    error: Reason | None = None
    counts: dict[str, int] = {}  # state -> number of its invoices, kept by every transition


class Outcome(StrEnum):
    """What became of a person's wish."""

    STARTED = "started"
    ALREADY = "already"  # somebody was faster; the record says who
    NOT_POSSIBLE = "not_possible"  # not from the state it is in
    NOT_FOUND = "not_found"


class Decision(Frozen):
    """The answer to a click or command about one invoice."""

    outcome: Outcome
    record: InvoiceRecord | None = None


class Page(Frozen):
    """A part of a list, newest first."""

    items: tuple[InvoiceRecord, ...]
    total: int
    offset: int


class Overview(Frozen):
    """What `/sevdesk status` and the Home tab show."""

    connection: Connection | None
    counts: dict[str, int] = {}  # state -> number of invoices
    needs_person: tuple[InvoiceRecord, ...] = ()  # the first ten of `Service.attention`
    needs_total: int = 0
    skipped: tuple[Unexportable, ...] = ()  # the newest ten
    skipped_total: int = 0
    last_run: SyncRun | None = None
    running: bool = False  # a sync is under way


class StoredDocument(Frozen):
    """A document kept with an invoice: `original` as sevDesk gave it, `sent` as it left."""

    kind: str
    filename: str
    sha256: str
    content: bytes
