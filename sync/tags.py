"""The projection between records and sevDesk's tags: pure.

The record says what was done, the tags say what a person wants. `judge` is the table that
`docs/reliability.md` shows: for a record and the tags that a list shows on its invoice, what
follows. xTool's contact tag has no meaning on an invoice and is ignored there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sync.delivery import BY_PERSON, IN_FLIGHT, UNSENT
from sync.model import InvoiceRecord, InvoiceState, TagKind

STRENGTH = (TagKind.UPLOADED, TagKind.FAILED, TagKind.SENT)

# An answer that names the new relation counts as having seen the tag, but lists may lag behind
# it: for this long a missing tag means nothing, neither a removal nor a failed write. Who polls
# more often wants an answer sooner. sevDesk does not say whether lists lag: both are room for it.
SETTLES_WITHIN = timedelta(seconds=30)
SETTLES_AT_LEAST = timedelta(seconds=10)


class Verdict(StrEnum):
    """What follows from the tags of a known invoice."""

    NOTHING = "nothing"
    SEEN = "seen"  # remember that the tag was seen
    REPAIR = "repair"  # write or remove tags
    REEXPORT = "reexport"  # a person removed the tags: import again
    SETTLED = "settled"  # a person set `Sent`: it is not to be sent


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, and the one tag that should remain."""

    verdict: Verdict
    keep: TagKind | None = None


def strongest(present: Iterable[TagKind]) -> TagKind | None:
    """Of several tags the one that counts: Sent, then Failed, then Uploaded."""
    return max(present, key=STRENGTH.index, default=None)


def judge(
    record: InvoiceRecord,
    present: frozenset[TagKind],
    now: datetime,
    settles_within: timedelta = SETTLES_WITHIN,
    *,
    lags_within: timedelta = SETTLES_WITHIN,
    removes: bool = True,
    proven: bool = False,
) -> Judgement:
    """What the tags on an open invoice of a synced contact mean for its record.

    `lags_within`: how long after a write a list may be older than it, though another one was not.
    `removes`: whether sevDesk takes tags off; where it does not, several are left alone. `proven`:
    the list is not older than our last write (see `sync.planner`).
    """
    if not present:
        return _judge_untagged(record, now, settles_within, lags_within)
    if record.state in IN_FLIGHT:
        # The result is about to replace whatever is there.
        keep = record.tag or strongest(present)
        return Judgement(Verdict.NOTHING if record.tag_seen else Verdict.SEEN, keep)
    if TagKind.SENT in present and sendable(record):
        return Judgement(Verdict.SETTLED, TagKind.SENT)
    keep = _keep(record, present)
    if keep not in present or (removes and present != {keep}):
        return _repair(record, keep, now, settles_within)
    known = record.tag_seen and record.tag == keep and not record.tag_pending
    # A list may be older than our last write, and show what that write took off.
    unproven = is_fresh(record, now, settles_within) and not proven
    return Judgement(Verdict.NOTHING if known or unproven else Verdict.SEEN, keep)


def _judge_untagged(
    record: InvoiceRecord, now: datetime, settles_within: timedelta, lags_within: timedelta
) -> Judgement:
    if vanished(record, now, settles_within, lags_within):
        # What is on its way is finished first: its result is tagged, and can be removed again.
        unfinished = record.state in IN_FLIGHT or _result_is_untagged(record)
        return Judgement(Verdict.NOTHING if unfinished else Verdict.REEXPORT, record.tag)
    if _may_lag(record, now, lags_within):
        return Judgement(Verdict.NOTHING, record.tag)
    return _repair(record, _keep(record, frozenset()), now, settles_within)


def _result_is_untagged(record: InvoiceRecord) -> bool:
    """Whether an invoice went out and its tag was not written since: what is missing is older."""
    result = {InvoiceState.SENT: TagKind.SENT, InvoiceState.FAILED: TagKind.FAILED}
    return record.state in result and record.tag is not result[record.state]


def _repair(
    record: InvoiceRecord, keep: TagKind, now: datetime, settles_within: timedelta
) -> Judgement:
    """Put it right, unless a write is under way or so fresh that the list may be older."""
    wait = record.tag_pending or is_fresh(record, now, settles_within)
    return Judgement(Verdict.NOTHING if wait else Verdict.REPAIR, keep)


def _keep(record: InvoiceRecord, present: frozenset[TagKind]) -> TagKind:
    match record.state:
        case InvoiceState.SENT:
            return TagKind.SENT
        case InvoiceState.FAILED | InvoiceState.BLOCKED:
            return TagKind.FAILED
        case _:
            return strongest(present) or record.tag or TagKind.UPLOADED


def sendable(record: InvoiceRecord) -> bool:
    """Whether it was not sent, and would be if everything were right."""
    if record.state is InvoiceState.WITHDRAWN:
        return record.reason is None or record.reason.code not in BY_PERSON
    return record.state in UNSENT


def was_seen(record: InvoiceRecord) -> bool:
    """Whether our tag was proven to be there: by a list, or by an answer that named it."""
    return record.tag_seen or (bool(record.tag_relation) and not record.tag_left)


def is_fresh(record: InvoiceRecord, now: datetime, settles_within: timedelta) -> bool:
    """Whether the tag was written so recently that a list may not show it yet."""
    if record.tag_seen or record.tagged_at is None:
        return False
    return record.tagged_at > now - settles_within


def _may_lag(record: InvoiceRecord, now: datetime, lags_within: timedelta) -> bool:
    """Whether a list may be older than our last write, also where an earlier one was not.

    Two lists may come from two servers, of which one lags.
    """
    return record.tagged_at is not None and record.tagged_at > now - lags_within


def vanished(
    record: InvoiceRecord,
    now: datetime,
    settles_within: timedelta,
    lags_within: timedelta = SETTLES_WITHIN,
) -> bool:
    """Whether an invoice without our tags had one, so that a person must have removed it.

    A write that was begun and not ended may itself have taken the tag off.
    """
    if record.tag_pending or is_fresh(record, now, settles_within):
        return False
    if _may_lag(record, now, lags_within):
        return False
    return was_seen(record)
