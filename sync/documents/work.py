"""The CPU work on one document, start to end. Pure: bytes and a plan in, data and bytes out.

It runs in a process of its own (`child.py`), so nothing here knows about jobs or look-ups.
"""

from __future__ import annotations

import hashlib

from sync.documents import check, compare, rules
from sync.documents.choose_type import How
from sync.documents.convert import convert
from sync.documents.errors import DocumentError, RulesError
from sync.documents.read import describe, open_document
from sync.documents.source import SourceDocument
from sync.errors import Finding
from sync.model import Frozen, ParticipantId

BUYER_REFERENCE_SUPPLIED = "XTOOL-BT-10"
"""Rule id of the warning that BT-10 came from the sevDesk contact."""


class Plan(Frozen):
    """What is to be made of a document."""

    how: How
    sender: ParticipantId
    receiver: ParticipantId
    buyer_reference: str = ""  # of the contact; used where the invoice has none


class Made(Frozen):
    """A document that was made, proved equal, and judged valid."""

    sha256: str
    customization: str  # BT-24 of the result
    rules: str
    warnings: tuple[Finding, ...] = ()


def read(source: bytes) -> SourceDocument:
    """What the document says. Raises `UnreadableDocumentError`."""
    return describe(open_document(source))


def make(source: bytes, plan: Plan) -> tuple[Made, bytes]:
    """The document to send.

    Raises `UnreadableDocumentError`, `UnsendableDocumentError`, `InvalidDocumentError` or
    `ChangedDocumentError`: then nothing may be sent.
    """
    opened = open_document(source)
    before = describe(opened)
    xml, patched = convert(
        opened,
        before,
        plan.how,
        plan.sender,
        plan.receiver,
        buyer_reference=plan.buyer_reference,
    )
    result = open_document(xml)
    after = describe(result)
    compare.check_unchanged(before, after, plan.sender, plan.receiver)
    if patched:
        compare.check_only_head(opened, result, as_bis=plan.how is not How.AS_IS)
    verdict = check.check(result, after.customization)
    check.require_valid(verdict)
    made = Made(
        sha256=hashlib.sha256(xml).hexdigest(),
        customization=after.customization,
        rules=verdict.rules,
        warnings=verdict.warnings + _supplied(before, after),
    )
    return made, xml


def _supplied(before: SourceDocument, after: SourceDocument) -> tuple[Finding, ...]:
    if before.buyer_reference or not after.buyer_reference:
        return ()
    return (Finding(rule=BUYER_REFERENCE_SUPPLIED, location="BT-10"),)


def warm_up() -> str:
    """Load and compile what the first document would wait for. The release of the rules.

    Raises `RulesError` if the official rules are here but damaged.
    """
    for how in How:
        try:
            make(_SAMPLE.encode(), Plan(how=how, sender=_SENDER, receiver=_RECEIVER))
        except RulesError:
            raise
        except DocumentError:  # whatever the rules say of the sample, they are loaded
            continue
    return check.release(official=rules.available(), xrechnung=False)


_SENDER = ParticipantId(scheme="9930", value="DE136695976")
_RECEIVER = ParticipantId(scheme="0204", value="991-03730-19")
# The least that is a valid German invoice in CII; never sent anywhere.
_SAMPLE = """<?xml version="1.0" encoding="UTF-8"?>
<rsm:CrossIndustryInvoice
 xmlns:rsm="urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100"
 xmlns:ram="urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100"
 xmlns:udt="urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100">
<rsm:ExchangedDocumentContext>
<ram:BusinessProcessSpecifiedDocumentContextParameter>
<ram:ID>urn:fdc:peppol.eu:2017:poacc:billing:01:1.0</ram:ID>
</ram:BusinessProcessSpecifiedDocumentContextParameter>
<ram:GuidelineSpecifiedDocumentContextParameter>
<ram:ID>urn:cen.eu:en16931:2017#compliant#urn:xeinkauf.de:kosit:xrechnung_3.0</ram:ID>
</ram:GuidelineSpecifiedDocumentContextParameter>
</rsm:ExchangedDocumentContext>
<rsm:ExchangedDocument><ram:ID>0</ram:ID><ram:TypeCode>380</ram:TypeCode><ram:IssueDateTime>
<udt:DateTimeString format="102">20260101</udt:DateTimeString></ram:IssueDateTime>
</rsm:ExchangedDocument>
<rsm:SupplyChainTradeTransaction>
<ram:IncludedSupplyChainTradeLineItem>
<ram:AssociatedDocumentLineDocument><ram:LineID>1</ram:LineID></ram:AssociatedDocumentLineDocument>
<ram:SpecifiedTradeProduct><ram:Name>Item</ram:Name></ram:SpecifiedTradeProduct>
<ram:SpecifiedLineTradeAgreement><ram:NetPriceProductTradePrice>
<ram:ChargeAmount>100.00</ram:ChargeAmount>
</ram:NetPriceProductTradePrice></ram:SpecifiedLineTradeAgreement>
<ram:SpecifiedLineTradeDelivery><ram:BilledQuantity unitCode="C62">1</ram:BilledQuantity>
</ram:SpecifiedLineTradeDelivery>
<ram:SpecifiedLineTradeSettlement><ram:ApplicableTradeTax><ram:TypeCode>VAT</ram:TypeCode>
<ram:CategoryCode>S</ram:CategoryCode><ram:RateApplicablePercent>19</ram:RateApplicablePercent>
</ram:ApplicableTradeTax><ram:SpecifiedTradeSettlementLineMonetarySummation>
<ram:LineTotalAmount>100.00</ram:LineTotalAmount>
</ram:SpecifiedTradeSettlementLineMonetarySummation></ram:SpecifiedLineTradeSettlement>
</ram:IncludedSupplyChainTradeLineItem>
<ram:ApplicableHeaderTradeAgreement><ram:BuyerReference>0</ram:BuyerReference>
<ram:SellerTradeParty><ram:Name>Seller</ram:Name><ram:DefinedTradeContact>
<ram:PersonName>Contact</ram:PersonName><ram:TelephoneUniversalCommunication>
<ram:CompleteNumber>+49 30 000000</ram:CompleteNumber></ram:TelephoneUniversalCommunication>
<ram:EmailURIUniversalCommunication><ram:URIID>seller@example.com</ram:URIID>
</ram:EmailURIUniversalCommunication></ram:DefinedTradeContact>
<ram:PostalTradeAddress><ram:PostcodeCode>10115</ram:PostcodeCode>
<ram:CityName>Berlin</ram:CityName><ram:CountryID>DE</ram:CountryID></ram:PostalTradeAddress>
<ram:SpecifiedTaxRegistration><ram:ID schemeID="VA">DE136695976</ram:ID>
</ram:SpecifiedTaxRegistration></ram:SellerTradeParty>
<ram:BuyerTradeParty><ram:Name>Buyer</ram:Name><ram:PostalTradeAddress>
<ram:PostcodeCode>10115</ram:PostcodeCode><ram:CityName>Berlin</ram:CityName>
<ram:CountryID>DE</ram:CountryID></ram:PostalTradeAddress></ram:BuyerTradeParty>
</ram:ApplicableHeaderTradeAgreement>
<ram:ApplicableHeaderTradeDelivery/>
<ram:ApplicableHeaderTradeSettlement><ram:InvoiceCurrencyCode>EUR</ram:InvoiceCurrencyCode>
<ram:SpecifiedTradeSettlementPaymentMeans><ram:TypeCode>58</ram:TypeCode>
<ram:PayeePartyCreditorFinancialAccount><ram:IBANID>DE89370400440532013000</ram:IBANID>
</ram:PayeePartyCreditorFinancialAccount></ram:SpecifiedTradeSettlementPaymentMeans>
<ram:ApplicableTradeTax><ram:CalculatedAmount>19.00</ram:CalculatedAmount>
<ram:TypeCode>VAT</ram:TypeCode><ram:BasisAmount>100.00</ram:BasisAmount>
<ram:CategoryCode>S</ram:CategoryCode><ram:RateApplicablePercent>19</ram:RateApplicablePercent>
</ram:ApplicableTradeTax><ram:SpecifiedTradePaymentTerms><ram:Description>14 days</ram:Description>
</ram:SpecifiedTradePaymentTerms><ram:SpecifiedTradeSettlementHeaderMonetarySummation>
<ram:LineTotalAmount>100.00</ram:LineTotalAmount>
<ram:TaxBasisTotalAmount>100.00</ram:TaxBasisTotalAmount>
<ram:TaxTotalAmount currencyID="EUR">19.00</ram:TaxTotalAmount>
<ram:GrandTotalAmount>119.00</ram:GrandTotalAmount>
<ram:DuePayableAmount>119.00</ram:DuePayableAmount>
</ram:SpecifiedTradeSettlementHeaderMonetarySummation></ram:ApplicableHeaderTradeSettlement>
</rsm:SupplyChainTradeTransaction></rsm:CrossIndustryInvoice>
"""
