"""What the tests of the Peppol room share: a small document, clients, guards."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import httpx
import pytest

from sync.model import DocumentType, ParticipantId
from sync.peppol import doctypes
from sync.peppol.access_point import Submission
from sync.sevdesk.transport import build_http

SENDER = ParticipantId(scheme="9930", value="DE136695976")
RECEIVER = ParticipantId(scheme="0204", value="991-03730-19")
CANARY = "canary-7f3a-never-shown"
REFUSED_PORT = 9  # discard: nobody listens there


def ubl(number: str = "RE-1001", receiver: ParticipantId = RECEIVER) -> bytes:
    """A UBL document with what a stand-in reads of it."""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"
 xmlns:cbc="urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2"
 xmlns:cac="urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2">
 <cbc:ID>{number}</cbc:ID>
 <cac:AccountingSupplierParty><cac:Party>
  <cbc:EndpointID schemeID="{SENDER.scheme}">{SENDER.value}</cbc:EndpointID>
 </cac:Party></cac:AccountingSupplierParty>
 <cac:AccountingCustomerParty><cac:Party>
  <cbc:EndpointID schemeID="{receiver.scheme}">{receiver.value}</cbc:EndpointID>
 </cac:Party></cac:AccountingCustomerParty>
</Invoice>""".encode()


def cii(number: str = "RE-1001") -> bytes:
    """A CII document with what a stand-in reads of it."""
    ram = "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100"
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<rsm:CrossIndustryInvoice xmlns:ram="{ram}"
 xmlns:rsm="urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100">
 <rsm:ExchangedDocument><ram:ID>{number}</ram:ID></rsm:ExchangedDocument>
</rsm:CrossIndustryInvoice>""".encode()


def submission(
    number: str = "RE-1001",
    *,
    document_type: DocumentType = doctypes.BIS_INVOICE,
    receiver: ParticipantId = RECEIVER,
    document: bytes | None = None,
) -> Submission:
    """An attempt that was claimed now."""
    return Submission(
        attempt_id=str(uuid.uuid4()),
        sender=SENDER,
        receiver=receiver,
        document_type=document_type,
        document=ubl(number, receiver) if document is None else document,
        number=number,
        country="DE",
        claimed_at=datetime.now(UTC),
    )


def with_provider_id(one: Submission, provider_id: str) -> Submission:
    """The attempt after `save`."""
    return replace(one, provider_id=provider_id)


def go() -> None:
    """A guard that lets everything pass."""


class TooLateError(Exception):
    """What `stop` raises."""


def stop() -> None:
    """A guard that lets nothing pass."""
    raise TooLateError


async def keep(provider_id: str) -> None:
    """A save that does nothing."""


@dataclass
class Saved:
    """A save that remembers what it was called with."""

    id: str = ""

    async def __call__(self, provider_id: str) -> None:
        self.id = provider_id


@contextmanager
def later(seconds: float) -> Iterator[None]:
    """The loop's clock, so many seconds ahead: what waits until then is over at once."""
    loop = asyncio.get_running_loop()
    now = loop.time
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "time", lambda: now() + seconds)
        yield


@asynccontextmanager
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """The application's own client."""
    async with build_http() as client:
        yield client
