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

from sync.delivery import IN_FLIGHT, UNSENT
from sync.model import InvoiceRecord, InvoiceState, TagKind

STRENGTH = (TagKind.UPLOADED, TagKind.FAILED, TagKind.SENT)

# An answer that names the new relation counts as having seen the tag, but lists may lag behind
# it: for this long a missing tag means nothing, neither a removal nor a failed write.
SETTLES_WITHIN = timedelta(seconds=30)


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
) -> Judgement:
    """What the tags on an open invoice of a synced contact mean for its record."""
    if not present:
        return _judge_untagged(record, now - settles_within)
    if record.state in IN_FLIGHT:
        # The result is about to replace whatever is there.
        verdict = Verdict.NOTHING if record.tag_seen else Verdict.SEEN
        return Judgement(verdict, record.tag or strongest(present))
    if TagKind.SENT in present and record.state in UNSENT:
        return Judgement(Verdict.SETTLED, TagKind.SENT)
    keep = _keep(record, present)
    if present != {keep}:
        return Judgement(Verdict.REPAIR, keep)
    known = record.tag_seen and record.tag == keep and not record.tag_pending
    return Judgement(Verdict.NOTHING if known else Verdict.SEEN, keep)


def _judge_untagged(record: InvoiceRecord, settled: datetime) -> Judgement:
    if not record.tag_seen and record.tagged_at is not None and record.tagged_at > settled:
        return Judgement(Verdict.NOTHING, record.tag)
    if not was_seen(record):
        return Judgement(Verdict.REPAIR, _keep(record, frozenset()))
    # What is on its way is finished first: its result is tagged, and can be removed again.
    return Judgement(Verdict.NOTHING if record.state in IN_FLIGHT else Verdict.REEXPORT)


def _keep(record: InvoiceRecord, present: frozenset[TagKind]) -> TagKind:
    match record.state:
        case InvoiceState.SENT:
            return TagKind.SENT
        case InvoiceState.FAILED | InvoiceState.BLOCKED:
            return TagKind.FAILED
        case _:
            return strongest(present) or record.tag or TagKind.UPLOADED


def was_seen(record: InvoiceRecord) -> bool:
    """Whether our tag was proven to be there: by a list, or by an answer that named it."""
    return record.tag_seen or bool(record.tag_relation)
