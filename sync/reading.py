"""What a poll reads: first what is known of open invoices, then sevDesk's lists.

**The order.** A decision is written only over the very version of the record that it was made on.
So a record that was read before the lists, and is that version still when the decision is written,
was that version all the while the lists were read: no write of ours lies between the two. Of a
record that was read after the lists nothing of the kind can be said.

**Which records.** Those of what sevDesk lists as open, and those of what was not sent, listed or
not: it may be gone. The second are known by their states, whose sets each transition keeps. What
will be listed is not known beforehand, so the ids that the last poll found listed are kept, as a
hint. Where a listed invoice turns out to have a record that was not read (it was paid and is open
again, somebody else imports, the hint is lost or never was), that record is read, *and then the
lists once more*. So whatever the hint says, no list is older than a record that is compared with
it: a wrong hint costs requests, and decides nothing.

An id that had no record of the account when it was asked for after the lists had none before them
either, as records are erased only together with the connection, and another account takes over an
id only while it is connected. Its import is refused where somebody else was faster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sync import planner
from sync.book import Book
from sync.model import InvoiceRecord
from sync.ports import Sevdesk
from sync.sevdesk.models import InvoiceRow, TagRelation
from sync.tagging import read_relations


@dataclass(frozen=True, slots=True)
class Lists:
    """What sevDesk lists as open, and the tags on it."""

    rows: tuple[InvoiceRow, ...]
    relations: tuple[TagRelation, ...]  # of contacts, and of the invoices in `rows`
    tag_names: Mapping[str, str]
    unreadable: frozenset[str]  # ids of rows that could not be read
    complete: bool  # no row without even an id

    @property
    def ids(self) -> frozenset[str]:
        """The invoices whose records matter: a poll looks at no other rows."""
        return frozenset(row.id for row in self.rows if planner.is_open(row))


@dataclass(frozen=True, slots=True)
class Reading:
    """Records, and lists that are not older than any of them."""

    records: Mapping[str, InvoiceRecord]
    lists: Lists
    expected: frozenset[str]  # what the poll before found listed


class Reader:
    """Reads for one poll of one account."""

    def __init__(
        self, book: Book, sevdesk: Sevdesk, account: str, go_on: Callable[[], None]
    ) -> None:
        """`account`: only its records count; `go_on` raises when the poll is to end."""
        self._book = book
        self._records = book.store.records
        self._sevdesk = sevdesk
        self._account = account
        self._go_on = go_on

    async def read(self, *, afresh: bool) -> Reading:
        """Records, then lists. `afresh`: as of `read_relations`. Raises `SevdeskError`."""
        expected, unsent = await self._records.open_ids()
        asked = expected | unsent
        records = await self._known(asked)
        lists = await self.lists(afresh=afresh)
        while late := await self._known(lists.ids - asked):  # ends: each round knows more records
            self._go_on()
            records |= late
            asked |= lists.ids
            lists = await self.lists(afresh=afresh)
        return Reading(records, lists, expected)

    async def _known(self, ids: Iterable[str]) -> dict[str, InvoiceRecord]:
        """The account's records of these invoices."""
        return {
            record.invoice_id: record
            async for record in self._records.each(sorted(ids))
            if record.account == self._account
        }

    async def lists(self, *, afresh: bool) -> Lists:
        """What sevDesk says now: tags first, as an invoice without its tag looks new."""
        relations, names = await read_relations(self._book, self._sevdesk, afresh=afresh)
        open_, partly = await self._sevdesk.invoices(200), await self._sevdesk.invoices(750)
        rows = _each_once((*open_.rows, *partly.rows))
        broken = (*open_.broken, *partly.broken)
        return Lists(
            rows=rows,
            relations=relevant(relations, rows),
            tag_names=names,
            unreadable=frozenset(b.id for b in broken if b.id),
            complete=all(b.id for b in broken),
        )


def relevant(
    relations: Iterable[TagRelation], rows: Iterable[InvoiceRow]
) -> tuple[TagRelation, ...]:
    """The tags of contacts and of open invoices; sevDesk lists those of all years."""
    listed = {row.id for row in rows}
    return tuple(
        relation
        for relation in relations
        if relation.object_name == "Contact" or relation.object_id in listed
    )


def _each_once(rows: Iterable[InvoiceRow]) -> tuple[InvoiceRow, ...]:
    """An invoice that was partly paid between the two lists is in both: the later one counts."""
    return tuple({row.id: row for row in rows}.values())
