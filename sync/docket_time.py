"""docket on the store's time.

docket stores in the one queue of all hosts when a job is to run, and each worker takes out what
is due by its own host's clock. The fastest clock would take every job early, the others would put
it back by theirs, and so on. docket asks `datetime.now` and has no setting for it; so the name
`datetime` of its modules is bound to a class that asks the store's clock instead.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, tzinfo
from typing import Final

MODULES: Final = (
    "docket.docket",
    "docket.execution",
    "docket.worker",
    "docket.dependencies._perpetual",
)
"""Where docket 0.27 compares and stores times of the jobs that are used here."""

_clocks: list[Callable[[], datetime]] = []


class StoreTime(datetime):
    """`datetime` whose `now` is the store's, as long as there is a store's clock."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        """The newest clock's time; without one the host's."""
        if not _clocks:
            return datetime.now(tz)
        return _clocks[-1]().astimezone(tz)


@contextmanager
def docket_told_by(clock: Callable[[], datetime]) -> Iterator[None]:
    """Let docket tell the time by `clock` inside the block, in this whole process."""
    for name in MODULES:
        importlib.import_module(name).datetime = StoreTime  # type: ignore[attr-defined]
    _clocks.append(clock)
    try:
        yield
    finally:
        _clocks.remove(clock)
