"""What a poll does with an invoice that it does not know: import it, ask, or leave it alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from sync import planner
from sync.errors import Reason
from sync.model import TagKind, Unexportable
from sync.planner import Import, plan
from sync.sevdesk.models import TagRelation
from tests.unit.engine_support import (
    NOW,
    SECOND,
    T,
    connection,
    contact_tag,
    imported,
    invoice_tag,
    record,
    row,
    snapshot,
)

# ---- what is imported -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "wanted"),
    [("200", True), ("750", True), ("100", False), ("1000", False), ("50", False), ("", False)],
)
def test_only_unpaid_invoices_are_imported(status: str, wanted: bool) -> None:
    assert imported(plan(snapshot(row(status=status)))) == ["1"] * wanted


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("RE", True),
        ("AR", True),
        ("TR", True),
        ("ER", True),
        ("SR", False),
        ("MA", False),
        ("WKR", False),
        ("", False),
    ],
)
def test_only_types_that_are_invoices_are_imported(kind: str, wanted: bool) -> None:
    assert imported(plan(snapshot(row(invoice_type=kind)))) == ["1"] * wanted


def test_a_draft_without_a_number_is_not_imported() -> None:
    assert imported(plan(snapshot(row(number="")))) == []


def test_invoices_of_untagged_contacts_are_not_imported() -> None:
    assert imported(plan(snapshot(row(contact_id="c2")))) == []


def test_a_tag_of_another_name_on_a_contact_means_nothing() -> None:
    found = snapshot(row(), relations=(contact_tag(name="xTool-Uploaded"),))
    assert imported(plan(found)) == []


def test_the_contact_tag_on_an_invoice_is_no_contact() -> None:
    on_invoice = TagRelation("r", "9", "Invoice", "c1", "xTool")
    assert planner.tagged_contacts(snapshot(relations=(on_invoice,))) == frozenset()


def test_the_prefix_is_configurable() -> None:
    found = snapshot(row(), relations=(contact_tag(name="peppol"),), prefix="peppol")
    assert imported(plan(found)) == ["1"]


def test_a_person_of_a_tagged_organisation_is_synced() -> None:
    assert imported(plan(snapshot(row(contact_id="p1", parent_id="c1")))) == ["1"]
    assert imported(plan(snapshot(row(contact_id="p1"), parents={"p1": "c1"}))) == ["1"]


def test_a_person_of_an_untagged_organisation_is_not_synced() -> None:
    found = snapshot(row(contact_id="p1", parent_id="c2"), row("2", contact_id="p2"))
    assert imported(plan(replace(found, parents={"p2": ""}))) == []


def test_an_invoice_without_a_contact_is_not_synced() -> None:
    assert imported(plan(snapshot(row(contact_id="")))) == []


def test_names_of_tags_come_from_the_relation_else_from_the_list() -> None:
    nameless = replace(contact_tag(), tag_name="")
    assert imported(plan(snapshot(row(), relations=(nameless,)))) == []
    assert imported(plan(snapshot(row(), relations=(nameless,), tag_names={"9": "xTool"}))) == ["1"]


def test_tags_must_be_listed_when_one_has_no_known_name() -> None:
    nameless = replace(contact_tag(), tag_name="")
    assert planner.unknown_tags([nameless], {}) is True
    assert planner.unknown_tags([nameless], {"9": "xTool"}) is False
    assert planner.unknown_tags([contact_tag()], {}) is False


def test_the_oldest_invoice_is_imported_first_whatever_the_order_of_the_list() -> None:
    rows = [
        row("3", invoice_date=date(2026, 3, 1)),
        row("1", invoice_date=date(2026, 1, 2), number="RE-B"),
        row("2", invoice_date=date(2026, 1, 2), number="RE-A"),
        row("4", invoice_date=None),
    ]
    for order in (rows, rows[::-1]):
        assert imported(plan(snapshot(*order))) == ["4", "2", "1", "3"]


def test_an_invoice_that_is_listed_twice_is_imported_once() -> None:
    assert imported(plan(snapshot(row(), row()))) == ["1"]


def test_a_known_invoice_is_not_imported_again() -> None:
    found = plan(snapshot(row(), records=[record()], tags=[invoice_tag()]))
    assert imported(found) == []


@pytest.mark.parametrize("kind", list(TagKind))
def test_an_unknown_invoice_with_one_of_our_tags_is_foreign_and_left_alone(kind: TagKind) -> None:
    found = plan(snapshot(row(), tags=[invoice_tag(kind=kind)]))
    assert (imported(found), found.foreign, found.skipped, found.considered) == ([], 1, 0, 1)


def test_a_tag_of_somebody_else_on_an_invoice_means_nothing() -> None:
    found = plan(snapshot(row(), tags=[invoice_tag(kind="urgent"), invoice_tag(kind="xTool")]))
    assert (imported(found), found.foreign) == (["1"], 0)


def test_our_tag_names_on_a_contact_are_no_invoice_tags() -> None:
    relation = TagRelation("r", "t", "Contact", "1", "xTool-Uploaded")
    assert planner.invoice_tags(snapshot(relations=(relation,))) == {}


def test_all_relations_of_a_tag_are_found() -> None:
    tags = [invoice_tag(relation="a"), invoice_tag(relation="b"), invoice_tag(kind=T.SENT)]
    assert planner.invoice_tags(snapshot(tags=tags)) == {
        "1": {T.UPLOADED: ("a", "b"), T.SENT: ("r1",)}
    }


def test_the_plan_counts_what_it_considered() -> None:
    rows = [row("1"), row("2"), row("3", contact_id="c2"), row("4", status="100")]
    assert plan(snapshot(*rows)).considered == 2


# ---- contacts to read -------------------------------------------------------------------


def test_a_contact_is_read_when_its_organisation_is_not_known() -> None:
    assert planner.contacts_to_read(snapshot(row(contact_id="p1"))) == ("p1",)


@pytest.mark.parametrize(
    "changes",
    [
        {"contact_id": "c1"},
        {"contact_id": "p1", "parent_id": "c9"},
        {"contact_id": ""},
        {"contact_id": "p1", "status": "100"},
        {"contact_id": "known"},
    ],
)
def test_a_contact_is_not_read_for_nothing(changes: dict[str, str]) -> None:
    assert planner.contacts_to_read(snapshot(row(**changes), parents={"known": ""})) == ()


def test_a_contact_of_several_invoices_is_read_once() -> None:
    rows = [row("1", contact_id="p1"), row("2", contact_id="p2"), row("3", contact_id="p1")]
    assert planner.contacts_to_read(snapshot(*rows)) == ("p1", "p2")


def test_no_contact_is_read_where_none_is_tagged() -> None:
    assert planner.contacts_to_read(snapshot(row(contact_id="p1"), relations=())) == ()


# ---- unexportable -----------------------------------------------------------------------


def skip(**changes: Any) -> dict[str, Unexportable]:
    values: dict[str, Any] = {
        "invoice_id": "1",
        "revision": "1",
        "number": "RE-1",
        "reason": Reason(code="sevdesk.not_an_einvoice"),
    }
    return {"1": Unexportable(**values | changes)}


def test_an_invoice_without_xml_is_remembered_until_it_changes() -> None:
    found = plan(snapshot(row(), unexportable=skip()))
    assert (imported(found), found.skipped) == ([], 1)
    changed = plan(snapshot(row(revision="2"), unexportable=skip()))
    assert (imported(changed), changed.skipped) == (["1"], 0)


@pytest.mark.parametrize(("after", "tried"), [(-SECOND, True), (0 * SECOND, True), (SECOND, False)])
def test_an_invoice_whose_xml_may_come_is_tried_again_in_time(after: Any, tried: bool) -> None:
    found = snapshot(row(), unexportable=skip(retry_at=NOW + after))
    assert imported(plan(found)) == ["1"] * tried


def test_what_is_open_no_more_is_forgotten() -> None:
    assert plan(snapshot(unexportable=skip())).forget == ("1",)
    assert plan(snapshot(row(), unexportable=skip())).forget == ()
    assert plan(snapshot(unexportable=skip(), unreadable=frozenset({"1"}))).forget == ()
    assert plan(snapshot(unexportable=skip(), complete=False)).forget == ()


# ---- holds ------------------------------------------------------------------------------

NEVER_SYNCED = connection(last_sync=None)


@pytest.mark.parametrize(("count", "hold"), [(10, ""), (11, "first_sync")])
def test_a_large_first_sync_asks_before_sending(count: int, hold: str) -> None:
    rows = [row(str(i)) for i in range(count)]
    found = plan(snapshot(*rows, connection=NEVER_SYNCED))
    assert {i.hold for i in found.imports} == {hold}


def test_a_later_sync_of_any_size_does_not_ask() -> None:
    rows = [row(str(i)) for i in range(50)]
    assert {i.hold for i in plan(snapshot(*rows)).imports} == {""}


def test_an_interrupted_first_sync_still_asks() -> None:
    done = [record(invoice_id=str(i), hold="first_sync") for i in range(8)]
    rows = [row(str(i)) for i in range(11)]
    tags = [invoice_tag(str(i)) for i in range(8)]
    found = plan(snapshot(*rows, records=done, tags=tags, connection=NEVER_SYNCED))
    assert [i.hold for i in found.imports] == ["first_sync"] * 3


def test_what_was_imported_without_asking_does_not_count_for_the_first_sync() -> None:
    done = [record(invoice_id=str(i)) for i in range(9)]
    rows = [row(str(i)) for i in range(11)]
    tags = [invoice_tag(str(i)) for i in range(9)]
    found = plan(snapshot(*rows, records=done, tags=tags, connection=NEVER_SYNCED))
    assert [i.hold for i in found.imports] == [""] * 2


def test_an_organisation_that_wants_to_be_asked_is_asked() -> None:
    asking = connection(ask_before_sending=True)
    assert plan(snapshot(row(), connection=asking)).imports == (Import(row(), "ask"),)


def test_a_small_first_sync_of_an_organisation_that_wants_to_be_asked_asks() -> None:
    asking = connection(ask_before_sending=True, last_sync=None)
    assert plan(snapshot(row(), connection=asking)).imports == (Import(row(), "ask"),)
