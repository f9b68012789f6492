"""Requests as data, and answers of every shape: what they mean, without a connection."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from sync.errors import Kind
from sync.sevdesk import answers, errors, rows, wire
from sync.sevdesk.wire import Answer
from tests.spec import spec_path

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TAGS = wire.page("/Tag")
ADD = wire.add_tag("7", "xTool-Uploaded")
REMOVE = wire.remove_tag_relation("9")
XML = wire.get_xml("7")


def read(body: Any, status: int = 200, request: wire.Request = TAGS) -> Any:
    """Read an answer whose body is given as JSON-able data or bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return answers.read(request, Answer(status, data), NOW)


def envelope(message: str, code: object = None, status: object = 404) -> dict[str, Any]:
    """sevDesk's error envelope."""
    return {
        "error": {"message": message, "code": code, "exceptionUUID": "u-1", "responseCode": status},
        "objects": None,
    }


# --- requests ---


def test_a_page_asks_for_a_thousand_rows() -> None:
    assert wire.page("/Invoice", 980, filters={"status": 200}).target == (
        "/Invoice?status=200&limit=1000&offset=980"
    )


def test_an_id_cannot_leave_its_place_in_the_path() -> None:
    assert wire.get_xml("../Tag/1?x=").path == "/Invoice/..%2FTag%2F1%3Fx%3D/getXml"


def test_the_pdf_is_asked_for_without_sending() -> None:
    assert "preventSendBy=true" in wire.get_pdf("7").target


def test_adding_a_tag_names_it_and_the_invoice_by_number() -> None:
    assert ADD.body == {"name": "xTool-Uploaded", "object": {"id": 7, "objectName": "Invoice"}}


def test_tags_themselves_are_never_deleted() -> None:
    assert REMOVE.path == "/TagRelation/9"


# --- envelopes ---


@pytest.mark.parametrize(
    "body", [{"objects": [{"id": "1"}]}, {"objects": {"id": "1"}}, {"id": "1"}]
)
def test_one_object_in_any_envelope(body: Any) -> None:
    assert wire.single(read(body))["id"] == "1"


def test_a_list_may_carry_a_total() -> None:
    assert wire.many(read({"total": "1", "objects": [{"id": "1"}]})) == [{"id": "1"}]


def test_an_empty_answer_to_a_removal_is_success() -> None:
    assert read(b"", request=REMOVE) is None


def test_objects_null_in_a_list_is_a_bad_answer() -> None:
    with pytest.raises(errors.BadAnswerError):
        wire.many(read({"objects": None}))


# --- errors ---


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, {"status": 401, "message": "Authentication required"}, errors.UnauthorizedError),
        (200, {"status": 401, "message": "Authentication required"}, errors.UnauthorizedError),
        (200, envelope("no", status="403"), errors.ForbiddenError),
        (403, b"", errors.ForbiddenError),
        (403, b"<html>no</html>", errors.ForbiddenError),
        (404, envelope("No Model_Tag", 151), errors.NotFoundError),
        (409, envelope("not deletable", "159", 409), errors.RefusedError),
        (422, envelope("no", 421, 422), errors.RefusedError),
        (200, {"error": {"message": "partly paid", "code": 390}}, errors.RefusedError),
        (200, {"error": "just text"}, errors.RefusedError),
        (429, b"", errors.RateLimitedError),
        (408, b"", errors.UnavailableError),
        (500, envelope("boom", status=500), errors.UnavailableError),
        (502, b"Bad Gateway", errors.UnavailableError),
        (200, b"<!DOCTYPE html><html></html>", errors.UnavailableError),
        (404, b"<html>docs</html>", errors.WrongAddressError),
        (301, b"", errors.WrongAddressError),
        (200, b"nonsense", errors.BadAnswerError),
        (204, b"", errors.BadAnswerError),
    ],
)
def test_what_a_failed_reading_means(status: int, body: Any, expected: type[Exception]) -> None:
    with pytest.raises(errors.SevdeskError) as caught:
        read(body, status)
    assert type(caught.value) is expected


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, {"status": 401, "message": "Authentication required"}, errors.UnauthorizedError),
        (403, envelope("no", status=403), errors.ForbiddenError),
        (404, envelope("No Model_Invoice", 151), errors.NotFoundError),
        (429, b"", errors.RateLimitedError),
        (422, envelope("no", 1, 422), errors.RefusedError),
        (400, envelope("no", status=400), errors.WriteUnconfirmedError),
        (500, envelope("no", status=500), errors.WriteUnconfirmedError),
        (502, b"<html>", errors.WriteUnconfirmedError),
        (200, b"<html>", errors.WriteUnconfirmedError),
        (200, b"", errors.WriteUnconfirmedError),
        (200, envelope("no", status=500), errors.WriteUnconfirmedError),
        (200, {"error": {"message": "no"}}, errors.WriteUnconfirmedError),
    ],
)
def test_what_a_failed_write_means(status: int, body: Any, expected: type[Exception]) -> None:
    with pytest.raises(errors.SevdeskError) as caught:
        read(body, status, ADD)
    assert type(caught.value) is expected


@pytest.mark.parametrize("status", [404, 405, 409, 422])
def test_a_removal_that_is_not_offered(status: int) -> None:
    with pytest.raises(errors.RemovalRefusedError):
        read(b"{}", status, REMOVE)


def test_support_gets_its_reference() -> None:
    with pytest.raises(errors.RefusedError) as caught:
        read(envelope("no", 1, 422), 422)
    assert caught.value.params == {"status": "422", "message": "no", "reference": "u-1"}


def test_sevdesks_text_is_bounded_and_on_one_line() -> None:
    with pytest.raises(errors.RefusedError) as caught:
        read(envelope("a\n\x00\u202eb" + "x" * 5000, 1, 422), 422)
    message = caught.value.params["message"]
    assert message.isprintable()
    assert len(message) == 300


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("5", 5.0),
        ("0", 0.0),
        ("999999", 3600.0),
        ("Sun, 22 Nov 2026 12:01:30 GMT", 90.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
        ("Sun, 22 Nov 2026 12:01:30 -0000", 90.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("٣", None),
    ],
)
def test_retry_after(header: str, seconds: float | None) -> None:
    assert answers.retry_after_seconds(header, NOW) == seconds


def test_an_error_about_xml_data_asks_a_person() -> None:
    with pytest.raises(errors.IncompleteEInvoiceError) as caught:
        read(envelope("Missing iban and bic", status=500), 500, XML)
    assert caught.value.kind is Kind.PRECONDITION


@pytest.mark.parametrize("status", [500, 503])
def test_an_error_of_getxml_without_a_message_is_an_outage(status: int) -> None:
    with pytest.raises(errors.UnavailableError):
        read(b"", status, XML)


@pytest.mark.parametrize(
    "body",
    [envelope("gone", 151), envelope("No Model_TagRelation with the id 9 was found", None)],
)
def test_a_removal_of_what_is_gone_is_not_a_refusal(body: dict[str, Any]) -> None:
    with pytest.raises(errors.NotFoundError):
        read(body, 404, REMOVE)


# --- documents in answers ---


@pytest.mark.parametrize(
    "body",
    [
        {"objects": "<?xml version='1.0'?><a>ü</a>"},
        {"objects": ["<?xml version='1.0'?><a>ü</a>"]},
        "<?xml version='1.0'?><a>ü</a>",
        "<?xml version='1.0'?><a>ü</a>".encode(),
    ],
)
def test_xml_in_any_wrapping(body: Any) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    document = answers.xml_bytes(XML, Answer(200, data), NOW)
    assert document == "<?xml version='1.0'?><a>ü</a>".encode()


@pytest.mark.parametrize("body", [{"objects": None}, {"objects": []}, {"objects": "no"}, {"a": 1}])
def test_an_answer_without_xml(body: Any) -> None:
    with pytest.raises(errors.BadAnswerError):
        answers.xml_bytes(XML, Answer(200, json.dumps(body).encode()), NOW)


def test_half_a_character_in_xml_is_a_bad_answer() -> None:
    with pytest.raises(errors.BadAnswerError):
        answers.xml_bytes(XML, Answer(200, b'{"objects":"<a>\\ud800</a>"}'), NOW)


def test_xml_above_ten_megabytes_is_too_large() -> None:
    body = json.dumps({"objects": "<" + "x" * wire.XML_BYTES}).encode()
    with pytest.raises(errors.AnswerTooLargeError) as caught:
        answers.xml_bytes(XML, Answer(200, body), NOW)
    assert caught.value.params["megabytes"] == "10"


def test_a_pdf_that_is_none() -> None:
    body = json.dumps({"objects": {"content": "aGFsbG8="}}).encode()
    with pytest.raises(errors.BadAnswerError):
        answers.pdf(wire.get_pdf("7"), Answer(200, body), NOW)


def test_cut_off_gzip_is_a_bad_answer() -> None:
    with pytest.raises(errors.BadAnswerError):
        wire.unpack(gzip.compress(b"x" * 1000)[:-9], 10_000)


def test_a_gzip_bomb_is_not_unpacked_beyond_the_limit() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    tracemalloc.start()
    with pytest.raises(errors.AnswerTooLargeError):
        wire.unpack(bomb, 100_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_plain_bytes_pass_as_they_are() -> None:
    assert wire.unpack(b"[1]", 3) == b"[1]"


# --- rows ---


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("46.65", Decimal("46.65")),
        ("-39.2", Decimal("-39.2")),
        (0, Decimal(0)),
        (Decimal("10.5"), Decimal("10.5")),
        (None, None),
        ("", None),
        ("12,50", None),
        ("1e400", None),
        ("1e-400", None),
        ("1E+1000000", None),
        ("0E+1000000", None),
        (Decimal("1E+1000000"), None),
        ("999999999999999.99", Decimal("999999999999999.99")),
        ("1000000000000000", None),
        ("NaN", None),
        ("Infinity", None),
        (True, None),
    ],
)
def test_amounts(value: object, expected: Decimal | None) -> None:
    assert rows.amount(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-09-28T00:00:00+02:00", date(2026, 9, 28)),
        ("2026-09-28", date(2026, 9, 28)),
        ("28.09.2026", date(2026, 9, 28)),
        ("2026-02-30", None),
        (None, None),
        (1790000000, None),
        ("soon", None),
    ],
)
def test_dates_keep_the_day_as_written(value: object, expected: date | None) -> None:
    assert rows.calendar_date(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("7", "7"), (7, "7"), (" 7 ", "7"), (None, ""), (True, ""), ("../7", ""), ({"id": 1}, ""),
     ("", ""), (-7, ""), (10**30, "")],
)  # fmt: skip
def test_ids(value: object, expected: str) -> None:
    assert rows.identifier(value) == expected


def test_the_due_date_follows_from_the_term() -> None:
    row = {"id": "1", "status": "200", "invoiceType": "RE",
           "invoiceDate": "2026-11-20T00:00:00+01:00", "timeToPay": "14"}  # fmt: skip
    assert rows.invoice(row).due_date == date(2026, 12, 4)


@pytest.mark.parametrize("term", ["-1", "99999999", "x", None])
def test_a_senseless_term_gives_no_due_date(term: object) -> None:
    row = {"id": "1", "status": "200", "invoiceType": "RE",
           "invoiceDate": "2026-11-20", "timeToPay": term}  # fmt: skip
    assert rows.invoice(row).due_date is None


def test_a_person_is_named_first_name_first() -> None:
    assert rows.contact({"id": "1", "surename": "Eva", "familyname": "Kern"}).name == "Eva Kern"


def test_a_tag_name_is_not_trimmed() -> None:
    assert rows.tag({"id": "1", "name": " xTool"}).name == " xTool"


@pytest.mark.parametrize("missing", ["id", "tag", "object"])
def test_a_relation_without_its_ends_is_broken(missing: str) -> None:
    whole = {"id": "1", "tag": {"id": "2"}, "object": {"id": "3", "objectName": "Invoice"}}
    del whole[missing]
    listing = rows.parse_all([whole], rows.tag_relation)
    assert (listing.rows, len(listing.broken)) == ((), 1)


# --- answers that were recorded from live accounts ---


def recorded(name: str) -> Answer:
    """A recorded answer; some samples carry their status and body, others are the body."""
    sample = json.loads(spec_path(f"sevdesk/{name}.json").read_text())
    if "contentType" in sample:
        return Answer(sample["status"], json.dumps(sample["body"]).encode())
    return Answer(200, json.dumps(sample).encode())


def test_recorded_invoices_are_read() -> None:
    payload = answers.read(wire.page("/Invoice"), recorded("LIVE-200-invoice-list"), NOW)
    listing = rows.parse_all(wire.many(payload), rows.invoice)
    assert listing.broken == ()
    assert [(i.number, i.invoice_type, i.status, i.gross) for i in listing.rows] == [
        ("RE-1018", "SR", "1000", Decimal("-46.65")),
        ("RE-1015", "RE", "1000", Decimal("46.65")),
    ]


def test_a_recorded_contact_is_read() -> None:
    payload = answers.read(wire.page("/Contact"), recorded("LIVE-200-contact"), NOW)
    contact = rows.contact(wire.single(payload))
    assert (contact.vat_number, contact.account) == ("DE999999999", "1303847")


def test_a_recorded_document_is_read() -> None:
    document = answers.xml_bytes(XML, recorded("LIVE-200-getXml-e-invoice"), NOW)
    assert document.startswith(b'<?xml version="1.0" encoding="UTF-8"?>')


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("LIVE-400-getXml-not-an-e-invoice", errors.NotAnEInvoiceError),
        ("LIVE-401-wrong-token", errors.UnauthorizedError),
        ("LIVE-404-getXml-unknown-id", errors.NotFoundError),
    ],
)
def test_recorded_errors_are_understood(name: str, expected: type[errors.SevdeskError]) -> None:
    with pytest.raises(expected):
        answers.read(XML, recorded(name), NOW)


@pytest.mark.parametrize("name", ["SPEC-200-tag-list", "SPEC-200-tagrelation-list"])
def test_documented_lists_are_read(name: str) -> None:
    parse: Any = rows.tag if name.endswith("tag-list") else rows.tag_relation
    payload = answers.read(TAGS, recorded(name), NOW)
    assert len(rows.parse_all(wire.many(payload), parse).rows) == 1


def test_the_documented_answer_to_a_new_tag_is_read() -> None:
    payload = answers.read(ADD, recorded("SPEC-200-tag-factory-create"), NOW)
    assert rows.tag_relation(wire.single(payload)).id == "700"
