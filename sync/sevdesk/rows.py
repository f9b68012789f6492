"""Reading rows, tolerantly: one function per kind, `RowError` for a row that makes no sense.

sevDesk writes booleans as "0"/"1", numbers as strings (sometimes as numbers), null for
everything, and leaves fields out. What is not needed is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from sync.sevdesk.models import (
    Account,
    BrokenRow,
    ContactRow,
    CustomField,
    CustomFieldSetting,
    InvoiceRow,
    Listing,
    Tag,
    TagRelation,
)

type Row = Mapping[str, Any]

TEXT_LIMIT = 1000  # characters of any single text that is kept; names are far shorter
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}\Z")  # ids travel in URL paths
_ISO_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?!\d)")
_GERMAN_DATE = re.compile(r"(\d{2})\.(\d{2})\.(\d{4})(?!\d)")
_MAX_DAYS = 36500  # a payment term of a century is a typing error
_DIGITS = 15  # before the decimal point


class RowError(ValueError):
    """The row lacks something without which it is useless. The text names the field."""


def identifier(value: object) -> str:
    """An id as text, or empty. Numbers are accepted, nested objects are not."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value).strip() if isinstance(value, str) else _digits(value)
    return text if _ID.match(text) else ""


def _digits(value: int) -> str:
    """A whole number as text; empty for absurd ones (int to text is bounded in Python)."""
    return str(value) if 0 <= value < 10**18 else ""


def text(value: object) -> str:
    """A text without control characters, bounded; empty for anything else than text."""
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        value = str(value) if -(10**18) < value < 10**18 else ""
    if not isinstance(value, str):
        return ""
    kept = value[:TEXT_LIMIT]
    if not kept.isprintable():  # rare, and slow to clean
        kept = "".join(c if c.isprintable() else " " for c in kept)
    return kept.strip()


def amount(value: object) -> Decimal | None:
    """An amount with a point as decimal separator; None when absent or senseless."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    try:
        number = Decimal(str(value).strip()[:64])
    except (InvalidOperation, ValueError):
        return None
    return number if _sane(number) else None


def _sane(number: Decimal) -> bool:
    """Finite, below 10^15 and with at most 20 decimals: money, not a denial of service."""
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        return False
    # No arithmetic, not even abs(): it overflows for 1E+1000000.
    return -20 <= exponent < _DIGITS and number.adjusted() < _DIGITS


def calendar_date(value: object) -> date | None:
    """The day as written ("2026-09-28T00:00:00+02:00", "28.09.2026"); the zone is Berlin's."""
    if not isinstance(value, str):
        return None
    iso, german = _ISO_DATE.match(value.strip()), _GERMAN_DATE.match(value.strip())
    try:
        if iso:
            return date(int(iso[1]), int(iso[2]), int(iso[3]))
        if german:
            return date(int(german[3]), int(german[2]), int(german[1]))
    except ValueError:
        return None
    return None


def flag(value: object) -> bool | None:
    """A boolean in any of sevDesk's spellings; None when it is not one."""
    known = {"1": True, "true": True, "0": False, "false": False}
    return known.get(str(value).strip().lower()) if isinstance(value, str | int | bool) else None


def reference(row: Row, name: str) -> Row:
    """A nested object such as `contact: {id, objectName}`; empty when it is missing."""
    nested = row.get(name)
    return nested if isinstance(nested, Mapping) else {}


def _needed_id(row: Row, name: str = "id") -> str:
    found = identifier(row.get(name))
    if not found:
        raise RowError(f"no usable {name}")
    return found


def _referenced(row: Row, name: str) -> str:
    found = identifier(reference(row, name).get("id"))
    if not found:
        raise RowError(f"no usable {name}.id")
    return found


def _account_of(row: Row) -> str:
    return identifier(reference(row, "sevClient").get("id"))


def account_of_client(row: Row) -> Account:
    """A row of `GET /SevClient`."""
    return Account(_needed_id(row), text(row.get("name")))


def account_of_user(row: Row) -> Account:
    """A row of `GET /SevUser`; the account may be embedded with its name."""
    return Account(_referenced(row, "sevClient"), text(reference(row, "sevClient").get("name")))


def account_of_any(row: Row) -> Account:
    """Any other row; each carries `sevClient.id`."""
    return Account(_referenced(row, "sevClient"))


def tag(row: Row) -> Tag:
    """A row of `GET /Tag`. The name is compared exactly, so it is not trimmed."""
    name = row.get("name")
    if not isinstance(name, str):
        raise RowError("no usable name")
    return Tag(_needed_id(row), name[:TEXT_LIMIT])


def tag_relation(row: Row) -> TagRelation:
    """A row of `GET /TagRelation`, or the answer to adding a tag."""
    object_name = reference(row, "object").get("objectName")
    if not isinstance(object_name, str) or not object_name:
        raise RowError("no usable object.objectName")
    name = reference(row, "tag").get("name")
    return TagRelation(
        id=_needed_id(row),
        tag_id=_referenced(row, "tag"),
        object_name=object_name[:64],
        object_id=_referenced(row, "object"),
        tag_name=name[:TEXT_LIMIT] if isinstance(name, str) else "",
        account=_account_of(row),
    )


def _due_date(start: date | None, days: object) -> date | None:
    term = amount(days)
    if start is None or term is None or not 0 <= term <= _MAX_DAYS:
        return None
    try:
        return start + timedelta(days=int(term))
    except OverflowError:
        return None


def invoice(row: Row) -> InvoiceRow:
    """A row of `GET /Invoice`. Status and type are needed: they decide about sending."""
    status, kind = text(row.get("status")), text(row.get("invoiceType"))
    if not status or not kind:
        raise RowError("no usable status or invoiceType")
    contact_row = reference(row, "contact")
    invoice_date = calendar_date(row.get("invoiceDate"))
    return InvoiceRow(
        id=_needed_id(row),
        number=text(row.get("invoiceNumber")),
        contact_id=identifier(contact_row.get("id")),
        status=status,
        invoice_type=kind,
        contact_name=text(row.get("addressName")) or contact_name(contact_row),
        parent_id=identifier(reference(contact_row, "parent").get("id")),
        invoice_date=invoice_date,
        due_date=_due_date(invoice_date, row.get("timeToPay")),
        currency=text(row.get("currency")) or "EUR",
        gross=amount(row.get("sumGross")),
        paid=amount(row.get("paidAmount")),
        reference=text(row.get("customerInternalNote")),
        e_invoice=flag(row.get("propertyIsEInvoice")),
        revision=text(row.get("update")),
        account=_account_of(row),
    )


def contact_name(row: Row) -> str:
    """An organisation's name, or a person's (`surename` is the first name: official)."""
    parts = (text(row.get("surename")), text(row.get("familyname")))
    return text(row.get("name")) or " ".join(part for part in parts if part)


def contact(row: Row) -> ContactRow:
    """A row of `GET /Contact`."""
    return ContactRow(
        id=_needed_id(row),
        name=contact_name(row),
        parent_id=identifier(reference(row, "parent").get("id")),
        customer_number=text(row.get("customerNumber")),
        vat_number=text(row.get("vatNumber")),
        buyer_reference=text(row.get("buyerReference")),
        government_agency=flag(row.get("governmentAgency")) or False,
        revision=text(row.get("update")),
        account=_account_of(row),
    )


def custom_field_setting(row: Row) -> CustomFieldSetting:
    """A row of `GET /ContactCustomFieldSetting`."""
    return CustomFieldSetting(_needed_id(row), text(row.get("name")), text(row.get("identifier")))


def custom_field(row: Row) -> CustomField:
    """A row of `GET /ContactCustomField`."""
    setting = reference(row, "contactCustomFieldSetting")
    return CustomField(
        id=_needed_id(row),
        contact_id=_referenced(row, "contact"),
        setting_id=identifier(setting.get("id")),
        value=text(row.get("value")),
        setting_name=text(setting.get("name")),
    )


class Gathered[T]:
    """The rows of a list as its pages come in: each once, parsed, in the order of first sight.

    Raw rows are not kept: those of a long list are many more objects than what is needed of them.
    """

    def __init__(self, parse: Callable[[Row], T]) -> None:
        """Nothing yet. `parse` reads one row."""
        self._parse = parse
        self._known: dict[str, T | BrokenRow] = {}
        self._nameless: list[T | BrokenRow] = []

    def joins(self, raw: list[Any]) -> bool:
        """Whether a page has a row of those before, as it must; the first one need not."""
        return not self._known or any(row_id(item) in self._known for item in raw)

    def add(self, raw: list[Any]) -> bool:
        """Add rows by their id; whether there was a new one."""
        before = len(self._known) + len(self._nameless)
        for item in raw:
            found_id = row_id(item)
            if not found_id:
                self._nameless.append(parse_one(item, self._parse))
            elif found_id not in self._known:
                self._known[found_id] = parse_one(item, self._parse)
        return len(self._known) + len(self._nameless) > before

    def listing(self) -> Listing[T]:
        """All of them."""
        return _listing([*self._known.values(), *self._nameless])


def parse_all[T](raw: list[Any], parse: Callable[[Row], T]) -> Listing[T]:
    """Parse each row by itself; one broken row does not lose the others."""
    return _listing([parse_one(item, parse) for item in raw])


def parse_one[T](item: object, parse: Callable[[Row], T]) -> T | BrokenRow:
    """One row, or what is wrong with it."""
    try:
        return parse(_mapping(item))
    except RowError as error:
        return BrokenRow(row_id(item), str(error))


def _listing[T](found: list[T | BrokenRow]) -> Listing[T]:
    return Listing(
        tuple(one for one in found if not isinstance(one, BrokenRow)),
        tuple(one for one in found if isinstance(one, BrokenRow)),
    )


def row_id(item: object) -> str:
    """The id of a raw row, or empty."""
    return identifier(item.get("id")) if isinstance(item, Mapping) else ""


def _mapping(item: object) -> Row:
    if not isinstance(item, Mapping):
        raise RowError("not an object")
    return item
