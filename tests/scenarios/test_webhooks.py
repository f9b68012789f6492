"""The access point calls back: signed and unsigned calls to the real web application."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from sync.callbacks import BUDGET, BURST
from sync.model import InvoiceRecord, InvoiceState
from sync.peppol import doctypes
from sync.store.pace import Pacer, PausedError
from sync.store.records import Records
from sync.store.redis import Clients
from tests.sandbox.access_points import EInvoiceBeStandIn, RecommandStandIn, StandIn
from tests.sandbox.seed import REGISTERED
from tests.sandbox.world import World, stand_ins
from tests.scenarios.test_journey import connect

SECRET = "callback-canary-8c1f"
BY_ITSELF = 600.0  # seconds until xTool would ask by itself: longer than any test
SECONDS = 20.0
ORG = "T0LINDHOF"
TAKES = (doctypes.BIS_INVOICE.id, doctypes.BIS_CREDIT_NOTE.id)


@pytest.fixture
async def provider() -> AsyncIterator[EInvoiceBeStandIn]:
    """e-invoice.be, where no delivery ends by itself."""
    stand_in = EInvoiceBeStandIn()
    await stand_in.start()
    for participant in REGISTERED:
        stand_in.register(participant, *TAKES, pending_polls=1_000_000)
    yield stand_in
    await stand_in.stop()


def settings(provider: StandIn, redis_url: str, **given: Any) -> dict[str, Any]:
    """The store is the test's, which looks into it."""
    keys = SecretStr("A" * 43 + "=")
    return {
        "peppol_api_url": provider.url,
        "redis_url": SecretStr(redis_url),
        "encryption_keys": keys,
        "retry_seconds": BY_ITSELF,
        **given,
    }


@pytest.fixture
async def world(
    provider: EInvoiceBeStandIn, clients: Clients, redis_url: str
) -> AsyncIterator[World]:
    """The app with e-invoice.be, connected; the first invoice is submitted."""
    secret = SecretStr(SECRET)
    given = settings(
        provider, redis_url, peppol_provider="e-invoice-be", peppol_webhook_secret=secret
    )
    async with stand_ins(**given) as world, world.app():
        await submitted(world, clients)
        yield world


async def submitted(world: World, clients: Clients) -> None:
    await connect(world)
    await until_state(world, clients, InvoiceState.SUBMITTED)


async def record(world: World, clients: Clients) -> InvoiceRecord | None:
    return await Records(clients, ORG).get(world.seeded.unpaid[0].id)


async def until_state(world: World, clients: Clients, state: InvoiceState) -> InvoiceRecord:
    """Wait for it; the store wakes nobody."""
    async with asyncio.timeout(SECONDS):
        while (found := await record(world, clients)) is None or found.state is not state:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return found


def taken(world: World, provider: StandIn) -> str:
    """The access point's id of the first invoice."""
    number = world.seeded.unpaid[0].number
    return next(one.id for one in provider.taken if one.number == number)


def deliver(world: World, provider: StandIn) -> str:
    for one in provider.taken:
        one.polls_left = 0
    return taken(world, provider)


def event(document_id: str) -> bytes:
    return json.dumps({"type": "document.sent", "data": {"document_id": document_id}}).encode()


def signature(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


async def call(world: World, body: bytes, signed: str | bytes | None = None) -> httpx.Response:
    headers: dict[str, Any] = {} if signed is None else {"X-Signature": signed}
    async with httpx.AsyncClient() as http:
        return await http.post(f"{world.address}/peppol/webhook", content=body, headers=headers)


def asked(provider: StandIn, document_id: str) -> int:
    return sum(path == f"/api/documents/{document_id}" for _, path, _ in provider.requests)


async def until_sent(world: World) -> None:
    account, invoice = world.seeded.account, world.seeded.unpaid[0]
    await world.until(lambda: account.tags_of(invoice) == ["xTool-Peppol-Sent"], SECONDS)


async def test_a_signed_call_ends_the_waiting(world: World, provider: EInvoiceBeStandIn) -> None:
    document_id = deliver(world, provider)
    body = event(document_id)
    response = await call(world, body, signature(body))
    assert (response.status_code, response.content) == (202, b"")
    await until_sent(world)
    assert asked(provider, document_id) == 1


async def test_a_call_is_not_believed(
    world: World, provider: EInvoiceBeStandIn, clients: Clients
) -> None:
    document_id = taken(world, provider)
    body = event(document_id)
    await call(world, body, signature(body))
    await world.until(lambda: asked(provider, document_id) == 1, SECONDS)
    found = await record(world, clients)
    assert found is not None
    assert found.state is InvoiceState.SUBMITTED


async def test_a_wrong_signature_is_refused_and_asks_nothing(
    world: World, provider: EInvoiceBeStandIn, clients: Clients
) -> None:
    before = await record(world, clients)
    of_another = signature(event("doc_other"))
    body = event(deliver(world, provider))
    wrong = (None, "", "sha256=" + "0" * 64, b"sha256=\xe9", "x" * 5000, of_another)
    answers = [await call(world, body, signed) for signed in wrong]
    assert {(one.status_code, one.content) for one in answers} == {(401, b"")}
    assert await record(world, clients) == before


async def test_ten_calls_ask_once(world: World, provider: EInvoiceBeStandIn) -> None:
    document_id = taken(world, provider)
    body = event(document_id)
    for _ in range(10):
        assert (await call(world, body, signature(body))).status_code == 202
    await world.until(lambda: asked(provider, document_id) == 1, SECONDS)
    assert asked(provider, document_id) == 1


@pytest.fixture
async def web(provider: EInvoiceBeStandIn, redis_url: str) -> AsyncIterator[World]:
    """The web process alone, with nobody connected."""
    secret = SecretStr(SECRET)
    given = settings(
        provider, redis_url, peppol_provider="e-invoice-be", peppol_webhook_secret=secret
    )
    async with stand_ins(**given) as world, world.app(worker=False):
        yield world


async def test_what_is_not_known_gets_the_same_answer(web: World) -> None:
    unknown = (event("doc_1"), b"{}", b"[[[]]]", b"null", b'{"id": {"id": 7}}', b"<x/>")
    answers = [await call(web, body, signature(body)) for body in unknown]
    assert {(one.status_code, one.content) for one in answers} == {(202, b"")}


async def test_a_body_that_is_too_large_is_not_read(web: World) -> None:
    body = b" " * (1024 * 1024 + 1)
    assert (await call(web, body, signature(body))).status_code == 413


async def test_nothing_of_a_call_is_logged(
    world: World, provider: EInvoiceBeStandIn, capfd: pytest.CaptureFixture[str]
) -> None:
    document_id = deliver(world, provider)
    body = json.dumps({"id": document_id, "note": "body-canary-77"}).encode()
    await call(world, body, signature(body))
    await call(world, body, "sha256=" + "ab" * 32)
    await until_sent(world)
    written = "".join(capfd.readouterr())
    assert "access point called" in written
    assert not [canary for canary in ("body-canary-77", SECRET, "ab" * 32) if canary in written]


async def test_a_buyers_answer_is_heard_of_by_a_call(
    world: World, provider: EInvoiceBeStandIn, clients: Clients
) -> None:
    document_id = deliver(world, provider)
    body = event(document_id)
    provider.answer(document_id, "imr_received", response_code="RE", text="Falsche Bestellnummer")
    await call(world, body, signature(body))
    found = await until_state(world, clients, InvoiceState.SENT)
    assert found.objection is not None
    assert (found.objection.code, found.objection.text) == ("RE", "Falsche Bestellnummer")
    slack, text = world.slack, found.objection.text
    await slack.wait_for(
        lambda: any(text in m.all_text for m in slack.messages("invoices")), SECONDS
    )
    await slack.command("/sevdesk status")
    await slack.wait_for(
        lambda: any(text in m.all_text for m in slack.ephemerals("admin")), SECONDS
    )


async def test_without_a_secret_nobody_is_listened_to(
    provider: EInvoiceBeStandIn, clients: Clients, redis_url: str
) -> None:
    given = settings(provider, redis_url, peppol_provider="e-invoice-be")
    async with stand_ins(**given) as world, world.app(worker=False):
        body = event("doc_1")
        assert (await call(world, body, signature(body, ""))).status_code == 404


@pytest.fixture
async def recommand() -> AsyncIterator[RecommandStandIn]:
    """Recommand, where no delivery ends by itself."""
    stand_in = RecommandStandIn()
    await stand_in.start()
    for participant in REGISTERED:
        stand_in.register(participant, *TAKES, pending_polls=1_000_000)
    yield stand_in
    await stand_in.stop()


async def test_an_unsigned_call_of_recommand_asks_and_is_not_believed(
    recommand: RecommandStandIn, clients: Clients, redis_url: str
) -> None:
    given = settings(recommand, redis_url, peppol_company_id=recommand.company)
    async with stand_ins(**given) as world, world.app():
        await submitted(world, clients)
        document_id = taken(world, recommand)
        path = f"/api/v1/documents/{document_id}"
        body = json.dumps({"eventType": "document.sent", "documentId": document_id}).encode()
        assert (await call(world, body)).status_code == 202
        await world.until(lambda: any(p == path for _, p, _ in recommand.requests), SECONDS)
        found = await record(world, clients)
        assert found is not None
        assert found.state is InvoiceState.SUBMITTED


async def test_a_flood_of_unsigned_calls_is_answered_and_costs_little(
    clients: Clients, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = 0.01  # a second: nothing comes back while the test runs
    monkeypatch.setattr("sync.callbacks.PER_SECOND", slow)
    async with (
        stand_ins(**settings(RecommandStandIn(), redis_url)) as world,
        world.app(worker=False),
    ):
        body = event("doc_1")
        calls = [call(world, body) for _ in range(60)]
        assert {r.status_code for r in await asyncio.gather(*calls)} == {202}
        budget = Pacer(clients, BUDGET, per_second=slow, burst=BURST, longest_wait=0)
        with pytest.raises(PausedError):
            await budget.take()
