"""From settings to adapters, and the reasons that they give."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sync.errors import Kind
from sync.peppol.access_point import AccessPoint
from sync.peppol.errors import CODES, AccessPointSettingsError, because, bounded
from sync.peppol.lookup import Lookups
from sync.peppol.registry import PROVIDERS, Account, access_point, lookups
from tests.unit.peppol_support import CANARY, http


def account(provider: str) -> Account:
    return Account(provider, key=CANARY, secret=CANARY, company="c", url="http://127.0.0.1:9")


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
async def test_each_provider_is_made(provider: str) -> None:
    async with http() as client:
        made = access_point(client, account(provider))
    assert isinstance(made, AccessPoint)
    assert made.capabilities == PROVIDERS[provider].capabilities


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
async def test_no_secret_shows(provider: str) -> None:
    async with http() as client:
        shown = repr(access_point(client, account(provider))) + repr(account(provider))
    assert CANARY not in shown


@pytest.mark.parametrize(
    "change",
    [
        {"provider": "e-invoice-be"},
        {"url": "http://127.0.0.1:8"},
        {"company": "d"},
        {"key": "another"},
        {"secret": "another"},
    ],
)
def test_another_account_has_another_identity(change: dict[str, str]) -> None:
    one = account("recommand")
    assert one.identity() != replace(one, **change).identity()  # type: ignore[arg-type]


def test_how_it_is_written_makes_no_other_account() -> None:
    one = account("recommand")
    assert one.identity() == replace(one, url=one.url + "/").identity()
    production = PROVIDERS["recommand"].production_url
    assert replace(one, url="").identity() == replace(one, url=production).identity()
    assert one.identity("e") == replace(one, company="e").identity() != one.identity()


def test_a_company_makes_a_difference_only_where_the_provider_knows_companies() -> None:
    assert account("phoss-ap").identity("e") == account("phoss-ap").identity()


@pytest.mark.parametrize(("provider", "names"), [
    ("recommand", "PEPPOL_API_KEY, PEPPOL_API_SECRET, PEPPOL_COMPANY_ID"),
    ("e-invoice-be", "PEPPOL_API_KEY"),
    ("phoss-ap", "PEPPOL_API_KEY, PEPPOL_API_URL"),
])  # fmt: skip
async def test_what_is_missing_is_named(provider: str, names: str) -> None:
    async with http() as client:
        with pytest.raises(AccessPointSettingsError, match=names):
            access_point(client, Account(provider))


async def test_an_unknown_provider_is_refused_with_the_known_ones() -> None:
    async with http() as client:
        with pytest.raises(AccessPointSettingsError, match="recommand, e-invoice-be, phoss-ap"):
            access_point(client, Account("carrier-pigeon"))


@pytest.mark.parametrize("code", sorted(CODES))
def test_each_code_has_a_kind_and_its_parameters(code: str) -> None:
    kind, names = CODES[code]
    given: dict[str, Any] = dict.fromkeys(names, "x")
    reason = because(code, **given)
    assert reason.kind is kind
    assert isinstance(kind, Kind)
    assert set(reason.params) == set(names)


def test_a_reason_without_its_parameters_is_a_mistake() -> None:
    with pytest.raises(TypeError):
        because("peppol.lookup.down")


def test_text_from_outside_is_cut_to_one_line() -> None:
    text = bounded("a\nb\x00\x1b[31m" + "x" * 5000)
    assert "\n" not in text
    assert "\x1b" not in text
    assert len(text) <= 300


@pytest.mark.parametrize("mode", ["sml", "sml-test", "access-point", "auto"])
async def test_each_mode_of_looking_up_is_made(mode: str) -> None:
    async with http() as client:
        made = lookups(mode, access_point(client, account("recommand")), client)
    assert isinstance(made, Lookups)


async def test_a_provider_without_a_lookup_cannot_be_the_only_one_asked() -> None:
    async with http() as client:
        phoss = access_point(client, account("phoss-ap"))
        with pytest.raises(AccessPointSettingsError, match="PEPPOL_LOOKUP to sml"):
            lookups("access-point", phoss, client)


async def test_an_unknown_mode_is_refused() -> None:
    async with http() as client:
        with pytest.raises(AccessPointSettingsError, match="PEPPOL_LOOKUP"):
            lookups("crystal-ball", access_point(client, account("recommand")), client)
