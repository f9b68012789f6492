"""sevDesk: what it holds (`models`), what is said on the wire (`wire`), and the client."""

from sync.sevdesk.client import SevdeskClient
from sync.sevdesk.models import (
    Account,
    BrokenRow,
    ContactRow,
    CustomField,
    CustomFieldSetting,
    InvoiceRow,
    Listing,
    Pdf,
    Tag,
    TagRelation,
)
from sync.sevdesk.transport import build_http, is_token

__all__ = [
    "Account",
    "BrokenRow",
    "ContactRow",
    "CustomField",
    "CustomFieldSetting",
    "InvoiceRow",
    "Listing",
    "Pdf",
    "SevdeskClient",
    "Tag",
    "TagRelation",
    "build_http",
    "is_token",
]
