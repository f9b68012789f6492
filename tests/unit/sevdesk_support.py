"""Fixtures of the sevDesk tests: a stand-in with one small account, and a client for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from sync.sevdesk import SevdeskClient, build_http
from tests.sandbox.cii import Party
from tests.sandbox.sevdesk import SevdeskAccount, SevdeskStandIn

TOKEN = "c0ffee00c0ffee00c0ffee00c0ffee00"
SELLER = Party(
    name="Werkstatt Nord GmbH",
    street="Hafenweg 3",
    postcode="20457",
    city="Hamburg",
    email="rechnung@werkstatt-nord.example",
    contact="Ida Holm",
    phone="+49 40 5550100",
    vat="DE136695976",
    tax_number="22/815/08154",
    iban="DE75512108001245126199",
    bic="SOLADEST600",
)


@dataclass
class World:
    """A stand-in, its account, a client, and how often the client asked for its pace."""

    sevdesk: SevdeskStandIn
    account: SevdeskAccount
    http: httpx.AsyncClient
    paced: int = 0

    async def pace(self) -> None:
        """The pacing that the client awaits."""
        self.paced += 1

    def client(self, token: str = TOKEN) -> SevdeskClient:
        """A client with next to no wait before repeats."""
        return SevdeskClient(self.http, self.sevdesk.base_url, token, self.pace, retry_wait=0.001)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """An account without contacts or invoices."""
    async with SevdeskStandIn() as sevdesk, build_http() as http:
        yield World(sevdesk, sevdesk.add_account(TOKEN, SELLER), http)
