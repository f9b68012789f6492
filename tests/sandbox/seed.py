"""A believable small company for the demo and the scenario tests.

Lindhof Elektrotechnik GmbH in Hamburg. The receivers' Peppol ids are exported, so that the
access point's stand-in can be told who is registered. All numbers carry valid check digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from tests.sandbox.cii import Line, Party, Tax
from tests.sandbox.sevdesk import DRAFT, Contact, Invoice, SevdeskAccount, SevdeskStandIn

TOKEN: Final = "5e7de5c0ffee5e7de5c0ffee5e7de5c0"  # of the stand-in only
TAG: Final = "xTool"
SENDER: Final = "9930:DE136695976"

HOTEL: Final = "9930:DE999100018"
PLANNERS: Final = "9930:DE999100026"
BRUSSELS: Final = "0208:0999123457"
AUTHORITY: Final = "0204:02200100-4711-33"
DAIRY: Final = "0088:4099999000012"  # from the contact field "Peppol ID"
UNKNOWN_RECEIVER: Final = "9930:DE999100034"  # not registered on Peppol
REJECTING_RECEIVER: Final = "9930:DE999100042"  # its access point rejects first, then accepts

REGISTERED: Final = (HOTEL, PLANNERS, BRUSSELS, AUTHORITY, DAIRY, REJECTING_RECEIVER)

COMPANY: Final = Party(
    name="Lindhof Elektrotechnik GmbH",
    street="Speicherstraße 12",
    postcode="20457",
    city="Hamburg",
    email="buchhaltung@lindhof.example",
    contact="Maren Lindhof",
    phone="+49 40 5550120",
    vat="DE136695976",
    tax_number="22/815/08154",
    iban="DE02120300000000202051",
    bic="BYLADEM1001",
    description="Elektroinstallation und Wartung",
)


@dataclass(frozen=True, slots=True)
class Seeded:
    """The account and what a test wants to name. `unpaid` are those that are to be sent."""

    account: SevdeskAccount
    hotel: Contact
    planners: Contact
    brussels: Contact
    authority: Contact
    dairy: Contact
    unknown: Contact
    rejecting: Contact
    untagged: Contact
    unpaid: tuple[Invoice, ...]
    unknown_invoice: Invoice
    rejected_invoice: Invoice
    not_an_e_invoice: Invoice
    untagged_invoice: Invoice
    paid: Invoice
    draft: Invoice


def _hours(name: str, hours: str, price: str = "78.50") -> Line:
    return Line(name, Decimal(hours), Decimal(price), unit="HUR")


def _pieces(name: str, count: str, price: str, rate: str = "19") -> Line:
    return Line(name, Decimal(count), Decimal(price), Decimal(rate))


def _contact(
    account: SevdeskAccount, name: str, place: str, *, tagged: bool = True, **values: str
) -> Contact:
    street, postcode, city = place.split(", ")
    return account.add_contact(
        name, tagged=TAG if tagged else "", street=street, postcode=postcode, city=city, **values
    )


def _tagged_contacts(account: SevdeskAccount) -> dict[str, Contact]:
    contacts = {
        "hotel": _contact(
            account, "Hotel Alsterblick GmbH", "An der Alster 40, 20099, Hamburg",
            vat="DE999100018", email="rechnung@alsterblick.example",
        ),
        "planners": _contact(
            account, "Planwerk Süd Ingenieure PartG mbB", "Isarring 5, 80804, München",
            vat="DE999100026", email="fibu@planwerk-sued.example",
        ),
        "brussels": _contact(
            account, "Brouwerij De Drie Torens NV", "Havenlaan 86, 1000, Brussel",
            vat="BE0999123457", country="BE", email="facturen@drietorens.example",
        ),
        "authority": _contact(
            account, "Bezirksamt Nordhafen", "Amtsplatz 1, 20095, Hamburg",
            buyer_reference="02200100-4711-33", email="rechnungseingang@nordhafen.example",
        ),
        "dairy": _contact(
            account, "Molkerei Geestland eG", "Deichweg 7, 25813, Husum",
            email="kreditoren@geestland.example",
        ),
        "unknown": _contact(
            account, "Café Möwe e.K.", "Elbchaussee 3, 22765, Hamburg",
            vat="DE999100034", email="moin@cafe-moewe.example",
        ),
        "rejecting": _contact(
            account, "Reederei Kappel & Söhne KG", "Kaistraße 22, 24103, Kiel",
            vat="DE999100042", email="invoices@kappel.example",
        ),
    }  # fmt: skip
    contacts["authority"].government = True
    account.add_custom_field(contacts["dairy"], "Peppol ID", DAIRY)
    return contacts


def _sendable(account: SevdeskAccount, known: dict[str, Contact]) -> list[Invoice]:
    """Unpaid e-invoices of tagged contacts whose receivers are registered."""
    engineer = account.add_contact(
        first_name="Jonas", family_name="Weber", parent=known["planners"].id,
        street="Isarring 5", postcode="80804", city="München", email="weber@planwerk-sued.example",
    )  # fmt: skip
    today = account.clock().date()
    hotel = [_hours("Wartung Notstromanlage", "6.5"), _pieces("Akku 12 V", "4", "89.90")]
    kitchen = [
        _hours("Anschluss Großküche", "12"),
        _pieces("Fachbuch Brandschutz", "2", "34.58", "7"),
        _pieces("Leitungsschutzschalter B16", "18", "4.35"),
    ]
    dairy = [_hours("Störungsbeseitigung Kühlung", "3.25"), _pieces("Schütz 24 V", "3", "41.20")]
    office = [_pieces("LED-Panel 60x60", "45", "38.90"), _hours("Montage", "16")]
    return [
        account.add_invoice(known["hotel"], hotel, day=today - timedelta(days=3)),
        account.add_invoice(known["hotel"], kitchen, day=today - timedelta(days=1)),
        account.add_invoice(engineer, [_hours("Lichtplanung", "22", "92")], day=today),
        account.add_invoice(
            known["brussels"], [_hours("Fernwartung Sudhaussteuerung", "8", "110")],
            tax=Tax.REVERSE_CHARGE, day=today - timedelta(days=5), note="PO-88412",
        ),
        account.add_invoice(known["authority"], office, day=today - timedelta(days=8)),
        account.add_invoice(known["dairy"], dairy, day=today - timedelta(days=2)),
    ]  # fmt: skip


def seed(account: SevdeskAccount) -> Seeded:
    """Fill an empty account."""
    known = _tagged_contacts(account)
    untagged = _contact(
        account, "Autohaus Brandt OHG", "Ringstraße 9, 21073, Hamburg", tagged=False,
        vat="DE999100059",
    )  # fmt: skip
    sendable = _sendable(account, known)
    repair = [_hours("Reparatur Kassenanlage", "2")]
    unknown = account.add_invoice(known["unknown"], repair)
    rejected = account.add_invoice(known["rejecting"], [_hours("Landstromanschluss", "40", "84")])
    paper = account.add_invoice(known["hotel"], repair, e_invoice=False)
    paid = account.add_invoice(known["planners"], [_hours("Aufmaß", "4")])
    account.pay(paid)
    return Seeded(
        account=account,
        **known,
        untagged=untagged,
        unpaid=(*sendable, unknown, rejected),
        unknown_invoice=unknown,
        rejected_invoice=rejected,
        not_an_e_invoice=paper,
        untagged_invoice=account.add_invoice(untagged, [_hours("Prüfung Ladesäulen", "5")]),
        paid=paid,
        draft=account.add_invoice(known["dairy"], [_hours("Angebot Melkstand", "1")], status=DRAFT),
    )


def seed_company(sevdesk: SevdeskStandIn, token: str = TOKEN) -> Seeded:
    """Add the company's account to a stand-in and fill it."""
    return seed(sevdesk.add_account(token, COMPANY))
