"""What a participant takes, as its SMP (service metadata publisher) says.

Source: Peppol SMP specification 1.4. The answers are XML from strangers: bounded, no document
type declaration, no entities, no network. The addresses come from the DNS and from other SMPs:
https only, no HTTP redirects, and no connection to an address that is not public.

The signature of the metadata is not checked here: the access point that sends does that. It
decides nothing but which document is offered to it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final
from urllib.parse import quote, unquote

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from httpx_aiohttp import AiohttpTransport
from lxml import etree

from sync.model import DocumentType, ParticipantId
from sync.peppol import participants
from sync.peppol.doctypes import PROCESS_SCHEME, qualified_doctype, unqualified
from sync.peppol.naptr import NaptrError, usable_url
from sync.peppol.wire import TRANSPORT_ERRORS

AS4: Final = "peppol-transport-as4-v2_0"
MAX_BYTES: Final = 2 * 1024 * 1024
SMP_SECONDS: Final = 10.0

_SMP: Final = "{http://busdox.org/serviceMetadata/publishing/1.0/}"
_IDS: Final = "{http://busdox.org/transport/identifiers/1.0/}"


class SmpDownError(Exception):
    """The SMP could not be asked or said nothing that is understood. The text is for people."""


class NotThereError(Exception):
    """The SMP says 404."""


@dataclass(frozen=True, slots=True)
class Service:
    """One document type in one process over one transport, as the metadata lists it."""

    process: str  # with its scheme
    transport: str
    active_from: datetime | None
    expires: datetime | None

    def serves(self, document_type: DocumentType, now: datetime) -> bool:
        """Whether a document of this type can be delivered to it now."""
        return (
            self.process == f"{PROCESS_SCHEME}::{document_type.process}"
            and self.transport == AS4
            and (self.active_from is None or self.active_from <= now)
            and (self.expires is None or now < self.expires)
        )


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet's own; IPv4 inside IPv6 counts as IPv4."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (inner or parsed).is_global and not (inner or parsed).is_multicast


class PublicResolver(AbstractResolver):
    """Resolves names to public addresses only, so that a stranger's name leads to no one inside."""

    def __init__(self, inner: AbstractResolver | None = None) -> None:
        """`inner` does the resolving; by default the machine's own."""
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The public addresses of `host`. Raises `OSError` if there is none."""
        if self._inner is None:
            self._inner = ThreadedResolver()
        found = await self._inner.resolve(host, port, family)
        public = [one for one in found if is_public(one["host"])]
        if not public:
            raise OSError("the name leads to no public address")
        return public

    async def close(self) -> None:
        """Nothing is held."""
        if self._inner is not None:
            await self._inner.close()


def smp_client() -> httpx.AsyncClient:
    """A client for SMPs alone: strangers' names lead to public addresses only. Close it."""

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(resolver=PublicResolver(), limit=50, use_dns_cache=False)
        jar = aiohttp.DummyCookieJar()
        return aiohttp.ClientSession(connector=connector, cookie_jar=jar)

    return httpx.AsyncClient(
        transport=AiohttpTransport(client=session),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        trust_env=False,
    )


class Smp:
    """Asks SMPs. One for the process."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        loopback: bool = False,
        seconds: float = SMP_SECONDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`client` from `smp_client`; `loopback` as in `naptr.usable_url`."""
        self._client = client
        self._loopback = loopback
        self._seconds = seconds
        self._now = now

    async def document_types(self, base: str, participant: ParticipantId) -> frozenset[str]:
        """The ids of all document types that the participant is listed with.

        Raises `NotThereError` or `SmpDownError`.
        """
        root = await self._get(_group_url(base, participant))
        if root.tag != f"{_SMP}ServiceGroup":
            raise SmpDownError("the SMP's answer is not a service group")
        named = root.findtext(f"{_IDS}ParticipantIdentifier", "").strip().lower()
        if named != participants.key(participant):
            raise SmpDownError("the SMP answers for another participant")
        return frozenset(_listed(root))

    async def serves(
        self, base: str, participant: ParticipantId, document_type: DocumentType
    ) -> bool:
        """Whether the participant takes the type in its process over AS4 today.

        Raises `SmpDownError`.
        """
        identifier = quote(qualified_doctype(document_type), safe="")
        try:
            root = await self._get(f"{_group_url(base, participant)}/services/{identifier}")
            if elsewhere := _redirect(root):
                root = await self._get(self._checked(elsewhere))
        except NotThereError:
            return False
        return any(one.serves(document_type, self._now()) for one in services(root))

    def _checked(self, url: str) -> str:
        try:
            return usable_url(url, loopback=self._loopback)
        except NaptrError as error:
            raise SmpDownError(str(error)) from None

    async def _get(self, url: str) -> etree._Element:
        try:
            async with asyncio.timeout(self._seconds):
                status, body = await self._fetch(url)
        except TRANSPORT_ERRORS:
            raise SmpDownError("the SMP does not answer") from None
        if status == 404:
            raise NotThereError
        if status != 200:
            raise SmpDownError(f"the SMP answers HTTP {status}")
        return parse(body)

    async def _fetch(self, url: str) -> tuple[int, bytes]:
        headers = {"accept": "application/xml, text/xml", "accept-encoding": "identity"}
        timeout = httpx.Timeout(self._seconds)
        body = bytearray()
        async with self._client.stream(
            "GET", url, headers=headers, timeout=timeout, follow_redirects=False
        ) as response:
            async for part in response.aiter_bytes():
                body += part
                if len(body) > MAX_BYTES:
                    raise SmpDownError("the SMP's answer is too long")
        return response.status_code, bytes(body)


def parse(body: bytes) -> etree._Element:
    """The root of an SMP's answer. Raises `SmpDownError` if it is not harmless XML."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise SmpDownError("the SMP's answer is not XML") from None
    if root.getroottree().docinfo.doctype:
        raise SmpDownError("the SMP's answer declares a document type")
    return root


def services(root: etree._Element) -> Iterator[Service]:
    """What signed or plain service metadata lists, whatever is broken in it left out."""
    for process in root.iter(f"{_SMP}Process"):
        identifier = process.find(f"{_IDS}ProcessIdentifier")
        if identifier is None:
            continue
        scheme, value = identifier.get("scheme", ""), (identifier.text or "").strip()
        for endpoint in process.iter(f"{_SMP}Endpoint"):
            yield Service(
                process=f"{scheme}::{value}",
                transport=endpoint.get("transportProfile", ""),
                active_from=_moment(endpoint.findtext(f"{_SMP}ServiceActivationDate")),
                expires=_moment(endpoint.findtext(f"{_SMP}ServiceExpirationDate")),
            )


def _group_url(base: str, participant: ParticipantId) -> str:
    return f"{base}/{quote(participants.qualified(participant), safe='')}"


def _listed(root: etree._Element) -> Iterator[str]:
    for reference in root.iter(f"{_SMP}ServiceMetadataReference"):
        _, services_path, identifier = reference.get("href", "").partition("/services/")
        if services_path and identifier:
            yield unqualified(unquote(identifier))


def _redirect(root: etree._Element) -> str:
    """Where the metadata is instead, or an empty text. Followed once only."""
    for redirect in root.iter(f"{_SMP}Redirect"):
        return redirect.get("href", "")
    return ""


def _moment(text: str | None) -> datetime | None:
    """An `xs:dateTime`; without a zone it is UTC, unreadable it is no limit."""
    try:
        moment = datetime.fromisoformat((text or "").strip())
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
