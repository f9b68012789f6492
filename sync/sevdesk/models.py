"""What sevDesk's answers hold, as frozen data. Ids are strings, amounts `Decimal`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Account:
    """The account (`SevClient`) that a token belongs to. `name` may be empty."""

    id: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag of the account. Several may carry the same name."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class TagRelation:
    """A tag on an object. `tag_name` is empty where sevDesk did not embed the tag."""

    id: str
    tag_id: str
    object_name: str  # Invoice, Contact, Voucher, …
    object_id: str
    tag_name: str = ""
    account: str = ""


@dataclass(frozen=True, slots=True)
class InvoiceRow:
    """An invoice as lists show it. `paid` and `gross` are in `currency`."""

    id: str
    number: str  # empty for drafts
    contact_id: str  # empty where the invoice has no contact
    status: str  # 100 draft, 200 open, 750 partly paid, 1000 paid
    invoice_type: str  # RE, AR, TR, ER, SR, MA, WKR
    contact_name: str = ""
    parent_id: str = ""  # organisation of a person, where the contact was embedded
    invoice_date: date | None = None
    due_date: date | None = None
    currency: str = "EUR"
    gross: Decimal | None = None
    paid: Decimal | None = None
    reference: str = ""  # customerInternalNote
    e_invoice: bool | None = None  # None: sevDesk does not say, which is the rule
    revision: str = ""  # `update`, as it came
    account: str = ""


@dataclass(frozen=True, slots=True)
class ContactRow:
    """An organisation, or a person (then `parent_id` may name the organisation)."""

    id: str
    name: str
    parent_id: str = ""
    customer_number: str = ""
    vat_number: str = ""
    buyer_reference: str = ""
    government_agency: bool = False
    revision: str = ""  # `update`, as it came
    account: str = ""


@dataclass(frozen=True, slots=True)
class CustomFieldSetting:
    """A kind of contact field that the account defined, for example "Peppol ID"."""

    id: str
    name: str
    identifier: str = ""


@dataclass(frozen=True, slots=True)
class CustomField:
    """The value of a custom field of one contact."""

    id: str
    contact_id: str
    setting_id: str
    value: str
    setting_name: str = ""


@dataclass(frozen=True, slots=True)
class Pdf:
    """A rendered invoice."""

    filename: str
    content: bytes


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """A row that could not be read. `id` is empty where not even that could be read."""

    id: str
    problem: str


@dataclass(frozen=True, slots=True)
class Listing[T]:
    """All rows of a list in the order of first sight, without repeats, and the broken ones."""

    rows: tuple[T, ...] = ()
    broken: tuple[BrokenRow, ...] = ()
