"""The stand-in against the official rules, document by document, where those are here.

They cannot be part of this repository. `EUINVOICE_ARTIFACTS_DIR=DIR xtool rules fetch`, then
`EUINVOICE_ARTIFACTS_DIR=DIR pytest -m slow tests/unit/test_documents_differential.py`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from sync.documents import check, rules
from sync.documents.choose_type import XRECHNUNG, How
from sync.documents.convert import convert
from sync.documents.errors import DocumentError
from sync.documents.read import Opened, describe, open_document
from tests.unit.documents_support import ALL, OURS, THEIRS, load
from tests.unit.test_documents_fuzz import mutated

MUTANTS = 1_000
WAYS = (How.AS_IS, How.TO_UBL)


def outputs(source: bytes, way: How) -> Iterator[tuple[Opened, bool]]:
    """What would be sent, unjudged, and whether it is an XRechnung; nothing if it stops before."""
    try:
        opened = open_document(source)
        document = describe(opened)
        made = convert(opened, document, way, OURS, THEIRS, buyer_reference="4711")
        result = open_document(made.xml)
        yield result, describe(result).customization == XRECHNUNG
    except DocumentError:
        return


def accepts_too_much(source: bytes, way: How) -> list[str]:
    """The official fatal rules of what the stand-in takes for valid."""
    found: list[str] = []
    for opened, xrechnung in outputs(source, way):
        try:
            stand_in = check._stand_in(opened, xrechnung=xrechnung)
        except DocumentError:
            continue
        if stand_in.valid:
            found += [f.rule for f in check._official(opened, xrechnung=xrechnung).fatal]
    return found


@pytest.fixture
def official() -> None:
    """Skip where the official rules are not here."""
    if not rules.available():
        pytest.skip("the official rules are not here: see this module's docstring")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("official")
def test_the_stand_in_takes_nothing_that_the_official_rules_refuse() -> None:
    dice = random.Random(20261122)
    for number in range(MUTANTS):
        name = dice.choice(ALL)
        text = mutated(load(name).decode(), dice)
        assert accepts_too_much(text.encode(), dice.choice(WAYS)) == [], (
            f"mutant {number} of {name}"
        )


@pytest.mark.slow
@pytest.mark.usefixtures("official")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", [name for name in ALL if name.startswith("xrechnung")])
def test_what_is_sent_passes_the_official_rules(name: str, way: How) -> None:
    ((opened, xrechnung),) = outputs(load(name), way)
    assert check._official(opened, xrechnung=xrechnung).fatal == ()
