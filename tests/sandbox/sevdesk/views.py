"""Rows as sevDesk writes them: strings for numbers and booleans, null for what is not there."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from tests.sandbox.sevdesk.state import Contact, Invoice, Relation, SevdeskAccount

BERLIN = ZoneInfo("Europe/Berlin")

type Json = dict[str, Any]


def ref(object_id: str, object_name: str) -> Json:
    """A reference to another object."""
    return {"id": object_id, "objectName": object_name}


def moment(value: datetime) -> str:
    """ISO 8601 in Berlin's time."""
    return value.astimezone(BERLIN).isoformat(timespec="seconds")


def money(value: Decimal) -> str:
    """An amount without trailing zeros: "46.65", "100", "-39.2"."""
    return f"{value.normalize():f}"


def _base(account: SevdeskAccount, object_id: str, object_name: str, created: datetime) -> Json:
    return {
        **ref(object_id, object_name),
        "additionalInformation": None,
        "create": moment(created),
        "sevClient": ref(account.id, "SevClient"),
    }


def client(account: SevdeskAccount) -> Json:
    """`GET /SevClient`: assumed, no answer is on record."""
    return {**ref(account.id, "SevClient"), "name": account.company.name, "smallSettlement": "0"}


def user(account: SevdeskAccount) -> Json:
    """`GET /SevUser`."""
    return {
        **ref("1", "SevUser"),
        "fullname": account.company.contact,
        "username": account.company.contact,
        "email": account.company.email,
        "role": "ROLE_ADMIN",
        "sevClient": {**ref(account.id, "SevClient"), "name": account.company.name},
    }


def tag(account: SevdeskAccount, tag_id: str) -> Json:
    """A row of `GET /Tag`."""
    return {**_base(account, tag_id, "Tag", account.last_update), "name": account.tags[tag_id]}


def relation(account: SevdeskAccount, item: Relation, *, embed: bool) -> Json:
    """A row of `GET /TagRelation`, and the answer of Factory/create."""
    shown = tag(account, item.tag) if embed and item.tag in account.tags else ref(item.tag, "Tag")
    return {
        **_base(account, item.id, "TagRelation", item.created),
        "tag": shown,
        "object": ref(item.object_id, item.object_name),
    }


def contact(account: SevdeskAccount, item: Contact) -> Json:
    """A row of `GET /Contact`; `parent` only on persons."""
    row = {
        **_base(account, item.id, "Contact", item.created),
        "update": moment(item.updated),
        "name": item.name or None,
        "status": "1000",
        "customerNumber": item.customer_number,
        "surename": item.first_name or None,
        "familyname": item.family_name or None,
        "titel": None,
        "category": ref("3", "Category"),
        "description": None,
        "gender": None,
        "name2": None,
        "vatNumber": item.vat or None,
        "taxNumber": None,
        "exemptVat": "0",
        "buyerReference": item.buyer_reference or None,
        "governmentAgency": "1" if item.government else "0",
        "defaultShowVat": "1",
    }
    return {**row, "parent": ref(item.parent, "Contact")} if item.parent else row


def _sums(net: Decimal, tax: Decimal) -> Json:
    gross = net + tax
    sums = {"sumNet": net, "sumTax": tax, "sumGross": gross, "sumDiscounts": Decimal(0)}
    accounting = {"sumNetAccounting": net, "sumTaxAccounting": tax, "sumGrossAccounting": gross}
    return {name: money(value) for name, value in (sums | accounting).items()}


def _address(buyer: Contact | None) -> Json:
    if buyer is None:
        return {"addressName": None, "address": None}
    return {
        "addressName": buyer.label,
        "addressStreet": buyer.street,
        "addressZip": buyer.postcode,
        "addressCity": buyer.city,
        "addressCountry": ref("1", "StaticCountry"),
        "address": f"{buyer.label}\n{buyer.street}\n{buyer.postcode} {buyer.city}",
    }


def invoice(account: SevdeskAccount, item: Invoice, *, embed: bool) -> Json:
    """A row of `GET /Invoice`; `propertyIsEInvoice` is never given back (measured)."""
    buyer = account.contacts.get(item.contact)
    net = sum((line.net for line in item.lines), Decimal(0))
    tax = account.document(item).tax_total if buyer else Decimal(0)
    day = datetime(item.day.year, item.day.month, item.day.day, tzinfo=BERLIN)
    row = {
        **_base(account, item.id, "Invoice", item.created),
        "invoiceNumber": item.number,
        "contact": contact(account, buyer) if embed and buyer else ref(item.contact, "Contact"),
        "update": moment(item.updated),
        "invoiceDate": day.isoformat(),
        "deliveryDate": day.isoformat(),
        "header": item.header or None,
        "headText": None,
        "footText": None,
        "timeToPay": str(item.days_to_pay),
        "discount": "0",
        **_address(buyer),
        "payDate": None,
        "status": str(item.status),
        "smallSettlement": "0",
        "taxRate": "0",
        "taxType": None,
        "taxRule": ref("1", "TaxRule"),
        "sendDate": moment(item.created) if item.number else None,
        "sendType": "VPDF" if item.number else None,
        "invoiceType": item.type,
        "currency": item.currency,
        **_sums(net, tax),
        "paidAmount": float(item.paid) if item.paid % 1 else int(item.paid),
        "customerInternalNote": item.note or None,
        "einvoiceReference": None,
        "showNet": "1",
        "enshrined": moment(item.created) if item.number else None,
    }
    return {**row, "origin": ref(item.origin, "Invoice")} if item.origin else row


def field_setting(account: SevdeskAccount, setting: str) -> Json:
    """A row of `GET /ContactCustomFieldSetting`."""
    return {
        **_base(account, setting, "ContactCustomFieldSetting", account.last_update),
        "name": account.field_settings[setting],
        "identifier": f"field-{setting}",
        "description": None,
    }


def custom_field(account: SevdeskAccount, field_id: str) -> Json:
    """A row of `GET /ContactCustomField`."""
    owner, setting, value = account.fields[field_id]
    return {
        **_base(account, field_id, "ContactCustomField", account.last_update),
        "contact": ref(owner, "Contact"),
        "contactCustomFieldSetting": field_setting(account, setting),
        "value": value,
    }
