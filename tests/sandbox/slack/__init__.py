"""A small faithful Slack on loopback: workspace, Web API, signed requests, a driver for tests."""

from tests.sandbox.slack.core import Call
from tests.sandbox.slack.driver import FakeSlack
from tests.sandbox.slack.faults import Fault, FaultKind, Faults
from tests.sandbox.slack.fields import InputRefusedError
from tests.sandbox.slack.outbound import Delivery
from tests.sandbox.slack.payloads import Place
from tests.sandbox.slack.validation import validate_message, validate_view
from tests.sandbox.slack.workspace import Changes, Channel, Message, OpenView, User

__all__ = [
    "Call",
    "Changes",
    "Channel",
    "Delivery",
    "FakeSlack",
    "Fault",
    "FaultKind",
    "Faults",
    "InputRefusedError",
    "Message",
    "OpenView",
    "Place",
    "User",
    "validate_message",
    "validate_view",
]
