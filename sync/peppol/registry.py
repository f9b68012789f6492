"""From settings to an access point and a look-up."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import httpx

from sync.peppol import einvoice_be, naptr, phoss_ap, recommand
from sync.peppol.access_point import AccessPoint, Capabilities
from sync.peppol.errors import AccessPointSettingsError
from sync.peppol.lookup import Lookups, Network
from sync.peppol.smp import Smp
from sync.peppol.wire import ASK_SECONDS, SUBMIT_SECONDS, Wire


@dataclass(frozen=True, slots=True)
class Account:
    """The settings of one account at an access point. Key and secret are never shown."""

    provider: str  # recommand, e-invoice-be or phoss-ap
    url: str = ""  # empty: the provider's production URL
    key: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    company: str = ""
    submit_seconds: float = SUBMIT_SECONDS  # of one submission, in all
    ask_seconds: float = ASK_SECONDS

    def identity(self, company: str = "") -> str:
        """All that says which account a submission goes to, as one text that holds its secrets.

        `company`: the organisation's own, where it has one. It counts only where the provider
        knows companies. A rotated key is another identity: from here it cannot be told from the
        key of another account. Raises `KeyError` for an unknown provider.
        """
        provider = PROVIDERS[self.provider]
        url = (self.url or provider.production_url).rstrip("/")
        knows_companies = "PEPPOL_COMPANY_ID" in provider.needs
        one = (company or self.company) if knows_companies else ""
        return json.dumps([self.provider, url, one, self.key, self.secret])


Maker = Callable[[httpx.AsyncClient, Account], AccessPoint]


@dataclass(frozen=True, slots=True)
class Provider:
    """One kind of access point: how it is made and what it needs."""

    capabilities: Capabilities
    production_url: str  # empty: self-hosted, a URL is needed
    needs: tuple[str, ...]
    make: Maker = field(repr=False)


def _wire(client: httpx.AsyncClient, account: Account, auth: Mapping[str, str]) -> Wire:
    return Wire(
        client,
        account.url or PROVIDERS[account.provider].production_url,
        auth=auth,
        submit_seconds=account.submit_seconds,
        ask_seconds=account.ask_seconds,
    )


def _recommand(client: httpx.AsyncClient, account: Account) -> AccessPoint:
    auth = recommand.basic(account.key, account.secret)
    return recommand.Recommand(_wire(client, account, auth), account.company)


def _einvoice_be(client: httpx.AsyncClient, account: Account) -> AccessPoint:
    auth = {"authorization": f"Bearer {account.key}"}
    return einvoice_be.EInvoiceBe(_wire(client, account, auth))


def _phoss_ap(client: httpx.AsyncClient, account: Account) -> AccessPoint:
    return phoss_ap.PhossAp(_wire(client, account, {"x-token": account.key}))


PROVIDERS: Final[Mapping[str, Provider]] = {
    "recommand": Provider(
        recommand.CAPABILITIES,
        recommand.PRODUCTION,
        ("PEPPOL_API_KEY", "PEPPOL_API_SECRET", "PEPPOL_COMPANY_ID"),
        _recommand,
    ),
    "e-invoice-be": Provider(
        einvoice_be.CAPABILITIES, einvoice_be.PRODUCTION, ("PEPPOL_API_KEY",), _einvoice_be
    ),
    "phoss-ap": Provider(
        phoss_ap.CAPABILITIES, "", ("PEPPOL_API_KEY", "PEPPOL_API_URL"), _phoss_ap
    ),
}
"""Every access point that xTool knows, by the name of the setting."""

_FIELDS: Final = {
    "PEPPOL_API_KEY": "key",
    "PEPPOL_API_SECRET": "secret",
    "PEPPOL_COMPANY_ID": "company",
    "PEPPOL_API_URL": "url",
}


def access_point(client: httpx.AsyncClient, account: Account) -> AccessPoint:
    """The access point of `account`, on a client that all accounts share.

    The client should be httpx on aiohttp's transport and follow no redirects by itself. Raises
    `AccessPointSettingsError` that names what is missing.
    """
    provider = PROVIDERS.get(account.provider)
    if provider is None:
        known = ", ".join(PROVIDERS)
        raise AccessPointSettingsError(
            f"PEPPOL_PROVIDER must be one of {known}", variable="PEPPOL_PROVIDER"
        )
    missing = [name for name in provider.needs if not getattr(account, _FIELDS[name])]
    if missing:
        names = ", ".join(missing)
        raise AccessPointSettingsError(
            f"{provider.capabilities.name} needs {names}", variable=names
        )
    return provider.make(client, account)


def lookups(mode: str, access_point: AccessPoint, client: httpx.AsyncClient) -> Lookups:
    """The look-up of `PEPPOL_LOOKUP`: `sml`, `sml-test`, `access-point` or `auto`.

    `client` comes from `smp.smp_client`. Raises `AccessPointSettingsError` for another mode, and
    for `access-point` with a provider that has no call for it.
    """
    if mode not in ("sml", "sml-test", "access-point", "auto"):
        raise AccessPointSettingsError(
            "PEPPOL_LOOKUP must be one of sml, sml-test, access-point, auto",
            variable="PEPPOL_LOOKUP",
        )
    if mode == "access-point":
        if not access_point.capabilities.own_lookup:
            name = access_point.capabilities.name
            raise AccessPointSettingsError(
                f"{name} cannot look receivers up; set PEPPOL_LOOKUP to sml",
                variable="PEPPOL_LOOKUP",
            )
        return Lookups(None, access_point)
    zone = naptr.TEST_ZONE if mode == "sml-test" else naptr.PRODUCTION_ZONE
    network = Network(naptr.Locator(naptr.system_resolver(), zone), Smp(client))
    return Lookups(network, access_point if mode == "auto" else None)
