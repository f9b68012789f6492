"""What a poll does with what it knows: re-exports, lost tags, withdrawals and repairs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sync.errors import Reason
from sync.model import ConnectionState, InvoiceRecord, InvoiceState
from sync.planner import Plan, Repair, Seen, plan
from tests.unit.engine_support import (
    LONG_AGO,
    NOW,
    S,
    T,
    connection,
    imported,
    invoice_tag,
    record,
    row,
    snapshot,
)


def many(count: int, state: InvoiceState = S.SENT, **changes: Any) -> list[InvoiceRecord]:
    return [record(state, invoice_id=str(i), **changes) for i in range(1, count + 1)]


# ---- re-export --------------------------------------------------------------------------

REEXPORTED = [S.SENT, S.FAILED, S.BLOCKED, S.WAITING, S.IMPORTED, S.READY, S.WITHDRAWN]


@pytest.mark.parametrize("state", REEXPORTED)
def test_removing_all_tags_by_hand_imports_again(state: InvoiceState) -> None:
    found = plan(snapshot(row(), records=[record(state)]))
    assert [r.record.invoice_id for r in found.reexports] == ["1"]
    assert (found.resumes, found.repairs, found.lost) == ((), (), ())


@pytest.mark.parametrize("state", [S.SUBMITTING, S.UNCONFIRMED, S.SUBMITTED])
def test_what_is_on_its_way_is_finished_before_it_is_imported_again(state: InvoiceState) -> None:
    assert plan(snapshot(row(), records=[record(state)])) == Plan(considered=1)


def test_a_tag_that_was_never_seen_was_not_removed() -> None:
    found = plan(snapshot(row(), records=[record(S.SENT, tag_seen=False, tag_relation="")]))
    assert found.reexports == ()
    assert [(r.keep, r.add, r.remove) for r in found.repairs] == [(T.SENT, True, ())]


def test_an_answer_that_named_the_relation_counts_as_seen() -> None:
    found = plan(snapshot(row(), records=[record(S.SENT, tag_seen=False)]))
    assert len(found.reexports) == 1


@pytest.mark.parametrize(("age", "again"), [(29, False), (30, True), (31, True)])
def test_a_list_may_lag_behind_a_write(age: int, again: bool) -> None:
    fresh = record(S.SENT, tag_seen=False, tagged_at=NOW - timedelta(seconds=age))
    found = plan(snapshot(row(), records=[fresh]))
    assert len(found.reexports) == again
    assert found.repairs == ()


@pytest.mark.parametrize(
    ("relation", "left", "seen"),
    [("r1", False, True), ("r0", False, False), ("r1", True, False)],
    ids=["the one that was written", "an older one", "one that a repair left alone"],
)
def test_a_fresh_write_is_seen_when_a_list_shows_that_very_relation(
    relation: str, left: bool, seen: bool
) -> None:
    fresh = record(S.SENT, tag_seen=False, tagged_at=NOW, tag_relation="r1", tag_left=left)
    found = plan(
        snapshot(row(), records=[fresh], tags=[invoice_tag(kind=T.SENT, relation=relation)])
    )
    assert [s.relation for s in found.seen] == ["r1"] * seen


@pytest.mark.parametrize(("age", "removed"), [(1, True), (0.9, False)])
def test_a_tag_that_was_seen_is_removed_when_lists_may_not_lag_any_more(
    age: float, removed: bool
) -> None:
    """That one list showed it does not mean that the next is not older than the write."""
    within = timedelta(seconds=10)
    seen = record(S.SENT, tag_seen=True, tagged_at=NOW - age * within)
    found = plan(replace(snapshot(row(), records=[seen]), lags_within=within))
    assert (len(found.reexports), found.repairs) == (int(removed), ())


def test_most_tags_that_a_list_may_not_show_yet_are_not_lost() -> None:
    rows = [row(str(i)) for i in range(3)]
    seen = [record(S.SENT, invoice_id=str(i), tag_seen=True, tagged_at=NOW) for i in range(3)]
    assert plan(snapshot(*rows, records=seen)).lost == ()


def test_a_write_under_way_is_no_removal() -> None:
    pending = record(S.SENT, tag=T.UPLOADED, tag_pending=True)
    found = plan(snapshot(row(), records=[pending]))
    assert (found.reexports, found.repairs) == ((), ())


def test_a_tag_that_was_renamed_is_no_removal() -> None:
    renamed = invoice_tag(kind="Peppol gesendet", relation="r1")
    found = plan(snapshot(row(), records=[record(S.SENT)], tags=[renamed]))
    assert found.reexports == ()
    assert [(r.keep, r.add) for r in found.repairs] == [(T.SENT, True)]


def test_a_reexport_asks_where_the_organisation_wants_it() -> None:
    asking = connection(ask_before_sending=True)
    found = plan(snapshot(row(), records=[record(S.SENT)], connection=asking))
    assert [r.hold for r in found.reexports] == ["ask"]


def test_a_reexport_knows_the_invoice_as_it_is_now() -> None:
    found = plan(snapshot(row(revision="9"), records=[record(S.SENT)]))
    assert found.reexports[0].row.revision == "9"


# ---- mass loss --------------------------------------------------------------------------


def lost_of(lost: int, kept: int, **changes: Any) -> Plan:
    records = many(lost + kept)
    rows = [row(r.invoice_id) for r in records]
    tags = [invoice_tag(r.invoice_id, T.SENT, f"k{r.invoice_id}") for r in records[lost:]]
    return plan(snapshot(*rows, records=records, tags=tags, **changes))


@pytest.mark.parametrize(
    ("lost", "kept", "held"),
    [(3, 0, True), (3, 2, True), (3, 3, False), (4, 3, True), (2, 0, False), (5, 6, False)],
)
def test_most_tags_gone_at_once_asks_instead_of_importing(lost: int, kept: int, held: bool) -> None:
    found = lost_of(lost, kept)
    expected = {str(i) for i in range(1, lost + 1)}
    assert set(found.lost) == (expected if held else set())
    assert len(found.reexports) == (0 if held else lost)


def test_a_mass_loss_does_nothing_else() -> None:
    assert lost_of(4, 0) == Plan(lost=("1", "2", "3", "4"), considered=4)


def test_tags_that_were_never_seen_are_not_lost() -> None:
    records = many(4, tag_seen=False, tag_relation="")
    rows = [row(r.invoice_id) for r in records]
    assert plan(snapshot(*rows, records=records)).lost == ()


@pytest.mark.parametrize("changes", [{"tag_seen": False, "tagged_at": NOW}, {"tag_pending": True}])
def test_tags_that_are_just_being_written_are_not_lost(changes: dict[str, Any]) -> None:
    records = many(4, **changes)
    rows = [row(r.invoice_id) for r in records]
    assert plan(snapshot(*rows, records=records)).lost == ()


def test_invoices_that_are_paid_by_now_are_not_lost() -> None:
    rows = [row(str(i), status="1000") for i in range(1, 5)]
    assert plan(snapshot(*rows, records=many(4))).lost == ()


HELD = connection(state=ConnectionState.HELD, held_invoices=("1", "2", "3"))


def test_a_hold_lasts_while_one_of_its_tags_is_missing() -> None:
    found = lost_of(1, 4, connection=HELD)
    assert (found.lost, found.reexports) == (("1",), ())


def test_a_hold_ends_when_its_tags_are_back() -> None:
    assert lost_of(0, 4, connection=HELD) == Plan(considered=4)


def test_a_hold_does_not_wait_for_invoices_that_are_paid() -> None:
    found = plan(snapshot(row("9"), records=many(3), connection=HELD))
    assert (found.lost, imported(found)) == ((), ["9"])


# ---- withdrawals, the gone, the resumed ---------------------------------------------------

UNSENT = [S.IMPORTED, S.WAITING, S.READY, S.BLOCKED, S.FAILED]
NOT_TOUCHED = [S.SUBMITTING, S.UNCONFIRMED, S.SUBMITTED, S.SENT, S.WITHDRAWN]


@pytest.mark.parametrize("state", UNSENT)
def test_a_contact_that_lost_its_tag_takes_its_unsent_invoices_with_it(
    state: InvoiceState,
) -> None:
    found = plan(snapshot(row(), records=[record(state)], relations=()))
    assert [w.record.invoice_id for w in found.withdrawals] == ["1"]
    assert found.withdrawals[0].reason.code == "withdrawn.contact_untagged"
    assert found.withdrawals[0].tag is None


@pytest.mark.parametrize("state", NOT_TOUCHED)
def test_a_contact_that_lost_its_tag_does_not_take_back_what_left(state: InvoiceState) -> None:
    assert plan(snapshot(row(), records=[record(state)], relations=())).withdrawals == ()


@pytest.mark.parametrize("state", UNSENT)
@pytest.mark.parametrize("rows", [(), (row(status="1000"),)])
def test_an_unsent_invoice_in_no_list_is_looked_up(state: InvoiceState, rows: Any) -> None:
    found = plan(snapshot(*rows, records=[record(state)]))
    assert [r.invoice_id for r in found.gone] == ["1"]


@pytest.mark.parametrize("state", NOT_TOUCHED)
def test_what_left_is_not_looked_up_when_it_is_paid(state: InvoiceState) -> None:
    assert plan(snapshot(records=[record(state)])).gone == ()


def test_an_invoice_that_is_listed_is_not_gone() -> None:
    found = plan(snapshot(row(), records=[record()], tags=[invoice_tag()]))
    assert (found.gone, found.withdrawals) == ((), ())


def test_a_row_that_cannot_be_read_is_not_gone() -> None:
    found = snapshot(records=[record()])
    assert plan(replace(found, unreadable=frozenset({"1"}))).gone == ()
    assert plan(replace(found, complete=False)).gone == ()


def test_a_withdrawn_invoice_that_is_open_again_goes_on() -> None:
    found = plan(snapshot(row(), records=[record(S.WITHDRAWN)], tags=[invoice_tag()]))
    assert [r.invoice_id for r in found.resumes] == ["1"]


def test_a_withdrawal_without_a_reason_goes_on() -> None:
    withdrawn = record(S.WITHDRAWN, reason=None)
    found = plan(snapshot(row(), records=[withdrawn], tags=[invoice_tag()]))
    assert len(found.resumes) == 1


@pytest.mark.parametrize("code", ["withdrawn.marked_sent", "withdrawn.dismissed"])
def test_what_a_person_withdrew_stays_withdrawn(code: str) -> None:
    withdrawn = record(S.WITHDRAWN, reason=Reason(code=code))
    found = plan(snapshot(row(), records=[withdrawn], tags=[invoice_tag()]))
    assert (found.resumes, found.withdrawals, found.reexports) == ((), (), ())


@pytest.mark.parametrize("code", ["withdrawn.marked_sent", "withdrawn.dismissed"])
def test_what_a_person_withdrew_is_imported_again_without_its_tags(code: str) -> None:
    withdrawn = record(S.WITHDRAWN, reason=Reason(code=code))
    assert len(plan(snapshot(row(), records=[withdrawn])).reexports) == 1


def test_a_sent_invoice_is_not_resumed() -> None:
    tags = [invoice_tag(kind=T.SENT)]
    assert plan(snapshot(row(), records=[record(S.SENT)], tags=tags)).resumes == ()


# ---- seen, settled, repaired ------------------------------------------------------------


def test_a_tag_that_is_met_for_the_first_time_is_remembered_with_its_relation() -> None:
    unseen = record(S.SENT, tag_seen=False, tag_relation="")
    found = plan(snapshot(row(), records=[unseen], tags=[invoice_tag(kind=T.SENT, relation="r7")]))
    assert found.seen == (Seen(unseen, T.SENT, "r7"),)


def test_what_is_known_is_not_written_again() -> None:
    found = plan(snapshot(row(), records=[record(S.SENT)], tags=[invoice_tag(kind=T.SENT)]))
    assert found == Plan(considered=1)


def test_a_tag_of_a_send_under_way_is_remembered_as_it_is() -> None:
    flying = record(S.SUBMITTED, tag_seen=False, tag=None, tag_relation="")
    found = plan(snapshot(row(), records=[flying], tags=[invoice_tag(relation="r5")]))
    assert found.seen == (Seen(flying, T.UPLOADED, "r5"),)


def test_sent_by_hand_settles_an_unsent_invoice() -> None:
    found = plan(snapshot(row(), records=[record(S.FAILED)], tags=[invoice_tag(kind=T.SENT)]))
    assert [(w.reason.code, w.tag, w.relation) for w in found.withdrawals] == [
        ("withdrawn.marked_sent", T.SENT, "r1")
    ]


def test_sent_by_hand_settles_a_withdrawn_invoice_instead_of_sending_it() -> None:
    found = plan(snapshot(row(), records=[record(S.WITHDRAWN)], tags=[invoice_tag(kind=T.SENT)]))
    assert (len(found.withdrawals), found.resumes) == (1, ())


def test_a_repair_adds_what_is_missing_and_removes_the_rest() -> None:
    sent = record(S.SENT, tag_relation="s")
    tags = [invoice_tag(relation="u"), invoice_tag(kind=T.FAILED, relation="f")]
    found = plan(snapshot(row(), records=[sent], tags=tags))
    assert found.repairs == (Repair(sent, T.SENT, True, ("u", "f"), ""),)


def test_a_repair_keeps_the_relation_that_was_written() -> None:
    sent = record(S.SENT, tag_relation="s2")
    tags = [
        invoice_tag(kind=T.SENT, relation="s1"),
        invoice_tag(kind=T.SENT, relation="s2"),
        invoice_tag(relation="u"),
    ]
    found = plan(snapshot(row(), records=[sent], tags=tags))
    assert found.repairs == (Repair(sent, T.SENT, False, ("s1", "u"), "s2"),)


def test_the_same_tag_twice_is_put_right() -> None:
    sent = record(S.SENT, tag_relation="gone")
    tags = [invoice_tag(kind=T.SENT, relation="s1"), invoice_tag(kind=T.SENT, relation="s2")]
    found = plan(snapshot(row(), records=[sent], tags=tags))
    assert found.repairs == (Repair(sent, T.SENT, False, ("s2",), "s1"),)
    assert found.seen == ()


@pytest.mark.parametrize("changes", [{"tag_pending": True}, {"state": S.SUBMITTED}])
def test_the_same_tag_twice_waits_for_what_is_under_way(changes: dict[str, Any]) -> None:
    known = record(**{"state": S.IMPORTED} | changes)
    tags = [invoice_tag(relation="s1"), invoice_tag(relation="s2")]
    assert plan(snapshot(row(), records=[known], tags=tags)).repairs == ()


def test_several_tags_stay_where_sevdesk_removes_none() -> None:
    tags = [invoice_tag(kind=T.SENT, relation="r1"), invoice_tag(relation="u")] * 2
    found = plan(snapshot(row(), records=[record(S.SENT)], tags=tags, removes=False))
    assert found.repairs == ()


def test_nothing_is_planned_for_records_of_paid_invoices() -> None:
    found = plan(snapshot(row(status="1000"), records=[record(S.SENT, tagged_at=LONG_AGO)]))
    assert found == Plan()


@pytest.mark.parametrize(
    ("changes", "fetched"),
    [
        ({}, True),
        ({"state": S.READY, "backoff": 1}, True),
        ({"state": S.IMPORTED, "backoff": 1}, True),
        ({"state": S.READY}, False),
        ({"state": S.IMPORTED}, False),
        ({"state": S.SUBMITTING}, False),
        ({"state": S.BLOCKED}, False),
        ({"refetch": True}, False),
        ({"revision": "2"}, False),
        ({"tag_seen": False}, False),
    ],
)
def test_an_invoice_that_changed_while_it_waited_is_prepared_afresh(
    changes: dict[str, Any], fetched: bool
) -> None:
    waiting = record(**{"state": S.WAITING, "revision": "1"} | changes)
    found = plan(snapshot(row(revision="2"), records=[waiting], tags=[invoice_tag()]))
    assert [r.invoice_id for r in found.changed] == ["1"] * fetched
