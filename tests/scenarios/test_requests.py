"""What xTool costs the sevDesk account, by the stand-in's own log: the promise of the README.

An idle poll is three requests, an invoice that is imported and sent four more, and each contact
that is met for the first time at most one.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import pytest

from tests.sandbox.seed import COMPANY, HOTEL, PLANNERS, TAG
from tests.sandbox.sevdesk import Contact, Invoice, SevdeskAccount
from tests.sandbox.sevdesk.server import Logged
from tests.sandbox.world import World, stand_ins
from tests.scenarios.test_journey import connect

TOKEN = "0ff1ce0ff1ce0ff1ce0ff1ce0ff1ce00"
SECONDS = 30.0
LISTS = ("/TagRelation", "/Invoice?status=200", "/Invoice?status=750")
SENT = {
    "GET /Invoice/{id}/getXml": 1,
    "POST /Tag/Factory/create": 2,
    "DELETE /TagRelation/{id}": 1,
}
PAGE, OVERLAP = 1000, 20  # rows of a page, and how many of them the next one repeats


@dataclass
class Company:
    """An account of its own, connected, with next to nothing in it."""

    world: World
    account: SevdeskAccount

    def contact(self, participant: str = HOTEL, *, tagged: bool = True, **given: Any) -> Contact:
        return self.account.add_contact(
            "Hotel Alsterblick GmbH",
            tagged=TAG if tagged else "",
            vat=participant.partition(":")[2],
            street="An der Alster 40",
            postcode="20099",
            city="Hamburg",
            **given,
        )

    async def sent(self, *contacts: Contact) -> None:
        """An invoice for each contact comes, is found by a sync, and is sent."""
        added = [self.account.add_invoice(contact) for contact in contacts]
        await self.sync()
        await self.world.until(lambda: all(self.is_sent(i) for i in added), SECONDS)

    def is_sent(self, invoice: Invoice) -> bool:
        return self.account.tags_of(invoice) == ["xTool-Peppol-Sent"]

    async def sync(self) -> None:
        """Sync now; while the last sync is still ending, nothing is begun, so ask again."""
        before = self.ends
        for _ in range(10):
            await self.world.slack.command("/sevdesk sync")
            with contextlib.suppress(TimeoutError):
                await self.world.until(lambda: self.ends > before, 2)
                return
        raise AssertionError("no sync began")

    async def polls(self, count: int) -> None:
        """Wait until `count` more polls have read their lists."""
        before = self.ends
        await self.world.until(lambda: self.ends >= before + count, SECONDS)

    @property
    def ends(self) -> int:
        return sum(shape(one) == LISTS[-1] for one in self.world.sevdesk.log)

    @property
    def cost(self) -> Cost:
        """What was asked since the log was emptied."""
        return Cost.of(self.world.sevdesk.log)


@dataclass
class Cost:
    """Requests of some polls: the lists, and everything else."""

    lists: Counter[str] = field(default_factory=Counter)
    rest: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, log: list[Logged]) -> Cost:
        names = [shape(one) for one in log]
        return cls(
            Counter(n for n in names if n in LISTS), Counter(n for n in names if n not in LISTS)
        )


def shape(one: Logged) -> str:
    """A request without its ids."""
    if one.path == "/Invoice":
        return f"/Invoice?status={dict(one.query).get('status')}"
    if (one.method, one.path) == ("GET", "/TagRelation"):
        return one.path
    parts = ["{id}" if part.isdigit() else part for part in one.path.split("/")]
    return f"{one.method} {'/'.join(parts)}"


@asynccontextmanager
async def company(**settings: Any) -> AsyncIterator[Company]:
    """Polls never come by themselves unless `poll_seconds` says so: syncs are asked for."""
    async with stand_ins(**{"poll_seconds": 3600, **settings}) as world, world.app():
        yield Company(world, world.sevdesk.add_account(TOKEN, COMPANY))


@pytest.fixture
async def small() -> AsyncIterator[Company]:
    """Connected, with one tagged contact to which an invoice was sent."""
    async with company() as made:
        contact = made.contact()
        await connect(made.world, token=TOKEN)
        await made.world.until(lambda: made.ends == 1, SECONDS)
        await made.sent(contact)
        made.world.sevdesk.forget()
        yield made


def lists(count: int) -> Counter[str]:
    """The lists of so many syncs."""
    return Counter(dict.fromkeys(LISTS, count))


def asked(count: int) -> Counter[str]:
    """What a sync costs more when a person asks for it: has the field "Peppol ID" come?"""
    return Counter({"GET /ContactCustomFieldSetting": count})


def sending(count: int) -> Counter[str]:
    """The four requests of each imported and sent invoice."""
    assert sum(SENT.values()) == 4
    return Counter({name: times * count for name, times in SENT.items()})


async def test_an_idle_poll_is_three_requests() -> None:
    async with company(poll_seconds=1) as made:
        await connect(made.world, token=TOKEN)
        await made.polls(1)
        made.world.sevdesk.forget()
        await made.polls(3)
    cost = made.cost
    assert set(cost.lists) == set(LISTS)
    assert cost.lists.total() <= 3 * made.ends + 2  # the next one has perhaps begun
    assert not cost.rest


async def test_an_imported_and_sent_invoice_is_four_more(small: Company) -> None:
    await small.sent(*small.account.contacts.values())
    assert small.cost == Cost(lists(1), sending(1) + asked(1))


async def test_a_contact_is_read_once_when_it_is_met(small: Company) -> None:
    fresh = small.contact(PLANNERS)
    await small.sent(fresh)
    await small.sent(fresh)
    contact = Counter({"GET /Contact/{id}": 1})
    assert small.cost == Cost(lists(2), sending(2) + asked(2) + contact)


async def test_ten_invoices_of_one_new_contact_read_it_once(small: Company) -> None:
    await small.sent(*[small.contact(PLANNERS)] * 10)
    contact = Counter({"GET /Contact/{id}": 1})
    assert small.cost == Cost(lists(1), sending(10) + asked(1) + contact)


async def test_a_person_of_a_tagged_organisation_is_read_once_too(small: Company) -> None:
    organisation = next(iter(small.account.contacts.values()))
    person = small.contact(tagged=False, parent=organisation.id)
    await small.sent(person)
    await small.sent(person)
    contact = Counter({"GET /Contact/{id}": 1})
    assert small.cost == Cost(lists(2), sending(2) + asked(2) + contact)


async def test_an_untagged_contact_is_read_once_and_never_again(small: Company) -> None:
    stranger = small.contact(tagged=False)
    for _ in range(3):
        small.account.add_invoice(stranger)
        await small.sync()
    assert small.cost == Cost(lists(3), Counter({"GET /Contact/{id}": 1}) + asked(3))


async def test_a_peppol_id_field_is_one_request_for_many_invoices() -> None:
    """Contacts' fields are read when something is sent, and once in ten minutes at most."""
    async with company(poll_seconds=2) as made:
        contact = made.contact()
        made.account.add_custom_field(contact, "Peppol ID", HOTEL)
        await connect(made.world, token=TOKEN)
        await made.polls(1)
        made.world.sevdesk.forget()
        added = [made.account.add_invoice(contact) for _ in range(5)]
        await made.world.until(lambda: all(made.is_sent(i) for i in added), SECONDS)
    rest = made.cost.rest
    assert rest["GET /ContactCustomField"] == 1
    assert rest["GET /Contact/{id}"] == 1
    assert rest["GET /ContactCustomFieldSetting"] == 0


async def test_connecting_costs_five_requests_and_a_poll() -> None:
    """Token and account when it is typed and again when it is saved; has it a Peppol id field?"""
    async with company() as made:
        await connect(made.world, token=TOKEN)
        await made.world.until(lambda: made.ends == 1, SECONDS)
        checks = Counter({"GET /Tools/bookkeepingSystemVersion": 2, "GET /SevClient": 2})
        assert made.cost.lists == lists(1)
        assert not made.cost.rest - checks - asked(1)


@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_a_first_sync_costs_what_the_formula_says() -> None:
    """One request for each list and each further 1,000 rows, one XML and one tag per invoice."""
    invoices = 1200
    async with company(poll_seconds=3600, sevdesk_rps=100) as made:
        contact = made.contact()
        added = [made.account.add_invoice(contact) for _ in range(invoices)]
        await connect(made.world, token=TOKEN)
        tagged = lambda: all(made.account.tags_of(i) == ["xTool-Uploaded"] for i in added)  # noqa: E731
        await made.world.until(tagged, 1000)
        cost = Cost.of(made.world.sevdesk.log)
        assert not made.world.access_point.taken
    pages = 1 + ceil((invoices - PAGE) / (PAGE - OVERLAP))
    assert cost.lists == {LISTS[0]: 1, LISTS[1]: pages, LISTS[2]: 1}
    assert cost.rest["GET /Invoice/{id}/getXml"] == invoices
    assert cost.rest["POST /Tag/Factory/create"] == invoices
    assert cost.rest["GET /Contact/{id}"] == 1
    assert cost.rest.total() <= 2 * invoices + 1 + 5  # at most five to connect
