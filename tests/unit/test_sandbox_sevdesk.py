"""The sevDesk stand-in itself: its documents are legal, and its quirks are the recorded ones."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import euinvoice
import mockeinvoice
import pytest
from lxml import etree
from stdnum import ean
from stdnum.be import vat as be_vat
from stdnum.de import leitweg
from stdnum.de import vat as de_vat

from sync.sevdesk import SevdeskClient, build_http
from tests.sandbox import seed
from tests.sandbox.cii import Document, Flaw, Line, Party, Tax, render
from tests.sandbox.sevdesk import DRAFT, OPEN, SevdeskStandIn
from tests.spec import spec_path
from tests.unit.sevdesk_support import SELLER, TOKEN, World, world

__all__ = ["world"]

BUYER = Party("Kunde & <Söhne>", "Weg 1", "10115", "Berlin", email="b@kunde.example")
BELGIAN = Party(
    "Klant NV", "Kaai 1", "1000", "Brussel", "BE", "k@klant.example", vat="BE0999123457"
)
MIXED = (
    Line("Beratung & mehr", Decimal("1.5"), Decimal("26.13"), unit="HUR"),
    Line("Fachbuch", Decimal(3), Decimal("12.50"), Decimal(7)),
    Line("Schraube", Decimal(1000), Decimal("0.0045")),
)


def document(tax: Tax = Tax.STANDARD, buyer: Party = BUYER, *flaws: Flaw) -> Document:
    """An invoice of three lines."""
    return Document(
        number="RE-7",
        issued=date(2026, 11, 2),
        due=date(2026, 11, 16),
        seller=SELLER,
        buyer=buyer,
        lines=MIXED,
        buyer_reference="K-1",
        tax=tax,
        note="Hinweis",
        flaws=frozenset(flaws),
    )


def verdict(xml: str) -> str:
    """What the rules say about the document, read as CII and held to XRechnung as UBL."""
    ubl = euinvoice.to_xml(euinvoice.parse(xml.encode()), syntax="ubl")
    found: str = mockeinvoice.validate(ubl)[1].verdict
    return found


@pytest.mark.parametrize(
    ("tax", "buyer"),
    [(Tax.STANDARD, BUYER), (Tax.SMALL_BUSINESS, BUYER), (Tax.REVERSE_CHARGE, BELGIAN)],
)
def test_documents_are_valid_xrechnungen(tax: Tax, buyer: Party) -> None:
    assert verdict(render(document(tax, buyer))) == "valid"


def test_totals_add_up_over_two_rates() -> None:
    made = document()
    # 39.20 + 4.50 at 19 % and 37.50 at 7 %: 8.30 and 2.63 of tax, rounded per rate.
    assert (made.net, made.tax_total, made.gross) == (
        Decimal("81.20"),
        Decimal("10.93"),
        Decimal("92.13"),
    )


@pytest.mark.parametrize(
    ("flaw", "complaint"),
    [
        (Flaw.NO_BUYER_REFERENCE, "BR-DE-15"),
        (Flaw.NO_SELLER_CONTACT, "BR-DE-2"),
        (Flaw.NO_SELLER_PHONE, "BR-DE-6"),
        (Flaw.NO_SELLER_TAX_ID, "BR-DE-16"),
        (Flaw.NO_SELLER_CITY, "BR-DE-3"),
        (Flaw.NO_BUYER_CITY, "BR-DE-8"),
        (Flaw.NO_IBAN, "BR-DE-23-a"),
        (Flaw.WRONG_TOTAL, "BR-CO-15"),
        (Flaw.WRONG_TAX, "BR-CO-17"),
        (Flaw.WRONG_UNIT, "BR-CL-23"),
        (Flaw.DOCTYPE, "DOCTYPE"),
        (Flaw.NOT_WELL_FORMED, "malformed"),
    ],
)
def test_a_flaw_is_what_the_rules_complain_about(flaw: Flaw, complaint: str) -> None:
    with pytest.raises(euinvoice.errors.EuInvoiceError, match=complaint):
        verdict(render(document(Tax.STANDARD, BUYER, flaw)))


def test_a_small_business_without_reason_is_invalid() -> None:
    with pytest.raises(euinvoice.errors.EuInvoiceError, match="BR-E-10"):
        verdict(render(document(Tax.SMALL_BUSINESS, BUYER, Flaw.NO_EXEMPTION_REASON)))


def test_buyer_has_no_endpoint_without_an_email() -> None:
    xml = render(document(Tax.STANDARD, BUYER, Flaw.NO_BUYER_EMAIL))
    assert xml.count('schemeID="EM"') == 1


def _skeleton(xml: bytes) -> list[str]:
    """Element names with their depth and attribute names, one of each, in document order."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    tree = etree.fromstring(xml, parser)
    seen: dict[str, None] = {}
    for element in tree.iter():
        if isinstance(element.tag, str):
            path = "/".join(
                etree.QName(e).localname
                for e in [*reversed(list(element.iterancestors())), element]
            )
            seen[f"{path} {sorted(element.attrib)}"] = None
    return list(seen)


def test_documents_have_the_recorded_documents_shape() -> None:
    recorded = spec_path("sevdesk/LIVE-getXml-e-invoice.xml").read_bytes()
    seller = Party(
        **{n: getattr(SELLER, n) for n in ("name", "street", "postcode", "city", "email", "phone",
                                           "contact", "tax_number", "iban", "bic")},
        id="0", description="Metallbau",
    )  # fmt: skip
    made = document(Tax.SMALL_BUSINESS)
    ours = render(
        Document(
            "RE-7", made.issued, made.due, seller, BUYER, MIXED, "K-1", Tax.SMALL_BUSINESS, "Hallo"
        )
    )
    assert _skeleton(ours.encode()) == _skeleton(recorded)


async def test_rows_have_the_recorded_rows_fields(world: World) -> None:
    recorded = spec_path("sevdesk/LIVE-200-invoice-list.json").read_text()
    world.account.add_invoice(world.account.add_contact("Kunde"))
    headers = {"Authorization": TOKEN}
    answer = await world.http.get(f"{world.sevdesk.base_url}/Invoice", headers=headers)
    assert [name for name in answer.json()["objects"][0] if f'"{name}"' not in recorded] == []


# --- the seeded company ---


async def test_all_seeded_unpaid_invoices_are_valid() -> None:
    account = seed.seed_company(SevdeskStandIn())
    assert {verdict(account.account.xml(invoice)) for invoice in account.unpaid} == {"valid"}


def test_seeded_ids_have_valid_check_digits() -> None:
    ids = [*seed.REGISTERED, seed.UNKNOWN_RECEIVER, seed.SENDER]
    values: dict[str, list[str]] = {}
    for one in ids:
        values.setdefault(one[:4], []).append(one[5:])
    assert all(de_vat.is_valid(value) for value in values["9930"])
    assert all(be_vat.is_valid(value) for value in values["0208"])
    assert all(leitweg.is_valid(value) for value in values["0204"])
    assert all(ean.is_valid(value) for value in values["0088"])


async def test_seeded_receivers_can_be_derived_from_what_sevdesk_shows() -> None:
    async with SevdeskStandIn() as sevdesk, build_http() as http:
        account = seed.seed_company(sevdesk)

        async def pace() -> None:
            return None

        client = SevdeskClient(http, sevdesk.base_url, seed.TOKEN, pace)
        contacts = {row.id: row for row in (await client.contacts()).rows}
        fields = {field.contact_id: field.value for field in (await client.custom_fields()).rows}
        derived = {f"9930:{c.vat_number}" for c in contacts.values() if c.vat_number[:2] == "DE"}
        assert {seed.HOTEL, seed.UNKNOWN_RECEIVER, seed.REJECTING_RECEIVER} <= derived
        assert f"0204:{contacts[account.authority.id].buyer_reference}" == seed.AUTHORITY
        assert f"0208:{contacts[account.brussels.id].vat_number[2:]}" == seed.BRUSSELS
        assert fields == {account.dairy.id: seed.DAIRY}


async def test_seed_holds_what_the_demo_needs() -> None:
    company = seed.seed_company(SevdeskStandIn())
    account = company.account
    assert len(company.unpaid) == 8
    assert {invoice.status for invoice in company.unpaid} == {OPEN}
    assert company.draft.status == DRAFT
    assert account.tags_of(company.untagged) == []


# --- the stand-in's quirks ---


async def fetch(world: World, path: str) -> tuple[int, Any]:
    """A raw GET."""
    url = f"{world.sevdesk.base_url}{path}"
    answer = await world.http.get(url, headers={"Authorization": TOKEN})
    return answer.status_code, answer.json()


async def test_unknown_filters_are_ignored_and_everything_is_returned(world: World) -> None:
    world.account.add_contact("A")
    world.account.add_contact("B")
    _, body = await fetch(world, "/Contact?nmae=A")
    assert [row["name"] for row in body["objects"]] == ["B", "A"]


@pytest.mark.parametrize("limit", ["0", "1001", "x", "-1"])
async def test_limits_outside_1_to_1000_are_refused(world: World, limit: str) -> None:
    status, body = await fetch(world, f"/Tag?limit={limit}")
    assert (status, body["objects"]) == (400, None)
    assert "between 1 and 1000" in body["error"]["message"]


async def test_the_default_page_has_100_rows(world: World) -> None:
    for number in range(101):
        world.account.add_contact(f"Kunde {number}")
    _, body = await fetch(world, "/Contact")
    assert len(body["objects"]) == 100


async def test_persons_are_hidden_without_depth(world: World) -> None:
    world.account.add_contact(first_name="Eva", family_name="Kern")
    _, body = await fetch(world, "/Contact")
    assert body["objects"] == []


@pytest.mark.parametrize(("reuses", "tags"), [(True, 1), (False, 2)])
async def test_a_tag_row_is_reused_or_doubled(world: World, reuses: bool, tags: int) -> None:
    world.sevdesk.reuses_tags = reuses
    contact = world.account.add_contact("Kunde")
    sevdesk = world.client()
    for _ in range(2):
        await sevdesk.add_tag(world.account.add_invoice(contact).id, "xTool-Uploaded")
    assert len(world.account.tags) == tags


async def test_an_edit_always_moves_the_revision(world: World) -> None:
    made = world.account.add_invoice(world.account.add_contact("Kunde"))
    before = (await world.client().invoice(made.id)).revision
    world.account.edit(made, header="neu")
    assert (await world.client().invoice(made.id)).revision > before


async def test_tokens_lead_to_their_own_account_only(world: World) -> None:
    other = world.sevdesk.add_account("a" * 32, SELLER)
    other.add_contact("Fremd")
    assert (await world.client().contacts()).rows == ()
    assert len((await world.client("a" * 32).contacts()).rows) == 1


async def test_the_rate_limit_answers_429_with_seconds(world: World) -> None:
    world.sevdesk.limit_rate(0.5)
    headers = {"Authorization": TOKEN}
    url = f"{world.sevdesk.base_url}/Tag"
    first, second = (
        await world.http.get(url, headers=headers),
        await world.http.get(url, headers=headers),
    )
    assert (first.status_code, second.status_code) == (200, 429)
    assert second.headers["Retry-After"] == "2"
