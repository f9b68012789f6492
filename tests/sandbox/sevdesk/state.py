"""What a sevDesk account holds, in memory, and what a person may do to it in the web interface."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.sandbox.cii import Document, Flaw, Line, Party, Tax, render

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DRAFT, OPEN, PARTLY_PAID, PAID = 100, 200, 750, 1000


@dataclass(slots=True)
class Contact:
    """An organisation, or a person when `family_name` is set."""

    id: str
    name: str = ""
    first_name: str = ""
    family_name: str = ""
    parent: str = ""
    customer_number: str = ""
    vat: str = ""
    buyer_reference: str = ""
    government: bool = False
    street: str = "Musterweg 1"
    postcode: str = "10115"
    city: str = "Berlin"
    country: str = "DE"
    email: str = "rechnung@kunde.example"
    created: datetime = EPOCH
    updated: datetime = EPOCH

    @property
    def label(self) -> str:
        """The name on an invoice."""
        return self.name or f"{self.first_name} {self.family_name}".strip()

    def party(self) -> Party:
        """The buyer in a document."""
        return Party(
            name=self.label,
            street=self.street,
            postcode=self.postcode,
            city=self.city,
            country=self.country,
            email=self.email,
            vat=self.vat,
        )


@dataclass(slots=True)
class Invoice:
    """An invoice. `xml` replaces the generated document, `xml_error` the answer of getXml."""

    id: str
    number: str | None
    contact: str
    status: int
    type: str
    day: date
    lines: tuple[Line, ...]
    days_to_pay: int = 14
    e_invoice: bool = True
    tax: Tax = Tax.STANDARD
    buyer_reference: str = ""
    header: str = ""
    note: str = ""
    currency: str = "EUR"
    paid: Decimal = Decimal(0)
    flaws: frozenset[Flaw] = frozenset()
    xml: bytes | None = None
    xml_error: tuple[int, str] | None = None
    origin: str = ""
    created: datetime = EPOCH
    updated: datetime = EPOCH


@dataclass(frozen=True, slots=True)
class Relation:
    """A tag on an object."""

    id: str
    tag: str
    object_name: str
    object_id: str
    created: datetime


@dataclass(slots=True)
class SevdeskAccount:
    """One account (`SevClient`) with its token. The methods are what people do in sevDesk."""

    id: str
    token: str
    company: Party
    ids: Callable[[], str]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    revoked: bool = False
    downgraded: bool = False
    contacts: dict[str, Contact] = field(default_factory=dict)
    invoices: dict[str, Invoice] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)  # id -> name
    relations: dict[str, Relation] = field(default_factory=dict)
    field_settings: dict[str, str] = field(default_factory=dict)  # id -> name
    fields: dict[str, tuple[str, str, str]] = field(default_factory=dict)  # contact, setting, value
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1001))
    last_update: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    # --- contacts and invoices ---

    def add_contact(self, name: str = "", *, tagged: str = "", **values: Any) -> Contact:
        """A new contact, with the tag `tagged` when given; `values` are `Contact`'s fields."""
        now = self.touch()
        contact = Contact(self.ids(), name, created=now, updated=now, **values)
        contact.customer_number = contact.customer_number or str(1000 + len(self.contacts))
        self.contacts[contact.id] = contact
        if tagged:
            self.tag("Contact", contact.id, tagged)
        return contact

    def add_invoice(
        self, contact: Contact, lines: Iterable[Line] = (), *, status: int = OPEN, **values: Any
    ) -> Invoice:
        """A new invoice; drafts get no number. `values` are `Invoice`'s fields."""
        now = self.touch()
        number = None if status == DRAFT else f"RE-{next(self.numbers)}"
        given: dict[str, Any] = {"number": number, "day": now.date(), "type": "RE", **values}
        chosen = tuple(lines) or (Line("Beratung", Decimal(2), Decimal(95), unit="HUR"),)
        invoice = Invoice(
            id=self.ids(),
            contact=contact.id,
            status=status,
            lines=chosen,
            created=now,
            updated=now,
            **given,
        )
        invoice.buyer_reference = (
            invoice.buyer_reference or contact.buyer_reference or contact.customer_number
        )
        self.invoices[invoice.id] = invoice
        return invoice

    def edit(self, item: Contact | Invoice, **values: Any) -> None:
        """Change fields; `update` moves on."""
        for name, value in values.items():
            setattr(item, name, value)
        item.updated = self.touch()

    def open_draft(self, invoice: Invoice) -> None:
        """Send a draft: it gets its number and status 200."""
        number = invoice.number or f"RE-{next(self.numbers)}"
        self.edit(invoice, status=OPEN, number=number)

    def pay(self, invoice: Invoice, amount: Decimal | None = None) -> None:
        """Book a payment: all of it, or a part (status 750)."""
        gross = self.document(invoice).gross
        paid = gross if amount is None else invoice.paid + amount
        self.edit(invoice, paid=paid, status=PAID if paid >= gross else PARTLY_PAID)

    def cancel(self, invoice: Invoice) -> Invoice:
        """Cancel: the invoice and a new cancellation (`SR`) have status 1000, nothing paid."""
        self.edit(invoice, status=PAID, paid=Decimal(0))
        contact = self.contacts[invoice.contact]
        lines = tuple(Line(n.name, n.quantity, -n.price, n.rate, n.unit) for n in invoice.lines)
        return self.add_invoice(
            contact, lines, status=PAID, type="SR", e_invoice=False, origin=invoice.id
        )

    def delete(self, item: Contact | Invoice) -> None:
        """Delete an object with its tag relations."""
        self.invoices.pop(item.id, None)
        self.contacts.pop(item.id, None)
        gone = [r.id for r in self.relations.values() if r.object_id == item.id]
        for relation in gone:
            del self.relations[relation]

    def add_custom_field(self, contact: Contact, name: str, value: str) -> None:
        """Fill a contact field, which is defined on first use."""
        known = {label: number for number, label in self.field_settings.items()}
        setting = known.get(name) or self.ids()
        self.field_settings[setting] = name
        self.fields[self.ids()] = (contact.id, setting, value)

    # --- tags ---

    def tag(self, object_name: str, object_id: str, name: str, *, reuse: bool = True) -> Relation:
        """Put a tag on an object, creating the tag where it does not exist."""
        known = next((i for i, label in self.tags.items() if label == name), "") if reuse else ""
        tag_id = known or self.ids()
        self.tags[tag_id] = name
        relation = Relation(self.ids(), tag_id, object_name, object_id, self.clock())
        self.relations[relation.id] = relation
        return relation

    def untag(self, item: Contact | Invoice, name: str = "") -> None:
        """Take the tag `name`, or all tags, off an object by hand."""
        for relation in list(self.relations.values()):
            if relation.object_id == item.id and name in {"", self.tags[relation.tag]}:
                del self.relations[relation.id]

    def tags_of(self, item: Contact | Invoice) -> list[str]:
        """The names of the tags on an object, sorted; a doubled tag appears twice."""
        mine = (r for r in self.relations.values() if r.object_id == item.id)
        return sorted(self.tags[r.tag] for r in mine)

    def rename_tag(self, old: str, new: str) -> None:
        """Rename a tag for all its objects."""
        for tag_id, name in self.tags.items():
            if name == old:
                self.tags[tag_id] = new

    def delete_tag(self, name: str) -> None:
        """Delete a tag: it vanishes from all objects."""
        doomed = {tag_id for tag_id, label in self.tags.items() if label == name}
        self.tags = {i: n for i, n in self.tags.items() if i not in doomed}
        self.relations = {i: r for i, r in self.relations.items() if r.tag not in doomed}

    # --- the account ---

    def revoke_token(self) -> None:
        """The token is not valid any more (renewed, user deleted): 401."""
        self.revoked = True

    def restore_token(self) -> None:
        """The token is valid again."""
        self.revoked = False

    def downgrade(self) -> None:
        """The tariff has no API any more: 403."""
        self.downgraded = True

    def upgrade(self) -> None:
        """The tariff has the API again."""
        self.downgraded = False

    # --- derived ---

    def touch(self) -> datetime:
        """The next `update`: whole seconds like sevDesk's, never the same twice."""
        now = self.clock().replace(microsecond=0)
        self.last_update = max(now, self.last_update + timedelta(seconds=1))
        return self.last_update

    def document(self, invoice: Invoice) -> Document:
        """What the invoice's XML says."""
        return Document(
            number=invoice.number or "",
            issued=invoice.day,
            due=invoice.day + timedelta(days=invoice.days_to_pay),
            seller=self.company,
            buyer=self.contacts[invoice.contact].party(),
            lines=invoice.lines,
            buyer_reference=invoice.buyer_reference,
            tax=invoice.tax,
            note=invoice.header,
            currency=invoice.currency,
            flaws=invoice.flaws,
        )

    def xml(self, invoice: Invoice) -> str:
        """The document that getXml gives."""
        return (
            invoice.xml.decode(errors="replace")
            if invoice.xml is not None
            else render(self.document(invoice))
        )
