"""A stand-in of sevDesk: state, faults and the server."""

from tests.sandbox.sevdesk.faults import Drop, Fault, outage, rate_limited
from tests.sandbox.sevdesk.server import Logged, SevdeskStandIn
from tests.sandbox.sevdesk.state import (
    DRAFT,
    OPEN,
    PAID,
    PARTLY_PAID,
    Contact,
    Invoice,
    Relation,
    SevdeskAccount,
)

__all__ = [
    "DRAFT",
    "OPEN",
    "PAID",
    "PARTLY_PAID",
    "Contact",
    "Drop",
    "Fault",
    "Invoice",
    "Logged",
    "Relation",
    "SevdeskAccount",
    "SevdeskStandIn",
    "outage",
    "rate_limited",
]
