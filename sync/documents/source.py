"""What is known of an invoice before anything is done with it: frozen, small, no XML."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum

from sync.model import Frozen


class Syntax(StrEnum):
    """The two syntaxes of EN 16931."""

    CII = "cii"
    UBL = "ubl"


class Identifier(Frozen):
    """An identifier with the scheme it is from; an empty scheme where none was given."""

    scheme: str = ""
    value: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.value}" if self.scheme else self.value


class Party(Frozen):
    """Seller or buyer, as far as addressing and messages need it."""

    name: str = ""  # BT-27, BT-44
    country: str = ""  # BT-40, BT-55: ISO 3166-1 alpha-2, upper case
    endpoint: Identifier | None = None  # BT-34, BT-49
    vat_id: str = ""  # BT-31, BT-48
    tax_number: str = ""  # BT-32
    ids: tuple[Identifier, ...] = ()  # BT-29, BT-46
    legal_id: Identifier | None = None  # BT-30, BT-47
    email: str = ""  # BT-43, BT-58


class Attachment(Frozen):
    """A supporting document (BG-24) that is inside the invoice. `sha256` is of its bytes."""

    filename: str = ""
    mime: str = ""
    size: int  # bytes, decoded
    sha256: str


class Totals(Frozen):
    """BG-22. None where the document does not say."""

    line_net: Decimal | None = None  # BT-106
    allowances: Decimal | None = None  # BT-107
    charges: Decimal | None = None  # BT-108
    net: Decimal | None = None  # BT-109
    vat: Decimal | None = None  # BT-110
    gross: Decimal | None = None  # BT-112
    prepaid: Decimal | None = None  # BT-113
    rounding: Decimal | None = None  # BT-114
    due: Decimal | None = None  # BT-115


class SourceDocument(Frozen):
    """An invoice as it was read. Nothing here is judged yet: fields may be empty."""

    syntax: Syntax
    root: str  # Invoice, CreditNote or CrossIndustryInvoice
    customization: str = ""  # BT-24
    process: str = ""  # BT-23
    type_code: str = ""  # BT-3
    number: str = ""  # BT-1
    issue_date: date | None = None  # BT-2
    due_date: date | None = None  # BT-9
    currency: str = ""  # BT-5
    buyer_reference: str = ""  # BT-10
    order_reference: str = ""  # BT-13
    seller: Party = Party()
    buyer: Party = Party()
    totals: Totals = Totals()
    line_count: int = 0
    line_amounts: Decimal = Decimal(0)  # the sum of BT-131 as the lines have it
    attachments: tuple[Attachment, ...] = ()
    sha256: str = ""  # of the XML
    xml_size: int = 0  # bytes
    from_pdf: bool = False

    @property
    def is_credit_note(self) -> bool:
        """Whether Peppol carries it as a CreditNote (UNTDID 1001, the credit note group)."""
        return self.type_code in CREDIT_NOTE_CODES


CREDIT_NOTE_CODES = frozenset(
    "81 83 261 262 296 308 381 396 420 458 502 503 532".split()  # noqa: SIM905 - one line to compare
)
"""BT-3 codes that are written as a UBL CreditNote (CEN 1.3.16, BR-CL-01 for UBL credit notes)."""
