"""Stand-ins for access points: they take documents, remember them, and can be made to fail."""

from tests.sandbox.access_points.base import Fault, Receiver, StandIn, Taken
from tests.sandbox.access_points.einvoice_be import EInvoiceBeStandIn
from tests.sandbox.access_points.phoss_ap import PhossApStandIn
from tests.sandbox.access_points.recommand import RecommandStandIn

__all__ = [
    "EInvoiceBeStandIn",
    "Fault",
    "PhossApStandIn",
    "Receiver",
    "RecommandStandIn",
    "StandIn",
    "Taken",
]
