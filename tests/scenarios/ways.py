"""The same way through each access point, and invoices of our own and official ones on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, get_args

import pytest

from sync.peppol.access_point import Find
from sync.peppol.registry import PROVIDERS
from sync.settings import Provider
from tests.sandbox.access_points import Fault
from tests.sandbox.access_points.base import read
from tests.scenarios.story import FAILED, SENT, UPLOADED, Cause, Expected, Happen, Scene, receiver
from tests.spec import spec_path

NAMES: Final[tuple[Provider, ...]] = get_args(Provider)
FIXTURES: Final = Path(__file__).resolve().parents[1] / "fixtures" / "documents"
OFFICIAL: Final = ("xrechnung-cii-01.01a.xml", "xrechnung-cii-01.15a-attachment.xml")
DELIVERED: Final = Expected("sent", SENT, "goes on")
ASKED: Final = Expected("unconfirmed", UPLOADED, "asks", "Nobody can say whether")


def way(provider: Provider, name: str) -> str:
    """What a way is called."""
    return f"{name} ({provider})"


def after_a_cut(provider: Provider) -> Expected:
    """What follows when the connection breaks and the access point took nothing.

    Who can be asked by an id of our own says a certain no, so it is sent again; who can only be
    searched cannot rule out that it has the invoice.
    """
    known = PROVIDERS[provider].capabilities.find is Find.OWN_ID
    return Expected("sent", SENT, "sent again") if known else ASKED


def _ways(provider: Provider) -> Iterator[Cause]:
    refusal = Expected("failed", FAILED, "no", "could not deliver it … no such mailbox")
    for name, happen, expected in (
        ("delivered", receiver(pending_polls=1), DELIVERED),
        ("answer lost", receiver(fault=Fault.LOST_ANSWER, pending_polls=1), DELIVERED),
        ("cut, not taken", receiver(fault=Fault.RESET, faulty=1), after_a_cut(provider)),
        ("rejected", receiver(rejects=9, rejection="no such mailbox"), refusal),
    ):
        slow = name in ("answer lost", "cut, not taken")
        yield Cause(way(provider, name), happen, provider, slow=slow, expected=expected)


def holds(xml: bytes) -> Happen:
    """The invoice in sevDesk has this document, and its number."""

    def happen(scene: Scene) -> None:
        scene.account.edit(scene.invoice, xml=xml, number=read(xml)[0])

    return happen


def _official() -> Iterator[tuple[str, bytes]]:
    for name in OFFICIAL:
        try:
            yield name, spec_path(f"invoices/{name}").read_bytes()
        except pytest.skip.Exception:
            return  # the official documents are not here; our own are


def _samples(provider: Provider) -> Iterator[Cause]:
    own = ((path.name, path.read_bytes()) for path in sorted(FIXTURES.glob("*-cii*.xml")))
    for name, xml in (*own, *_official()):
        yield Cause(way(provider, name), holds(xml), provider, expected=DELIVERED)


WAYS: Final = tuple(cause for provider in NAMES for cause in _ways(provider))
SAMPLES: Final = tuple(cause for provider in NAMES for cause in _samples(provider))
