"""What a poll does, decided from what was read: pure, no I/O.

`contacts_to_read` comes first, then `plan`. Nothing of sevDesk's filters is trusted: every row
is checked again here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sync.delivery import IN_FLIGHT, UNSENT
from sync.errors import Reason
from sync.model import (
    Connection,
    ConnectionState,
    InvoiceRecord,
    InvoiceState,
    TagKind,
    Unexportable,
)
from sync.sevdesk.models import InvoiceRow, TagRelation
from sync.tags import SETTLES_WITHIN, Judgement, Verdict, judge, sendable, vanished, was_seen

OPEN = frozenset({"200", "750"})  # open or due, partly paid (facts: sevDesk status values)
TYPES = frozenset({"RE", "AR", "TR", "ER"})  # invoice, advance, partial, final invoice
FIRST_SYNC = "first_sync"  # why a person is asked
FIRST_SYNC_LIMIT = 10  # more invoices than this are not sent before a person says so
GAP = timedelta(days=7)  # after this long without a sync, invoices have gathered as before a first
MASS_LOSS = 3  # fewer lost tags than this are never taken for a deleted tag


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a poll knows of what is open, and of what was not sent.

    `records` were read before the lists: see `sync.reading`. There is one for each row that is
    open and known, and for each invoice in a state of `UNSENT`, listed or not; those of what was
    paid long ago are left out.
    """

    connection: Connection
    prefix: str
    now: datetime
    rows: tuple[InvoiceRow, ...]
    relations: tuple[TagRelation, ...]
    tag_names: Mapping[str, str]  # tag id -> name, for relations without an embedded name
    parents: Mapping[str, str] = field(default_factory=dict)  # contact id -> organisation's id
    records: Mapping[str, InvoiceRecord] = field(default_factory=dict)
    unexportable: Mapping[str, Unexportable] = field(default_factory=dict)
    unreadable: frozenset[str] = frozenset()  # ids of rows that could not be read
    complete: bool = True  # no row without even an id
    removes: bool = True  # sevDesk takes tags off; where it does not, several are left alone
    settles_within: timedelta = SETTLES_WITHIN
    lags_within: timedelta = SETTLES_WITHIN  # as of `sync.tags.judge`


@dataclass(frozen=True, slots=True)
class Import:
    """A new invoice."""

    row: InvoiceRow
    hold: str


@dataclass(frozen=True, slots=True)
class Reexport:
    """A known invoice whose tags a person removed."""

    record: InvoiceRecord
    row: InvoiceRow
    hold: str


@dataclass(frozen=True, slots=True)
class Repair:
    """Make `keep` the only tag: add it if it is not there, then remove these relations."""

    record: InvoiceRecord
    keep: TagKind
    add: bool
    remove: tuple[str, ...]
    relation: str = ""  # the relation of `keep` that stays


@dataclass(frozen=True, slots=True)
class Seen:
    """The tag `keep` was seen, as `relation`; nothing is to be written to sevDesk."""

    record: InvoiceRecord
    keep: TagKind
    relation: str = ""  # empty where another tag than `keep` was seen


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Not to be sent any more."""

    record: InvoiceRecord
    reason: Reason
    tag: TagKind | None = None
    relation: str = ""  # of `tag`


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, in this order."""

    lost: tuple[str, ...] = ()  # most tags vanished at once: ask, do nothing else
    withdrawals: tuple[Withdraw, ...] = ()
    gone: tuple[InvoiceRecord, ...] = ()  # in no list any more: read each to learn why
    seen: tuple[Seen, ...] = ()
    reexports: tuple[Reexport, ...] = ()
    resumes: tuple[InvoiceRecord, ...] = ()
    hold: str = ""  # why a person is asked before what is resumed is sent, as for imports
    changed: tuple[InvoiceRecord, ...] = ()  # was corrected before it was sent
    repairs: tuple[Repair, ...] = ()
    imports: tuple[Import, ...] = ()
    skipped: int = 0  # known not to be e-invoices
    foreign: int = 0  # carry an xTool tag, but were never imported here
    considered: int = 0  # open invoices of synced contacts
    forget: tuple[str, ...] = ()  # unexportable entries whose invoice is open no more


# ---- tags on objects --------------------------------------------------------------------


def relation_name(relation: TagRelation, names: Mapping[str, str]) -> str:
    """The tag's name: as embedded, else by id, else empty."""
    return relation.tag_name or names.get(relation.tag_id, "")


def unknown_tags(relations: Iterable[TagRelation], names: Mapping[str, str]) -> bool:
    """Whether a relation's tag has no known name, so that the tags must be listed."""
    return any(not relation_name(r, names) for r in relations)


def tagged_contacts(snapshot: Snapshot) -> frozenset[str]:
    """Ids of the contacts that carry the tag."""
    return frozenset(
        r.object_id
        for r in snapshot.relations
        if r.object_name == "Contact" and relation_name(r, snapshot.tag_names) == snapshot.prefix
    )


def invoice_tags(snapshot: Snapshot) -> dict[str, dict[TagKind, tuple[str, ...]]]:
    """xTool's tags on invoices: id -> kind -> ids of the relations (there may be several)."""
    kinds = {kind.name_for(snapshot.prefix): kind for kind in TagKind}
    found: dict[str, dict[TagKind, tuple[str, ...]]] = {}
    for relation in snapshot.relations:
        kind = kinds.get(relation_name(relation, snapshot.tag_names))
        if kind is not None and relation.object_name == "Invoice":
            tags = found.setdefault(relation.object_id, {})
            tags[kind] = (*tags.get(kind, ()), relation.id)
    return found


def is_open(row: InvoiceRow) -> bool:
    """Whether a row is an unpaid invoice of a type that is sent."""
    return row.status in OPEN and row.invoice_type in TYPES and bool(row.number)


def contacts_to_read(snapshot: Snapshot) -> tuple[str, ...]:
    """Contacts of open invoices of which it is not known whether their organisation is tagged."""
    tagged = tagged_contacts(snapshot)
    if not tagged:
        return ()
    unknown = {
        row.contact_id: None
        for row in snapshot.rows
        if is_open(row)
        and row.contact_id
        and row.contact_id not in tagged
        and not row.parent_id
        and row.contact_id not in snapshot.parents
    }
    return tuple(unknown)


# ---- the plan ---------------------------------------------------------------------------


def plan(snapshot: Snapshot) -> Plan:
    """Decide what the poll does."""
    wanted = _wanted(snapshot)
    tags = invoice_tags(snapshot)
    lost = _mass_loss(snapshot, wanted, tags)
    if lost:
        return Plan(lost=lost, considered=len(wanted))
    judged = _judge_known(snapshot, wanted, tags)
    fresh = [row for row in wanted.values() if row.id not in snapshot.records]
    untagged = [row for row in fresh if not tags.get(row.id)]
    new = [row for row in untagged if not is_remembered(row, snapshot)]
    resumes = _resumes(judged)
    hold = _hold(snapshot, len(new), resumes)
    return Plan(
        withdrawals=(*_untagged_contacts(snapshot, wanted), *_settled(judged, tags)),
        gone=_gone(snapshot),
        seen=_seen(judged, tags),
        reexports=_reexports(judged, snapshot),
        resumes=resumes,
        hold=hold,
        changed=_changed(judged),
        repairs=_repairs(judged, tags),
        imports=tuple(Import(row, hold) for row in sorted(new, key=_oldest_first)),
        skipped=len(untagged) - len(new),
        foreign=len(fresh) - len(untagged),
        considered=len(wanted),
        forget=_forget(snapshot),
    )


def agreed(first: Plan, second: Plan) -> Plan:
    """The plan of the second reading, without removals of tags that the first did not show.

    Each list may lack a row: what only one of them shows is looked at again by the next poll.
    """
    shown = {reexport.record.invoice_id for reexport in first.reexports}
    both = tuple(r for r in second.reexports if r.record.invoice_id in shown)
    return replace(second, reexports=both)


type Judged = tuple[InvoiceRecord, InvoiceRow, Judgement]


def _wanted(snapshot: Snapshot) -> dict[str, InvoiceRow]:
    """The open invoices of synced contacts, each once."""
    tagged = tagged_contacts(snapshot)
    return {row.id: row for row in snapshot.rows if is_open(row) and _synced(row, snapshot, tagged)}


def _synced(row: InvoiceRow, snapshot: Snapshot, tagged: frozenset[str]) -> bool:
    parent = row.parent_id or snapshot.parents.get(row.contact_id, "")
    return row.contact_id in tagged or (bool(parent) and parent in tagged)


def _judge_known(
    snapshot: Snapshot,
    wanted: Mapping[str, InvoiceRow],
    tags: Mapping[str, Mapping[TagKind, tuple[str, ...]]],
) -> list[Judged]:
    written = frozenset(relation.id for relation in snapshot.relations)
    return [
        (record, row, _judge(record, tags.get(row.id, {}), written, snapshot))
        for row in wanted.values()
        if (record := snapshot.records.get(row.id)) is not None
    ]


def _judge(
    record: InvoiceRecord,
    present: Mapping[TagKind, tuple[str, ...]],
    relations: Collection[str],
    snapshot: Snapshot,
) -> Judgement:
    removes = snapshot.removes
    # The very relation that was written is there, but its tag has another name now.
    if not present and record.tag_relation and record.tag_relation in relations:
        # Nobody took it off, so it is written again, and is no reason to send again.
        record = record.model_copy(update={"tag_seen": False, "tag_relation": ""})
    found = judge(
        record,
        frozenset(present),
        snapshot.now,
        snapshot.settles_within,
        lags_within=snapshot.lags_within,
        removes=removes,
        proven=_shows_last_write(record, present),
    )
    quiet = found.verdict in (Verdict.SEEN, Verdict.NOTHING) and record.state not in IN_FLIGHT
    if quiet and removes and not record.tag_pending and _doubled(found.keep, present):
        return Judgement(Verdict.REPAIR, found.keep)
    return found


def _shows_last_write(record: InvoiceRecord, present: Mapping[TagKind, tuple[str, ...]]) -> bool:
    """Whether the list has the very relation that we wrote last, and none that we took off.

    After a repair that only took tags off, a list of before may show the one that was left alone.
    """
    on = [relation for relations in present.values() for relation in relations]
    return not record.tag_left and on == [record.tag_relation]


def _doubled(keep: TagKind | None, present: Mapping[TagKind, tuple[str, ...]]) -> bool:
    """Whether the same tag is on the invoice twice: a repeated write, or by hand."""
    return keep is not None and len(present.get(keep, ())) > 1


def _mass_loss(
    snapshot: Snapshot,
    wanted: Mapping[str, InvoiceRow],
    tags: Mapping[str, Mapping[TagKind, tuple[str, ...]]],
) -> tuple[str, ...]:
    """Most known tags gone at once: somebody deleted the tag itself, and wants no re-export.

    Each of the three tags can be deleted by itself, so most of one kind are enough. While
    a person is asked about that, it lasts until none of those tags is missing any more.
    """
    if snapshot.connection.state is ConnectionState.HELD:
        return tuple(
            i for i in snapshot.connection.held_invoices if i in wanted and not tags.get(i)
        )
    known = [r for i in wanted if (r := snapshot.records.get(i)) is not None and was_seen(r)]
    times = (snapshot.now, snapshot.settles_within, snapshot.lags_within)
    lost = [r for r in known if not tags.get(r.invoice_id) and vanished(r, *times)]
    if _is_most(len(lost), len(known)):
        return tuple(r.invoice_id for r in lost)
    of_kind = Counter(r.tag for r in known)
    lost_of_kind = Counter(r.tag for r in lost)
    deleted = {kind for kind, n in lost_of_kind.items() if _is_most(n, of_kind[kind])}
    return tuple(r.invoice_id for r in lost if r.tag in deleted)


def _is_most(lost: int, known: int) -> bool:
    return lost >= MASS_LOSS and 2 * lost > known


def is_remembered(row: InvoiceRow, snapshot: Snapshot) -> bool:
    """Whether the invoice is known to have no XML, and has not changed since."""
    entry = snapshot.unexportable.get(row.id)
    if entry is None or entry.revision != row.revision:
        return False
    return entry.retry_at is None or snapshot.now < entry.retry_at


def _hold(snapshot: Snapshot, new: int, resumes: Collection[InvoiceRecord]) -> str:
    """Why a person is asked before the new invoices are sent, or nothing.

    Until the first sync has ended once, what an interrupted one has imported counts as well. A
    sync after a long gap is like a first one.
    """
    last = snapshot.connection.last_sync
    if last is None or snapshot.now - last > GAP:
        known = snapshot.records.values()
        held = sum(r.hold == FIRST_SYNC and r.state is not InvoiceState.WITHDRAWN for r in known)
        if new + held + len(resumes) > FIRST_SYNC_LIMIT:
            return FIRST_SYNC
    return _ask(snapshot)


def _ask(snapshot: Snapshot) -> str:
    return "ask" if snapshot.connection.ask_before_sending else ""


def _untagged_contacts(
    snapshot: Snapshot, wanted: Mapping[str, InvoiceRow]
) -> tuple[Withdraw, ...]:
    reason = Reason(code="withdrawn.contact_untagged")
    return tuple(
        Withdraw(record, reason)
        for row in snapshot.rows
        if is_open(row)
        and row.id not in wanted
        and (record := snapshot.records.get(row.id)) is not None
        and record.state in UNSENT
    )


def _settled(
    judged: Iterable[Judged], tags: Mapping[str, Mapping[TagKind, tuple[str, ...]]]
) -> tuple[Withdraw, ...]:
    reason = Reason(code="withdrawn.marked_sent")
    return tuple(
        Withdraw(
            record, reason, TagKind.SENT, _relation(record, TagKind.SENT, tags.get(row.id, {}))
        )
        for record, row, judgement in judged
        if judgement.verdict is Verdict.SETTLED
    )


def _gone(snapshot: Snapshot) -> tuple[InvoiceRecord, ...]:
    if not snapshot.complete:
        return ()
    listed = {row.id for row in snapshot.rows if is_open(row)} | snapshot.unreadable
    return tuple(
        record
        for record in snapshot.records.values()
        if record.state in UNSENT and record.invoice_id not in listed
    )


def _reexports(judged: Iterable[Judged], snapshot: Snapshot) -> tuple[Reexport, ...]:
    return tuple(
        Reexport(record, row, _ask(snapshot))
        for record, row, judgement in judged
        if judgement.verdict is Verdict.REEXPORT
    )


def _resumes(judged: Iterable[Judged]) -> tuple[InvoiceRecord, ...]:
    return tuple(
        record
        for record, _, judgement in judged
        if record.state is InvoiceState.WITHDRAWN
        and judgement.verdict not in (Verdict.REEXPORT, Verdict.SETTLED)
        and sendable(record)
    )


def _waits(record: InvoiceRecord) -> bool:
    """For a person, or after trouble; what is about to be sent was just read.

    Our own tag may change the revision (facts: unknown), which is no correction.
    """
    if record.state in (InvoiceState.IMPORTED, InvoiceState.READY):
        return record.backoff > 0
    return record.state is InvoiceState.WAITING


def _changed(judged: Iterable[Judged]) -> tuple[InvoiceRecord, ...]:
    return tuple(
        record
        for record, row, judgement in judged
        if _waits(record)
        and judgement.verdict is Verdict.NOTHING
        and row.revision != record.revision
        and not record.refetch
    )


def _repairs(
    judged: Iterable[Judged], tags: Mapping[str, Mapping[TagKind, tuple[str, ...]]]
) -> tuple[Repair, ...]:
    repairs = []
    for record, row, judgement in judged:
        if judgement.verdict is not Verdict.REPAIR or judgement.keep is None:
            continue
        present = tags.get(row.id, {})
        stays = _relation(record, judgement.keep, present)
        extra = tuple(i for ids in present.values() for i in ids if i != stays)
        repairs.append(Repair(record, judgement.keep, not stays, extra, stays))
    return tuple(repairs)


def _relation(
    record: InvoiceRecord, keep: TagKind, present: Mapping[TagKind, tuple[str, ...]]
) -> str:
    """Which of the relations of the tag `keep` counts: the one that was written, else any."""
    ids = present.get(keep, ())
    return record.tag_relation if record.tag_relation in ids else next(iter(ids), "")


def _seen(
    judged: Iterable[Judged], tags: Mapping[str, Mapping[TagKind, tuple[str, ...]]]
) -> tuple[Seen, ...]:
    return tuple(
        Seen(record, judgement.keep, _relation(record, judgement.keep, tags.get(row.id, {})))
        for record, row, judgement in judged
        if judgement.verdict is Verdict.SEEN and judgement.keep is not None
    )


def _forget(snapshot: Snapshot) -> tuple[str, ...]:
    if not snapshot.complete:
        return ()
    listed = {row.id for row in snapshot.rows} | snapshot.unreadable
    return tuple(i for i in snapshot.unexportable if i not in listed)


def _oldest_first(row: InvoiceRow) -> tuple[str, str]:
    return (row.invoice_date.isoformat() if row.invoice_date else "", row.number)
