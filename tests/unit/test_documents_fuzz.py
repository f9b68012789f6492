"""Whatever is wrong with a document: an error of ours, or a document that is proved and judged."""

from __future__ import annotations

import contextlib
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.documents import work
from sync.documents.choose_type import How
from sync.documents.errors import DocumentError
from sync.documents.read import read
from sync.documents.work import Plan
from tests.unit.documents_support import ALL, OURS, THEIRS, load, many_lines

VALUES = (
    *("", "  ", "0", "-1", "1e5", "9" * 40, "x", "ä\u200b", "2026-02-30", "20260230", "NaN"),
    *("&lt;b&gt;", "DE", "XX", "A" * 3000, "E", "O", "381", "0.005"),
)
ATTRIBUTE = re.compile(r'(schemeID|unitCode|currencyID|format|mimeCode)="[^"]*"')
LEAF = re.compile(r"<[^/?!][^>]*>[^<]*</[^>]*>")


def mutated(text: str, dice: random.Random) -> str:
    """One element removed, doubled, moved, refilled, or with another attribute."""
    leaves = [match.span() for match in LEAF.finditer(text)]
    (start, end), (other, last) = sorted(dice.sample(leaves, 2))
    leaf = text[start:end]
    value = dice.choice(VALUES)
    changed = dice.choice(
        (
            "",
            leaf * 2,
            re.sub(r">[^<]*<", lambda _: f">{value}<", leaf, count=1),
            re.sub(r' \w+="[^"]*"', "", leaf),
            ATTRIBUTE.sub(rf'\1="{dice.choice(("", "XX", "EM", "0204", "102"))}"', leaf),
            None,
        )
    )
    if changed is None:
        return text[:start] + text[other:last] + text[end:other] + leaf + text[last:]
    return text[:start] + changed + text[end:]


def holds(seed: int) -> None:
    """Make something of a mutant; only our errors may come of it, or equal totals."""
    dice = random.Random(seed)
    text = load(dice.choice(ALL)).decode()
    for _ in range(dice.randint(1, 3)):
        text = mutated(text, dice)
    plan = Plan(
        how=dice.choice(list(How)),
        sender=OURS,
        receiver=THEIRS,
        buyer_reference=dice.choice(("", "4711")),
    )
    try:
        _, xml = work.make(text.encode(), plan)
    except DocumentError:  # anything else is a bug of ours
        return
    assert read(xml).totals.due == read(text.encode()).totals.due


@settings(max_examples=100, deadline=None)
@given(st.integers(min_value=0, max_value=2**32))
def test_a_damaged_invoice_is_refused_by_name_or_made_right(seed: int) -> None:
    holds(seed)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_three_thousand_damaged_invoices_are_refused_by_name_or_made_right() -> None:
    for seed in range(3_000):
        holds(seed)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.integers(min_value=0, max_value=9_000))
def test_bytes_of_any_kind_are_refused_by_name_or_read(junk: bytes, at: int) -> None:
    source = load()
    with contextlib.suppress(DocumentError):  # anything else is a bug of ours
        read(source[:at] + junk + source[at + len(junk) :])


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", list(How))
def test_four_thousand_lines_travel_every_way(how: How) -> None:
    source = many_lines(4_000)
    _, xml = work.make(source, Plan(how=how, sender=OURS, receiver=THEIRS))
    assert read(xml).line_count == 4_000
    assert read(xml).totals == read(source).totals
