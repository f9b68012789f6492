"""Looking receivers up: NAPTR, SMP, modes and memory, against servers on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import quote

import dns.rcode
import httpx
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from httpx_aiohttp import AiohttpTransport
from hypothesis import given
from hypothesis import strategies as st

from sync.errors import Reason
from sync.model import ParticipantId
from sync.peppol import doctypes, naptr, smp
from sync.peppol.access_point import (
    Capabilities,
    Find,
    Lookup,
    LookupDown,
    NotRegistered,
    Registered,
    Webhook,
)
from sync.peppol.lookup import DNS_REST_SECONDS, Lookups, Network
from sync.peppol.naptr import NaptrError
from sync.peppol.smp import Smp, SmpDownError
from tests.sandbox.access_points.network import ZONE, Listing, NameServer, SmpStandIn
from tests.unit.peppol_support import RECEIVER, REFUSED_PORT

OTHER = ParticipantId(scheme="0088", value="1548079098355")


@dataclass
class World:
    """The network and a clock that a test turns."""

    dns: NameServer
    smp: SmpStandIn
    network: Network
    time: float = 0.0

    def clock(self) -> float:
        return self.time


@dataclass
class Asked:
    """An access point that only looks up."""

    answer: Lookup
    own_lookup: bool = True
    times: list[ParticipantId] = field(default_factory=list)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            "asked", False, Find.NONE, False, None, 1, Webhook.NONE, True, self.own_lookup
        )

    async def lookup(self, participant: ParticipantId) -> Lookup:
        self.times.append(participant)
        return self.answer


@pytest.fixture
async def world() -> AsyncIterator[World]:
    names, publisher = NameServer(), SmpStandIn()
    await names.start()
    await publisher.start()
    publisher.register(RECEIVER, *(Listing(one) for one in doctypes.SENDABLE))
    names.point(RECEIVER, publisher.url)
    async with httpx.AsyncClient(transport=AiohttpTransport(), trust_env=False) as client:
        locator = naptr.Locator(names.resolver(), ZONE, loopback=True, seconds=0.5)
        network = Network(locator, Smp(client, loopback=True, seconds=1.0))
        yield World(names, publisher, network)
    await publisher.stop()
    names.stop()


# Vectors of the Peppol specifications, as the reference implementation tests them
# (phax/peppol-commons, PeppolNaptrURLProviderTest): the SML specification's example, policy 7 of
# the Policy for use of Identifiers in both cases, and two more.
@pytest.mark.parametrize(("participant", "label"), [
    ("0010:5798000000001", "xukhfqabqziki3ykvr2fhr4snfa3pf5vpq6k4tonv3lmvsy5arvq"),
    ("0088:123abc", "y7dzfxaf3d4cjz4kcgrxtec6twvcga4ky7zwa5boif6mswd4tdrq"),
    ("0088:123ABC", "y7dzfxaf3d4cjz4kcgrxtec6twvcga4ky7zwa5boif6mswd4tdrq"),
    ("0088:1234567890123", "sjsyvccmqyjxk3weuapffq4x3umcrf4qryherj4vovhmonh7gccq"),
    ("9915:test", "eh5boavaktmbgzyh2a63dz4qov33fvp5nsdvqklucfraayoodw6a"),
])  # fmt: skip
def test_the_official_vectors(participant: str, label: str) -> None:
    name = naptr.host(ParticipantId.parse(participant), naptr.PRODUCTION_ZONE)
    assert name == f"{label}.iso6523-actorid-upis.participant.sml.prod.tech.peppol.org"


async def test_a_registered_receiver_has_its_document_types(world: World) -> None:
    answer = await world.network.lookup(RECEIVER)
    assert answer == Registered(frozenset(one.id for one in doctypes.SENDABLE))


async def test_a_name_that_does_not_exist_is_not_registered(world: World) -> None:
    answer = await world.network.lookup(OTHER)
    assert isinstance(answer, NotRegistered)
    assert answer.certain


async def test_the_zone_is_asked_for_itself_before_a_no_is_believed(world: World) -> None:
    await world.network.lookup(OTHER)
    assert [kind for _, kind in world.dns.questions] == ["NAPTR", "SOA"]


async def test_the_zone_is_asked_for_itself_only_now_and_then(world: World) -> None:
    await world.network.lookup(OTHER)
    await world.network.lookup(OTHER)
    assert [kind for _, kind in world.dns.questions].count("SOA") == 1


async def test_a_resolver_that_denies_the_zone_cannot_be_asked(world: World) -> None:
    world.dns.denies_zone = True
    answer = await world.network.lookup(OTHER)
    assert isinstance(answer, LookupDown)
    assert answer.dns


@pytest.mark.parametrize("code", [dns.rcode.SERVFAIL, dns.rcode.REFUSED])
async def test_a_name_server_that_fails_is_down(world: World, code: dns.rcode.Rcode) -> None:
    world.dns.broken = code
    answer = await world.network.lookup(RECEIVER)
    assert isinstance(answer, LookupDown)
    assert answer.dns


async def test_a_silent_name_server_is_down(world: World) -> None:
    world.dns.silent = True
    answer = await world.network.lookup(RECEIVER)
    assert isinstance(answer, LookupDown)
    assert answer.dns


async def test_no_name_server_at_all_is_down(world: World) -> None:
    network = Network(naptr.Locator(None), world.network._smp)
    answer = await network.lookup(RECEIVER)
    assert isinstance(answer, LookupDown)
    assert answer.dns


async def test_a_name_without_a_naptr_record_is_not_registered(world: World) -> None:
    world.dns.records[naptr.host(OTHER, ZONE) + ".", "TXT"] = '"nothing"'
    assert isinstance(await world.network.lookup(OTHER), NotRegistered)


@pytest.mark.parametrize("record", [
    '100 10 "S" "Meta:SMP" "!.*!https://smp.example!" .',
    '100 10 "U" "meta:cppa3" "!.*!https://smp.example!" .',
    '100 10 "U" "Meta:SMP" "!(a+)+$!https://smp.example!" .',
    '100 10 "U" "Meta:SMP" "!.*!https://smp.example" .',
    '100 10 "U" "Meta:SMP" "!.*!ftp://smp.example!" .',
    '100 10 "U" "Meta:SMP" "" .',
])  # fmt: skip
async def test_a_record_that_leads_nowhere_is_down_and_not_a_no(world: World, record: str) -> None:
    world.dns.publish(RECEIVER, record)
    answer = await world.network.lookup(RECEIVER)
    assert isinstance(answer, LookupDown)
    assert not answer.dns
    assert world.smp.requests == []


@pytest.mark.parametrize("url", [
    "http://smp.example",
    "https://127.0.0.1",
    "https://10.0.0.1/smp",
    "https://[::1]/",
    "https://169.254.169.254/latest",
    "https://localhost",
    "https://user:pw@smp.example",
    "https://smp.example:8443",
    "https://smp.example:99999",
    "https://smp.example/?x=1",
    "https://smp.example/#x",
    "https://smp.exämple",
    "file:///etc/passwd",
    "",
])  # fmt: skip
def test_an_address_that_may_not_be_asked(url: str) -> None:
    with pytest.raises(NaptrError):
        naptr.usable_url(url)


@pytest.mark.parametrize(("given_url", "used"), [
    ("https://smp.example/", "https://smp.example"),
    ("https://smp.example/smp/", "https://smp.example/smp"),
    ("https://smp.example:443", "https://smp.example:443"),
])  # fmt: skip
def test_an_address_that_may_be_asked(given_url: str, used: str) -> None:
    assert naptr.usable_url(given_url) == used


@given(st.text(max_size=200))
def test_no_text_breaks_reading_a_record_or_an_address(text: str) -> None:
    naptr.replacement(text)
    try:
        used = naptr.usable_url(text)
    except NaptrError:
        return
    assert used.startswith("https://")


@pytest.mark.parametrize("regexp", ["!.*!https://a.b!", "!^.*$!https://a.b!", "/.*/x/i"])
def test_the_expressions_of_an_sml_are_read(regexp: str) -> None:
    assert naptr.replacement(regexp)


async def test_an_smp_without_the_participant_is_not_registered(world: World) -> None:
    world.smp.listings.clear()
    assert isinstance(await world.network.lookup(RECEIVER), NotRegistered)


@pytest.mark.parametrize("status", [301, 400, 403, 429, 500, 502, 503])
async def test_an_smp_that_fails_is_down_and_not_a_no(world: World, status: int) -> None:
    world.smp.status = status
    answer = await world.network.lookup(RECEIVER)
    assert isinstance(answer, LookupDown)
    assert not answer.dns


async def test_an_smp_that_cannot_be_reached_is_down(world: World) -> None:
    world.dns.point(RECEIVER, f"http://127.0.0.1:{REFUSED_PORT}")
    assert isinstance(await world.network.lookup(RECEIVER), LookupDown)


async def test_a_slow_smp_is_down(world: World) -> None:
    world.smp.slow_seconds = 1.5
    assert isinstance(await world.network.lookup(RECEIVER), LookupDown)


@pytest.mark.parametrize("body", [
    b"",
    b"no xml",
    b"<html/>",
    b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
    b"<!DOCTYPE a [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;'>]><a>&b;</a>",
    b"<a>" + b"x" * (smp.MAX_BYTES + 1) + b"</a>",
    b"<a>" * 5000,
])  # fmt: skip
async def test_a_hostile_answer_of_an_smp_is_down(world: World, body: bytes) -> None:
    world.smp.body = body
    assert isinstance(await world.network.lookup(RECEIVER), LookupDown)


async def test_an_answer_for_another_participant_is_down(world: World) -> None:
    world.smp.names_another = True
    assert isinstance(await world.network.lookup(RECEIVER), LookupDown)


@pytest.mark.parametrize(("listing", "serves"), [
    (Listing(doctypes.BIS_INVOICE), True),
    (Listing(doctypes.BIS_INVOICE, process="urn:other"), False),
    (Listing(doctypes.BIS_INVOICE, transport="busdox-transport-as2-ver1p0"), False),
    (Listing(doctypes.BIS_INVOICE, active_from="2098-01-01T00:00:00"), False),
    (Listing(doctypes.BIS_INVOICE, expires="2021-01-01T00:00:00+02:00"), False),
    (Listing(doctypes.BIS_INVOICE, active_from="", expires="soon"), True),
])  # fmt: skip
async def test_a_type_counts_with_its_process_transport_and_dates(
    world: World, listing: Listing, serves: bool
) -> None:
    world.smp.register(RECEIVER, listing)
    answer = await world.network.lookup(RECEIVER)
    assert isinstance(answer, Registered)
    assert (doctypes.BIS_INVOICE.id in answer.document_types) is serves


async def test_a_listed_type_without_metadata_is_not_taken(world: World) -> None:
    world.smp.register(RECEIVER, Listing(doctypes.XR_CII, hidden=True), Listing(doctypes.BIS_CII))
    assert await world.network.lookup(RECEIVER) == Registered(frozenset({doctypes.BIS_CII.id}))


async def test_a_type_that_xtool_never_sends_costs_no_question(world: World) -> None:
    world.smp.register(RECEIVER, Listing(doctypes.INVOICE_RESPONSE))
    answer = await world.network.lookup(RECEIVER)
    assert answer == Registered(frozenset({doctypes.INVOICE_RESPONSE.id}))
    assert len(world.smp.requests) == 1


async def test_metadata_that_stands_elsewhere_is_followed_once(world: World) -> None:
    elsewhere = SmpStandIn()
    await elsewhere.start()
    elsewhere.register(RECEIVER, Listing(doctypes.BIS_INVOICE))
    quoted = smp._group_url(elsewhere.url, RECEIVER)
    type_id = quote(doctypes.qualified_doctype(doctypes.BIS_INVOICE), safe="")
    world.smp.register(
        RECEIVER, Listing(doctypes.BIS_INVOICE, redirect=f"{quoted}/services/{type_id}")
    )
    answer = await world.network.lookup(RECEIVER)
    await elsewhere.stop()
    assert answer == Registered(frozenset({doctypes.BIS_INVOICE.id}))


async def test_metadata_that_points_inside_is_not_followed(world: World) -> None:
    world.smp.register(
        RECEIVER, Listing(doctypes.BIS_INVOICE, redirect="https://169.254.169.254/latest")
    )
    assert isinstance(await world.network.lookup(RECEIVER), LookupDown)


async def test_a_name_that_leads_inside_is_not_connected_to() -> None:
    class Inside(AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
            return [{"hostname": host, "host": "10.0.0.8", "port": port, "family": 2,
                     "proto": 0, "flags": 0}]  # fmt: skip

        async def close(self) -> None:
            pass

    with pytest.raises(OSError, match="no public address"):
        await smp.PublicResolver(Inside()).resolve("smp.example", 443)


@pytest.mark.parametrize("address", [
    "10.0.0.8", "127.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1", "0.0.0.0",
    "224.0.0.1", "::1", "fe80::1%eth0", "fd00::1", "::ffff:10.0.0.8", "::ffff:127.0.0.1", "", "x",
])  # fmt: skip
def test_an_address_inside_is_not_public(address: str) -> None:
    assert not smp.is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert smp.is_public(address)


async def test_the_client_for_smps_resolves_names_this_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolved: list[str] = []

    async def resolve(
        self: object, host: str, port: int = 0, family: int = 0
    ) -> list[ResolveResult]:
        resolved.append(host)
        raise OSError("the name leads to no public address")

    monkeypatch.setattr(smp.PublicResolver, "resolve", resolve)
    async with smp.smp_client() as client:
        with pytest.raises(SmpDownError, match="does not answer"):
            await Smp(client)._get("https://smp.localhost/")
    assert resolved == ["smp.localhost"]


# the service: modes and memory


async def test_auto_asks_the_access_point_while_dns_cannot_be_asked(world: World) -> None:
    world.dns.denies_zone = True
    asked = Asked(Registered(frozenset({doctypes.BIS_INVOICE.id})))
    lookups = Lookups(world.network, asked)  # type: ignore[arg-type]
    assert await lookups.lookup(OTHER) == asked.answer


async def test_auto_does_not_ask_the_access_point_when_an_smp_is_down(world: World) -> None:
    world.smp.status = 500
    asked = Asked(Registered(frozenset()))
    lookups = Lookups(world.network, asked)  # type: ignore[arg-type]
    assert isinstance(await lookups.lookup(RECEIVER), LookupDown)
    assert asked.times == []


async def test_auto_leaves_dns_alone_for_a_while_after_it_was_down(world: World) -> None:
    world.dns.broken = dns.rcode.SERVFAIL
    asked = Asked(Registered(frozenset()))
    lookups = Lookups(world.network, asked, clock=world.clock)  # type: ignore[arg-type]
    await lookups.lookup(RECEIVER)
    questions = len(world.dns.questions)
    await lookups.lookup(OTHER)
    assert len(world.dns.questions) == questions
    world.time += DNS_REST_SECONDS + 1
    await lookups.lookup(ParticipantId(scheme="9930", value="DE136695976"))
    assert len(world.dns.questions) > questions


async def test_sml_alone_stays_down_without_dns(world: World) -> None:
    world.dns.broken = dns.rcode.SERVFAIL
    assert isinstance(await Lookups(world.network, None).lookup(RECEIVER), LookupDown)


async def test_an_access_point_without_a_lookup_is_not_asked(world: World) -> None:
    world.dns.broken = dns.rcode.SERVFAIL
    asked = Asked(Registered(frozenset()), own_lookup=False)
    lookups = Lookups(world.network, asked)  # type: ignore[arg-type]
    assert isinstance(await lookups.lookup(RECEIVER), LookupDown)
    assert asked.times == []


async def test_access_point_mode_never_asks_dns(world: World) -> None:
    asked = Asked(Registered(frozenset({"x"})))
    assert await Lookups(None, asked).lookup(RECEIVER) == asked.answer  # type: ignore[arg-type]
    assert world.dns.questions == []


@pytest.mark.parametrize(("answer", "seconds"), [
    (Registered(frozenset({"x"})), 900),
    (NotRegistered(Reason(code="x"), certain=False), 120),
])  # fmt: skip
async def test_an_answer_is_remembered_for_a_while(
    world: World, answer: Lookup, seconds: float
) -> None:
    asked = Asked(answer)
    lookups = Lookups(None, asked, clock=world.clock)  # type: ignore[arg-type]
    await lookups.lookup(RECEIVER)
    world.time += seconds - 1
    await lookups.lookup(ParticipantId(scheme="0204", value=RECEIVER.value.lower()))
    assert len(asked.times) == 1
    world.time += 2
    await lookups.lookup(RECEIVER)
    assert len(asked.times) == 2


async def test_a_lookup_that_was_down_is_not_remembered(world: World) -> None:
    world.smp.status = 500
    lookups = Lookups(world.network, None)
    await lookups.lookup(RECEIVER)
    world.smp.status = 200
    assert isinstance(await lookups.lookup(RECEIVER), Registered)


async def test_many_who_ask_for_one_receiver_at_once_ask_once(world: World) -> None:
    lookups = Lookups(world.network, None)
    answers = await asyncio.gather(*(lookups.lookup(RECEIVER) for _ in range(20)))
    assert len(set(map(id, answers))) == 1
    assert [kind for _, kind in world.dns.questions] == ["NAPTR"]


async def test_what_is_forgotten_is_asked_again() -> None:
    asked = Asked(Registered(frozenset({"x"})))
    lookups = Lookups(None, asked)  # type: ignore[arg-type]
    await lookups.lookup(RECEIVER)
    lookups.forget(RECEIVER)
    await lookups.lookup(RECEIVER)
    assert len(asked.times) == 2


async def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync.peppol.lookup.CACHED", 3)
    lookups = Lookups(None, Asked(Registered(frozenset({"x"}))))  # type: ignore[arg-type]
    for number in range(10):
        await lookups.lookup(ParticipantId(scheme="0088", value=str(number)))
    assert len(lookups._known) == 3
