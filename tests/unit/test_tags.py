"""The tags that a person leaves on an invoice, and what follows: the table of the documentation.

`docs/reliability.md` says it in a table, and that same table is the test: all 16 combinations
of the four tags for an unknown invoice and each state of a record.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sync import tags
from sync.errors import Reason
from sync.model import InvoiceRecord, InvoiceState, TagKind
from sync.planner import Plan, Snapshot, plan
from sync.tags import Judgement, Verdict, judge
from tests.unit.engine_support import (
    LONG_AGO,
    NOW,
    SECOND,
    S,
    T,
    invoice_tag,
    record,
    row,
    snapshot,
)

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
TAGS = ("xTool", T.UPLOADED, T.FAILED, T.SENT)
LETTERS = {T.UPLOADED: "U", T.FAILED: "F", T.SENT: "S"}
COLUMNS = ("unknown", *(s.value for s in S), "dismissed")

type Cell = tuple[tuple[bool, ...], str, str]


def cells() -> Iterator[Cell]:
    """The table of the documentation: which tags are there, the column, the cell."""
    lines = PAGE.read_text("utf-8").partition("## Tags by hand")[2].splitlines()
    table = [line for line in lines if line.startswith("|")][: 2 + 16]
    if not table:
        return
    header = [c.strip() for c in table[0].strip("|").split("|")]
    for line in table[2:]:
        values = [c.strip() for c in line.strip("|").split("|")]
        present = tuple(bool(v) for v in values[:4])
        for column, cell in zip(header[4:], values[4:], strict=True):
            yield present, column, cell


def known(column: str) -> list[InvoiceRecord]:
    if column == "unknown":
        return []
    if column == "dismissed":
        return [record(S.WITHDRAWN, reason=Reason(code="withdrawn.dismissed"))]
    return [record(InvoiceState(column))]


def situation(present: tuple[bool, ...], column: str) -> Snapshot:
    relations = [
        invoice_tag("1", tag, f"r{i}")
        for i, (tag, there) in enumerate(zip(TAGS, present, strict=True))
        if there
    ]
    return snapshot(row(), records=known(column), tags=relations)


def words(found: Plan) -> str:
    """What a plan for one invoice does, in the words of the table."""
    said = ["import"] * len(found.imports) + ["foreign"] * found.foreign
    said += ["again"] * len(found.reexports) + ["resume"] * len(found.resumes)
    said += ["settle" for w in found.withdrawals if w.reason.code == "withdrawn.marked_sent"]
    said += [f"→ {LETTERS[repair.keep]}" for repair in found.repairs]
    said += [f"note {LETTERS[seen.keep]}" for seen in found.seen]
    return ", ".join(said) or "-"


def test_the_table_has_every_combination_and_every_state() -> None:
    combinations = {present for present, _, _ in cells()}
    assert combinations == set(itertools.product((False, True), repeat=4))
    assert {column for _, column, _ in cells()} == set(COLUMNS)


@pytest.mark.parametrize(("present", "column", "cell"), list(cells()))
def test_tags_by_hand(present: tuple[bool, ...], column: str, cell: str) -> None:
    assert words(plan(situation(present, column))) == cell


# ---- what the table leaves out: writes under way, fresh writes, no removal ----------------

HALF_A_MINUTE = timedelta(seconds=30)


def verdict(
    found: InvoiceRecord, *present: TagKind, removes: bool = True, proven: bool = False
) -> Judgement:
    return judge(found, frozenset(present), NOW, removes=removes, proven=proven)


def test_of_several_tags_the_strongest_counts() -> None:
    assert tags.strongest([]) is None
    assert tags.strongest([T.FAILED, T.UPLOADED]) is T.FAILED
    assert tags.strongest([T.FAILED, T.SENT, T.UPLOADED]) is T.SENT


def test_a_written_tag_settles_within_half_a_minute() -> None:
    assert tags.SETTLES_WITHIN == HALF_A_MINUTE


@pytest.mark.parametrize(
    ("tag_seen", "tagged_at", "fresh"),
    [
        (False, NOW, True),
        (False, NOW - HALF_A_MINUTE + SECOND, True),
        (False, NOW - HALF_A_MINUTE, False),
        (False, LONG_AGO, False),
        (False, None, False),
        (True, NOW, False),
    ],
)
def test_a_write_is_fresh_until_lists_must_show_it(
    tag_seen: bool, tagged_at: object, fresh: bool
) -> None:
    found = record(tag_seen=tag_seen, tagged_at=tagged_at)
    assert tags.is_fresh(found, NOW, HALF_A_MINUTE) is fresh


@pytest.mark.parametrize(
    ("tag_seen", "relation", "seen"),
    [(True, "r1", True), (True, "", True), (False, "r1", True), (False, "", False)],
)
def test_a_tag_was_seen_by_a_list_or_by_an_answer(
    tag_seen: bool, relation: str, seen: bool
) -> None:
    found = record(tag_seen=tag_seen, tag_relation=relation)
    assert tags.was_seen(found) is seen
    assert tags.vanished(found, NOW, HALF_A_MINUTE) is seen


@pytest.mark.parametrize("changes", [{"tag_pending": True}, {"tagged_at": NOW, "tag_seen": False}])
def test_nothing_vanishes_while_it_is_written(changes: dict[str, Any]) -> None:
    assert tags.vanished(record(**changes), NOW, HALF_A_MINUTE) is False


@pytest.mark.parametrize(
    ("found", "can"),
    [
        (record(S.READY), True),
        (record(S.FAILED), True),
        (record(S.SENT), False),
        (record(S.SUBMITTED), False),
        (record(S.WITHDRAWN), True),
        (record(S.WITHDRAWN, reason=None), True),
        (record(S.WITHDRAWN, reason=Reason(code="withdrawn.dismissed")), False),
        (record(S.WITHDRAWN, reason=Reason(code="withdrawn.marked_sent")), False),
    ],
)
def test_what_a_person_withdrew_is_not_sendable(found: InvoiceRecord, can: bool) -> None:
    assert tags.sendable(found) is can


@pytest.mark.parametrize("present", [(), (T.UPLOADED,), (T.UPLOADED, T.FAILED)])
@pytest.mark.parametrize("changes", [{"tag_pending": True}, {"tagged_at": NOW, "tag_seen": False}])
def test_a_poll_repairs_nothing_that_is_being_written(
    present: tuple[TagKind, ...], changes: dict[str, object]
) -> None:
    assert verdict(record(S.SENT, **changes), *present) == Judgement(Verdict.NOTHING, T.SENT)


def test_a_tag_that_failed_to_be_written_is_repaired() -> None:
    never = record(S.IMPORTED, tag=None, tag_seen=False, tag_relation="", tagged_at=None)
    assert verdict(never) == Judgement(Verdict.REPAIR, T.UPLOADED)
    failed = never.model_copy(update={"tag": T.FAILED})
    assert verdict(failed) == Judgement(Verdict.REPAIR, T.FAILED)


def test_a_stronger_tag_of_an_unsent_invoice_is_repaired_to() -> None:
    assert verdict(record(), T.UPLOADED, T.FAILED) == Judgement(Verdict.REPAIR, T.FAILED)


def test_several_tags_stay_where_sevdesk_removes_none() -> None:
    found = verdict(record(S.SENT), T.SENT, T.UPLOADED, removes=False)
    assert found == Judgement(Verdict.NOTHING, T.SENT)
    missing = verdict(record(S.SENT), T.UPLOADED, removes=False)
    assert missing == Judgement(Verdict.REPAIR, T.SENT)


@pytest.mark.parametrize(
    "changes",
    [{"tag_seen": False}, {"tag": T.UPLOADED}, {"tag_pending": True}],
)
def test_what_the_list_shows_and_the_record_does_not_know_is_noted(
    changes: dict[str, object],
) -> None:
    assert verdict(record(S.SENT, **changes), T.SENT) == Judgement(Verdict.SEEN, T.SENT)


@pytest.mark.parametrize(("seen", "expected"), [(True, Verdict.NOTHING), (False, Verdict.SEEN)])
def test_a_tag_under_a_send_under_way_is_noted_once(seen: bool, expected: Verdict) -> None:
    found = record(S.SUBMITTED, tag_seen=seen)
    assert verdict(found, T.UPLOADED) == Judgement(expected, T.UPLOADED)
    unknown = record(S.SUBMITTED, tag_seen=False, tag=None)
    assert verdict(unknown, T.FAILED) == Judgement(Verdict.SEEN, T.FAILED)


def test_an_untagged_invoice_under_way_keeps_what_it_had() -> None:
    assert verdict(record(S.SUBMITTED)) == Judgement(Verdict.NOTHING, T.UPLOADED)
    assert verdict(record(S.SENT)) == Judgement(Verdict.REEXPORT, T.SENT)


@pytest.mark.parametrize(
    ("state", "tag", "expected"),
    [
        (S.SENT, T.UPLOADED, Verdict.NOTHING),
        (S.SENT, T.FAILED, Verdict.NOTHING),
        (S.SENT, T.SENT, Verdict.REEXPORT),
        (S.FAILED, T.UPLOADED, Verdict.NOTHING),
        (S.FAILED, T.FAILED, Verdict.REEXPORT),
        (S.BLOCKED, T.UPLOADED, Verdict.REEXPORT),
    ],
)
def test_tags_that_are_older_than_the_result_are_not_missed(
    state: InvoiceState, tag: TagKind, expected: Verdict
) -> None:
    assert verdict(record(state, tag=tag)) == Judgement(expected, tag)


@pytest.mark.parametrize(("proven", "expected"), [(False, Verdict.NOTHING), (True, Verdict.SEEN)])
def test_a_list_that_may_be_older_than_our_write_proves_nothing(
    proven: bool, expected: Verdict
) -> None:
    fresh = record(S.SENT, tagged_at=NOW, tag_seen=False)
    assert verdict(fresh, T.SENT, proven=proven) == Judgement(expected, T.SENT)


def test_under_a_send_the_known_tag_counts_before_a_stronger_one() -> None:
    found = record(S.SUBMITTED, tag=T.UPLOADED, tag_seen=False)
    assert verdict(found, T.UPLOADED, T.FAILED) == Judgement(Verdict.SEEN, T.UPLOADED)


def test_a_tag_that_was_left_by_a_repair_was_not_seen_yet() -> None:
    named = record(tag_seen=False, tag_relation="r-1")
    assert tags.was_seen(named)
    assert not tags.was_seen(named.model_copy(update={"tag_left": True}))
