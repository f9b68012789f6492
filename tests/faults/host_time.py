"""A worker on a host whose clock is wrong.

A process cannot set its machine's clock. So in the worker the name `datetime` of every module of
ours and of docket is bound to a class whose `now` is wrong by so much.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta, tzinfo

from sync import docket_time
from sync.jobs import DocketJobs
from sync.runtime import Runtime

OURS = ("sync.", "bot.", "docket.")


class HostTime(datetime):
    """`datetime` by this host's clock."""

    ahead = timedelta(0)

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        """What the host's clock shows."""
        return datetime.now(tz) + cls.ahead


def set_host_clock(ahead: float) -> None:
    """This host's clock is so many seconds ahead."""
    HostTime.ahead = timedelta(seconds=ahead)
    for name, module in list(sys.modules.items()):
        if name.startswith(OURS) and getattr(module, "datetime", None) is datetime:
            module.datetime = HostTime  # type: ignore[attr-defined]


def believe_the_host(rt: Runtime) -> None:
    """Decide by the host's clock, as if there were none of the store's."""

    def now() -> datetime:
        return HostTime.now(UTC)

    docket_time._clocks[:] = [now]
    rt.ports.now, rt.ports.doubt = now, timedelta
    rt.ports.jobs = DocketJobs(rt.docket, now)
