"""A sevDesk account in memory: tags, relations, invoices, contacts, faults and slow lists."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from sync.model import TagKind
from sync.sevdesk.errors import (
    NotAnEInvoiceError,
    NotFoundError,
    RemovalRefusedError,
    UnauthorizedError,
)
from sync.sevdesk.models import (
    Account,
    BrokenRow,
    ContactRow,
    CustomField,
    CustomFieldSetting,
    InvoiceRow,
    Listing,
    Pdf,
    Tag,
    TagRelation,
)
from tests.engine.crash import Process

WRITES = frozenset({"add_tag", "remove_tag_relation"})
KINDS = {kind.name_for("xTool"): kind for kind in TagKind}


@dataclass
class Fault:
    """`call` fails `times` times, before or after its effect."""

    call: str
    error: Callable[[], Exception]
    times: int = 1
    after: bool = False
    about: str = ""  # only calls about this id


@dataclass
class Invoice:
    """What sevDesk holds of one invoice."""

    row: InvoiceRow
    xml: bytes | None  # None: not an e-invoice


@dataclass
class SevdeskAccount:
    """The account itself; `SevdeskStandIn` is a client with a token."""

    id: str
    clock: Callable[[], datetime]
    token: str = "good-token"
    embed_names: bool = True  # relations carry their tag's name
    removes: bool = True  # DELETE /TagRelation works
    lag: timedelta = timedelta(0)  # lists show what was true so long ago
    calls: Counter[str] = field(default_factory=Counter)
    log: list[str] = field(default_factory=list)
    foreign_tokens: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    # Rows that the next lists leave out, by number; None: that list is whole.
    missed: list[int | None] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)  # invoices whose last tag xTool itself took off
    invoices: dict[str, Invoice] = field(default_factory=dict)
    contacts: dict[str, ContactRow] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    relations: dict[str, TagRelation] = field(default_factory=dict)
    fields: dict[str, CustomFieldSetting] = field(default_factory=dict)
    values: list[CustomField] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)  # ids of rows that cannot be read
    history: list[tuple[datetime, tuple[TagRelation, ...]]] = field(default_factory=list)
    ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1000))

    # ---- what a person does in sevDesk ------------------------------------------------------

    def add_contact(self, contact_id: str, *, tagged: bool = True, parent: str = "") -> str:
        self.contacts[contact_id] = ContactRow(contact_id, f"Customer {contact_id}", parent)
        if tagged:
            self.tag("Contact", contact_id, "xTool")
        return contact_id

    def add_invoice(
        self,
        invoice_id: str,
        contact_id: str = "c1",
        *,
        xml: bytes | None = b"ok",
        status: str = "200",
        invoice_type: str = "RE",
        number: str | None = None,
    ) -> InvoiceRow:
        row = InvoiceRow(
            id=invoice_id,
            number=f"RE-{invoice_id}" if number is None else number,
            contact_id=contact_id,
            status=status,
            invoice_type=invoice_type,
            contact_name=f"Customer {contact_id}",
            invoice_date=date(2026, 11, 1),
            gross=Decimal("119.00"),
            revision="1",
            account=self.id,
        )
        self.invoices[invoice_id] = Invoice(row, None if xml is None else xml + b" 1")
        return row

    def edit(self, invoice_id: str, *, xml: bytes | None = b"ok") -> None:
        invoice = self.invoices[invoice_id]
        revision = str(int(invoice.row.revision) + 1)
        invoice.row = replace(invoice.row, revision=revision)
        invoice.xml = None if xml is None else xml + b" " + revision.encode()

    def set_status(self, invoice_id: str, status: str) -> None:
        invoice = self.invoices[invoice_id]
        invoice.row = replace(invoice.row, status=status)

    def delete(self, invoice_id: str) -> None:
        self.invoices.pop(invoice_id, None)
        for relation in self.on_invoice(invoice_id):
            self.relations.pop(relation.id, None)
        self.remember()

    def tag(self, object_name: str, object_id: str, name: str) -> TagRelation:
        tag_id = next((i for i, n in self.tags.items() if n == name), "")
        if not tag_id:
            tag_id = str(next(self.ids))
            self.tags[tag_id] = name
        relation = TagRelation(
            id=str(next(self.ids)),
            tag_id=tag_id,
            object_name=object_name,
            object_id=object_id,
            account=self.id,
        )
        self.relations[relation.id] = relation
        self.remember()
        return relation

    def untag(self, object_name: str, object_id: str, name: str = "") -> None:
        """Take off the tags of that name, or all of xTool's."""
        for relation in list(self.relations.values()):
            same = (relation.object_name, relation.object_id) == (object_name, object_id)
            if same and (not name or self.tags.get(relation.tag_id) == name):
                del self.relations[relation.id]
        self.remember()

    def rename_tag(self, name: str, new: str) -> None:
        for tag_id, known in self.tags.items():
            if known == name:
                self.tags[tag_id] = new

    def delete_tag(self, name: str) -> None:
        for tag_id in [i for i, n in self.tags.items() if n == name]:
            del self.tags[tag_id]
            for relation in list(self.relations.values()):
                if relation.tag_id == tag_id:
                    del self.relations[relation.id]
        self.remember()

    # ---- reading for tests ------------------------------------------------------------------

    def on_invoice(self, invoice_id: str) -> list[TagRelation]:
        return [
            r
            for r in self.relations.values()
            if (r.object_name, r.object_id) == ("Invoice", invoice_id)
        ]

    def kinds(self, invoice_id: str) -> list[TagKind]:
        """xTool's tags on an invoice, each as often as it is there."""
        names = [self.tags.get(r.tag_id, "") for r in self.on_invoice(invoice_id)]
        return sorted(KINDS[name] for name in names if name in KINDS)

    def remember(self) -> None:
        self.history.append((self.clock(), tuple(self.relations.values())))
        if len(self.history) > 400:
            del self.history[:200]

    def listed(self) -> tuple[TagRelation, ...]:
        """The relations as a list shows them, which lags behind."""
        if not self.lag:
            return tuple(self.relations.values())
        until = self.clock() - self.lag
        shown: tuple[TagRelation, ...] = ()
        for at, relations in self.history:
            if at > until:
                break
            shown = relations
        return shown


class SevdeskStandIn:
    """`sync.ports.Sevdesk` on an account in memory."""

    def __init__(self, accounts: dict[str, SevdeskAccount], token: str, process: Process) -> None:
        self._accounts = accounts
        self._token = token
        self._process = process

    async def _call[T](
        self, name: str, effect: Callable[[SevdeskAccount], T], about: str = ""
    ) -> T:
        self._process.alive()
        await asyncio.sleep(0)
        account = self._accounts.get(self._token)
        if account is None or account.token != self._token:
            for other in self._accounts.values():
                other.foreign_tokens.append(self._token)
            raise UnauthorizedError("401")
        account.calls[name] += 1
        account.log.append(name)
        self._fail(account, name, about, after=False)
        result = effect(account)
        self._fail(account, name, about, after=True)
        return result

    def _fail(self, account: SevdeskAccount, name: str, about: str, *, after: bool) -> None:
        for fault in account.faults:
            meant = fault.call in (name, "*") and fault.about in ("", about)
            if meant and fault.after is after and fault.times > 0:
                fault.times -= 1
                raise fault.error()

    async def _write[T](self, name: str, effect: Callable[[SevdeskAccount], T]) -> T:
        async def run() -> T:
            return await self._call(name, effect)

        return await self._process.step(f"sevdesk {name}", run)

    async def bookkeeping_version(self) -> str:
        return await self._call("bookkeeping_version", lambda a: "2.0")

    async def account(self) -> Account:
        return await self._call("account", lambda a: Account(a.id, f"Account {a.id}"))

    async def tags(self) -> Listing[Tag]:
        return await self._call(
            "tags", lambda a: Listing(tuple(Tag(i, n) for i, n in a.tags.items()))
        )

    async def tag_relations(self) -> Listing[TagRelation]:
        def read(account: SevdeskAccount) -> Listing[TagRelation]:
            return Listing(
                tuple(
                    replace(r, tag_name=account.tags.get(r.tag_id, "") * account.embed_names)
                    for r in _without_the_missed(account, account.listed())
                )
            )

        return await self._call("tag_relations", read)

    async def invoices(self, status: int) -> Listing[InvoiceRow]:
        def read(account: SevdeskAccount) -> Listing[InvoiceRow]:
            found = [i.row for i in account.invoices.values() if i.row.status == str(status)]
            broken = [BrokenRow(r.id, "test") for r in found if r.id in account.broken]
            rows = [r for r in found if r.id not in account.broken]
            return Listing(tuple(rows), tuple(broken))

        return await self._call("invoices", read)

    async def invoice(self, invoice_id: str) -> InvoiceRow:
        return await self._call("invoice", lambda a: _found(a, invoice_id).row)

    async def contact(self, contact_id: str) -> ContactRow:
        def read(account: SevdeskAccount) -> ContactRow:
            if contact_id not in account.contacts:
                raise NotFoundError("contact")
            return account.contacts[contact_id]

        return await self._call("contact", read)

    async def contacts(self) -> Listing[ContactRow]:
        return await self._call("contacts", lambda a: Listing(tuple(a.contacts.values())))

    async def custom_field_settings(self) -> Listing[CustomFieldSetting]:
        return await self._call(
            "custom_field_settings", lambda a: Listing(tuple(a.fields.values()))
        )

    async def custom_fields(self) -> Listing[CustomField]:
        return await self._call("custom_fields", lambda a: Listing(tuple(a.values)))

    async def xml(self, invoice_id: str) -> bytes:
        def read(account: SevdeskAccount) -> bytes:
            content = _found(account, invoice_id).xml
            if content is None:
                raise NotAnEInvoiceError("not an e-invoice")
            return content

        return await self._call("xml", read, invoice_id)

    async def pdf(self, invoice_id: str) -> Pdf:
        return await self._call("pdf", lambda a: Pdf("a.pdf", b"%PDF"))

    async def add_tag(self, invoice_id: str, name: str) -> TagRelation:
        def write(account: SevdeskAccount) -> TagRelation:
            _found(account, invoice_id)
            return account.tag("Invoice", invoice_id, name)

        return await self._write("add_tag", write)

    async def remove_tag_relation(self, relation_id: str) -> bool:
        def write(account: SevdeskAccount) -> bool:
            if not account.removes:
                raise RemovalRefusedError("405", status="405", message="")
            gone = account.relations.pop(relation_id, None)
            account.remember()
            if gone is not None and not account.on_invoice(gone.object_id):
                account.bare.append(gone.object_id)
            return gone is not None

        return await self._write("remove_tag_relation", write)


def _without_the_missed(
    account: SevdeskAccount, relations: tuple[TagRelation, ...]
) -> list[TagRelation]:
    """As pages by offset leave a row out when one before it is deleted between two pages."""
    rows = list(relations)
    left_out = account.missed.pop(0) if account.missed and rows else None
    if left_out is not None:
        del rows[left_out % len(rows)]
    return rows


def _found(account: SevdeskAccount, invoice_id: str) -> Invoice:
    if invoice_id not in account.invoices:
        raise NotFoundError("invoice")
    return account.invoices[invoice_id]


type Open = Callable[[str], Awaitable[SevdeskStandIn]]


def during(
    monkeypatch: pytest.MonkeyPatch, call: str, act: Callable[[], Awaitable[object]]
) -> None:
    """Do something once, while sevDesk is answering `call`."""
    original, left = getattr(SevdeskStandIn, call), [act]

    async def interrupted(self: SevdeskStandIn, *args: Any) -> Any:
        answer = await original(self, *args)
        if left:
            self._accounts[next(iter(self._accounts))].clock.forward(timedelta(seconds=1))  # type: ignore[attr-defined]
            await left.pop()()
        return answer

    monkeypatch.setattr(SevdeskStandIn, call, interrupted)
