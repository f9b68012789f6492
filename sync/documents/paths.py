"""Where each business term stands in CII D16B and in UBL 2.1 (CEN/TS 16931-3-2 and -3-3).

Paths are lxml ElementPaths below the root; `NS` has the prefixes. Only what this package reads
or patches itself is here; the conversion has its own complete mapping.
"""

from __future__ import annotations

from typing import Final, NamedTuple

NS: Final = {
    "rsm": "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100",
    "ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100",
    "udt": "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100",
    "cac": "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2",
    "cbc": "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2",
}
UBL_INVOICE: Final = "urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"
UBL_CREDIT_NOTE: Final = "urn:oasis:names:specification:ubl:schema:xsd:CreditNote-2"


class PartyPaths(NamedTuple):
    """Relative to the party's element."""

    name: str
    country: str
    endpoint: str
    ids: tuple[str, ...]
    legal_id: str
    email: str


class Paths(NamedTuple):
    """Relative to the root."""

    customization: str
    process: str
    type_code: str
    number: str
    issue_date: str
    due_date: str
    currency: str
    buyer_reference: str
    order_reference: str
    sales_order: str
    seller: str
    buyer: str
    line: str
    line_amount: str  # relative to a line
    attachment: str
    vat_total: str
    totals: dict[str, str]
    party: PartyPaths


_TRADE: Final = "rsm:SupplyChainTradeTransaction"
_AGREEMENT: Final = f"{_TRADE}/ram:ApplicableHeaderTradeAgreement"
_SETTLEMENT: Final = f"{_TRADE}/ram:ApplicableHeaderTradeSettlement"
_CII_SUM: Final = f"{_SETTLEMENT}/ram:SpecifiedTradeSettlementHeaderMonetarySummation"

CII: Final = Paths(
    customization="rsm:ExchangedDocumentContext"
    "/ram:GuidelineSpecifiedDocumentContextParameter/ram:ID",
    process="rsm:ExchangedDocumentContext"
    "/ram:BusinessProcessSpecifiedDocumentContextParameter/ram:ID",
    type_code="rsm:ExchangedDocument/ram:TypeCode",
    number="rsm:ExchangedDocument/ram:ID",
    issue_date="rsm:ExchangedDocument/ram:IssueDateTime/udt:DateTimeString",
    due_date=f"{_SETTLEMENT}/ram:SpecifiedTradePaymentTerms/ram:DueDateDateTime/udt:DateTimeString",
    currency=f"{_SETTLEMENT}/ram:InvoiceCurrencyCode",
    buyer_reference=f"{_AGREEMENT}/ram:BuyerReference",
    order_reference=f"{_AGREEMENT}/ram:BuyerOrderReferencedDocument/ram:IssuerAssignedID",
    sales_order=f"{_AGREEMENT}/ram:SellerOrderReferencedDocument/ram:IssuerAssignedID",
    seller=f"{_AGREEMENT}/ram:SellerTradeParty",
    buyer=f"{_AGREEMENT}/ram:BuyerTradeParty",
    line=f"{_TRADE}/ram:IncludedSupplyChainTradeLineItem",
    line_amount="ram:SpecifiedLineTradeSettlement"
    "/ram:SpecifiedTradeSettlementLineMonetarySummation/ram:LineTotalAmount",
    attachment=f"{_AGREEMENT}/ram:AdditionalReferencedDocument/ram:AttachmentBinaryObject",
    vat_total=f"{_CII_SUM}/ram:TaxTotalAmount",
    totals={
        "line_net": f"{_CII_SUM}/ram:LineTotalAmount",
        "allowances": f"{_CII_SUM}/ram:AllowanceTotalAmount",
        "charges": f"{_CII_SUM}/ram:ChargeTotalAmount",
        "net": f"{_CII_SUM}/ram:TaxBasisTotalAmount",
        "gross": f"{_CII_SUM}/ram:GrandTotalAmount",
        "prepaid": f"{_CII_SUM}/ram:TotalPrepaidAmount",
        "rounding": f"{_CII_SUM}/ram:RoundingAmount",
        "due": f"{_CII_SUM}/ram:DuePayableAmount",
    },
    party=PartyPaths(
        name="ram:Name",
        country="ram:PostalTradeAddress/ram:CountryID",
        endpoint="ram:URIUniversalCommunication/ram:URIID",
        ids=("ram:GlobalID", "ram:ID"),
        legal_id="ram:SpecifiedLegalOrganization/ram:ID",
        email="ram:DefinedTradeContact/ram:EmailURIUniversalCommunication/ram:URIID",
    ),
)

_UBL_SUM: Final = "cac:LegalMonetaryTotal"
_UBL_TOTALS: Final = {
    "line_net": f"{_UBL_SUM}/cbc:LineExtensionAmount",
    "allowances": f"{_UBL_SUM}/cbc:AllowanceTotalAmount",
    "charges": f"{_UBL_SUM}/cbc:ChargeTotalAmount",
    "net": f"{_UBL_SUM}/cbc:TaxExclusiveAmount",
    "gross": f"{_UBL_SUM}/cbc:TaxInclusiveAmount",
    "prepaid": f"{_UBL_SUM}/cbc:PrepaidAmount",
    "rounding": f"{_UBL_SUM}/cbc:PayableRoundingAmount",
    "due": f"{_UBL_SUM}/cbc:PayableAmount",
}
UBL_INVOICE_PATHS: Final = Paths(
    customization="cbc:CustomizationID",
    process="cbc:ProfileID",
    type_code="cbc:InvoiceTypeCode",
    number="cbc:ID",
    issue_date="cbc:IssueDate",
    due_date="cbc:DueDate",
    currency="cbc:DocumentCurrencyCode",
    buyer_reference="cbc:BuyerReference",
    order_reference="cac:OrderReference/cbc:ID",
    sales_order="cac:OrderReference/cbc:SalesOrderID",
    seller="cac:AccountingSupplierParty/cac:Party",
    buyer="cac:AccountingCustomerParty/cac:Party",
    line="cac:InvoiceLine",
    line_amount="cbc:LineExtensionAmount",
    attachment="cac:AdditionalDocumentReference/cac:Attachment/cbc:EmbeddedDocumentBinaryObject",
    vat_total="cac:TaxTotal/cbc:TaxAmount",
    totals=_UBL_TOTALS,
    party=PartyPaths(
        name="cac:PartyLegalEntity/cbc:RegistrationName",
        country="cac:PostalAddress/cac:Country/cbc:IdentificationCode",
        endpoint="cbc:EndpointID",
        ids=("cac:PartyIdentification/cbc:ID",),
        legal_id="cac:PartyLegalEntity/cbc:CompanyID",
        email="cac:Contact/cbc:ElectronicMail",
    ),
)
# A credit note has no due date of its own in UBL 2.1: BT-9 moved to the payment means.
UBL_CREDIT_NOTE_PATHS: Final = UBL_INVOICE_PATHS._replace(
    type_code="cbc:CreditNoteTypeCode",
    line="cac:CreditNoteLine",
    due_date="cac:PaymentMeans/cbc:PaymentDueDate",
)
