"""UN/CEFACT CII as sevDesk writes it: XRechnung 3.0, made by Mustangproject.

Follows the shape of a recorded document: e-mail addresses (`EM`) as electronic addresses, totals
without decimals where they are whole, the generator's comment, odd blank lines, no VAT id of the
buyer unless the tax rules need it. The values are our own. A document is valid under EN 16931
and XRechnung 3.0 unless a `Flaw` is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from xml.sax.saxutils import escape

CENT = Decimal("0.01")


class Flaw(StrEnum):
    """What may be wrong with a document, on demand."""

    NO_BUYER_REFERENCE = "no buyer reference"  # BR-DE-15
    NO_SELLER_CONTACT = "no seller contact"  # BR-DE-2
    NO_SELLER_PHONE = "no seller phone"  # BR-DE-6
    NO_SELLER_TAX_ID = "no seller tax id"  # BR-DE-16
    NO_SELLER_CITY = "no seller city"  # BR-DE-3
    NO_BUYER_CITY = "no buyer city"  # BR-DE-8
    NO_BUYER_EMAIL = "no buyer email"  # the buyer's electronic address
    NO_IBAN = "no IBAN"  # BR-DE-23-a
    NO_EXEMPTION_REASON = "no exemption reason"  # BR-E-10
    WRONG_TOTAL = "wrong total"  # BR-CO-15
    WRONG_TAX = "wrong tax"  # BR-CO-17
    WRONG_UNIT = "wrong unit"  # BR-CL-23
    DOCTYPE = "doctype"  # refused before any rule
    NOT_WELL_FORMED = "not well-formed"


class Tax(StrEnum):
    """How the whole invoice is taxed."""

    STANDARD = "S"  # each line at its own rate
    SMALL_BUSINESS = "E"  # § 19 UStG
    REVERSE_CHARGE = "AE"  # services to a business in another EU country


REASONS = {
    Tax.SMALL_BUSINESS: "Kein Ausweis von Umsatzsteuer, da Kleinunternehmer gemäß § 19 UStG",
    Tax.REVERSE_CHARGE: "Steuerschuldnerschaft des Leistungsempfängers",
}


@dataclass(frozen=True, slots=True)
class Party:
    """Seller or buyer. `country` is ISO 3166-1 alpha-2."""

    name: str
    street: str
    postcode: str
    city: str
    country: str = "DE"
    email: str = ""
    contact: str = ""
    phone: str = ""
    vat: str = ""
    tax_number: str = ""
    id: str = ""
    description: str = ""
    iban: str = ""
    bic: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `price` is net, in the invoice's currency; `unit` a UN/ECE code."""

    name: str
    quantity: Decimal
    price: Decimal
    rate: Decimal = Decimal(19)
    unit: str = "C62"

    @property
    def net(self) -> Decimal:
        """The line's net amount."""
        return (self.quantity * self.price).quantize(CENT, ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class TaxGroup:
    """A row of the VAT breakdown."""

    rate: Decimal
    basis: Decimal

    @property
    def tax(self) -> Decimal:
        """The tax of the group, rounded once (EN 16931 BR-CO-17)."""
        return (self.basis * self.rate / 100).quantize(CENT, ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class Document:
    """All that the XML says."""

    number: str
    issued: date
    due: date
    seller: Party
    buyer: Party
    lines: tuple[Line, ...]
    buyer_reference: str
    tax: Tax = Tax.STANDARD
    note: str = ""
    currency: str = "EUR"
    delivered: date | None = None
    flaws: frozenset[Flaw] = frozenset()

    def rate(self, line: Line) -> Decimal:
        """The rate that applies to a line."""
        return line.rate if self.tax is Tax.STANDARD else Decimal(0)

    @property
    def groups(self) -> tuple[TaxGroup, ...]:
        """The VAT breakdown, highest rate first."""
        rates = sorted({self.rate(line) for line in self.lines}, reverse=True)
        return tuple(
            TaxGroup(r, sum((n.net for n in self.lines if self.rate(n) == r), Decimal(0)))
            for r in rates
        )

    @property
    def net(self) -> Decimal:
        """Sum of the lines."""
        return sum((line.net for line in self.lines), Decimal(0))

    @property
    def tax_total(self) -> Decimal:
        """Sum of the taxes."""
        return sum((group.tax for group in self.groups), Decimal(0))

    @property
    def gross(self) -> Decimal:
        """What is to be paid."""
        return self.net + self.tax_total


def whole(amount: Decimal) -> str:
    """sevDesk's totals: "100", "46.65"."""
    return str(int(amount)) if amount == int(amount) else f"{amount:.2f}"


def _date(day: date) -> str:
    return f'<udt:DateTimeString format="102">{day:%Y%m%d}</udt:DateTimeString>'


def _element(name: str, value: str, attributes: str = "") -> str:
    return f"<ram:{name}{attributes}>{escape(value)}</ram:{name}>" if value else ""


def _category(document: Document) -> str:
    reason = REASONS.get(document.tax, "")
    return "" if Flaw.NO_EXEMPTION_REASON in document.flaws else _element("ExemptionReason", reason)


def _line(document: Document, number: int, line: Line) -> str:
    unit = "piece" if Flaw.WRONG_UNIT in document.flaws else line.unit
    return f"""
    <ram:IncludedSupplyChainTradeLineItem>
      <ram:AssociatedDocumentLineDocument>
        <ram:LineID>{number}</ram:LineID>
      </ram:AssociatedDocumentLineDocument>
      <ram:SpecifiedTradeProduct>
        {_element("Name", line.name)}
      </ram:SpecifiedTradeProduct>
      <ram:SpecifiedLineTradeAgreement>
        <ram:NetPriceProductTradePrice>
          <ram:ChargeAmount>{line.price:.4f}</ram:ChargeAmount>
          <ram:BasisQuantity unitCode="{unit}">1.0000</ram:BasisQuantity>
        </ram:NetPriceProductTradePrice>
      </ram:SpecifiedLineTradeAgreement>
      <ram:SpecifiedLineTradeDelivery>
        <ram:BilledQuantity unitCode="{unit}">{line.quantity:.4f}</ram:BilledQuantity>
      </ram:SpecifiedLineTradeDelivery>
      <ram:SpecifiedLineTradeSettlement>
        <ram:ApplicableTradeTax>
          <ram:TypeCode>VAT</ram:TypeCode>
          {_category(document)}
          <ram:CategoryCode>{document.tax}</ram:CategoryCode>
          <ram:RateApplicablePercent>{document.rate(line):.2f}</ram:RateApplicablePercent>
        </ram:ApplicableTradeTax>
        <ram:SpecifiedTradeSettlementLineMonetarySummation>
          <ram:LineTotalAmount>{line.net:.2f}</ram:LineTotalAmount>
        </ram:SpecifiedTradeSettlementLineMonetarySummation>
      </ram:SpecifiedLineTradeSettlement>
    </ram:IncludedSupplyChainTradeLineItem>"""


def _contact(party: Party, *, phone: bool) -> str:
    number = f"""
          <ram:TelephoneUniversalCommunication>
            {_element("CompleteNumber", party.phone)}
          </ram:TelephoneUniversalCommunication>"""
    email = f"""
          <ram:EmailURIUniversalCommunication>
            {_element("URIID", party.email)}
          </ram:EmailURIUniversalCommunication>"""
    return f"""
        <ram:DefinedTradeContact>
          {_element("PersonName", party.contact or party.name)}{number if phone else ""}{
        email if party.email else ""
    }
        </ram:DefinedTradeContact>"""


def _address(party: Party, *, city: bool) -> str:
    return f"""
        <ram:PostalTradeAddress>
          {_element("PostcodeCode", party.postcode)}
          {_element("LineOne", party.street)}
          {_element("CityName", party.city) if city else ""}
          <ram:CountryID>{party.country}</ram:CountryID>
        </ram:PostalTradeAddress>"""


def _endpoint(party: Party) -> str:
    uri = _element("URIID", party.email, ' schemeID="EM"')
    return f"""
        <ram:URIUniversalCommunication>
          {uri}
        </ram:URIUniversalCommunication>"""


def _registration(scheme: str, value: str) -> str:
    if not value:
        return ""
    return f"""
        <ram:SpecifiedTaxRegistration>
          {_element("ID", value, f' schemeID="{scheme}"')}
        </ram:SpecifiedTaxRegistration>"""


def _seller(document: Document) -> str:
    seller, flaws = document.seller, document.flaws
    taxed = Flaw.NO_SELLER_TAX_ID not in flaws
    contact = _contact(seller, phone=Flaw.NO_SELLER_PHONE not in flaws)
    return f"""
      <ram:SellerTradeParty>
        {_element("ID", seller.id)}
        {_element("Name", seller.name)}
        {_element("Description", seller.description)}{
        "" if Flaw.NO_SELLER_CONTACT in flaws else contact
    }{_address(seller, city=Flaw.NO_SELLER_CITY not in flaws)}{_endpoint(seller)}{
        _registration("FC", seller.tax_number if taxed else "")
    }{_registration("VA", seller.vat if taxed else "")}
      </ram:SellerTradeParty>"""


def _buyer(document: Document) -> str:
    buyer, flaws = document.buyer, document.flaws
    vat = buyer.vat if document.tax is Tax.REVERSE_CHARGE else ""
    no_email = Flaw.NO_BUYER_EMAIL in flaws or not buyer.email
    return f"""
      <ram:BuyerTradeParty>
        {_element("Name", buyer.name)}{_contact(buyer, phone=False)}{
        _address(buyer, city=Flaw.NO_BUYER_CITY not in flaws)
    }{"" if no_email else _endpoint(buyer)}{_registration("VA", vat)}
      </ram:BuyerTradeParty>"""


def _tax_group(document: Document, group: TaxGroup) -> str:
    wrong = Decimal(1) if Flaw.WRONG_TAX in document.flaws else Decimal(0)
    return f"""
      <ram:ApplicableTradeTax>
        <ram:CalculatedAmount>{whole(group.tax + wrong)}</ram:CalculatedAmount>
        <ram:TypeCode>VAT</ram:TypeCode>
        {_category(document)}
        <ram:BasisAmount>{group.basis:.2f}</ram:BasisAmount>
        <ram:CategoryCode>{document.tax}</ram:CategoryCode>
        <ram:RateApplicablePercent>{group.rate:.2f}</ram:RateApplicablePercent>
      </ram:ApplicableTradeTax>"""


def _payment(document: Document) -> str:
    account = f"""
        <ram:PayeePartyCreditorFinancialAccount>
          <ram:IBANID>{document.seller.iban}</ram:IBANID>
        </ram:PayeePartyCreditorFinancialAccount>
        <ram:PayeeSpecifiedCreditorFinancialInstitution>
          <ram:BICID>{document.seller.bic}</ram:BICID>
        </ram:PayeeSpecifiedCreditorFinancialInstitution>"""
    return f"""
      <ram:SpecifiedTradeSettlementPaymentMeans>
        <ram:TypeCode>58</ram:TypeCode>
        <ram:Information>SEPA credit transfer</ram:Information>{
        "" if Flaw.NO_IBAN in document.flaws else account
    }
      </ram:SpecifiedTradeSettlementPaymentMeans>"""


def _totals(document: Document) -> str:
    wrong = Decimal(1) if Flaw.WRONG_TOTAL in document.flaws else Decimal(0)
    net, tax, gross = document.net, document.tax_total, document.gross + wrong
    return f"""
      <ram:SpecifiedTradeSettlementHeaderMonetarySummation>
        <ram:LineTotalAmount>{whole(net)}</ram:LineTotalAmount>
        <ram:ChargeTotalAmount>0.00</ram:ChargeTotalAmount>
        <ram:AllowanceTotalAmount>0.00</ram:AllowanceTotalAmount>
        <ram:TaxBasisTotalAmount>{whole(net)}</ram:TaxBasisTotalAmount>
        <ram:TaxTotalAmount currencyID="{document.currency}">{whole(tax)}</ram:TaxTotalAmount>
        <ram:GrandTotalAmount>{whole(gross)}</ram:GrandTotalAmount>
        <ram:TotalPrepaidAmount>0.00</ram:TotalPrepaidAmount>
        <ram:DuePayableAmount>{whole(gross)}</ram:DuePayableAmount>
      </ram:SpecifiedTradeSettlementHeaderMonetarySummation>"""


def _settlement(document: Document) -> str:
    groups = "".join(_tax_group(document, group) for group in document.groups)
    return f"""
    <ram:ApplicableHeaderTradeSettlement>
      {_element("PaymentReference", document.number)}
      <ram:InvoiceCurrencyCode>{document.currency}</ram:InvoiceCurrencyCode>{_payment(document)}{groups}
      <ram:SpecifiedTradePaymentTerms>
        <ram:Description>Please remit until {document.due:%d.%m.%Y}</ram:Description>
        <ram:DueDateDateTime>
          {_date(document.due)}
        </ram:DueDateDateTime>
      </ram:SpecifiedTradePaymentTerms>{_totals(document)}
    </ram:ApplicableHeaderTradeSettlement>"""


def _header(document: Document) -> str:
    note = f"""
    <ram:IncludedNote>
      {_element("Content", document.note)}
    </ram:IncludedNote>"""
    return f"""
  <rsm:ExchangedDocument>
    {_element("ID", document.number)}
    <ram:TypeCode>380</ram:TypeCode>
    <ram:IssueDateTime>
      {_date(document.issued)}
    </ram:IssueDateTime>{note if document.note else ""}
  </rsm:ExchangedDocument>"""


_OPENING = """<rsm:CrossIndustryInvoice \
xmlns:rsm="urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xmlns:ram="urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100" \
xmlns:udt="urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100" \
xmlns:qdt="urn:un:unece:uncefact:data:standard:QualifiedDataType:100">
  <!-- generated by: mustangproject.org vnull-->
  <rsm:ExchangedDocumentContext>
 
    <ram:BusinessProcessSpecifiedDocumentContextParameter>
 
      <ram:ID>urn:fdc:peppol.eu:2017:poacc:billing:01:1.0</ram:ID>

    </ram:BusinessProcessSpecifiedDocumentContextParameter>
 
    <ram:GuidelineSpecifiedDocumentContextParameter>
      <ram:ID>urn:cen.eu:en16931:2017#compliant#urn:xeinkauf.de:kosit:xrechnung_3.0</ram:ID>
    </ram:GuidelineSpecifiedDocumentContextParameter>
  </rsm:ExchangedDocumentContext>"""  # noqa: W293 - the recorded document has these blanks


def render(document: Document) -> str:
    """The document as text; it declares UTF-8."""
    reference = "" if Flaw.NO_BUYER_REFERENCE in document.flaws else document.buyer_reference
    lines = "".join(_line(document, n, line) for n, line in enumerate(document.lines, start=1))
    text = f"""<?xml version="1.0" encoding="UTF-8"?>
{_OPENING}{_header(document)}
  <rsm:SupplyChainTradeTransaction>{lines}
    <ram:ApplicableHeaderTradeAgreement>
      {_element("BuyerReference", reference)}{_seller(document)}{_buyer(document)}
    </ram:ApplicableHeaderTradeAgreement>
    <ram:ApplicableHeaderTradeDelivery>
      <ram:ActualDeliverySupplyChainEvent>
        <ram:OccurrenceDateTime>
          {_date(document.delivered or document.issued)}
        </ram:OccurrenceDateTime>
      </ram:ActualDeliverySupplyChainEvent>
    </ram:ApplicableHeaderTradeDelivery>{_settlement(document)}
  </rsm:SupplyChainTradeTransaction>
</rsm:CrossIndustryInvoice>"""
    return _damaged(text, document.flaws)


_DAMAGES: dict[Flaw, Callable[[str], str]] = {
    Flaw.DOCTYPE: lambda text: text.replace(
        "?>\n", '?>\n<!DOCTYPE x [<!ENTITY a "boom"><!ENTITY b "&a;&a;&a;&a;">]>\n', 1
    ),
    Flaw.NOT_WELL_FORMED: lambda text: text[: len(text) // 2],
}


def _damaged(text: str, flaws: frozenset[Flaw]) -> str:
    for flaw in sorted(flaws):
        text = _DAMAGES.get(flaw, str)(text)
    return text
