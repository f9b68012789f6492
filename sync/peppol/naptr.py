"""From a participant to its SMP: one NAPTR question to the Peppol network's zone in the DNS.

Source: OpenPeppol "Policy for use of Identifiers" and SML specification: the name is the base32
form of the SHA-256 of the lower-cased id; the record has flag `U`, service `Meta:SMP` and a
regular expression that replaces everything by the SMP's address. Since spring 2026 the zones are
below `tech.peppol.org`; the former ones of the European Commission are retired.

"No such name" counts only if the zone itself can be asked: a filtering resolver denies the whole
zone, which says nothing about a participant.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.rdatatype
import dns.resolver
from dns.rdtypes.IN.NAPTR import NAPTR

from sync.model import ParticipantId
from sync.peppol import participants

PRODUCTION_ZONE: Final = "participant.sml.prod.tech.peppol.org"
TEST_ZONE: Final = "participant.sml.test.tech.peppol.org"

DNS_SECONDS: Final = 5.0
ZONE_KNOWN_SECONDS: Final = 300.0

_EVERYTHING: Final = frozenset({".*", "^.*$"})
"""Regular expressions that an SML publishes. No other is run: it comes from outside."""


class DnsDownError(Exception):
    """The name system could not be asked. The text is for people and holds no secret."""


class NaptrError(Exception):
    """The participant's record leads nowhere that may be asked."""


def host(participant: ParticipantId, zone: str) -> str:
    """The name that is asked for."""
    digest = hashlib.sha256(participants.key(participant).encode()).digest()
    label = base64.b32encode(digest).decode().rstrip("=").lower()
    return f"{label}.{participants.IDENTIFIER_SCHEME}.{zone}"


def system_resolver() -> dns.asyncresolver.Resolver | None:
    """The resolver that this machine is set up with, or None if it has none."""
    try:
        return dns.asyncresolver.Resolver()
    except (dns.resolver.NoResolverConfiguration, OSError):
        return None


class Locator:
    """Asks one zone. Remembers for some minutes that the zone exists."""

    def __init__(
        self,
        resolver: dns.asyncresolver.Resolver | None,
        zone: str = PRODUCTION_ZONE,
        *,
        loopback: bool = False,
        seconds: float = DNS_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`loopback` lets tests run an SMP over http on this machine. `seconds` for a question."""
        self._resolver = resolver
        self._zone = zone
        self._loopback = loopback
        self._seconds = seconds
        self._clock = clock
        self._zone_known_until = float("-inf")

    async def smp(self, participant: ParticipantId) -> str | None:
        """The base URL of the participant's SMP, or None if it is not on the network.

        Raises `DnsDownError` if that cannot be told, `NaptrError` if the record is not usable.
        """
        try:
            answer = await self._ask(host(participant, self._zone), "NAPTR")
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            await self._zone_exists()
            return None
        records = [record for record in answer if isinstance(record, NAPTR)]
        return usable_url(_url_of(records), loopback=self._loopback)

    async def _ask(self, name: str, kind: str, *, empty: bool = False) -> dns.resolver.Answer:
        if self._resolver is None:
            raise DnsDownError("no name server is set up")
        try:
            return await self._resolver.resolve(
                name, kind, lifetime=self._seconds, search=False, raise_on_no_answer=not empty
            )
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            raise
        except dns.exception.Timeout:
            raise DnsDownError("the name server does not answer") from None
        except (dns.exception.DNSException, OSError):
            raise DnsDownError("the name server cannot answer") from None

    async def _zone_exists(self) -> None:
        """Raise `DnsDownError` unless the zone answers for itself."""
        if self._clock() < self._zone_known_until:
            return
        try:
            answer = await self._ask(self._zone, "SOA", empty=True)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            raise DnsDownError("the name server denies the Peppol zone") from None
        if not _has_authority(answer.response, dns.name.from_text(self._zone)):
            raise DnsDownError("the name server does not know the Peppol zone")
        self._zone_known_until = self._clock() + ZONE_KNOWN_SECONDS


def _has_authority(response: dns.message.Message, zone: dns.name.Name) -> bool:
    """Whether an SOA of the zone, or of one of the zones around it, came back."""
    return any(
        rrset.rdtype == dns.rdatatype.SOA and zone.is_subdomain(rrset.name) and len(rrset.name) > 2
        for section in (response.answer, response.authority)
        for rrset in section
    )


def _url_of(records: list[NAPTR]) -> str:
    wanted = [
        record
        for record in records
        if record.flags.lower() == b"u" and record.service.lower() == b"meta:smp"
    ]
    for record in sorted(wanted, key=lambda one: (one.order, one.preference)):
        if url := replacement(record.regexp.decode("utf-8", "replace")):
            return url
    raise NaptrError("the participant has no record that names an SMP")


def replacement(regexp: str) -> str:
    """The address in `!^.*$!https://smp.example!`, or an empty text for any other expression."""
    parts = regexp.split(regexp[0]) if regexp else []
    if len(parts) != 4 or parts[1] not in _EVERYTHING or parts[3].strip("i"):
        return ""
    return "" if "\\" in parts[2] else parts[2]


def usable_url(url: str, *, loopback: bool = False) -> str:
    """`url` without its last slash, if it may be asked: https, a name, no credentials.

    The address comes from strangers. Raises `NaptrError` otherwise. `loopback` allows http on
    this machine, for tests.
    """
    try:
        parts = urlsplit(url)
        name, port = parts.hostname or "", parts.port
    except ValueError:
        raise NaptrError("the SMP's address cannot be read") from None
    if loopback and parts.scheme == "http" and name == "127.0.0.1":
        return url.rstrip("/")
    wrong = (
        parts.scheme != "https"
        or "." not in name
        or is_address(name)
        or port not in (None, 443)
        or parts.username is not None
        or bool(parts.query or parts.fragment)
        or not url.isascii()
        or not url.isprintable()
    )
    if wrong:
        raise NaptrError("the SMP's address is not one that may be asked")
    return url.rstrip("/")


def is_address(name: str) -> bool:
    """Whether a host is written as an IP address."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
