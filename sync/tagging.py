"""Making sevDesk's tags follow the record: add the new one first, remove the old one after.

At no moment is an invoice without a tag, so it never looks new by accident. Before the first
request of a write the record says that one was begun; whoever finds that reads the tags first,
so that a crash in between repeats nothing blindly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

import structlog

from sync import delivery
from sync.book import Book
from sync.model import Event, EventKind, InvoiceRecord, TagKind
from sync.planner import Repair, relation_name, unknown_tags
from sync.ports import Ports, Sevdesk
from sync.sevdesk.errors import BadAnswerError, NotFoundError, RemovalRefusedError
from sync.sevdesk.models import TagRelation

log = structlog.get_logger(__name__)

NAMELESS = "?"  # name of a tag that sevDesk does not list; not asked for again
NOT_OFFERED = ("404", "405")  # the call itself does not exist, whatever the tag
UNDER_WAY = timedelta(seconds=30)  # for a tag write; of a dead worker's, another takes it up then
REMOVAL_REFUSED = "removal_refused"  # flag: sevDesk does not remove tags; told once


async def read_relations(
    book: Book, sevdesk: Sevdesk, *, afresh: bool = False
) -> tuple[tuple[TagRelation, ...], dict[str, str]]:
    """Which tag is on which object, and the names of the tags.

    The tags themselves are listed only when one without a known name is met. `afresh`: no name is
    known, since somebody may have renamed a tag whose relations do not carry its name. Raises
    `SevdeskError`, also when a relation cannot be read: it would look like a tag that a person
    removed.
    """
    listing = await sevdesk.tag_relations()
    if listing.broken:
        raise BadAnswerError("unreadable tag relations", problem="tag relations")
    names = {} if afresh else await book.store.tag_names()
    if unknown_tags(listing.rows, names):
        nameless = {relation.tag_id: NAMELESS for relation in listing.rows}
        names = nameless | {tag.id: tag.name for tag in (await sevdesk.tags()).rows}
        await book.store.put_tag_names(names)
    return listing.rows, names


class Tagger:
    """Writes the tags of one organisation's invoices."""

    def __init__(self, ports: Ports, book: Book, sevdesk: Sevdesk) -> None:
        """Write with `sevdesk`, record in `book`."""
        self._ports = ports
        self._book = book
        self._sevdesk = sevdesk

    async def follow(self, record: InvoiceRecord) -> InvoiceRecord:
        """Write the tag that the record's state wants. Raises `SevdeskError`, `StoreError`."""
        wanted = delivery.tag_wanted(record)
        if wanted is None:
            return record
        try:
            present = await self._present(record)
            stays = _stays(record, present.get(wanted, []))
            begun = await self._begin(record, stays)
            return await self._swap(begun, wanted, present)
        except NotFoundError:
            # The invoice is gone; there is nothing to tag any more.
            return await self._done(await self._read(record), wanted, "")

    async def repair(self, repair: Repair) -> InvoiceRecord:
        """What a poll found to be put right, with the relations that it has just read."""
        kept = repair.record.model_copy(update={"tag": repair.keep})
        begun = await self._begin(kept, repair.relation)
        relation = repair.relation
        if repair.add:
            relation = (await self._add(begun, repair.keep)).id
        await self._remove(repair.remove)
        return await self._done(begun, repair.keep, relation, left=not repair.add)

    async def _present(self, record: InvoiceRecord) -> dict[TagKind, list[str]]:
        """The relations of our tags on the invoice; asked only where they are not known."""
        if not record.tag_pending and record.tag is None:
            return {}
        if not record.tag_pending and record.tag is not None and record.tag_relation:
            return {record.tag: [record.tag_relation]}
        kinds = {kind.name_for(self._ports.prefix): kind for kind in TagKind}
        relations, names = await read_relations(self._book, self._sevdesk)
        found: dict[TagKind, list[str]] = {}
        for relation in relations:
            kind = kinds.get(relation_name(relation, names))
            is_ours = (relation.object_name, relation.object_id) == ("Invoice", record.invoice_id)
            if kind and is_ours:
                found.setdefault(kind, []).append(relation.id)
        return found

    async def _swap(
        self, record: InvoiceRecord, wanted: TagKind, present: dict[TagKind, list[str]]
    ) -> InvoiceRecord:
        relation = stays = _stays(record, present.get(wanted, []))
        if not stays:
            relation = (await self._add(record, wanted)).id
        await self._remove(i for ids in present.values() for i in ids if i != relation)
        return await self._done(record, wanted, relation, left=bool(stays))

    async def _add(self, record: InvoiceRecord, kind: TagKind) -> TagRelation:
        return await self._sevdesk.add_tag(record.invoice_id, kind.name_for(self._ports.prefix))

    async def _remove(self, relations: Iterable[str]) -> None:
        for relation in relations:
            if await self._book.store.flag(REMOVAL_REFUSED):
                return
            try:
                await self._sevdesk.remove_tag_relation(relation)
            except RemovalRefusedError as error:
                if error.params.get("status") not in NOT_OFFERED:
                    raise
                await self._removal_refused()

    async def _removal_refused(self) -> None:
        """Both tags stay, the stronger one counts, and the user is told once."""
        now = self._ports.now()
        event = Event(kind=EventKind.CONNECTION_CHANGED, at=now, after=REMOVAL_REFUSED)
        if await self._book.store.set_flag(REMOVAL_REFUSED, "1", event):
            await self._book.hint_notify()

    async def _begin(self, record: InvoiceRecord, stays: str) -> InvoiceRecord:
        """Note that a write begins, and keep others away from it meanwhile.

        Also where one was begun before: of two who go on from there, a poll and a delivery, only
        one may. `stays` is the relation that is not removed, noted as well: a list that lags may
        still show one that this write has taken off, and who chose that one would take off the
        last.
        """
        changes: dict[str, object] = {"tag_pending": True}
        if stays:
            changes["tag_relation"] = stays
        begun = record.model_copy(update=changes)
        return await self._book.write(record, begun, under_way=UNDER_WAY)

    async def _done(
        self, record: InvoiceRecord, kind: TagKind, relation: str, *, left: bool = False
    ) -> InvoiceRecord:
        """Note the end of a write, after which `relation` remains.

        `left`: it was there before, and is not known to be there still: a person may have taken it
        off while we took off the others, without a wish to send again. A later list tells.
        """
        changes = {
            "tag": kind,
            "tag_relation": relation,
            "tagged_at": self._ports.now(),
            "tag_seen": False,
            "tag_left": left,
            "tag_pending": False,
            "tag_retry_at": None,
            "tag_failures": 0,
            "tag_trouble": None,
            "tag_trouble_at": None,
        }
        return await self._book.write(record, record.model_copy(update=changes))

    async def _read(self, record: InvoiceRecord) -> InvoiceRecord:
        return await self._book.store.records.get(record.invoice_id) or record


def _stays(record: InvoiceRecord, relations: Sequence[str]) -> str:
    """Which of several relations of the wanted tag is kept: the known one, else the first."""
    if record.tag_relation in relations:
        return record.tag_relation
    return relations[0] if relations else ""
