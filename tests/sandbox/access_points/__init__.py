"""Stand-ins for access points: they take documents, remember them, and can be made to fail."""

from tests.sandbox.access_points.base import Fault, Receiver, StandIn, Taken
from tests.sandbox.access_points.recommand import RecommandStandIn

__all__ = ["Fault", "Receiver", "RecommandStandIn", "StandIn", "Taken"]
