"""A Peppol network on loopback: a name server with NAPTR records, and an SMP over http."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import httpx
from aiohttp import web

from sync.model import DocumentType, ParticipantId
from sync.peppol import doctypes, naptr, participants
from sync.peppol.access_point import AccessPoint
from sync.peppol.lookup import Lookups, Network
from sync.peppol.smp import Smp

ZONE = naptr.TEST_ZONE


class NameServer(asyncio.DatagramProtocol):
    """Answers from a table. What is not in it does not exist."""

    def __init__(self) -> None:
        """Knows nothing but its zone."""
        self.records: dict[tuple[str, str], str] = {}
        self.broken: dns.rcode.Rcode | None = None  # answer everything with this
        self.silent = False
        self.disturbed: dict[str, dns.rcode.Rcode | None] = {}  # by name; None: no answer
        self.denies_zone = False
        self.questions: list[tuple[str, str]] = []
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self) -> None:
        """Listen on loopback, UDP."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        self.port = self._transport.get_extra_info("sockname")[1]

    def stop(self) -> None:
        """Stop listening."""
        if self._transport is not None:
            self._transport.close()

    def resolver(self) -> dns.asyncresolver.Resolver:
        """One that asks this server alone."""
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = self.port
        return resolver

    def point(self, participant: ParticipantId, url: str, pattern: str = "^.*$") -> None:
        """Publish where a participant's SMP is."""
        self.publish(participant, f'100 10 "U" "Meta:SMP" "!{pattern}!{url}!" .')

    def publish(self, participant: ParticipantId, naptr_record: str) -> None:
        """Publish a NAPTR record as it is."""
        self.records[naptr.host(participant, ZONE) + ".", "NAPTR"] = naptr_record

    def disturb(self, participant: ParticipantId, code: dns.rcode.Rcode | None) -> None:
        """Answer questions about one participant with an error, or not at all."""
        self.disturbed[naptr.host(participant, ZONE) + "."] = code

    def calm(self, participant: ParticipantId) -> None:
        """Answer them again."""
        self.disturbed.pop(naptr.host(participant, ZONE) + ".", None)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one question."""
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
        self.questions.append((name, kind))
        mute = name in self.disturbed and self.disturbed[name] is None
        if self.silent or mute or self._transport is None:
            return
        self._transport.sendto(self._answer(query, name, kind).to_wire(), addr)

    def _answer(self, query: dns.message.Message, name: str, kind: str) -> dns.message.Message:
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        soa = dns.rrset.from_text(
            f"{ZONE}.", 60, "IN", "SOA", "ns.invalid. host.invalid. 1 2 3 4 5"
        )
        if (code := self.disturbed.get(name) or self.broken) is not None:
            response.set_rcode(code)
        elif record := self.records.get((name, kind)):
            response.answer.append(dns.rrset.from_text(name, 60, "IN", kind, record))
        elif name == f"{ZONE}." and kind == "SOA" and not self.denies_zone:
            response.answer.append(soa)
        elif name in {known for known, _ in self.records}:
            response.authority.append(soa)
        else:
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response


@dataclass
class Listing:
    """What the SMP says about one document type of a participant."""

    document_type: DocumentType
    process: str = ""
    transport: str = "peppol-transport-as4-v2_0"
    active_from: str = "2020-01-01T00:00:00Z"
    expires: str = "2099-01-01T00:00:00Z"
    redirect: str = ""
    hidden: bool = False  # listed, but there is no metadata


@dataclass
class SmpStandIn:
    """An SMP: participants and what they take."""

    listings: dict[str, list[Listing]] = field(default_factory=dict)
    status: int = 200  # answer everything with this instead
    troubled: set[str] = field(default_factory=set)  # participants it answers 503 for
    body: bytes | None = None  # answer everything with this instead
    slow_seconds: float = 0.0
    names_another: bool = False
    requests: list[str] = field(default_factory=list)
    port: int = 0
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}/smp"

    async def start(self) -> None:
        """Listen on loopback."""
        app = web.Application()
        app.router.add_get("/smp/{participant}", self._group)
        app.router.add_get("/smp/{participant}/services/{doctype}", self._metadata)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    def register(self, participant: ParticipantId, *listings: Listing) -> None:
        """Put a participant on it."""
        self.listings[participants.qualified(participant)] = list(listings)

    async def _instead(self, request: web.Request) -> web.Response | None:
        self.requests.append(request.path)
        await asyncio.sleep(self.slow_seconds)
        asked = unquote(request.match_info["participant"])
        if asked in self.troubled:
            return web.Response(status=503)
        if self.status != 200:
            return web.Response(status=self.status, headers={"Location": "http://127.0.0.1:9/"})
        if self.body is not None:
            return web.Response(body=self.body, content_type="text/xml")
        return None

    async def _group(self, request: web.Request) -> web.Response:
        if instead := await self._instead(request):
            return instead
        asked = unquote(request.match_info["participant"])
        if asked not in self.listings:
            return web.Response(status=404)
        references = "".join(
            f'<ServiceMetadataReference href="{self.url}/{quote(asked, safe="")}/services/'
            f'{quote(doctypes.qualified_doctype(one.document_type), safe="")}"/>'
            for one in self.listings[asked]
        )
        value = "9999:other" if self.names_another else asked.partition("::")[2]
        return _xml(
            f'<ServiceGroup xmlns="{_NS}" xmlns:id="{_ID}">'
            f'<id:ParticipantIdentifier scheme="iso6523-actorid-upis">{value}'
            f"</id:ParticipantIdentifier><ServiceMetadataReferenceCollection>{references}"
            "</ServiceMetadataReferenceCollection></ServiceGroup>"
        )

    async def _metadata(self, request: web.Request) -> web.Response:
        if instead := await self._instead(request):
            return instead
        asked = unquote(request.match_info["participant"])
        doctype = doctypes.unqualified(unquote(request.match_info["doctype"]))
        for one in self.listings.get(asked, []):
            if one.document_type.id == doctype and not one.hidden:
                return _xml(_signed(one))
        return web.Response(status=404)


class PeppolNetwork:
    """Name server and SMP together, and the real look-up that asks them."""

    def __init__(self) -> None:
        """Nobody is on it."""
        self.names = NameServer()
        self.publisher = SmpStandIn()

    async def start(self) -> None:
        """Listen on loopback."""
        await self.names.start()
        await self.publisher.start()

    async def stop(self) -> None:
        """Stop listening."""
        self.names.stop()
        await self.publisher.stop()

    def register(self, participant: ParticipantId, *listings: Listing) -> None:
        """Put a participant on the network."""
        self.publisher.register(participant, *listings)
        self.names.point(participant, self.publisher.url)

    def lookups(self, mode: str, access_point: AccessPoint, client: httpx.AsyncClient) -> Lookups:
        """In place of `registry.lookups`: the same, with this network's servers."""
        if mode == "access-point":
            return Lookups(None, access_point)
        locator = naptr.Locator(self.names.resolver(), ZONE, loopback=True, seconds=2.0)
        network = Network(locator, Smp(client, loopback=True, seconds=5.0))
        return Lookups(network, access_point if mode == "auto" else None)


_NS = "http://busdox.org/serviceMetadata/publishing/1.0/"
_ID = "http://busdox.org/transport/identifiers/1.0/"


def _signed(one: Listing) -> str:
    if one.redirect:
        inner = f'<Redirect href="{one.redirect}"><CertificateUID>x</CertificateUID></Redirect>'
    else:
        process = one.process or one.document_type.process
        inner = (
            "<ServiceInformation><ProcessList><Process>"
            f'<id:ProcessIdentifier scheme="cenbii-procid-ubl">{process}</id:ProcessIdentifier>'
            f'<ServiceEndpointList><Endpoint transportProfile="{one.transport}">'
            f"<ServiceActivationDate>{one.active_from}</ServiceActivationDate>"
            f"<ServiceExpirationDate>{one.expires}</ServiceExpirationDate>"
            "</Endpoint></ServiceEndpointList></Process></ProcessList></ServiceInformation>"
        )
    return (
        f'<SignedServiceMetadata xmlns="{_NS}" xmlns:id="{_ID}"><ServiceMetadata>{inner}'
        "</ServiceMetadata></SignedServiceMetadata>"
    )


def _xml(text: str) -> web.Response:
    return web.Response(body=text.encode(), content_type="text/xml")
