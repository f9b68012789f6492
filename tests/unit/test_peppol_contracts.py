"""Adapters' requests and stand-ins' answers against the providers' OpenAPI documents."""

from __future__ import annotations

import functools
from typing import Any

import httpx
import pytest

from sync.model import ParticipantId
from sync.peppol import doctypes
from sync.peppol.access_point import Accepted, AccessPoint
from sync.peppol.registry import access_point
from tests.sandbox.access_points import EInvoiceBeStandIn, Fault, RecommandStandIn, StandIn
from tests.spec import spec_path
from tests.unit.peppol_contract import Contract, Exchange, Recorder
from tests.unit.peppol_providers import SECRET, account, running
from tests.unit.peppol_support import CANARY, RECEIVER, Saved, go, submission, with_provider_id

OTHER = ParticipantId(scheme="0088", value="1548079098355")


async def everything(adapter: AccessPoint, service: StandIn) -> None:
    """Each call of the protocol, in good and bad weather."""
    saved = Saved()
    service.register(str(RECEIVER), *(one.id for one in doctypes.SENDABLE), pending_polls=1)
    await adapter.lookup(RECEIVER)
    await adapter.lookup(OTHER)
    outcome = await adapter.submit(submission("RE-1"), go, saved)
    assert isinstance(outcome, Accepted)
    await adapter.status(outcome.provider_id)
    await adapter.status(outcome.provider_id)
    await adapter.status("doc_nowhere")
    service.inject(Fault.RESET)
    lost = submission("RE-2")
    await adapter.submit(lost, go, saved)
    await adapter.find(with_provider_id(lost, saved.id))
    service.register(str(RECEIVER), doctypes.BIS_INVOICE.id, rejects=1)
    await adapter.submit(submission("RE-3"), go, saved)
    await adapter.submit(submission("RE-4", document=b"no xml"), go, saved)


async def traffic(provider: str, stand_in: StandIn) -> list[Exchange]:
    """What went to and fro while everything was done."""
    async with running(stand_in) as service:
        recorder = Recorder()
        async with httpx.AsyncClient(transport=recorder, trust_env=False) as client:
            await everything(access_point(client, account(provider, service.url)), service)
    return [one for one in recorder.exchanges if one.status]


async def recommand_traffic() -> list[Exchange]:
    return await traffic("recommand", RecommandStandIn(key=CANARY, secret=SECRET))


async def einvoice_be_traffic() -> list[Exchange]:
    return await traffic("e-invoice-be", EInvoiceBeStandIn(key=CANARY))


@functools.cache
def recommand_contract() -> Contract:
    return Contract(spec_path("access-points/recommand-openapi-partial.yaml"), "/api/v1")


@functools.cache
def einvoice_be_contract() -> Contract:
    return Contract(spec_path("access-points/e-invoice-be-openapi.yaml"))


async def test_recommand_keeps_to_its_document() -> None:
    # the list of a company's identifiers is in the service's source, not in this partial document
    listed = [one for one in await recommand_traffic() if not one.path.endswith("/identifiers")]
    problems = [p for one in listed for p in recommand_contract().problems(one)]
    assert problems == []


async def test_einvoice_be_keeps_to_its_document() -> None:
    contract = einvoice_be_contract()
    problems = [p for one in await einvoice_be_traffic() for p in contract.problems(one)]
    assert problems == []


async def test_each_call_of_einvoice_be_was_made() -> None:
    calls = {
        (
            one.method,
            one.path.rpartition("/")[2] if "doc_" not in one.path.rpartition("/")[2] else "{id}",
        )
        for one in await einvoice_be_traffic()
    }
    assert calls >= {
        ("POST", "ubl"), ("POST", "validate"), ("POST", "send"), ("GET", "{id}"),
        ("GET", "timeline"), ("DELETE", "{id}"), ("GET", "lookup"),
    }  # fmt: skip


@pytest.mark.parametrize(("change", "told"), [
    ({"path": "/api/documents/x/teleport"}, "not in the document"),
    ({"query": {"nonsense": "1"}}, "nonsense is no parameter"),
    ({"status": 418}, "status 418"),
    ({"body": b'{"id": 5}'}, "5 is not of type"),
])  # fmt: skip
async def test_the_check_itself_sees_what_is_wrong(change: dict[str, Any], told: str) -> None:
    contract = einvoice_be_contract()
    good = next(one for one in await einvoice_be_traffic() if one.path.endswith("/send"))
    assert list(contract.problems(good)) == []
    for name, value in change.items():
        setattr(good, name, value)
    assert any(told in problem for problem in contract.problems(good))
