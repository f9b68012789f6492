"""No answer of a provider, however broken, breaks an adapter or counts as more than it says."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sync.errors import Reason
from sync.model import ParticipantId
from sync.peppol import recommand
from sync.peppol.access_point import (
    Absent,
    Accepted,
    AccessPoint,
    CannotTell,
    DeliveryState,
    Found,
    LookupDown,
    NotRegistered,
    NotTaken,
    Registered,
    Rejected,
    Unknown,
)
from sync.peppol.errors import CODES
from sync.peppol.wire import Answer
from tests.unit.peppol_providers import PROVIDERS, Scripted, said
from tests.unit.peppol_support import RECEIVER, go, keep, submission, with_provider_id

NAMES = [
    "success", "id", "sentOverPeppol", "sentOverEmail", "deliveryStatus", "deliveryFailure",
    "errors", "root", "document", "documents", "isValid", "is_valid", "supportedDocuments",
    "serviceMetadataReferences", "docTypeId", "state", "detail", "issues", "events", "event_type",
    "details", "dnsInfo", "serviceMetadata", "endpoints", "documentTypes", "status", "mlsStatus",
    "overallSuccess", "errorDetails", "identifiers", "scheme", "identifier", "receiverId", "parsed",
    "is_deleted", "type", "rule_id", "message", "direction", "xml",
]  # fmt: skip
WORDS = ["", "doc_1", "DRAFT", "SENT", "TRANSIT", "FAILED", "sent", "failed", "pending", "error",
         "success", "received_re", "send_failed", "mlr_received", "outgoing", str(RECEIVER),
         "x" * 1000, "\x00\n\x1b"]  # fmt: skip
scalars = st.none() | st.booleans() | st.integers() | st.sampled_from(WORDS) | st.text(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6)
    ),
    max_leaves=12,
)
records = st.dictionaries(st.sampled_from(NAMES), values, max_size=8)
bodies = records.map(lambda record: json.dumps(record).encode()) | st.binary(max_size=20)
statuses = st.sampled_from([200, 201, 204, 301, 400, 401, 402, 403, 404, 405, 406, 409, 413, 415,
                            418, 422, 429, 500, 502, 503])  # fmt: skip
answers = st.builds(said, statuses, bodies | st.none())


def adapters(script: list[Answer]) -> list[tuple[AccessPoint, Scripted]]:
    wires = [Scripted(*script) for _ in PROVIDERS]
    return [(one.over(wire), wire) for one, wire in zip(PROVIDERS, wires, strict=True)]


def check_reason(reason: Reason | None) -> None:
    if reason is not None:
        assert set(reason.params) == set(CODES[reason.code][1])
        assert all(len(text) <= 300 and text.isprintable() for text in reason.params.values())


@given(st.lists(answers, min_size=1, max_size=5))
def test_a_submission_ends_in_one_of_four_outcomes(script: list[Answer]) -> None:
    for adapter, wire in adapters(script):
        outcome = asyncio.run(adapter.submit(submission(), go, keep))
        assert isinstance(outcome, Accepted | Rejected | NotTaken | Unknown)
        assert wire.transfers <= 1
        if isinstance(outcome, Accepted):
            assert outcome.provider_id
            check_reason(outcome.status.reason)
        else:
            check_reason(outcome.reason)


@given(st.lists(answers, min_size=1, max_size=5))
def test_looking_for_a_submission_ends_in_one_of_three(script: list[Answer]) -> None:
    for adapter, _ in adapters(script):
        found = asyncio.run(adapter.find(with_provider_id(submission(), "doc_1")))
        assert isinstance(found, Found | Absent | CannotTell)
        assert not isinstance(found, Found) or found.provider_id


@given(st.lists(answers, min_size=1, max_size=3))
def test_a_status_that_is_not_said_is_unknown(script: list[Answer]) -> None:
    for adapter, _ in adapters(script):
        status = asyncio.run(adapter.status("doc_1"))
        needs_reason = status.state in (DeliveryState.FAILED, DeliveryState.UNKNOWN)
        assert (status.reason is not None) == needs_reason
        check_reason(status.reason)


@given(st.lists(answers, min_size=1, max_size=3))
def test_a_lookup_ends_in_one_of_three(script: list[Answer]) -> None:
    for adapter, _ in adapters(script):
        answer = asyncio.run(adapter.lookup(ParticipantId(scheme="0088", value="1")))
        assert isinstance(answer, Registered | NotRegistered | LookupDown)
        assert not isinstance(answer, Registered) or answer.document_types


@given(statuses.filter(lambda status: status != 200), records)
def test_recommand_accepts_with_200_only(status: int, record: dict[str, Any]) -> None:
    assert not isinstance(recommand._outcome(said(status, record)), Accepted)


@given(st.sampled_from([500, 502, 504, 418, 301, 405]), records)
def test_an_answer_that_nobody_promised_is_unknown(status: int, record: dict[str, Any]) -> None:
    for provider in PROVIDERS:
        if status == 405 and provider.name == "e-invoice-be":
            continue  # there it says that the draft was sent
        adapter = provider.over(Scripted(*provider.ready, said(status, record)))
        assert isinstance(asyncio.run(adapter.submit(submission(), go, keep)), Unknown)
