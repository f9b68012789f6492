"""Whatever sevDesk answers, it is read or reported, never a crash."""

from __future__ import annotations

import contextlib
import gzip
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sync.errors import Kind
from sync.sevdesk import answers, errors, rows, wire
from sync.sevdesk.wire import Answer
from tests.unit.test_sevdesk_wire import ADD, NOW, REMOVE, TAGS, XML, envelope

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
field_names = st.sampled_from([
    "id", "status", "invoiceType", "invoiceDate", "timeToPay", "contact", "sumGross", "paidAmount",
    "currency", "update", "name", "surename", "familyname", "parent", "vatNumber", "tag", "object",
    "sevClient", "objectName", "value", "contactCustomFieldSetting", "addressName", "invoiceNumber",
    "governmentAgency", "propertyIsEInvoice",
])  # fmt: skip
plausible = st.one_of(
    json_values,
    st.sampled_from(["1", 7, "200", "RE", "0", "46.65", "2026-11-22T00:00:00+01:00", "9" * 80]),
    st.dictionaries(field_names, json_values | st.sampled_from(["1", 2, "Invoice"]), max_size=4),
)
row_like = st.dictionaries(field_names, plausible, max_size=12) | json_values
PARSERS = [
    rows.tag, rows.tag_relation, rows.invoice, rows.contact, rows.custom_field,
    rows.custom_field_setting, rows.account_of_any, rows.account_of_client, rows.account_of_user,
]  # fmt: skip


@given(st.lists(row_like, max_size=5), st.sampled_from(PARSERS))
def test_any_rows_are_read_or_reported(raw: list[Any], parse: Any) -> None:
    wired = wire.parse_json(json.dumps(raw).encode())
    listing = rows.parse_all(wired, parse)
    assert len(listing.rows) + len(listing.broken) == len(raw)


@given(row_like)
def test_an_invoice_that_is_read_has_what_decisions_need(raw: Any) -> None:
    for row in rows.parse_all([raw], rows.invoice).rows:
        assert row.id
        assert row.status
        assert row.invoice_type
        assert row.gross is None or row.gross.is_finite()


def raised(meaning: Any, request: wire.Request, answer: Answer) -> errors.SevdeskError | None:
    """The error that an answer means, if any."""
    try:
        meaning(request, answer, NOW)
    except errors.SevdeskError as error:
        return error
    return None


requests = st.sampled_from([TAGS, ADD, REMOVE, XML, wire.get_pdf("1"), wire.bookkeeping_version()])
bodies = (
    st.binary(max_size=200)
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.builds(envelope, st.text(), json_values, json_values).map(lambda v: json.dumps(v).encode())
    | st.builds(lambda e: json.dumps({"error": e}).encode(), json_values)
)


@given(requests, st.integers(200, 599), bodies, st.text(max_size=40))
def test_any_answer_is_a_payload_or_a_sevdesk_error(
    request: wire.Request, status: int, body: bytes, retry_after: str
) -> None:
    answer = Answer(status, body, retry_after)
    for meaning in (answers.read, answers.xml_bytes, answers.pdf):
        error = raised(meaning, request, answer)
        if error is not None:
            assert error.retry_after is None or 0 <= error.retry_after <= 3600
            assert all(isinstance(value, str) for value in error.params.values())


@given(st.integers(400, 599), bodies)
def test_a_failed_write_is_unknown_unless_its_status_is_definite(status: int, body: bytes) -> None:
    error = raised(answers.read, ADD, Answer(status, body))
    assert error is not None
    assert (error.kind is Kind.UNKNOWN) is (status not in {401, 403, 404, 405, 409, 422, 429})


@given(st.binary(max_size=500), st.integers(0, 600))
def test_unpacking_never_exceeds_its_limit(body: bytes, limit: int) -> None:
    for packed in (body, gzip.compress(body)):
        with contextlib.suppress(errors.BadAnswerError):
            assert len(wire.unpack(packed, limit)) <= limit


@given(st.integers(0, 4_000_000_000), st.integers(-5000, 5000))
def test_http_dates_become_seconds_from_now(stamp: int, distance: int) -> None:
    now = datetime.fromtimestamp(stamp, UTC)
    header = format_datetime(now + timedelta(seconds=distance), usegmt=True)
    assert answers.retry_after_seconds(header, now) == min(max(distance, 0), 3600)
